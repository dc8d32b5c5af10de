//! Who answers for a host, and who is sent where: tables over a small topology.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use landbridge_core::breaker::BreakerSettings;
use landbridge_core::client_address::{ForwardedHeader, TrustedProxies};
use landbridge_core::health::HealthSettings;
use landbridge_core::place::{RangeFormat, SuspicionLimits};
use landbridge_core::price::Rates;
use landbridge_core::route::StickyKey;

use super::*;
use crate::settings::{
    CacheSettings, ConnectionLimits, CopySettings, Delivery, FailoverSettings, Fronts,
    ListenSettings, LiveRegistry, Mode, NeighbourRule, OriginSettings, ProbeSettings, RecordMode,
    RecordSettings,
};

fn copy(name: &str, place: Option<(&str, &str)>, face: Face) -> CopySettings {
    let (provider, region) = place.map(|(a, b)| (a.to_owned(), b.to_owned())).unzip();
    CopySettings {
        name: name.to_owned(),
        provider,
        region,
        face,
        rates: Rates::default(),
        operator: None,
        store: None,
    }
}

fn bucket(name: &str) -> Face {
    let url = format!("https://{name}.example/").parse().unwrap();
    Face::Bucket { url, layout: BucketLayout::ContainersImages }
}

fn site(name: &str, hosts: &[&str]) -> SiteSettings {
    SiteSettings {
        name: name.to_owned(),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        origin: 0,
        follow: Follow::Newest,
        mirrors: vec![1, 2, 3],
        neighbours: vec![
            NeighbourRule {
                provider: "aws".to_owned(),
                region: Some("us-west-1".to_owned()),
                copies: vec![2, 1],
            },
            NeighbourRule { provider: "aws".to_owned(), region: None, copies: vec![1] },
        ],
        defaults: vec![(3, 1)],
        overflow: Vec::new(),
        delivery: Delivery::Redirect,
        catalog_api: false,
        status: true,
        legacy: None,
        pages: Vec::new(),
    }
}

/// A small topology, for other modules' tests too.
pub(crate) fn settings() -> Settings {
    let second = Duration::from_secs(1);
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let registry = Face::Registry {
        url: "https://origin.example/".parse().unwrap(),
        repository_prefix: "project/images".to_owned(),
    };
    Settings {
        listen: ListenSettings {
            address: nowhere,
            admin: nowhere,
            tls: None,
            threads: 1,
            limits: ConnectionLimits {
                header_bytes: 8192,
                body_bytes: 0,
                first_byte: second,
                header: second,
                idle: second,
                connections: 1,
                network_connections: None,
                streams: 1,
                stall: second,
                stall_bytes: 1,
            },
            drain: second,
        },
        trusted_proxies: TrustedProxies::None,
        forwarded_header: ForwardedHeader::default(),
        ranges: Vec::new(),
        suspicion: SuspicionLimits::default(),
        copies: vec![
            copy("origin", Some(("gcp", "us-central1")), registry),
            copy("east", Some(("aws", "us-east-2")), bucket("east")),
            copy("west", Some(("aws", "us-west-2")), bucket("west")),
            copy("cdn", None, bucket("cdn")),
        ],
        origins: vec![OriginSettings {
            name: "origin".to_owned(),
            copy: 0,
            kind: OriginKind::Registry(LiveRegistry {
                copy: 0,
                url: "https://origin.example/".parse().unwrap(),
                repository_prefix: "project/images".to_owned(),
                credentials: None,
            }),
            exported: None,
        }],
        sites: vec![site("main", &["registry.example", "r.example"]), site("rest", &["*"])],
        records: RecordSettings {
            mode: RecordMode::Off,
            directory: PathBuf::new(),
            rotate_bytes: 0,
            keep_files: 0,
        },
        caches: CacheSettings {
            manifest_bytes: 0,
            tag_fresh: second,
            tag_stale: second,
            live_entries: 1,
            present: second,
            absent: second,
            presence_entries: 1,
            presence_timeout: second,
            fetch_timeout: second,
        },
        breaker: BreakerSettings::default(),
        probes: ProbeSettings {
            mode: Mode::Observe,
            period: second,
            timeout: second,
            health: HealthSettings { fall: 3, rise: 2, return_over: second },
            budget_requests: 1,
            budget_bytes: 1,
        },
        failover: FailoverSettings {
            mode: Mode::Observe,
            fronts: Fronts { count: 1, command: None },
            reserve_permille: 50,
            pull: second,
            pulls: 1,
        },
        limits: None,
        rehearsal: None,
        cache_directory: None,
    }
}

