//! Every phase, as a request sees it.

use landbridge_testkit::http::Answer;
use serde_json::{Value, json};

use super::old_name::{AFTER, BEFORE, OldName};
use crate::running::until;

const ALL_OF_2023: &str = "2023-01-01";

fn enforced(phase: &str, start: &str, more: &Value) -> Value {
    let mut step = json!({ "phase": phase, "start": start, "mode": "enforce" });
    for (key, value) in more.as_object().unwrap() {
        step[key] = value.clone();
    }
    step
}

fn manifest(tag: &str) -> String {
    format!("/v2/google-containers/app/manifests/{tag}")
}

fn message(answer: &Answer) -> String {
    let json = answer.json().unwrap();
    json["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_announced_is_told_on_last_answers_and_never_on_a_redirect() {
    let names = OldName::start();
    names.play("2022-12-01T00:00:00Z", &json!([enforced("sunset", "2024-01-01", &json!({}))]));
    let blob = format!("/v2/google-containers/app/blobs/{}", names.old.layers[0].digest);
    for (target, status, is_told) in [
        ("/v2/", 200, true),
        (&manifest(BEFORE), 200, true),
        (&manifest("nosuch"), 404, true),
        ("/v2/google-containers/app/tags/list", 200, true),
        (&blob, 307, false),
    ] {
        let answer = names.ask("localhost", "GET", target);
        assert_eq!(answer.status, status, "{target}");
        let expected =
            is_told.then_some(r#"299 - "localhost is being left: use 127.0.0.1 instead""#);
        assert_eq!(answer.header("warning"), expected, "{target}");
        assert_eq!(answer.header("deprecation"), is_told.then_some("@1669593600"), "{target}");
        let sunset = is_told.then_some("Mon, 01 Jan 2024 00:00:00 GMT");
        assert_eq!(answer.header("sunset"), sunset, "{target}");
        assert_eq!(answer.header("link").is_some(), is_told, "{target}");
        let at_new = target.replace("google-containers/", "");
        assert_eq!(names.ask("127.0.0.1", "GET", &at_new).header("warning"), None, "{target}");
    }
}

#[test]
fn an_old_name_has_its_own_paths() {
    let names = OldName::start();
    for (path, status) in [
        ("google-containers/app", 200),
        ("google-containers/application", 200),
        ("app", 404),
        ("google-containers", 404),
        ("google-containersapp", 404),
    ] {
        let target = format!("/v2/{path}/manifests/{BEFORE}");
        assert_eq!(names.ask("localhost", "GET", &target).status, status, "{path}");
    }
    let target = "/v2/google-containers/application/tags/list?n=1";
    let tags = names.ask("localhost", "GET", target);
    assert_eq!(tags.json().unwrap()["name"], "google-containers/application");
    let next = tags.header("link").unwrap();
    assert!(next.contains("</v2/google-containers/application/tags/list?"), "{next}");
}

#[test]
fn a_freeze_hides_what_came_later_by_tag_and_by_digest() {
    let names = OldName::start();
    let freeze = enforced("freeze", "2023-04-03", &json!({ "generation": names.frozen }));
    let statuses = |name: &str, prefix: &str| {
        let digest = names.new.manifest.digest.clone();
        let layer = format!("/v2/{prefix}app/blobs/{}", names.new.layers[0].digest);
        let tags = [BEFORE, AFTER, &digest].map(|it| format!("/v2/{prefix}app/manifests/{it}"));
        let targets = tags.into_iter().chain([layer]);
        targets.map(|target| names.ask(name, "GET", &target).status).collect::<Vec<_>>()
    };
    names.play("2023-04-02T00:00:00Z", &json!([freeze.clone()]));
    assert_eq!(statuses("localhost", "google-containers/"), [200, 200, 200, 307]);
    let verified = names.verify_freeze();
    assert_eq!(verified.code, Some(1), "{}", verified.stderr);
    assert!(verified.stdout.contains("app:after came after the freeze: sha256:"));
    names.play("2023-04-03T00:00:00Z", &json!([freeze.clone()]));
    let status = || Ok(names.ask("localhost", "GET", &manifest(BEFORE)).status);
    until(status, |status| *status == 200).unwrap();
    assert_eq!(statuses("localhost", "google-containers/"), [200, 404, 404, 404]);
    let verified = names.verify_freeze();
    assert_eq!((verified.code, verified.stdout.trim()), (Some(0), "1 tag as frozen"));
    assert_eq!(statuses("127.0.0.1", ""), [200, 200, 200, 307]);
    let tags = names.ask("localhost", "GET", "/v2/google-containers/app/tags/list");
    assert_eq!(tags.json().unwrap()["tags"], json!([BEFORE]));
    let mut observed = freeze;
    observed["mode"] = "observe".into();
    names.play("2023-04-03T00:00:00Z", &json!([observed]));
    assert_eq!(statuses("localhost", "google-containers/"), [200, 200, 200, 307]);
}

#[test]
fn a_redirect_leads_to_the_same_under_the_new_name_and_an_aborted_one_ends_with_a_reload() {
    let names = OldName::start();
    let redirect = enforced("redirect", ALL_OF_2023, &json!({}));
    let target = "/v2/google-containers/application/manifests/before?ns=localhost";
    names.play("2023-01-02T00:00:00Z", &json!([redirect]));
    let answer = names.ask("localhost", "GET", target);
    assert_eq!(answer.status, 307);
    let new = names.address("127.0.0.1");
    let expected = format!("http://{new}/v2/app/manifests/before");
    assert_eq!(answer.header("location"), Some(&*expected));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("warning"), None);
    assert_eq!(names.ask("localhost", "GET", "/v2/").status, 200);
    let list = names.ask("localhost", "GET", "/v2/google-containers/app/tags/list?n=1&last=a%26b");
    let expected = format!("http://{new}/v2/app/tags/list?n=1&last=a%26b");
    assert_eq!(list.header("location"), Some(&*expected));

    let mut aborted = redirect.clone();
    aborted["aborted"] = "2023-01-01T12:00:00Z".into();
    names.play("2023-01-02T00:00:00Z", &json!([aborted]));
    assert_eq!(names.ask("localhost", "GET", target).status, 200);
    let mut observed = redirect;
    observed["mode"] = "observe".into();
    names.play("2023-01-02T00:00:00Z", &json!([observed]));
    assert_eq!(names.ask("localhost", "GET", target).status, 200);
    let metrics = landbridge_testkit::http::get(&names.front.admin, "/metrics").unwrap().text();
    let line =
        metrics.lines().find(|line| line.contains(r#"phase="redirect",action="would-redirect""#));
    assert!(line.is_some_and(|line| line.ends_with(" 1")), "{line:?}");
}

#[test]
fn a_brownout_refuses_pulls_within_its_windows_and_its_cap_and_names_the_new_reference() {
    let names = OldName::start();
    let brownout = |answer: &str, cap: u64| {
        let windows = json!([{ "start": "2023-06-05T10:00:00Z", "end": "2023-06-05T11:00:00Z" }]);
        let more =
            json!({ "end": "2023-07-01", "windows": windows, "answer": answer, "cap_pulls": cap });
        json!([enforced("brownout", "2023-06-01", &more)])
    };
    names.play("2023-06-05T09:00:00Z", &brownout("unavailable", 2));
    assert_eq!(names.ask("localhost", "GET", &manifest(BEFORE)).status, 200);

    names.play("2023-06-05T10:30:00Z", &brownout("gone", 100));
    let gone = names.ask("localhost", "GET", &manifest(BEFORE));
    assert_eq!((gone.status, gone.error_code().as_deref()), (410, Some("NAME_UNKNOWN")));
    assert!(gone.header("retry-after").is_some());
    let by_digest = names.ask("localhost", "GET", &manifest(&names.old.manifest.digest));
    for (answer, reference) in
        [(&gone, ":before".to_owned()), (&by_digest, format!("@{}", names.old.manifest.digest))]
    {
        let expected = format!("use {}/app{reference} instead", names.address("127.0.0.1"));
        assert!(message(answer).contains(&expected), "{}", message(answer));
        assert!(answer.header("warning").is_some());
    }
    let layer = &names.old.layers[0].digest;
    let blob = names.ask("localhost", "GET", &format!("/v2/google-containers/app/blobs/{layer}"));
    assert_eq!(blob.status, 307, "a pull that is under way is finished");

    // The same step: what it has refused counts, over a reload too.
    names.play("2023-06-05T10:40:00Z", &brownout("unavailable", 4));
    let statuses: Vec<_> =
        (0..4).map(|_| names.ask("localhost", "GET", &manifest(BEFORE)).status).collect();
    assert_eq!(statuses, [503, 503, 200, 200]);
    names.play("2023-06-05T11:00:00Z", &brownout("unavailable", 1_000));
    assert_eq!(names.ask("localhost", "GET", &manifest(BEFORE)).status, 200);
}

#[test]
fn what_is_gone_is_gone_but_the_registry_still_says_so() {
    let names = OldName::start();
    let tombstone = enforced("tombstone", "2023-08-01", &json!({ "repositories": ["app"] }));
    let sunset = enforced("sunset", "2024-01-01", &json!({}));
    let phases = json!([tombstone, sunset]);
    let status = |target: &str| names.ask("localhost", "GET", target).status;
    names.play("2023-08-01T00:00:00Z", &phases);
    assert_eq!(status(&manifest(BEFORE)), 410);
    assert_eq!(status("/v2/google-containers/other/manifests/x"), 404);
    assert_eq!(status("/v2/google-containers/app/tags/list"), 410);
    assert_eq!(status("/v2/"), 200);
    names.play("2024-01-01T00:00:00Z", &phases);
    assert_eq!(status("/v2/google-containers/other/manifests/x"), 410);
    assert_eq!(status("/v2/"), 200);
    assert_eq!(names.ask("127.0.0.1", "GET", "/v2/app/manifests/before").status, 200);
}

#[test]
fn a_front_takes_a_redirect_back_when_the_moved_fare_worse_and_says_so() {
    let names = OldName::start();
    let more = json!({
        "shares": [{ "from": ALL_OF_2023, "percent": 50 }],
        "abort": { "margin": 10, "minimum_requests": 50, "window": "60s" },
    });
    let phases = json!([enforced("redirect", ALL_OF_2023, &more)]);
    names.play("2023-02-01T00:00:00Z", &phases);
    let host = names.address("localhost");
    let ask = |client: u32, tag: &str| {
        let forwarded = format!("10.{}.{}.1", client >> 8, client & 255);
        let headers = [("X-Forwarded-For", &*forwarded)];
        landbridge_testkit::http::ask(&host, "GET", &manifest(tag), &headers).unwrap().status
    };
    // Everyone asks once, and the moved, for whom the new name does not work, once more.
    for client in 0..400 {
        if ask(client, BEFORE) == 307 {
            ask(client, BEFORE);
        }
    }
    names.front.wait_for("takes a step of the migration back").unwrap();
    let statuses: Vec<_> = (0..400).map(|client| ask(client, AFTER)).collect();
    assert_eq!(statuses, [200; 400]);
    let metrics = landbridge_testkit::http::get(&names.front.admin, "/metrics").unwrap().text();
    let aborted =
        "landbridge_migration_aborted{site=\"old\",migration=\"images\",phase=\"redirect\"} 1";
    assert!(metrics.contains(aborted), "{metrics}");
    let status = names.ask("localhost", "GET", "/status.json").json().unwrap();
    assert_eq!(status["migration"]["aborted"][0]["by_this_front"], true, "{status}");
    // Kept over a reload, and over the plan's change of anything else.
    names.play("2023-02-01T00:00:00Z", &phases);
    assert!((0..400).all(|client| ask(client, AFTER) == 200));
    let kept = names.path("cache/migration-old.json");
    until(|| Ok(kept.exists()), |is_kept| *is_kept).unwrap();
}
