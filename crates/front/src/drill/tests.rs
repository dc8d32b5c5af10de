//! Records read and played over a small topology, with what must come of it worked out by hand.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use landbridge_core::caps::{Amount, Cap};
use landbridge_core::health::HealthSettings;
use landbridge_core::record::AccessRecord;
use landbridge_core::route::{Over, StickyKey};
use landbridge_core::topology::CopySet;
use proptest::prelude::*;

use super::plan::{Probing, Stage, Timeline, moment};
use super::play::{Seen, play};
use super::traffic::Fold;
use super::*;
use crate::settings::{OverflowEdge, OverflowRule, Settings};

/// 2026-06-10T12:00:00Z.
const NOON: u64 = 1_781_092_800;

/// A line as a front writes it that rolls up.
fn row(second: u64, place: (&str, &str), kind: &'static str, answers: u64, bytes: u64) -> Vec<u8> {
    let time = moment(second);
    let record = AccessRecord {
        time: &time,
        site: "main",
        method: "GET",
        kind,
        repository: "a/b",
        tag: "",
        digest: None,
        provider: place.0,
        region: place.1,
        copy: if kind == "blob" { "east" } else { "" },
        status: if kind == "blob" { 307 } else { 200 },
        bytes,
        agent: "",
    };
    let mut line = format!("{{\"time\":\"{time}\"").into_bytes();
    record.append_fields(&mut line);
    line.extend_from_slice(format!(",\"bytes\":{bytes},\"answers\":{answers}}}\n").as_bytes());
    line
}

/// An hour in which a client in `aws` `us-east-2` pulls 100 bytes each minute.
fn hour() -> Traffic {
    let mut fold = Fold::new();
    for minute in 0..60 {
        let at = NOON + minute * 60;
        let manifest = row(at, ("aws", "us-east-2"), "manifest", 1, 10);
        let blob = row(at, ("aws", "us-east-2"), "blob", 1, 100);
        for line in [manifest, blob] {
            fold.line(line.trim_ascii_end()).unwrap();
        }
    }
    Fold::finish(vec![fold], 1)
}

/// The small topology, probed every 30 s, where clients of `aws` may take `edges`.
fn settings(edges: &[(usize, u64, Over)]) -> Settings {
    let mut settings = crate::snapshot::tests::settings();
    settings.probes.period = Duration::from_secs(30);
    settings.probes.timeout = Duration::ZERO;
    settings.probes.health = HealthSettings { fall: 2, rise: 1, return_over: Duration::ZERO };
    settings.failover.reserve_permille = 0;
    for copy in &mut settings.copies {
        copy.rates.internet = Some("1 USD/GB".parse().unwrap());
        copy.rates.same_region = Some("0 USD/GB".parse().unwrap());
        copy.rates.same_provider = Some("1000 USD/GB".parse().unwrap());
    }
    let edges = edges.iter().map(|&(copy, bytes, over)| {
        let hour = Amount { bytes, micros: u64::MAX };
        OverflowEdge { copy, cap: Cap { hour, day: Amount::UNLIMITED }, over }
    });
    let rule =
        OverflowRule { provider: Some("aws".to_owned()), region: None, edges: edges.collect() };
    if !rule.edges.is_empty() {
        settings.sites[0].overflow = vec![rule];
    }
    settings
}

/// `east` is gone from ten past to twenty past.
fn scenario() -> Scenario {
    let (from, until) = (NOON + 600, NOON + 1_200);
    Scenario { failures: vec!["copy=east".parse().unwrap()], from, until, seed: 1 }
}

fn amounts(requests: u64, bytes: u64) -> Amounts {
    Amounts { requests, bytes }
}

