//! Sites that do not follow the newest release, and a front that starts from an exported one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use landbridge_core::Digest;
use landbridge_testkit::{http, run};
use serde_json::{Value, json};

use crate::content::{Content, source};
use crate::running::{Data, Front, LIMIT, landbridge, run_to_end, until};

/// A data directory as a configuration with sites of its own.
fn configuration(data: &Data, sites: &Value, more: &Value) -> PathBuf {
    let path = |of: &str| data.path().join(of);
    let mut store = json!({
        "url": path("origin"), "catalog": "landbridge-data",
        "keys": [path("keys/landbridge.pem.pub")], "poll": "1s",
    });
    store.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mirror = |name: &str, provider: &str, region: &str| {
        let store = path("mirrors").join(name);
        json!({ "name": name, "provider": provider, "region": region, "embedded": { "store": store } })
    };
    let config = json!({
        "records": { "mode": "off" },
        "cache": { "directory": path("front-cache") },
        "origins": [{
            "name": "origin", "store": store, "registry": { "url": "http://127.0.0.1:1" },
        }],
        "mirrors": [
            mirror("aws-us-east-2", "aws", "us-east-2"),
            mirror("gcp-us-central1", "gcp", "us-central1"),
        ],
        "sites": sites,
        "replicate": { "signers": [{ "key_file": path("keys/landbridge.pem") }] },
    });
    let file = path("sites.yaml");
    fs::write(&file, config.to_string()).unwrap();
    file
}

fn site(name: &str, host: &str, more: &Value) -> Value {
    let mut site = json!({
        "name": name, "hosts": [host], "origin": "origin",
        "default": [{ "copy": "aws-us-east-2" }],
    });
    site.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    site
}

fn with(file: &Path, command: &str, arguments: &[&str]) -> Command {
    let mut landbridge = landbridge();
    landbridge.args(command.split(' ')).args(arguments).arg("--config").arg(file);
    landbridge
}

