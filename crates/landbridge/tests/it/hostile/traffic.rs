//! Hostile traffic, all at once and for a while: memory has a bound, and who means well goes on being answered.
//!
//! How long they wait is measured by `bench/hostile.sh` on a quiet machine; here only that they are not kept out.

use std::fs;
use std::time::Duration;

use landbridge_testkit::attack::{Attack, Tally};
use landbridge_testkit::http::{self, Wire};
use landbridge_testkit::image::{Packing, Recipe};
use landbridge_testkit::{Honest, h2};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::content::{single, source};
use crate::running::{Data, Front, until};

/// How long each attack lasts.
const LASTS: Duration = Duration::from_secs(3);
/// Longer than an honest client waits for nearly all of its answers, on a machine that does much else.
const LONG: Duration = Duration::from_secs(10);
/// What an attacker has of a processor.
const SHARE: f64 = 0.25;
/// More than the front may take of memory at any time.
const MEMORY: u64 = 256 << 20;

/// A front with an image of one large layer, and what may be asked of it.
struct Besieged {
    _data: Data,
    front: Front,
    /// The layer as the front itself hands it out.
    large: String,
    honest: Vec<(String, u16)>,
    files: usize,
}

impl Besieged {
    fn start() -> Self {
        // As many connections as the machine allows.
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
        let files = usize::try_from(maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX).min(20_000);
        let image = Recipe {
            layers: 1,
            layer_bytes: 8 << 20,
            packing: Packing::Plain,
            ..Recipe::default()
        };
        let image = image.pack().unwrap();
        let (_dir, layout) = single(&image).unwrap();
        let data = Data::new().unwrap();
        data.import(&source(&layout), "app:v1").unwrap();
        let mut shown = data.shown().unwrap();
        let connections = format!("connections: {}", files / 8);
        for (default, ours) in [
            ("first_byte: 10s", "first_byte: 2s"),
            ("stall: 30s", "stall: 1s"),
            ("connections: 16384", &connections),
        ] {
            assert!(shown.contains(default), "{default}: {shown}");
            shown = shown.replace(default, ours);
        }
        let file = data.path().join("besieged.yaml");
        let limits = "limits:\n  mode: enforce\n  memory: 1MiB\n  network: {requests: {rate: 10/s, burst: 100}}\n  exempt: [192.0.2.0/24, 198.51.100.0/24]\n";
        fs::write(&file, format!("{shown}\n{limits}")).unwrap();
        let front = Front::configured(&file).unwrap();
        let blob = format!("/v2/app/blobs/{}", image.layers[0].digest);
        let large = front.get(&blob).unwrap().header("location").unwrap().to_owned();
        let honest = vec![("/v2/app/manifests/v1".to_owned(), 200), (blob, 307)];
        Self { _data: data, front, large, honest, files }
    }

    /// Bytes of memory that the front takes now.
    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.front.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Attacks while honest clients ask; what became of the attack.
    fn survives(&self, attack: Attack, connections: usize) -> Tally {
        let shown = format!("{attack:?}");
        let honest = ["192.0.2.7", "198.51.100.7"]
            .map(|from| Honest::start(&self.front.address, from, &self.honest, 50).unwrap());
        let attacker = attack.start(&self.front.address, connections, SHARE).unwrap();
        std::thread::sleep(LASTS);
        let memory = self.memory();
        let tally = attacker.stop();
        assert!(memory < MEMORY, "{shown}: {tally:?}: {memory} bytes");
        for honest in honest {
            let waited = honest.stop().unwrap();
            assert!(waited.answers() > 5, "{shown}: {tally:?}: only {} answers", waited.answers());
            assert!(waited.permille(990) < LONG, "{shown}: {:?}", waited.permille(990));
        }
        assert!(tally.connections > 0, "{shown}: nothing was attacked");
        tally
    }

    fn report(&self) -> serde_json::Value {
        http::get(&self.front.admin, "/limits?format=json").unwrap().json().unwrap()
    }

    fn metric(&self, name: &str) -> u64 {
        let metrics = http::get(&self.front.admin, "/metrics").unwrap().text();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}: {metrics}")).trim().parse().unwrap()
    }
}

