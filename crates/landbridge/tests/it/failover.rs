//! Failing over with a price: pulls are let in at their manifest while there is room, refused beyond it, and what was
//! spent outlives the front.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use landbridge_testkit::http::{self, Answer};
use serde_json::{Value, json};

use crate::content::Content;
use crate::running::{Data, Front, landbridge, run_to_end, until};

const EDGE: &str = "aws us-east-2 to far";

struct World {
    content: Content,
    data: Data,
}

impl World {
    fn new() -> Self {
        let content = Content::pack().unwrap();
        let data = content.data().unwrap();
        fs::write(data.path().join("ranges.csv"), "127.0.0.1/32,aws,us-east-2\n").unwrap();
        Self { content, data }
    }

    /// A front whose clients' own copy is drained, with a cap for three pulls and a half on the way over.
    fn file(&self, mode: &str, over: &str) -> PathBuf {
        let mirror = |name: &str, provider: &str, region: &str, folder: &str| {
            json!({
                "name": name, "provider": provider, "region": region,
                "embedded": { "store": self.data.path().join("mirrors").join(folder) },
            })
        };
        let mut near = mirror("near", "aws", "us-east-2", "aws-us-east-2");
        near["override"] =
            json!({ "state": "drain", "until": "2099-01-01T00:00:00Z", "reason": "a test" });
        let configuration = json!({
            "records": { "mode": "off" },
            "cache": { "directory": "cache" },
            "ranges": [{ "name": "here", "format": "csv", "file": "ranges.csv" }],
            "origins": [{ "name": "published", "store": {
                "url": "origin", "catalog": "landbridge-data", "keys": ["keys/landbridge.pem.pub"],
            }}],
            "mirrors": [near, mirror("far", "gcp", "us-central1", "gcp-us-central1")],
            "sites": [{
                "name": "main", "hosts": ["*"], "origin": "published",
                "default": [{ "copy": "far" }],
                "overflow": [{ "provider": "aws", "region": "us-east-2", "edges": [
                    { "copy": "far", "hour": { "bytes": format!("{}B", self.pull_bytes() * 7 / 2) }, "over": over },
                ]}],
            }],
            "failover": { "mode": mode },
        });
        let file = self.data.path().join("front.yaml");
        fs::write(&file, configuration.to_string()).unwrap();
        file
    }

    fn blobs(&self) -> Vec<(String, u64)> {
        let docker = &self.content.docker;
        let blobs = docker.layers.iter().chain([&docker.config]);
        blobs.map(|blob| (blob.digest.clone(), blob.bytes.len() as u64)).collect()
    }

    fn pull_bytes(&self) -> u64 {
        self.blobs().iter().map(|(_, bytes)| bytes).sum()
    }

    /// As if nothing had been spent in this hour and day: without it, the time that has passed counts.
    fn forget_spending(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let window = |length| json!({ "number": now / length, "bytes": 0, "micros": 0 });
        let edge =
            json!({ "site": "main", "edge": EDGE, "hour": window(3_600), "day": window(86_400) });
        let cache = self.data.path().join("cache");
        fs::create_dir_all(&cache).unwrap();
        fs::write(
            cache.join("failover.json"),
            json!({ "written": now, "edges": [edge] }).to_string(),
        )
        .unwrap();
    }

    /// Pulls, and says where to each blob was sent; the refusal if there is one.
    fn pull(&self, front: &Front, tag: &str) -> Result<Vec<String>, Answer> {
        let manifest = front.get(&format!("/v2/app/manifests/{tag}")).unwrap();
        if manifest.status != 200 {
            return Err(manifest);
        }
        let blobs = self.blobs().into_iter().map(|(digest, _)| {
            let answer = front.get(&format!("/v2/app/blobs/{digest}")).unwrap();
            assert_eq!(answer.status, 307, "{answer}");
            answer.header("location").unwrap().to_owned()
        });
        Ok(blobs.collect())
    }
}

fn metric(front: &Front, line: &str) -> f64 {
    let metrics = http::get(&front.admin, "/metrics").unwrap().text();
    let found = metrics.lines().find_map(|it| it.strip_prefix(line));
    found.unwrap_or_else(|| panic!("no {line} in\n{metrics}")).trim().parse().unwrap()
}

