use std::collections::BTreeSet;

use landbridge_core::Digest;
use landbridge_core::generation::{ObjectEntry, Repository, Root};
use landbridge_core::media_type::OCI_LAYER;
use landbridge_core::price::list_prices;
use proptest::prelude::*;

use super::*;

fn set(copies: &[usize]) -> CopySet {
    copies.iter().filter_map(|copy| CopyId::new(*copy)).fold(CopySet::EMPTY, CopySet::with)
}

fn object(name: &str, size: u64, lacking: &[usize], unconfirmed: &[usize]) -> PlannedObject {
    PlannedObject {
        digest: Digest::sha256_of(name.as_bytes()),
        size,
        media_type: OCI_LAYER.to_owned(),
        lacking: set(lacking),
        unconfirmed: set(unconfirmed),
        read_back: set(unconfirmed),
        held: set(&[]),
    }
}

fn plan(objects: Vec<PlannedObject>) -> Plan {
    let mut repository = Repository::empty("a".parse().unwrap());
    repository.objects.push(ObjectEntry {
        digest: Digest::sha256_of(b""),
        media_type: OCI_LAYER.to_owned(),
        size: 1,
    });
    let root = Root::new(vec![repository.entry()]);
    Plan {
        tags: Vec::new(),
        repositories: vec![repository],
        generation: Digest::sha256_of(&root.encode()),
        root,
        replaces: None,
        objects,
        copies: ["authority", "ohio", "iowa", "own"].map(str::to_owned).to_vec(),
        skipped: Vec::new(),
        kept: Vec::new(),
        warnings: Vec::new(),
        known: BTreeSet::new(),
        costs: None,
    }
}

fn priced(provider: &str, region: &str) -> Priced {
    let spot = Spot { provider: Some(provider.to_owned()), region: Some(region.to_owned()) };
    Priced { spot, rates: list_prices(provider).map(|list| list.rates).unwrap_or_default() }
}

fn tariff() -> Tariff {
    let free = Priced { spot: Spot::default(), rates: Rates::free(Currency::USD) };
    Tariff {
        currency: Currency::USD,
        here: free.clone(),
        source: priced("gcp", "us-central1"),
        copies: vec![
            priced("gcp", "us-central1"),
            priced("aws", "us-east-2"),
            priced("gcp", "us-central1"),
            free,
        ],
        most: None,
    }
}

/// What copies hold is read in the cheapest of them; Iowa is made by the authority's store.
struct Fixed(Vec<CopyId>);

impl Ways for Fixed {
    fn read_at(&self, object: &PlannedObject) -> ReadAt {
        let holder = self.0.iter().find(|id| object.held.contains(**id));
        holder.map_or(ReadAt::Source, |id| ReadAt::Copy(*id))
    }

    fn copied_from(&self, object: &PlannedObject, to: CopyId) -> Option<CopyId> {
        let authority = CopyId::new(0).filter(|id| object.held.contains(*id));
        authority.filter(|_| to.index() == 2)
    }
}

fn costs(plan: &Plan, tariff: &Tariff) -> Costs {
    plan_costs(plan, &Fixed(tariff.cheapest_first(plan.copies.len())), tariff).unwrap()
}

#[test]
fn a_plan_says_what_every_edge_costs() {
    let held = |object| PlannedObject { held: set(&[0, 3]), ..object };
    let plan = plan(vec![
        object("new", 3 << 30, &[0, 1, 2, 3], &[]),
        object("adopted", 1 << 30, &[0, 2, 3], &[1]),
        held(object("behind", 2 << 30, &[1, 2], &[])),
    ]);
    let costs = costs(&plan, &tariff());
    insta::assert_snapshot!(costs);
    insta::assert_snapshot!(serde_json::to_string_pretty(&costs.edges[0]).unwrap());
    let most = "0.25 USD".parse().unwrap();
    insta::assert_snapshot!(costs.check(most, Money::zero(Currency::USD)).unwrap_err());
    assert!(costs.check(costs.total, Money::zero(Currency::USD)).is_ok());
    let spent = "0.000001 USD".parse().unwrap();
    assert!(costs.check(costs.total, spent).is_err(), "it was spent before");
    let euros = "1000 EUR".parse().unwrap();
    assert!(matches!(
        costs.check(euros, Money::zero(Currency::USD)),
        Err(ImportError::TooDear { .. })
    ));
}

#[test]
fn what_has_no_price_is_told_and_refused_where_there_is_a_limit() {
    let mut tariff = tariff();
    tariff.source.rates.internet = None;
    let costs = costs(&plan(vec![object("new", 1, &[0], &[])]), &tariff);
    assert!(costs.to_string().ends_with("and one edge that has no price"), "{costs}");
    let refused = costs.check("1000 USD".parse().unwrap(), Money::zero(Currency::USD));
    let Err(ImportError::Unpriced { edge, .. }) = refused else { panic!("{refused:?}") };
    assert!(edge.starts_with("the registry -> here: read 1 (1 B)"), "{edge}");
}

#[test]
fn copies_are_read_where_it_is_cheapest() {
    let order: Vec<_> = tariff().cheapest_first(5).iter().map(|id| id.index()).collect();
    assert_eq!(order, [3, 1, 0, 2, 4], "the last one has no price");
}

proptest! {
    #[test]
    fn a_larger_plan_never_costs_less(
        objects in proptest::collection::vec((0..1_u64 << 40, 0..16_u32, 0..16_u32, 0..16_u32), 1..8),
    ) {
        let object = |(at, (size, lacking, unconfirmed, held)): (usize, &(u64, u32, u32, u32))| {
            let (lacking, held) = (CopySet::from_bits(*lacking), CopySet::from_bits(*held));
            let unconfirmed = CopySet::from_bits(*unconfirmed).minus(lacking);
            let held = held.minus(lacking);
            let object = object(&at.to_string(), *size, &[], &[]);
            PlannedObject { lacking, unconfirmed, read_back: unconfirmed, held, ..object }
        };
        let all: Vec<_> = objects.iter().enumerate().map(object).collect();
        let cost = |objects: &[PlannedObject]| costs(&plan(objects.to_vec()), &tariff());
        let (whole, most) = (cost(&all), cost(&all[..all.len() - 1]));
        prop_assert!(whole.total >= most.total);
        let sum = whole.edges.iter().filter_map(|edge| edge.cost).map(Money::micros).sum::<i64>();
        prop_assert_eq!(whole.total.micros(), sum);
    }
}
