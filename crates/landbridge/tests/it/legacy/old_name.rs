//! One front for two names: `localhost` is the old one, `127.0.0.1` the new one.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use landbridge_testkit::image::{Image, Recipe};
use landbridge_testkit::{Layout, Signal, http};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::content::source;
use crate::running::{Data, Failed, Front, landbridge, run_to_end, until};

/// What was there before the freeze, and what was promoted after it.
pub(super) const BEFORE: &str = "before";
pub(super) const AFTER: &str = "after";

pub(super) struct OldName {
    data: Data,
    home: TempDir,
    pub(super) front: Front,
    /// How many plans were played.
    plays: Cell<u32>,
    /// The generation before `after` was promoted.
    pub(super) frozen: String,
    pub(super) old: Image,
    pub(super) new: Image,
}

impl OldName {
    /// Both names, before anything is planned.
    pub(super) fn start() -> Self {
        let data = Data::new().unwrap();
        let home = tempfile::tempdir().unwrap();
        let old = import(&data, 7_001, BEFORE);
        let file = home.path().join("front.yaml");
        fs::create_dir(home.path().join("cache")).unwrap();
        fs::write(
            home.path().join("migration.yaml"),
            plan("127.0.0.1:1", 0, &json!([])).to_string(),
        )
        .unwrap();
        fs::write(&file, configuration(&data, "2022-01-01T00:00:00Z").to_string()).unwrap();
        let front = Front::configured(&file).unwrap();
        let generation = || {
            let status = http::get(&front.address, "/status.json")?.json()?;
            Ok(status["release"]["generation"].as_str().map(ToOwned::to_owned))
        };
        let frozen = until(generation, Option::is_some).unwrap().unwrap();
        let new = import(&data, 7_002, AFTER);
        let topology = Self { data, home, front, plays: Cell::new(0), frozen, old, new };
        let target = format!("/v2/app/manifests/{AFTER}");
        let status = || Ok(topology.ask("127.0.0.1", "GET", &target).status);
        until(status, |status| *status == 200).unwrap();
        topology
    }

    /// Plays a plan's `phases` from `moment` on, as one reload.
    pub(super) fn play(&self, moment: &str, phases: &Value) {
        self.play_with(moment, phases, &Value::Null);
    }

    /// The same with `limits` of requests.
    pub(super) fn play_with(&self, moment: &str, phases: &Value, limits: &Value) {
        let number = self.plays.get() + 1;
        self.plays.set(number);
        let mut configuration = configuration(&self.data, moment);
        if !limits.is_null() {
            configuration["limits"] = limits.clone();
        }
        fs::write(self.path("front.yaml"), configuration.to_string()).unwrap();
        let plan = plan(&self.address("127.0.0.1"), number, phases);
        fs::write(self.path("migration.yaml"), plan.to_string()).unwrap();
        self.front.signal(Signal::HUP).unwrap();
        // Files are watched too, so the next reload may be of what was written before.
        let guide = format!("/moving/{number}>");
        let told = || {
            let answer = self.ask("localhost", "GET", "/v2/");
            Ok(answer.header("link").is_some_and(|link| link.contains(&guide)))
        };
        until(told, |is_told| *is_told).unwrap();
    }

    /// One request at one of the names.
    pub(super) fn ask(&self, name: &str, method: &str, target: &str) -> http::Answer {
        http::ask(&self.address(name), method, target, &[]).unwrap()
    }

    /// Whether the old name is what it was frozen as, as the command tells.
    pub(super) fn verify_freeze(&self) -> Failed {
        let mut command = landbridge();
        command.args(["migrate", "verify-freeze", "--repository-prefix", "google-containers"]);
        command.args(["--release", &self.frozen, "--data"]).arg(self.data.path());
        command.arg(format!("http://{}", self.address("localhost")));
        run_to_end(&mut command).unwrap()
    }

    /// `localhost` or `127.0.0.1`, with the front's port.
    pub(super) fn address(&self, name: &str) -> String {
        let (_, port) = self.front.address.rsplit_once(':').unwrap();
        format!("{name}:{port}")
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.home.path().join(file)
    }
}

fn import(data: &Data, seed: u64, tag: &str) -> Image {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    let image = Recipe { seed, ..Recipe::default() }.pack().unwrap();
    layout.put_image(&image).unwrap();
    layout.tag(tag, &image.manifest).unwrap();
    data.import(&source(&layout), "app").unwrap();
    image
}

fn plan(successor: &str, number: u32, phases: &Value) -> Value {
    let mut all = vec![json!({
        "phase": "announce", "start": "2022-11-28",
        "message": "localhost is being left: use 127.0.0.1 instead",
    })];
    all.extend(phases.as_array().unwrap().iter().cloned());
    json!({ "moves": [{
        "name": "images", "successor": successor, "stability": "stable",
        "guide": format!("https://example.org/moving/{number}"), "phases": all,
    }]})
}

fn configuration(data: &Data, moment: &str) -> Value {
    json!({
        "records": { "mode": "off" },
        "trusted_proxies": { "cidrs": ["127.0.0.0/8"] },
        "cache": { "directory": "cache" },
        "origins": [{ "name": "published", "store": {
            "url": data.path().join("origin"), "catalog": "landbridge-data",
            "keys": [data.path().join("keys/landbridge.pem.pub")], "poll": "500ms",
        }}],
        "mirrors": [{
            "name": "near", "embedded": { "store": data.path().join("mirrors/aws-us-east-2") },
        }],
        "migration": { "plan": "migration.yaml", "rehearsal": moment },
        "sites": [
            {
                "name": "new", "hosts": ["127.0.0.1"], "origin": "published",
                "default": [{ "copy": "near" }],
            },
            { "name": "old", "hosts": ["localhost"], "origin": "published",
              "default": [{ "copy": "near" }], "legacy": {
                "move": "images", "strip": "google-containers",
                "renames": { "application": "app" }, "scheme": "http",
            }},
        ],
    })
}
