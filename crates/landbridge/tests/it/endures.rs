//! A front under load for a long time, while its configuration is read again, releases are published and a store
//! fails: no request fails, and memory does not grow.
//!
//! By default it is over soon; `LANDBRIDGE_ENDURANCE` is the seconds that it lasts, of which each minute has one
//! reload, one release and one failing store.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Layout, Signal, run};
use serde_json::Value;

use crate::content::source;
use crate::outage::topology::{Copies, IMAGES, NEAR, Topology};

/// Clients of the load, which also are its connections.
const CLIENTS: u64 = 16;
/// Of the requests that the front can answer, in percent.
const LOAD: u64 = 80;
/// A turn has a reload, a release and a failing store.
const TURN: Duration = Duration::from_mins(1);
const SHORT_TURN: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_secs(20);

#[test]
fn under_load_no_request_fails_and_memory_does_not_grow() {
    let seconds = std::env::var("LANDBRIDGE_ENDURANCE").ok().and_then(|text| text.parse().ok());
    let length = seconds.map_or(SHORT, Duration::from_secs);
    let turn = if length < TURN { SHORT_TURN } else { TURN };
    let topology = Topology::with(Copies::Plain, |configuration| {
        // Nobody pulls what is asked for here, so no cap may bind.
        configuration["sites"][0]["overflow"] = Value::Array(Vec::new());
        configuration["listen"]["threads"] = 1.into();
    });
    let urls = topology.home().join("urls");
    fs::write(&urls, addresses(&topology)).unwrap();
    let limit = Load::unlimited(&urls, Duration::from_secs(3)).run();
    let rate = (limit.requests / 3 * LOAD / 100).max(CLIENTS);
    println!("the limit is {} requests a second, the load {rate}", limit.requests / 3);

    let load = thread::spawn({
        let urls = urls.clone();
        move || Load { rate: Some(rate), ..Load::unlimited(&urls, length) }.run()
    });
    let start = Instant::now();
    let mut warm = None;
    let mut turns = 0;
    while start.elapsed() < length {
        if warm.is_none() && start.elapsed() >= length / 6 {
            warm = Some(topology.resident_kib());
        }
        let into = start.elapsed().saturating_sub(turn * turns);
        if into >= turn / 2 && start.elapsed() + turn / 4 < length {
            disturb(&topology, turns, turn / 5);
            turns += 1;
        }
        thread::sleep(Duration::from_millis(100));
    }
    let done = load.join().unwrap();
    let (warm, end) = (warm.unwrap(), topology.resident_kib());
    println!(
        "{turns} turns, {} requests; {warm} KiB after a sixth, {end} KiB at the end",
        done.requests
    );
    assert!(turns > 0 && done.requests > rate, "{done:?}");
    assert_eq!(done.failed, 0, "{}\n{}", done.text, topology.front.log());
    assert!(end < warm + warm / 10 + 8_192, "memory grows from {warm} to {end} KiB");
    let metrics = topology.metrics();
    let reloads = "landbridge_reloads_refused_total 0";
    assert!(metrics.contains(reloads), "{metrics}");
}

/// A reload, a release, and a store that stands still for a while.
fn disturb(topology: &Topology, turn: u32, frozen: Duration) {
    topology.front.signal(Signal::HUP).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    let image = Recipe { seed: 90_000 + u64::from(turn), ..Recipe::default() }.pack().unwrap();
    layout.put_image(&image).unwrap();
    layout.tag("turn", &image.manifest).unwrap();
    topology.import(&source(&layout), "app");
    topology.signal(NEAR, Signal::STOP);
    thread::sleep(frozen);
    topology.signal(NEAR, Signal::CONT);
}

/// Manifests by tag, and blobs, which are redirected.
fn addresses(topology: &Topology) -> String {
    let mut text = String::new();
    for at in 0..IMAGES {
        let url = |path: &str| format!("http://{}/v2/app/{path}", topology.front.address);
        let tag = format!("manifests/v{at}");
        let manifest = topology.front.get(&format!("/v2/app/{tag}")).unwrap();
        let manifest: Value = manifest.json().unwrap();
        writeln!(text, "{}", url(&tag)).unwrap();
        for layer in manifest["layers"].as_array().unwrap() {
            writeln!(text, "{}", url(&format!("blobs/{}", layer["digest"].as_str().unwrap())))
                .unwrap();
        }
    }
    text
}

/// A run of `h2load`.
struct Load<'a> {
    urls: &'a std::path::Path,
    length: Duration,
    /// Requests a second; as many as there can be without it.
    rate: Option<u64>,
}

/// What came of it.
#[derive(Debug)]
struct Loaded {
    requests: u64,
    failed: u64,
    text: String,
}

impl<'a> Load<'a> {
    fn unlimited(urls: &'a std::path::Path, length: Duration) -> Self {
        Self { urls, length, rate: None }
    }

    fn run(&self) -> Loaded {
        let mut command = Command::new("h2load");
        command.args(["--h1", "-t1", &format!("-c{CLIENTS}")]);
        command.arg(format!("-D{}", self.length.as_secs())).arg("-i").arg(self.urls);
        if let Some(rate) = self.rate {
            command.arg(format!("--rps={}", rate / CLIENTS));
        }
        let text = run(&mut command, self.length + Duration::from_secs(30)).unwrap().text();
        // "requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout"
        let line = text.lines().find(|line| line.starts_with("requests: ")).unwrap_or_default();
        let count = |what: &str| -> u64 {
            let found = line.split([':', ',']).find_map(|part| part.trim().strip_suffix(what));
            found.unwrap_or_else(|| panic!("no `{what}` in:\n{text}")).trim().parse().unwrap()
        };
        let failed = count(" failed") + count(" errored") + count(" timeout");
        Loaded { requests: count(" done"), failed, text: text.clone() }
    }
}
