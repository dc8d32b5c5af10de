//! Limits of client networks, as clients and the operator meet them.

use std::fs;

use anyhow::Result;
use landbridge_testkit::Signal;
use landbridge_testkit::http::{self, Answer};
use serde_json::json;
use tempfile::TempDir;

use crate::content::Content;
use crate::running::{Data, Front, until};

/// A front with limits, behind a proxy on loopback that names whoever it likes.
struct Limited {
    content: Content,
    _data: Data,
    shown: String,
    dir: TempDir,
    front: Front,
}

impl Limited {
    fn start(limits: &str) -> Result<Self> {
        let content = Content::pack()?;
        let data = content.data()?;
        let (shown, dir) = (data.shown()?, tempfile::tempdir()?);
        let file = dir.path().join("landbridge.yaml");
        fs::write(&file, format!("{shown}\nlimits:\n{limits}"))?;
        let front = Front::configured(&file)?;
        Ok(Self { content, _data: data, shown, dir, front })
    }

    /// Puts other limits into force.
    fn reload(&self, limits: &str, page: &str) -> Result<()> {
        let pages = format!("pages: {{ /page: {{ text: {page} }} }}");
        let text = self.shown.replace("pages: {}", &pages);
        fs::write(self.dir.path().join("landbridge.yaml"), format!("{text}\nlimits:\n{limits}"))?;
        self.front.signal(Signal::HUP)?;
        until(|| Ok(self.front.get("/page")?.text()), |found| found == page)?;
        Ok(())
    }

    fn ask(&self, method: &str, target: &str, from: &str) -> Result<Answer> {
        self.front.ask(method, target, &[("X-Forwarded-For", from)])
    }

    /// Asks for the image by its tag; the status.
    fn pull(&self, from: &str) -> u16 {
        self.ask("GET", "/v2/app/manifests/v1", from).unwrap().status
    }

    fn metric(&self, name: &str) -> u64 {
        let metrics = http::get(&self.front.admin, "/metrics").unwrap().text();
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name}: {metrics}"));
        line.trim().parse().unwrap()
    }

    fn report(&self) -> serde_json::Value {
        http::get(&self.front.admin, "/limits?format=json").unwrap().json().unwrap()
    }
}

const REQUESTS: &str =
    "  network: { requests: { rate: 4/h, burst: 4 } }\n  exempt: [192.0.2.128/25]\n";

#[test]
fn a_network_that_asked_for_too_much_is_refused_at_the_manifest_and_nowhere_else() {
    let limited = Limited::start(&format!("{REQUESTS}  mode: enforce\n")).unwrap();
    assert!((1..5).all(|host| limited.pull(&format!("192.0.2.{host}")) == 200));
    let refused = limited.ask("GET", "/v2/app/manifests/latest", "192.0.2.9").unwrap();
    assert_eq!(refused.status, 429, "{refused}");
    assert_eq!(refused.error_code().as_deref(), Some("TOOMANYREQUESTS"), "{refused}");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((800..=900).contains(&wait), "{refused}");
    assert_eq!(
        refused.json().unwrap()["errors"][0]["message"],
        format!(
            "clients in 192.0.2.0/24 have asked for more manifests than 4/h with 4 at once (`limits.network.requests`): try again in {wait} s"
        ),
    );
    // By digest too, but what was begun goes on: blobs, and everything else.
    let index = &limited.content.index.digest;
    assert_eq!(
        limited.ask("GET", &format!("/v2/app/manifests/{index}"), "192.0.2.9").unwrap().status,
        429
    );
    assert_eq!(limited.ask("HEAD", "/v2/app/manifests/v1", "192.0.2.9").unwrap().status, 200);
    assert_eq!(limited.ask("GET", "/v2/app/tags/list", "192.0.2.9").unwrap().status, 200);
    let layer = &limited.content.amd.layers[0].digest;
    assert_eq!(
        limited.ask("GET", &format!("/v2/app/blobs/{layer}"), "192.0.2.9").unwrap().status,
        307
    );
    // Others, and who is exempt, are not concerned.
    assert_eq!((limited.pull("198.51.100.1"), limited.pull("192.0.2.200")), (200, 200));
    // What a client writes itself does not count: its proxy appended where it comes from.
    assert_eq!(limited.pull("203.0.113.77, 192.0.2.9"), 429);
    let refusals = "landbridge_refusals_total{site=\"local\",reason=\"limit-requests\"}";
    assert_eq!(limited.metric(refusals), 3);
    assert_eq!(limited.metric("landbridge_limited_networks"), 1);
}

#[test]
fn what_is_only_observed_refuses_nobody_and_says_whom_it_would() {
    let limited = Limited::start(REQUESTS).unwrap();
    assert!((0..6).all(|_| limited.pull("192.0.2.9") == 200));
    let observed = "landbridge_observed_refusals_total{site=\"local\",reason=\"limit-requests\"}";
    assert_eq!(limited.metric(observed), 2);
    // What was asked for counts on, once it is meant.
    limited.reload(&format!("{REQUESTS}  mode: enforce\n"), "meant").unwrap();
    assert_eq!(limited.pull("192.0.2.9"), 429);
}

#[test]
fn bytes_that_copies_hand_out_count_and_the_report_tells_networks_only() {
    let bytes =
        "  mode: enforce\n  repository: { bytes: { rate: 1KiB/h } }\n  networks: { ipv6: 48 }\n";
    let limited = Limited::start(bytes).unwrap();
    let layer = &limited.content.amd.layers[0];
    let blob = format!("/v2/app/blobs/{}", layer.digest);
    // Nothing is handed out by a HEAD, and of a range what it says.
    assert_eq!(limited.ask("HEAD", &blob, "2001:db8:7:1::1").unwrap().status, 307);
    let range = [("X-Forwarded-For", "2001:db8:7:2::2"), ("Range", "bytes=0-99")];
    assert_eq!(limited.front.ask("GET", &blob, &range).unwrap().status, 307);
    assert_eq!(limited.ask("GET", "/v2/app/tags/list", "198.51.100.1").unwrap().status, 200);
    assert_eq!(limited.report()["by_bytes"][0]["bytes"], 100);
    assert_eq!(limited.ask("GET", &blob, "2001:db8:7:3::3").unwrap().status, 307);
    let refused = limited.ask("GET", "/v2/app/manifests/v1", "2001:db8:7:4::4").unwrap();
    assert_eq!(refused.status, 429, "{refused}");
    let message = refused.json().unwrap()["errors"][0]["message"].to_string();
    assert!(message.contains("in 2001:db8:7::/48 have taken more bytes of `app` than 1KiB/h with 1KiB at once (`limits.repository.bytes`)"), "{message}");
    assert_eq!(limited.pull("192.0.2.1"), 200);

    let report = limited.report();
    assert_eq!(report["by_bytes"][0]["network"], "2001:db8:7::/48", "{report}");
    assert_eq!(report["by_bytes"][0]["bytes"], json!(100 + layer.bytes.len()), "{report}");
    assert_eq!((&report["networks"], &report["mode"]), (&json!(3), &json!("enforce")), "{report}");
    let text = http::get(&limited.front.admin, "/limits").unwrap().text();
    for told in [report.to_string(), text] {
        assert!(told.contains("192.0.2.0/24") && !told.contains("192.0.2.1"), "{told}");
        assert!(!told.contains("::3") && !told.contains(":7:3"), "{told}");
    }
}

#[test]
fn without_limits_nothing_is_counted() {
    let data = Content::pack().unwrap().data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let report = http::get(&front.admin, "/limits").unwrap();
    assert_eq!(report.status, 404, "{report}");
}
