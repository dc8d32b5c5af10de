//! Where clients may go when their own copies fail, and what that may cost.

use landbridge_core::caps::{Amount, Cap};
use landbridge_core::price::Spot;
use landbridge_core::route::Over;
use landbridge_front::settings::Mode;

use super::*;

const EDGES: &str = "
    overflow:
      - provider: aws
        region: us-east-2
        edges:
          - {copy: far, hour: {bytes: 2TiB, money: 20.50 USD}, day: {bytes: 10TiB}, over: slow}
          - {copy: upstream, day: {bytes: 1GiB}}
      - provider: aws
        edges: []
      - edges:
          - {copy: ohio, day: {money: 100 USD}, over: refuse}
failover: {mode: enforce, fronts: 3, fronts_command: [fronts, --count], reserve_permille: 20}
";

/// [`GOOD`] with another mirror, and this at its end.
fn with(more: &str) -> String {
    let far = "mirrors:\n  - name: far\n    provider: gcp\n    region: us-central1\n    bucket: {url: https://far.example.org/}\n";
    GOOD.replace("mirrors:\n", far).trim_end().to_owned() + more
}

#[test]
fn ways_over_and_their_caps_become_settings() {
    let settings = load(&source(&with(EDGES)), &[], Secrets::Skip).unwrap();
    let failover = &settings.failover;
    assert_eq!(
        (failover.mode, failover.fronts.count, failover.reserve_permille),
        (Mode::Enforce, 3, 20)
    );
    assert_eq!(failover.fronts.command.as_ref().unwrap().0, ["fronts", "--count"]);
    let overflow = &settings.sites[0].overflow;
    let edge = &overflow[0].edges[0];
    let (hour, day) = (
        Amount { bytes: 2 << 40, micros: 20_500_000 },
        Amount { bytes: 10 << 40, micros: u64::MAX },
    );
    assert_eq!((edge.cap, edge.over, edge.copy), (Cap { hour, day }, Over::Slow, 1));
    assert_eq!(overflow[0].edges[1].over, Over::Next);
    assert_eq!((&overflow[1].region, overflow[1].edges.len()), (&None, 0));
    assert_eq!((&overflow[2].provider, overflow[2].edges[0].over), (&None, Over::Refuse));
    // What a copy charges comes from its provider's list.
    let own = Spot { provider: Some("gcp".to_owned()), region: Some("us-central1".to_owned()) };
    let price = settings.copies[1].rates.egress(&own, &Spot::default()).unwrap();
    assert_eq!(price.to_string(), "0.12 USD/GiB");
}

#[test]
fn ways_over_that_lead_nowhere_or_cannot_be_counted_are_refused() {
    let wrong = "
    overflow:
      - region: us-east-2
        edges: [{copy: fra, day: {bytes: 1GiB}}]
      - provider: aws
        edges:
          - {copy: far}
          - {copy: far, hour: {}}
          - {copy: ohio, day: {money: 5 EUR}}
          - {copy: upstream, day: {money: 5 USD}}
      - {provider: aws, region: eu-west-1}
failover: {fronts: 0, fronts_command: [], fronts_every: 0s, pull: 0s, reserve_permille: 2000, mode: on}
";
    insta::assert_snapshot!(problems(&with(wrong)));
}