#[test]
fn an_hour_goes_where_the_caps_let_it() {
    // Room for five pulls: the sixth would spend the cap to its last byte.
    let settings = settings(&[(2, 600, Over::Next)]);
    let report = Report::of(&hour(), vec![("a.yaml".to_owned(), settings)], &scenario()).unwrap();
    let play = &report.plays[0];
    assert_eq!(
        (play.noticed, play.returned, play.whole),
        (Some(NOON + 660), Some(NOON + 1_200), Some(NOON + 1_230)),
        "two probes, 30 s apart, and one that is good"
    );
    let seen = *play.seen();
    assert_eq!(seen.unnoticed, amounts(1, 100), "the minute until fronts notice");
    assert_eq!((seen.refused, seen.slowed, seen.withheld), (4, 0, amounts(4, 400)));
    assert_eq!(seen.manifests.requests, 1 + 5, "a dead copy's clients have their manifest");
    assert_eq!(seen.blobs, amounts(5, 550), "and half a minute until all is as before");
    let edge = &play.edges[0];
    assert_eq!((&*edge.edge, edge.carried), ("aws to west", amounts(5, 500)));
    assert_eq!((edge.full, edge.fullest_hour_permille), (4, 833));
    let minute = |minute: u64| Some(NOON + minute * 60);
    assert_eq!((edge.bound_from, edge.bound_until), (minute(15), minute(19)), "near, then spent");
    assert_eq!(edge.cost.to_string(), "0.00 USD");
    assert_eq!(edge.cost.sums["USD"].micros(), 500, "a dollar for a megabyte of the own provider");
    assert_eq!(play.copies[1].undisturbed, amounts(10, 1_050));
    assert_eq!(play.copies[1].served, amounts(0, 50));
    assert_eq!(play.copies[2].served, amounts(5, 500));
    assert!(report.is_complete());
}

#[test]
fn without_approved_edges_everyone_goes_on_to_what_is_left() {
    let traffic = hour();
    let play = |edges: &[_]| {
        let settings = vec![(String::new(), settings(edges))];
        Report::of(&traffic, settings, &scenario()).unwrap().plays.remove(0)
    };
    let free = play(&[]);
    assert_eq!(free.seen().blobs, amounts(9, 950));
    assert_eq!(free.copies[3].served, amounts(9, 900), "the default");
    let next = play(&[(2, 600, Over::Next), (0, 10_000, Over::Next)]);
    // The sixth is let in for the next edge, and then its blobs fit under the first one's cap.
    assert_eq!(next.edges[0].carried, amounts(6, 600));
    assert_eq!(next.edges[1].carried, amounts(3, 300));
    assert_eq!(next.edges[0].full, 4);
    assert_eq!(next.seen().refused, 0);
    let slow = play(&[(2, 600, Over::Slow)]);
    let Seen { refused, slowed, .. } = *slow.seen();
    assert!(slowed > 0 && refused + slowed >= 4, "{refused} {slowed}");
}

#[test]
fn all_copies_at_once_are_the_fronts_own_trouble() {
    let mut scenario = scenario();
    scenario.failures =
        ["provider=AWS", "region=gcp/us-central1", "copy=cdn"].map(|it| it.parse().unwrap()).into();
    let settings = settings(&[(2, 600, Over::Next)]);
    let report = Report::of(&hour(), vec![(String::new(), settings)], &scenario).unwrap();
    let play = &report.plays[0];
    assert!(play.is_blind);
    assert_eq!((play.noticed, play.seen().unnoticed), (None, amounts(10, 1_000)));
    assert_eq!(play.edges[0].carried, Amounts::default());
}

#[test]
fn the_clients_that_come_back_first_grow_in_number() {
    let health = HealthSettings { fall: 1, rise: 1, return_over: Duration::from_secs(320) };
    let (period, timeout) = (Duration::from_secs(10), Duration::from_secs(5));
    let east = CopySet::from_bits(2);
    let probing = Probing { period, timeout, health };
    let timeline = Timeline::new(&scenario(), east, CopySet::from_bits(15), probing);
    assert_eq!(timeline.noticed(), Some(NOON + 615));
    assert_eq!(timeline.returned(), Some(NOON + 1_200));
    assert_eq!(timeline.whole(), Some(NOON + 1_520));
    let back = |at: u64| {
        let keys = (0..1_000).map(|network| StickyKey::new(network, "a"));
        keys.filter(|key| timeline.usable(*key, at) == CopySet::ALL).count()
    };
    assert_eq!((back(NOON), back(NOON + 614), back(NOON + 615)), (1_000, 1_000, 0));
    let counts: Vec<_> = (0..=32).map(|step| back(NOON + 1_200 + step * 10)).collect();
    assert!(counts.is_sorted() && counts[0] < 100 && counts[16] > 400 && counts[32] == 1_000);
    let pieces: Vec<_> = timeline.pieces(NOON + 600, NOON + 660).collect();
    assert_eq!(pieces, [(NOON + 600, NOON + 615), (NOON + 615, NOON + 660)]);
    assert_eq!(timeline.undisturbed().noticed(), None);
    assert!(timeline.undisturbed().is_all_well(NOON + 700));
}

