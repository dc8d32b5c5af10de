//! `/status`: what everyone may know, in a browser and as JSON.

mod browser;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::content::Content;
use crate::running::{Data, Front, until};

struct Site {
    data: Data,
    home: TempDir,
    front: Front,
}

impl Site {
    /// The embedded topology, probed quickly, with another configuration of its site.
    fn start(change: impl FnOnce(&mut Value)) -> Self {
        let data = Content::pack().unwrap().data().unwrap();
        let mut file: Value = serde_saphyr::from_str(&data.shown().unwrap()).unwrap();
        file["health"] = json!({
            "period": "100ms", "timeout": "5s", "fall": 2, "rise": 2, "budget": { "requests": 100_000_000 }
        });
        change(&mut file);
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("landbridge.yaml");
        fs::write(&path, file.to_string()).unwrap();
        let front = Front::configured(&path).unwrap();
        Self { data, home, front }
    }

    fn json(&self) -> Value {
        self.front.get("/status.json").unwrap().json().unwrap()
    }

    /// The state of each copy.
    fn states(&self) -> Vec<(String, String)> {
        let status = self.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let copies = status["copies"].as_array().unwrap();
        copies.iter().map(|copy| (text(&copy["name"]), text(&copy["state"]))).collect()
    }

    /// Waits until the probes have found these states, in the order of the page.
    fn wait_for(&self, states: [&str; 3]) {
        let names = ["origin", "aws-us-east-2", "gcp-us-central1"];
        let wanted: Vec<_> = names
            .iter()
            .zip(states)
            .map(|(name, it)| ((*name).to_owned(), it.to_owned()))
            .collect();
        until(|| Ok(self.states()), |states| *states == wanted).unwrap();
    }

    fn far(&self) -> PathBuf {
        self.data.path().join("mirrors/gcp-us-central1")
    }

    /// Takes all objects away from the mirror at GCP, which goes on saying that it holds them.
    fn lose(&self) {
        fs::rename(self.far().join("blobs"), self.far().join("lost")).unwrap();
    }
}

fn seconds_since(moment: &Value) -> i64 {
    let moment: jiff::Timestamp = moment.as_str().unwrap().parse().unwrap();
    jiff::Timestamp::now().duration_since(moment).as_secs()
}

#[test]
fn it_says_how_copies_and_releases_are_and_when_a_copy_went() {
    let site = Site::start(|_| {});
    site.wait_for(["healthy"; 3]);
    let status = site.json();
    assert_eq!((&status["status"], &status["problems"]), (&json!("ok"), &json!([])), "{status:#}");
    assert_eq!(
        (&status["site"], &status["release"]["origin"]),
        (&json!("local"), &json!("origin"))
    );
    let release = &status["release"];
    assert_eq!((&release["sequence"], &release["is_expired"]), (&json!(1), &json!(false)));
    assert!((0..60).contains(&seconds_since(&status["at"])), "{status:#}");
    for copy in status["copies"].as_array().unwrap() {
        assert_eq!(copy["holds"], json!({ "sequence": 1, "is_newest": true }), "{status:#}");
        assert_eq!((&copy["last_probe"]["is_good"], &copy["share"]), (&json!(true), &json!(1.0)));
        assert!((0..60).contains(&seconds_since(&copy["last_probe"]["at"])), "{status:#}");
    }
    assert_eq!(status["copies"][2]["provider"], "gcp");
    assert_eq!(status["ranges"][0]["name"], "demonstration", "{status:#}");

    site.lose();
    site.wait_for(["healthy", "healthy", "out"]);
    let status = site.json();
    assert_eq!(status["status"], "degraded", "{status:#}");
    assert_eq!(status["problems"], json!(["Copy gcp-us-central1 is out: its checks fail."]));
    let copy = &status["copies"][2];
    assert!((0..60).contains(&seconds_since(&copy["since"])), "{status:#}");
    assert_eq!((&copy["share"], &copy["last_probe"]["is_good"]), (&json!(0.0), &json!(false)));

    fs::rename(site.far().join("lost"), site.far().join("blobs")).unwrap();
    site.wait_for(["healthy", "healthy", "returning"]);
    assert_eq!(site.json()["problems"], json!(["Copy gcp-us-central1 is coming back."]));

    fs::rename(site.far(), site.far().with_extension("gone")).unwrap();
    site.wait_for(["healthy", "healthy", "empty"]);
    let status = site.json();
    assert_eq!(status["problems"], json!(["Copy gcp-us-central1 holds no release."]));
    assert_eq!(status["copies"][2]["holds"], json!({ "sequence": 0, "is_newest": false }));
    site.front.stop().unwrap();
}