const RANGES: &str = "\
192.0.2.0/26,aws,us-east-2
192.0.2.64/26,aws,us-west-1
192.0.2.128/26,aws,eu-west-1
192.0.2.192/26,gcp,us-central1
198.51.100.0/24,gcp,asia-east1
";

fn snapshot() -> Snapshot {
    let set = RangeSet::parse(RangeFormat::Csv, RANGES.as_bytes(), None).unwrap();
    let ranges = vec![Ranges { name: "test".to_owned(), set: Arc::new(set) }];
    Snapshot::build(Arc::new(settings()), ranges, vec![None]).unwrap()
}

#[test]
fn a_site_is_found_by_its_host_in_any_case_and_with_any_port() {
    let snapshot = snapshot();
    let name = |host: &str| {
        let site = snapshot.site(host).unwrap();
        snapshot.site_settings(site).name.clone()
    };
    for host in ["registry.example", "REGISTRY.example:443", "r.example:80"] {
        assert_eq!(name(host), "main", "{host}");
    }
    for host in ["", "other.example", "registry.example.evil", "registry.example:x", "[::1]:80"] {
        assert_eq!(name(host), "rest", "{host}");
    }
}

#[test]
fn everyone_is_sent_to_their_region_their_neighbour_or_the_default() {
    let snapshot = snapshot();
    let order = |address: &str| {
        let site = &snapshot.sites[0];
        let place = snapshot.prefixes.locate(address.parse().unwrap());
        let key = StickyKey::new(1, "a");
        let all = CopySet::ALL;
        let candidates = site.routes.candidates(place, key, all.and(site.copies), all);
        let names =
            candidates.map(|c| format!("{} {}", snapshot.copy(c.copy).name, c.reason.name()));
        names.take(2).collect::<Vec<_>>()
    };
    assert_eq!(order("192.0.2.1"), ["east same-region", "cdn default"]);
    assert_eq!(order("192.0.2.65"), ["west neighbour", "east neighbour"]);
    assert_eq!(order("192.0.2.129"), ["east neighbour", "cdn default"]);
    assert_eq!(order("192.0.2.193"), ["origin same-region", "cdn default"]);
    assert_eq!(order("198.51.100.1"), ["cdn default", "origin origin"]);
    assert_eq!(order("203.0.113.1"), ["cdn default", "origin origin"]);
}

#[test]
fn a_location_is_configured_text_a_checked_name_and_a_digest() {
    let snapshot = snapshot();
    let digest = Digest::sha256_of(b"");
    let location = |copy: usize| {
        let location = snapshot.copies[copy].target.location("a/b", &digest).unwrap();
        assert_eq!(location.len(), location.capacity(), "room was asked for exactly");
        String::from_utf8(location).unwrap()
    };
    assert_eq!(location(0), format!("https://origin.example/v2/project/images/a/b/blobs/{digest}"));
    assert_eq!(location(1), format!("https://east.example/containers/images/{digest}"));
}

#[test]
fn what_leads_nowhere_is_refused() {
    let mut dangling = settings();
    dangling.sites[0].mirrors.push(9);
    let refused = Snapshot::build(Arc::new(dangling), Vec::new(), vec![None]);
    assert!(matches!(refused, Err(SnapshotError::Dangling(name)) if name == "main"));
    let mut many = settings();
    many.copies = (0..33).map(|n| copy(&n.to_string(), None, Face::Streamed)).collect();
    let refused = Snapshot::build(Arc::new(many), Vec::new(), vec![None]);
    assert!(matches!(refused, Err(SnapshotError::TooManyCopies(33))));
}