#[test]
fn what_cannot_be_played_is_told() {
    let drill = |change: &dyn Fn(&mut Scenario)| {
        let mut scenario = scenario();
        change(&mut scenario);
        let configurations = vec![("a.yaml".to_owned(), settings(&[]))];
        Report::of(&hour(), configurations, &scenario).unwrap_err().to_string()
    };
    let failures = ["copy=eats", "region=aws/us-east-1", "provider=azure"];
    let mut told = failures
        .map(|failure| drill(&|scenario| scenario.failures = vec![failure.parse().unwrap()]))
        .to_vec();
    told.push(drill(&|scenario| scenario.until = scenario.from));
    told.push(drill(&|scenario| (scenario.from, scenario.until) = (NOON + 3_600, NOON + 7_200)));
    told.extend(
        ["copy", "copy=", "planet=mars", "region=aws"]
            .map(|text| text.parse::<Failure>().unwrap_err().to_string()),
    );
    let mut other = settings(&[]);
    other.sites[0].name = "other".to_owned();
    let none = Report::of(&hour(), vec![("a.yaml".to_owned(), other)], &scenario());
    told.push(none.unwrap_err().to_string());
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn reports_read_well() {
    let mut traffic = hour();
    traffic.recording.malformed = 1;
    let (file, why) = ("access.jsonl".to_owned(), "expected value at line 1 column 1".to_owned());
    traffic.recording.examples.push(Malformed { file, line: 7, why });
    let capped = settings(&[(2, 600, Over::Slow), (3, 600, Over::Next)]);
    let configurations =
        vec![("capped.yaml".to_owned(), capped), ("free.yaml".to_owned(), settings(&[]))];
    let report = Report::of(&traffic, configurations, &scenario()).unwrap();
    assert!(!report.is_complete());
    insta::assert_snapshot!("text", report.to_string());
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&report).unwrap());
    insta::assert_snapshot!("svg", report.svg());
}

#[test]
fn a_plot_has_no_markup_from_names() {
    let configurations = vec![("<script>&\"".to_owned(), settings(&[]))];
    let svg = Report::of(&hour(), configurations, &scenario()).unwrap().svg();
    assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;&amp;&quot;"));
}

fn write(path: &Path, lines: &[u8]) {
    std::fs::write(path, lines).unwrap();
}

#[test]
fn files_packed_or_not_and_directories_of_them_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let line = row(NOON, ("", ""), "blob", 2, 30);
    write(&path("access.jsonl"), &line);
    write(&path("access.jsonl.1"), line.trim_ascii_end());
    write(&path("notes.txt"), b"nobody reads this");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&line).unwrap();
    write(&path("access.jsonl.2.gz"), &gz.finish().unwrap());
    write(&path("access.jsonl.3.zst"), &zstd::bulk::compress(&line, 1).unwrap());
    let traffic = gather(&[directory.path().to_owned()], 2).unwrap();
    let recording = &traffic.recording;
    assert_eq!((recording.files, recording.answers, recording.malformed), (4, 8, 0));
    assert_eq!((recording.from, recording.until), (NOON, NOON + 60));
    assert_eq!(recording.copies["east"], amounts(8, 120));

    write(&path("access.jsonl.2.gz"), b"\x1f\x8b\x08 and then nothing of the kind");
    let broken = gather(&[path("access.jsonl.2.gz")], 1).unwrap_err();
    assert!(matches!(broken, RecordsError::Io { .. }), "{broken}");
    assert!(matches!(gather(&[path("none")], 1), Err(RecordsError::Io { .. })));
    write(&path("access.jsonl"), b"\n\n");
    assert!(matches!(gather(&[path("access.jsonl")], 1), Err(RecordsError::None(_))));
}