#[test]
fn pulls_are_let_in_while_there_is_room_and_what_was_spent_outlives_the_front() {
    let world = World::new();
    world.forget_spending();
    let file = world.file("enforce", "refuse");
    let front = Front::configured(&file).unwrap();
    // The fourth is let in by its first manifest, finds no room under the cap and is refused.
    let mut refused = None;
    for _ in 0..20 {
        match world.pull(&front, "docker") {
            Ok(sent) => assert!(sent.iter().all(|to| to.contains("/far/")), "{sent:?}"),
            Err(answer) => {
                refused = Some(answer);
                break;
            }
        }
    }
    let refused = refused.expect("a cap of three pulls and a half is spent");
    assert_eq!(refused.status, 503, "{refused}");
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
    let error = refused.json().unwrap()["errors"][0].clone();
    assert_eq!(error["code"], "UNAVAILABLE");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(EDGE) && message.contains("it is renewed at "), "{message}");
    assert!(
        metric(&front, "landbridge_refusals_total{site=\"main\",reason=\"cap-spent\"} ") >= 1.0
    );
    let bytes =
        metric(&front, &format!("landbridge_edge_bytes_total{{site=\"main\",edge=\"{EDGE}\"}} "));
    let cap = (world.pull_bytes() * 7 / 2) as f64;
    assert!(bytes <= cap * 1.05, "{bytes} of {cap}");
    // What costs nothing is answered.
    let head = front.ask("HEAD", "/v2/app/manifests/docker", &[]).unwrap();
    assert_eq!(head.status, 200, "{head}");
    assert_eq!(front.get("/v2/app/tags/list").unwrap().status, 200);

    front.stop().unwrap();
    let again = Front::configured(&file).unwrap();
    assert_eq!(world.pull(&again, "docker").unwrap_err().status, 503);
    // Nor does a front that was killed forget, once it has written what it spent.
    drop(again);
    let again = Front::configured(&file).unwrap();
    assert_eq!(world.pull(&again, "docker").unwrap_err().status, 503);
    // A reload keeps the account too.
    again.signal(landbridge_testkit::Signal::HUP).unwrap();
    again.wait_for("the configuration was reloaded").unwrap();
    assert_eq!(world.pull(&again, "docker").unwrap_err().status, 503);
}

#[test]
fn observing_counts_who_would_be_refused_and_refuses_nobody() {
    let world = World::new();
    world.forget_spending();
    let front = Front::configured(&world.file("observe", "slow")).unwrap();
    for _ in 0..8 {
        let sent = world.pull(&front, "docker").unwrap();
        assert!(sent.iter().all(|to| to.contains("/far/")), "{sent:?}");
    }
    let refused =
        metric(&front, "landbridge_observed_refusals_total{site=\"main\",reason=\"cap-slow\"} ");
    assert!(refused >= 1.0, "{refused}");
    let met = metric(&front, "landbridge_refusals_total{site=\"main\",reason=\"cap-slow\"} ");
    assert!(met < 0.5, "{met}");
}

#[test]
fn who_is_slowed_is_told_when_to_come_back() {
    let world = World::new();
    world.forget_spending();
    let front = Front::configured(&world.file("enforce", "slow")).unwrap();
    let slowed = until(|| Ok(world.pull(&front, "docker").err()), Option::is_some);
    let slowed = slowed.unwrap().unwrap();
    assert_eq!(slowed.status, 429, "{slowed}");
    assert_eq!(slowed.json().unwrap()["errors"][0]["code"], "TOOMANYREQUESTS");
    assert!(slowed.header("retry-after").is_some());
}

#[test]
fn an_explanation_names_the_edge_and_what_of_its_cap_is_spent() {
    let world = World::new();
    world.forget_spending();
    let front = Front::configured(&world.file("enforce", "refuse")).unwrap();
    let explained = |front: &Front| {
        let target = "/explain?image=app:docker&from=127.0.0.1";
        http::get(&front.admin, target).unwrap().text()
    };
    let before = explained(&front);
    assert!(
        before.contains(&format!(
            "chosen    far (gcp/us-central1): overflow `{EDGE}`, 0 % of its hour"
        )),
        "{before}"
    );
    assert!(
        before.contains("near (aws/us-east-2)")
            && before.contains("drained until 2099-01-01T00:00:00Z: a test"),
        "{before}"
    );
    while world.pull(&front, "docker").is_ok() {}
    let after = explained(&front);
    assert!(after.contains("which leaves no room for a pull now"), "{after}");
}

#[test]
fn a_checkpoint_that_is_damaged_makes_a_front_stingy_and_is_named() {
    let world = World::new();
    world.forget_spending();
    let checkpoint = world.data.path().join("cache/failover.json");
    let whole = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &whole[..whole.len() / 2]).unwrap();
    let front = Front::configured(&world.file("enforce", "refuse")).unwrap();
    front.wait_for("what was spent on overflow edges cannot be read").unwrap();
    let spent =
        format!("landbridge_edge_spent_ratio{{site=\"main\",edge=\"{EDGE}\",window=\"hour\"}} ");
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() % 3_600;
    let (found, passed) = (metric(&front, &spent), seconds as f64 / 3_600.0);
    assert!((found - passed).abs() < 0.05, "{found} of the cap after {passed} of the hour");
}

#[test]
fn a_configuration_without_a_cap_does_not_start() {
    let world = World::new();
    let file: &Path = &world.file("enforce", "refuse");
    let mut configuration: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    configuration["sites"][0]["overflow"][0]["edges"][0].as_object_mut().unwrap().remove("hour");
    fs::write(file, configuration.to_string()).unwrap();
    let refused = run_to_end(landbridge().args(["serve", "--config"]).arg(file)).unwrap();
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("has no cap"), "{}", refused.stderr);
}