#[test]
fn who_means_well_is_answered_whatever_others_send() {
    let besieged = Besieged::start();
    let manifest = "/v2/app/manifests/v1".to_owned();

    let heads = besieged.survives(Attack::SlowHeads, 500);
    assert!(heads.connections >= 500, "{heads:?}");
    let reads = besieged.survives(Attack::SlowReads(besieged.large.clone()), 200);
    assert!(reads.connections > 200, "{reads:?}");
    let resets = besieged.survives(Attack::RapidReset(manifest.clone()), 20);
    assert!(resets.closed > 0, "who opens streams to reset them is cut off: {resets:?}");
    let endless = besieged.survives(Attack::Continuation, 20);
    assert!(endless.closed > 0, "a head without an end is cut off: {endless:?}");
    // Twice as many as there is room for.
    let idle = besieged.survives(Attack::Idle, besieged.files / 4);
    assert!(idle.open > besieged.files / 10, "{idle:?}");

    // Behind the proxy, from very many networks; and from one that says it is many.
    let networks = besieged.survives(Attack::Networks(manifest.clone(), None), 10);
    assert!(networks.sent > 1_000, "{networks:?}");
    let forger = "203.0.113.9".to_owned();
    let refusals = "landbridge_refusals_total{site=\"local\",reason=\"limit-requests\"}";
    let report = || besieged.report();
    let (before, known) = (besieged.metric(refusals), report()["networks"].as_u64().unwrap());
    let forged = besieged.survives(Attack::Networks(manifest, Some(forger)), 10);
    assert!(besieged.metric(refusals) > before, "{forged:?}");
    let report = report();
    assert!(report["networks"].as_u64().unwrap() <= known + 1, "{known} before: {report}");
    assert_eq!(report["by_requests"][0]["network"], "203.0.113.0/24", "{report}");
    assert!(report["networks"].as_u64() <= report["networks_at_most"].as_u64(), "{report}");
    assert!(report["by_requests"].as_array().unwrap().len() <= 50, "{report}");
    // Nothing of it is left.
    until(|| Ok(besieged.metric("landbridge_connections")), |open| *open < 100).unwrap();
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_and_one_that_takes_is_not() {
    let besieged = Besieged::start();
    let ask = format!("GET {} HTTP/1.1\r\nHost: front\r\n\r\n", besieged.large);
    let mut idle = Wire::connect(&besieged.front.address).unwrap();
    idle.send(ask.as_bytes()).unwrap();
    idle.peek().unwrap();
    let mut fair = Wire::connect(&besieged.front.address).unwrap();
    fair.send(ask.as_bytes()).unwrap();
    until(|| Ok(besieged.metric("landbridge_connections")), |open| *open == 2).unwrap();
    assert!(fair.answer("GET").unwrap().unwrap().body.len() > 8 << 20);
    // It is still there, but it alone: to the other end nothing is owed any more.
    until(|| Ok(besieged.metric("landbridge_connections")), |open| *open <= 1).unwrap();
    fair.send(ask.as_bytes()).unwrap();
    assert!(fair.answer("GET").unwrap().is_some());
    assert!(idle.answer("GET").is_err(), "an answer that was not taken is cut off");
}

#[test]
fn http_2_that_floods_is_told_to_calm_down() {
    let besieged = Besieged::start();
    let floods = [
        // Opened and given up at once, so often.
        (0..200_u32)
            .flat_map(|n| [h2::get(2 * n + 1, "/v2/"), h2::reset(2 * n + 1)].concat())
            .collect(),
        // A head that does not end.
        [h2::get_without_end(1, "/v2/"), h2::continuation(1, 100).repeat(20)].concat(),
    ];
    for flood in floods {
        let mut wire = Wire::connect(&besieged.front.address).unwrap();
        wire.send(&[h2::BEGINNING, &flood[..]].concat()).unwrap();
        let frames = h2::frames(&wire.rest().unwrap());
        let goodbye = frames.iter().find(|(kind, ..)| *kind == 0x7);
        let (.., reason) = goodbye.unwrap_or_else(|| panic!("no GOAWAY: {frames:?}"));
        // ENHANCE_YOUR_CALM
        assert_eq!(reason[4..8], [0, 0, 0, 0xb], "{frames:?}");
    }
    // One that does what it may is answered.
    let mut wire = Wire::connect(&besieged.front.address).unwrap();
    wire.send(&[h2::BEGINNING, &h2::get(1, "/v2/"), &h2::ping()].concat()).unwrap();
    wire.finish().unwrap();
    let frames = h2::frames(&wire.rest().unwrap());
    assert!(frames.iter().any(|(kind, _, stream, _)| (*kind, *stream) == (0, 1)), "{frames:?}");
}