#[test]
fn lines_that_are_no_records_are_counted_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.jsonl");
    let mut lines = row(NOON, ("", ""), "blob", 2, 30);
    lines.extend_from_slice(b"{\"time\":\n\xff\xfe\n\n[]\n");
    let time = String::from_utf8(row(NOON, ("", ""), "blob", 1, 1)).unwrap();
    lines.extend_from_slice(time.replace("2026-06-10", "2026-13-10").as_bytes());
    for _ in 0..5 {
        lines.extend_from_slice(b"no\n");
    }
    // Far longer than any record, and than what is read at once.
    lines.extend(std::iter::repeat_n(b'x', 3 << 20));
    lines.push(b'\n');
    lines.extend_from_slice(&row(NOON, ("", ""), "probe", 3, 30));
    lines.extend_from_slice(time.replace("307", "503").as_bytes());
    lines.extend_from_slice(time.as_bytes());
    write(&path, &lines);
    let recording = gather(&[path], 2).unwrap().recording;
    assert_eq!((recording.answers, recording.probes, recording.errors), (3, 3, 1));
    assert!(recording.malformed >= 10, "{}", recording.malformed);
    let told: Vec<_> = recording.examples.iter().map(|it| (it.line, &*it.why)).collect();
    insta::assert_debug_snapshot!(told);
}

#[test]
fn rows_of_ten_minutes_are_slots_of_ten_minutes() {
    let fold = |step: u64, count: u64| {
        let mut fold = Fold::new();
        for at in 0..count {
            fold.line(&row(NOON + at * step, ("", ""), "blob", 1, 1)).unwrap();
        }
        Fold::finish(vec![fold], 1).recording.slot_seconds
    };
    assert_eq!(fold(600, 30), 600);
    assert_eq!(fold(60, 30), 60);
    assert_eq!(fold(7 * 60, 30), 60);
    assert_eq!(fold(86_400, 30), 3_600, "no slot crosses an hour");
    assert_eq!(fold(600, 3), 60, "three times may be chance");
}

/// Where clients are, as far as the fixture knows.
const PLACES: [(&str, &str); 5] =
    [("", ""), ("aws", "us-east-2"), ("aws", "us-west-1"), ("gcp", "us-central1"), ("x", "y")];

fn rows() -> impl Strategy<Value = Vec<(u64, usize, bool, u64, u64)>> {
    let row = (0..3_600_u64, 0..PLACES.len(), any::<bool>(), 1..200_u64, 0..1_000_000_u64);
    proptest::collection::vec(row, 1..60)
}

