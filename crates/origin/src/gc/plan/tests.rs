use std::collections::BTreeSet;
use std::time::Duration;

use landbridge_store::Listed;
use proptest::prelude::*;

use super::super::gather::{Needs, Repository, TagSeen};
use super::super::retention::{Order, Retention, TagRule};
use super::*;
use crate::access::{RepositoryPattern, TextPattern};

const HOUR: Duration = Duration::from_hours(1);

fn digest(n: u8) -> Digest {
    Digest::sha256_of(&[n])
}

/// So many hours after the beginning.
fn at(hours: i64) -> Timestamp {
    Timestamp::from_second(hours * 3600).unwrap()
}

fn listed(n: u8, hours: i64) -> Listed<Digest> {
    Listed { item: digest(n), modified: at(hours), size: 10 }
}

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

fn seen(tag: &str, n: u8, hours: i64) -> TagSeen {
    TagSeen { tag: Tag::parse(tag).unwrap(), digest: digest(n), pushed: at(hours) }
}

fn repository(text: &str) -> Repository {
    let (tags, manifests) = (Vec::new(), Vec::new());
    Repository { name: name(text), tags, manifests, referrers: Vec::new(), blob_links: Vec::new() }
}

fn inventory(repository: Repository, needs: &[(u8, &[u8])], objects: &[(u8, i64)]) -> Inventory {
    let needs = needs.iter().map(|(manifest, references)| {
        let references = references.iter().map(|n| digest(*n)).collect();
        (digest(*manifest), Needs { references, subject: None })
    });
    Inventory {
        now: at(100),
        names: Names {
            repositories: vec![repository],
            needs: needs.collect(),
            published: HashSet::new(),
        },
        objects: objects.iter().map(|(n, hours)| listed(*n, *hours)).collect(),
        leases: HashMap::new(),
        condemned: BTreeMap::new(),
        uploads: Vec::new(),
    }
}

fn collection() -> Collection {
    Collection {
        grace: 10 * HOUR,
        upload_expiry: HOUR,
        retention: Retention::default(),
        kept: HashSet::new(),
        stale_after: HOUR,
    }
}

fn digests(objects: &[Object]) -> BTreeSet<Digest> {
    objects.iter().map(|object| object.digest).collect()
}

fn these(numbers: &[u8]) -> BTreeSet<Digest> {
    numbers.iter().map(|n| digest(*n)).collect()
}

#[test]
fn what_names_lead_to_stays_and_the_rest_is_condemned_once_it_is_old() {
    let mut app = repository("app");
    app.tags = vec![seen("v1", 1, 0)];
    app.manifests = vec![listed(1, 0), listed(4, 0)];
    app.referrers = vec![(digest(6), digest(4))];
    // 1 is an index of 2, which has the layer 3; 4 is linked without a tag; 6 is its subject.
    let needs: [(u8, &[u8]); 3] = [(1, &[2]), (2, &[3]), (4, &[5])];
    let objects = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|n| (n, if n == 8 { 95 } else { 0 }));
    let mut inventory = inventory(app, &needs, &objects);
    inventory.leases.insert(digest(9), at(91));
    inventory.leases.insert(digest(7), at(89));
    let kept = HashSet::from([digest(10)]);
    let plan = plan(&inventory, &Collection { kept, ..collection() });
    assert_eq!(digests(&plan.condemn), these(&[7]), "8 is young, 9 leased, 10 kept by others");
    assert_eq!(plan.kept, Sum { objects: 9, bytes: 90 });
    assert!(plan.due.is_empty() && plan.missing.is_empty());
}

#[test]
fn a_condemned_object_waits_and_a_sign_of_life_saves_it() {
    let objects = [1, 2, 3, 4, 5].map(|n| (n, if n == 4 { 60 } else { 0 }));
    let mut app = repository("app");
    app.manifests = vec![listed(5, 0)];
    app.blob_links = vec![digest(1), digest(2)];
    let mut inventory = inventory(app, &[], &objects);
    for (n, since) in [(1, 90), (2, 91), (3, 50), (4, 50), (5, 50), (6, 50)] {
        inventory.condemned.insert(digest(n), at(since));
    }
    inventory.leases.insert(digest(3), at(50));
    inventory.leases.insert(digest(7), at(50));
    let plan = plan(&inventory, &collection());
    assert_eq!(digests(&plan.due), these(&[1, 6]), "of 6 only the marker is left");
    let waiting = Waiting { digest: digest(2), size: 10, due: at(101) };
    assert_eq!(plan.waiting, [waiting]);
    let withdrawn: BTreeSet<_> = plan.withdraw.iter().copied().collect();
    assert_eq!(withdrawn, these(&[3, 4, 5]), "leased, written again, linked again");
    assert_eq!(plan.leases, [digest(7)]);
    assert_eq!(plan.linked_in[&digest(1)], [name("app")]);
}

#[test]
fn a_name_that_leads_nowhere_is_told() {
    let mut app = repository("app");
    app.tags = vec![seen("v1", 1, 0)];
    let plan = plan(&inventory(app, &[], &[]), &collection());
    assert_eq!(plan.missing, [Missing { repository: name("app"), digest: digest(1) }]);
}

fn rule(tags: &str, keep: usize, order: Order) -> TagRule {
    TagRule {
        repositories: RepositoryPattern::parse("*").unwrap(),
        tags: TextPattern::parse(tags).unwrap(),
        keep,
        order,
    }
}

