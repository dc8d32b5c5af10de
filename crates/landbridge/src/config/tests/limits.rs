//! The `limits` section.

use super::*;

#[test]
fn limits_are_read_as_they_are_meant_and_a_burst_follows_its_rate() {
    let limits = "
limits:
  mode: enforce
  network: {requests: {rate: 600/min, burst: 1000}, bytes: {rate: 50GiB/h}}
  repository: {bytes: {rate: 1MiB/s, burst: 10GiB}}
  exempt: [10.0.0.0/8, \"fd00::/8\"]
";
    let settings = load(&source(&format!("{GOOD}{limits}")), &[], Secrets::Skip).unwrap();
    let limits = settings.limits.unwrap();
    let told = |it: Option<landbridge_core::limits::Allowance>| {
        it.map(|it| (it.rate().to_string(), it.burst()))
    };
    let (network, repository) = (limits.budgets.network, limits.budgets.repository);
    assert_eq!(told(network.requests), Some(("600/min".to_owned(), 1000)));
    assert_eq!(told(network.bytes), Some((format!("{}/h", 50_u64 << 30), 50 << 30)));
    assert_eq!(told(repository.bytes), Some((format!("{}/s", 1 << 20), 10 << 30)));
    assert_eq!((told(repository.requests), limits.exempt.len()), (None, 2));
    assert!(load(&source(GOOD), &[], Secrets::Skip).unwrap().limits.is_none());
}

#[test]
fn every_mistake_of_limits_is_named_at_once_with_its_place() {
    let limits = "
limits:
  mode: on
  networks: {ipv4: 33, ipv6: 128}
  network: {requests: {rate: 600}, bytes: {rate: 0GiB/h}}
  repository:
    requests: {burst: 5}
    bytes: {rate: 1MiB/d, burst: 1GiB}
  exempt: [10.0.0.1/8]
  memory: 1KiB
";
    insta::assert_snapshot!(problems(&format!("{GOOD}{limits}")));
}