fn lines(rows: &[(u64, usize, bool, u64, u64)]) -> Vec<Vec<u8>> {
    let line = |&(second, place, is_blob, answers, bytes): &(u64, usize, bool, u64, u64)| {
        let kind = if is_blob { "blob" } else { "manifest" };
        row(NOON + second, PLACES[place], kind, answers, bytes)
    };
    rows.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn several_that_add_up_find_what_one_would(rows in rows(), cut in 0..60_usize) {
        let lines = lines(&rows);
        let (mut first, mut second) = (Fold::new(), Fold::new());
        for (at, line) in lines.iter().enumerate() {
            let fold = if at < cut { &mut first } else { &mut second };
            fold.line(line.trim_ascii_end()).unwrap();
        }
        let traffic = Fold::finish(vec![first, second], 1);
        let length = traffic.recording.slot_seconds;
        // The naive twin: one map of everything.
        let mut twin: BTreeMap<(u64, &str, &str, bool), (u64, u64)> = BTreeMap::new();
        for (second, place, is_blob, answers, bytes) in rows {
            let (provider, region) = PLACES[place];
            let sum = twin.entry(((NOON + second) / length, provider, region, is_blob)).or_default();
            *sum = (sum.0 + answers, sum.1 + bytes);
        }
        let mut found = BTreeMap::new();
        for row in &traffic.rows {
            let group = &traffic.groups[row.group as usize];
            for (is_blob, sum) in [(false, row.asked.manifests), (true, row.asked.blobs)] {
                if sum.requests > 0 {
                    let key = (u64::from(row.slot), &*group.provider, &*group.region, is_blob);
                    prop_assert_eq!(found.insert(key, (sum.requests, sum.bytes)), None);
                }
            }
        }
        prop_assert_eq!(found, twin);
    }

    #[test]
    fn every_byte_is_served_lost_or_withheld(
        rows in rows(), failed in 0..16_u32, cap in 1..50_000_000_u64, from in 0..3_000_u64,
        length in 1..3_000_u64, seed: u64,
    ) {
        let mut fold = Fold::new();
        for line in lines(&rows) {
            fold.line(line.trim_ascii_end()).unwrap();
        }
        let traffic = Fold::finish(vec![fold], 1);
        let (from, until) = (NOON + from, NOON + from + length);
        let all = &traffic.recording;
        prop_assume!(until > all.from && from < all.until);
        let scenario = Scenario { failures: Vec::new(), from, until, seed };
        let edges = [(2, cap, Over::Next), (0, cap, Over::Slow), (3, cap, Over::Refuse)];
        let settings = settings(&edges);
        let probing = Probing::of(&settings);
        let stage = Stage::new("", settings, &traffic, &scenario).unwrap();
        let failed = CopySet::from_bits(failed);
        let timeline = Timeline::new(&scenario, failed, CopySet::from_bits(15), probing);

        let asked = rows.iter().filter(|row| row.2).fold((0, 0), |sum, row| (sum.0 + row.3, sum.1 + row.4));
        let manifests: u64 = rows.iter().filter(|row| !row.2).map(|row| row.3).sum();
        let sum = |seen: &Seen| {
            let parts = [seen.blobs, seen.withheld, seen.broken, seen.unnoticed, seen.hopeless];
            parts.iter().fold((0, 0), |sum, it| (sum.0 + it.requests, sum.1 + it.bytes))
        };
        let played = play(&stage, &traffic, &timeline);
        prop_assert_eq!(sum(&played.seen), asked);
        let Seen { manifests: given, refused, slowed, .. } = played.seen;
        prop_assert_eq!(given.requests + refused + slowed, manifests);
        let hours: u64 = played.hours.values().flat_map(|hour| &hour.copies).sum();
        prop_assert_eq!(hours, played.seen.blobs.bytes);
        for edge in &played.edges {
            prop_assert!(edge.carried.bytes <= 2 * cap, "two hours at most, and no reserve");
            prop_assert!(edge.fullest.0 <= 1_000);
        }

        // Undisturbed, nothing is refused, and everyone is where routing puts them.
        let quiet = play(&stage, &traffic, &timeline.undisturbed());
        prop_assert_eq!(sum(&quiet.seen), asked);
        prop_assert_eq!(quiet.seen.blobs, amounts(asked.0, asked.1));
        prop_assert_eq!(quiet.seen.manifests.requests, manifests);
        let mut expected = [0; 4];
        for row in rows.iter().filter(|row| row.2) {
            // Unknown and others: the default; us-east-2: its own; us-west-1: west; gcp: the origin.
            expected[[3, 1, 2, 0, 3][row.1]] += row.4;
        }
        let mut found = [0; 4];
        for hour in quiet.hours.values() {
            for (sum, bytes) in found.iter_mut().zip(&hour.copies) {
                *sum += bytes;
            }
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_path_is_named_in_errors() {
    let error = gather(&[PathBuf::from("no/such/records")], 1).unwrap_err();
    assert_eq!(error.to_string(), "cannot read the records in `no/such/records`");
}