#[test]
fn the_newest_versions_stay_and_tags_without_a_rule_do_too() {
    let mut app = repository("app");
    app.tags = [("v1.9.0", 1), ("v1.10.0", 2), ("v1.10.0-rc.1", 3), ("latest", 4), ("v2", 5)]
        .map(|(tag, n)| seen(tag, n, i64::from(n)))
        .into();
    app.tags.extend([seen("ci-a", 6, 9), seen("ci-b", 7, 8)]);
    let objects = [1, 2, 3, 4, 5, 6, 7].map(|n| (n, 0));
    let tags = vec![rule("v*", 1, Order::Version), rule("ci-*", 1, Order::Pushed)];
    let retention = Retention { tags, untagged: None };
    let plan = plan(&inventory(app, &[], &objects), &Collection { retention, ..collection() });
    let mut gone: Vec<_> = plan.untag.iter().map(|name| name.tag.as_str()).collect();
    gone.sort_unstable();
    assert_eq!(gone, ["ci-b", "v1.10.0-rc.1", "v1.9.0"], "`v2` is no version");
    assert_eq!(digests(&plan.condemn), these(&[1, 3, 7]));
}

#[test]
fn old_manifests_without_a_tag_go_but_not_what_a_kept_one_needs_or_what_speaks_of_it() {
    let mut app = repository("app");
    app.tags = vec![seen("v1", 1, 0)];
    // 2 is in the index 1, 3 signs 1, 4 is nothing of the kind, 5 is young, 6 signs 4.
    app.manifests =
        [(1, 0), (2, 0), (3, 0), (4, 0), (5, 99), (6, 0)].map(|(n, h)| listed(n, h)).into();
    app.referrers = vec![(digest(1), digest(3)), (digest(4), digest(6))];
    let retention = Retention { tags: Vec::new(), untagged: Some(48 * HOUR) };
    let objects = [1, 2, 3, 4, 5, 6].map(|n| (n, 0));
    let inventory = inventory(app, &[(1, &[2])], &objects);
    let plan = plan(&inventory, &Collection { retention, ..collection() });
    let gone: BTreeSet<_> = plan.unlink.iter().map(|link| link.digest).collect();
    assert_eq!(gone, these(&[4, 6]));
    assert_eq!(digests(&plan.condemn), these(&[4, 6]));
}

/// A world of a few manifests and blobs, all by number.
#[derive(Debug, Clone)]
struct World {
    needs: Vec<(u8, Vec<u8>)>,
    links: Vec<u8>,
    tags: Vec<u8>,
    objects: Vec<(u8, i64)>,
    leases: Vec<(u8, i64)>,
    condemned: Vec<(u8, i64)>,
}

fn world() -> impl Strategy<Value = World> {
    let some = |most| prop::collection::vec(0_u8..16, 0..most);
    let dated = || prop::collection::vec((0_u8..16, 0_i64..100), 0..12);
    let needs = prop::collection::vec((0_u8..16, some(4)), 0..8);
    (needs, some(4), some(4), dated(), dated(), dated()).prop_map(
        |(needs, links, tags, objects, leases, condemned)| World {
            needs,
            links,
            tags,
            objects,
            leases,
            condemned,
        },
    )
}

proptest! {
    /// Written as plainly as possible: an object may go only if no chain of references leads to it.
    #[test]
    fn nothing_that_is_relied_on_is_condemned_or_due(world in world()) {
        let mut app = repository("app");
        app.manifests = world.links.iter().map(|n| listed(*n, 0)).collect();
        app.tags = world.tags.iter().map(|n| seen(&format!("t{n}"), *n, 0)).collect();
        let needs: BTreeMap<u8, Vec<u8>> = world.needs.iter().cloned().collect();
        let objects: BTreeMap<u8, i64> = world.objects.iter().copied().collect();
        let leases: BTreeMap<u8, i64> = world.leases.iter().copied().collect();
        let condemned: BTreeMap<u8, i64> = world.condemned.iter().copied().collect();
        let edges: Vec<(u8, &[u8])> = needs.iter().map(|(n, r)| (*n, r.as_slice())).collect();
        let objects_list: Vec<_> = objects.iter().map(|(n, h)| (*n, *h)).collect();
        let mut inventory = inventory(app, &edges, &objects_list);
        inventory.leases = leases.iter().map(|(n, h)| (digest(*n), at(*h))).collect();
        inventory.condemned = condemned.iter().map(|(n, h)| (digest(*n), at(*h))).collect();
        let plan = plan(&inventory, &collection());

        let leads = |to: u8| {
            let mut open: Vec<u8> = world.links.iter().chain(&world.tags).copied().collect();
            let mut seen = BTreeSet::new();
            while let Some(n) = open.pop() {
                if seen.insert(n) {
                    open.extend(needs.get(&n).into_iter().flatten());
                }
            }
            seen.contains(&to)
        };
        for (n, written) in &objects {
            let is_lost = digests(&plan.due).contains(&digest(*n));
            let is_condemned = digests(&plan.condemn).contains(&digest(*n));
            let life = leases.get(n).copied().unwrap_or(-1).max(*written);
            match condemned.get(n) {
                None => {
                    prop_assert!(!is_lost);
                    prop_assert_eq!(is_condemned, !leads(*n) && life <= 90);
                }
                Some(since) => {
                    prop_assert!(!is_condemned);
                    prop_assert_eq!(is_lost, !leads(*n) && life < *since && *since <= 90);
                }
            }
        }
    }
}