#[test]
fn any_browser_shows_it_without_scripts_on_any_screen_and_in_the_dark() {
    let site = Site::start(|file| {
        file["mirrors"][0]["override"] = json!({ "state": "drain", "until": "2100-01-01T00:00:00Z", "reason": "the account is overdrawn" });
    });
    site.lose();
    site.wait_for(["healthy", "drained", "out"]);
    let answer = site.front.get("/status").unwrap();
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let html = answer.text();
    assert!(!html.contains("<script"), "{html}");
    keep_for_people(&html);

    for shown in browser::show(&html, &[320, 768, 1_280]).unwrap() {
        for text in [
            "Status of local",
            "Degraded: images can be pulled, but something is wrong",
            "Copy gcp-us-central1 is out: its checks fail.",
            "gcp us-central1",
            "taken out by an operator",
            "the newest release (1)",
            "failed, ",
            "Generation",
            "Good until",
            "demonstration: ",
        ] {
            assert!(shown.text.contains(text), "no {text:?}: {shown:#?}");
        }
        assert_eq!((shown.loaded, &*shown.overflowing), (0, &[][..]), "{shown:#?}");
        assert!(shown.content_width <= shown.width, "{shown:#?}");
        assert!(shown.contrast >= 4.5, "{shown:#?}");
        // On a small screen each cell says what it is; on a large one the head of its column does.
        assert_eq!(shown.text.contains("Copy\tState\t"), shown.width >= 768, "{shown:#?}");
    }
    let schemes = browser::show(&html, &[400]).unwrap();
    assert_eq!(schemes.iter().map(|it| it.is_dark).collect::<Vec<_>>(), [false, true]);

    // And as users meet it, with the heads that go with it.
    let dom = browser::dump(&format!("http://{}/status", site.front.address)).unwrap();
    assert!(dom.contains("taken out by an operator"), "{dom}");
    site.front.stop().unwrap();
}

/// Leaves the page where somebody can look at it, if somebody says where.
fn keep_for_people(html: &str) {
    if let Some(file) = std::env::var_os("LANDBRIDGE_TEST_STATUS_PAGE") {
        fs::write(file, html).unwrap();
    }
}

#[test]
fn it_tells_nothing_private() {
    let site = Site::start(|file| {
        file["mirrors"][0]["override"] = json!({ "state": "drain", "until": "2100-01-01T00:00:00Z", "reason": "the account is overdrawn" });
    });
    site.lose();
    site.wait_for(["healthy", "drained", "out"]);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (data, home) = (path(site.data.path()), path(site.home.path()));
    for page in ["/status", "/status.json"] {
        let text = site.front.get(page).unwrap().text();
        for secret in ["overdrawn", "absent", "127.0.0.1", "http", "/mirror", &data, &home] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
    site.front.stop().unwrap();
}

#[test]
fn a_sites_own_page_comes_first_and_a_site_can_do_without() {
    let site = Site::start(|file| {
        let plain = file["sites"][0].clone();
        let mut own = plain.clone();
        (own["name"], own["hosts"]) = (json!("own"), json!(["own.test"]));
        own["pages"] = json!({ "/status": { "text": "ours" } });
        let mut off = plain.clone();
        (off["name"], off["hosts"], off["status"]) =
            (json!("off"), json!(["off.test"]), json!(false));
        file["sites"] = json!([own, off, plain]);
    });
    let ask = |host: &str, target: &str, accept: &str| {
        let target = format!("http://{host}{target}");
        site.front.ask("GET", &target, &[("Accept", accept)]).unwrap()
    };
    assert_eq!(ask("own.test", "/status", "text/html").text(), "ours");
    assert_eq!(ask("own.test", "/status.json", "*/*").json().unwrap()["site"], "own");
    assert_eq!(ask("off.test", "/status", "text/html").status, 404);
    assert_eq!(ask("off.test", "/status.json", "text/html").status, 404);
    let (html, json) =
        (ask("any.test", "/status", "*/*"), ask("any.test", "/status", "application/json"));
    assert_eq!(html.header("content-type"), Some("text/html; charset=utf-8"), "{html}");
    assert_eq!(json.header("content-type"), Some("application/json"), "{json}");
    assert_eq!(json.json().unwrap()["site"], "local");
    for answer in [html, json] {
        assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
        assert_eq!(answer.header("vary"), Some("Accept"), "{answer}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{answer}");
    }
    let head = site.front.ask("HEAD", "/status", &[]).unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0), "{head}");
    assert_eq!(site.front.ask("POST", "/status", &[]).unwrap().status, 405);
    site.front.stop().unwrap();
}