fn status(front: &Front, host: &str, target: &str) -> u16 {
    let mut wire = http::Wire::connect(&front.address).unwrap();
    let request = format!("HEAD {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    wire.send(request.as_bytes()).unwrap();
    wire.answer("HEAD").unwrap().unwrap().status
}

#[test]
fn a_site_that_is_pinned_shows_its_generation_and_a_late_one_waits() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let list = |file: &Path| -> Vec<Value> {
        let listed = run(&mut with(file, "generation list", &["--json"]), LIMIT).unwrap().text();
        serde_json::from_str(&listed).unwrap()
    };
    let plain = configuration(&data, &json!([site("all", "*", &json!({}))]), &json!({}));
    let first = list(&plain)[0]["believed"]["generation"].as_str().unwrap().to_owned();
    let (_dir, layout) = content.layout().unwrap();
    data.import(&source(&layout), "other").unwrap();
    let sites = json!([
        site("newest", "*", &json!({})),
        site("pinned", "pinned.test", &json!({ "pinned": first })),
        site("late", "late.test", &json!({ "delay": "1d" })),
    ]);
    let file = configuration(&data, &sites, &json!({}));
    let front = Front::configured(&file).unwrap();
    let (old, new) = ("/v2/app/manifests/docker", "/v2/other/manifests/docker");
    assert_eq!((status(&front, "any.test", old), status(&front, "any.test", new)), (200, 200));
    for host in ["pinned.test", "late.test"] {
        assert_eq!((status(&front, host, old), status(&front, host, new)), (200, 404), "{host}");
    }
    let ready = http::get(&front.admin, "/readyz").unwrap().json().unwrap();
    let of = |follows: &str| {
        let origins = ready["origins"].as_array().unwrap().iter();
        let found =
            origins.clone().find(|it| it["follows"].as_str().unwrap_or_default() == follows);
        found.unwrap_or_else(|| panic!("{follows}: {ready}"))["generation"].clone()
    };
    assert_eq!(of(&format!("pinned to {first}")), *first);
    assert_eq!(of("86400 s later"), *first);
    assert_ne!(of(""), *first);

    // What is withdrawn is gone at once, wherever.
    let docker = &content.docker.manifest.digest;
    run(&mut with(&file, "withdraw", &[docker, "--reason", "a test"]), LIMIT).unwrap();
    for (host, gone) in [("any.test", 503), ("pinned.test", 404), ("late.test", 404)] {
        // The newest may be in the registry as well, which does not answer.
        until(|| Ok(status(&front, host, old)), |status| *status == gone).unwrap();
        assert_eq!(status(&front, host, "/v2/app/manifests/v1"), 200, "{host}");
    }

    // Pruning keeps what a site is pinned to, and what a late one may still show.
    let all = ["--keep-releases", "0", "--keep-for", "0s", "--apply"];
    let report = run(&mut with(&file, "generation prune", &all), LIMIT).unwrap().text();
    assert!(report.contains("pinned"), "{report}");
    front.stop().unwrap();
    fs::remove_dir_all(data.path().join("front-cache")).unwrap();
    let front = Front::configured(&file).unwrap();
    assert_eq!(status(&front, "pinned.test", "/v2/app/manifests/v1"), 200);
    assert_eq!(status(&front, "pinned.test", "/v2/other/manifests/v1"), 404);
    let metrics = http::get(&front.admin, "/metrics").unwrap().text();
    for wanted in [
        "landbridge_pointer_age_seconds{origin=\"origin\"}",
        "landbridge_pointer_expired{origin=\"origin\"} 0",
        "landbridge_copy_holds_generation{origin=\"origin\",copy=\"aws-us-east-2\"} 1",
        "landbridge_copy_pointer_sequence{origin=\"origin\",copy=\"aws-us-east-2\"}",
    ] {
        assert!(metrics.contains(wanted), "{wanted}\n{metrics}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused_with_its_place() {
    let data = Content::pack().unwrap().data().unwrap();
    let pinned = Digest::sha256_of(b"x").to_string();
    for (more, wrong) in [
        (json!({ "pinned": pinned, "delay": "1h" }), "take one of them away"),
        (json!({ "pinned": "latest" }), "landbridge generation show"),
    ] {
        let file = configuration(&data, &json!([site("all", "*", &more)]), &json!({}));
        let checked = run_to_end(landbridge().args(["config", "check"]).arg(&file)).unwrap();
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(checked.code == Some(2) && said.contains(wrong), "{said}");
    }
}

#[test]
fn a_front_starts_from_what_was_exported_and_follows_when_the_origin_is_back() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let sites = json!([site("all", "*", &json!({}))]);
    let export = data.path().join("releases.tar");
    let file = configuration(&data, &sites, &json!({ "exported": &export }));
    let (_dir, layout) = content.layout().unwrap();
    let write = || {
        let path = export.to_str().unwrap();
        run(&mut with(&file, "generation export", &[path]), LIMIT).unwrap().text()
    };
    // What is not there yet stops nobody.
    Front::configured(&file).unwrap().stop().unwrap();
    let said = write();
    assert!(said.contains("release 1 with 2 documents"), "{said}");
    let lose = |what: &str| {
        let lost = data.path().join(what);
        fs::rename(&lost, lost.with_extension("away")).unwrap();
        fs::create_dir(&lost).unwrap();
    };
    let find = |what: &str| {
        let lost = data.path().join(what);
        fs::remove_dir_all(&lost).unwrap();
        fs::rename(lost.with_extension("away"), &lost).unwrap();
    };
    let serves = |front: &Front, name: &str| {
        let answer = front.get(&format!("/v2/{name}/tags/list")).unwrap();
        (answer.status, answer.text())
    };
    fs::remove_dir_all(data.path().join("front-cache")).unwrap();
    lose("origin");
    lose("mirrors/aws-us-east-2");
    lose("mirrors/gcp-us-central1");
    let front = Front::configured(&file).unwrap();
    let (status, tags) = serves(&front, "app");
    assert!(status == 200 && tags.contains("docker"), "{tags}");
    let log = front.log();
    assert!(log.contains("has not confirmed it") && log.contains("releases.tar"), "{log}");
    find("mirrors/gcp-us-central1");
    find("mirrors/aws-us-east-2");
    find("origin");
    let confirmed = || Ok(http::get(&front.admin, "/readyz")?.json()?["origins"][0].clone());
    until(confirmed, |origin: &Value| origin["confirmed"] == true).unwrap();
    // The cache has it by now, and what comes next; which counts more than what was exported.
    data.import(&source(&layout), "other").unwrap();
    until(|| Ok(serves(&front, "other").0), |status| *status == 200).unwrap();
    front.stop().unwrap();
    lose("origin");
    lose("mirrors/aws-us-east-2");
    lose("mirrors/gcp-us-central1");
    let front = Front::configured(&file).unwrap();
    assert_eq!(serves(&front, "other").0, 200);
    front.stop().unwrap();

    // One that is damaged is told, and what is in it is not believed.
    fs::remove_dir_all(data.path().join("front-cache")).unwrap();
    let bytes = fs::read(&export).unwrap();
    for bad in [&bytes[..bytes.len() / 2], b"junk"] {
        fs::write(&export, bad).unwrap();
        let front = Front::configured(&file).unwrap();
        assert_eq!(serves(&front, "app").0, 503);
        let log = front.stop().unwrap();
        let told = log.contains("releases.tar");
        assert!(told, "{log}");
    }
}
