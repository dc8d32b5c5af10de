//! Who is told of pushes and deletions, and of limits.

use std::fs;

use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Skopeo, http};
use serde_json::Value;

use super::{ANN, Place, ROOT, basic};
use crate::receiver::Receiver;
use crate::running::{OwnOrigin, until};

#[test]
fn a_webhook_and_a_file_get_what_was_pushed_and_deleted() {
    // The first attempt fails, for a reason that passes.
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let receiver = Receiver::start(move |_| {
        let is_first = is_first.swap(false, std::sync::atomic::Ordering::SeqCst);
        (if is_first { 503 } else { 204 }, String::new())
    })
    .unwrap();
    let place = Place::new().unwrap();
    fs::write(place.path("key"), "a key that both know\n").unwrap();
    fs::write(place.path("hook"), format!("http://{}/pushed?secret=1\n", receiver.address))
        .unwrap();
    let events = "  events:\n    file: {directory: events}\n    \
                  webhooks: [{name: scanner, url_file: hook, secret_file: key}]\n";
    let origin = OwnOrigin::configured(&place.write("", events).unwrap()).unwrap();

    let image = Recipe { seed: 90, ..Recipe::default() }.pack().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let reference = origin.reference("team/app:v1");
    skopeo.push_to(&image.manifest, &[&image], &reference, Some(ANN)).unwrap();
    let root = basic(ROOT);
    let delete = |target: &str| {
        let headers = [("Authorization", root.as_str())];
        http::ask(&origin.address, "DELETE", target, &headers).unwrap().status
    };
    assert_eq!(delete("/v2/team/app/manifests/v1"), 202);
    assert_eq!(delete(&format!("/v2/team/app/manifests/{}", image.manifest.digest)), 202);

    let is_last = |events: &Vec<Value>| {
        events
            .last()
            .is_some_and(|event| event["action"] == "delete" && event["kind"] == "manifest")
    };
    let bodies = || {
        let received = receiver.received();
        Ok(received.iter().map(|it| serde_json::from_slice(&it.body).unwrap()).collect::<Vec<_>>())
    };
    let told: Vec<Value> = until(bodies, is_last).unwrap();
    let received = receiver.received();
    assert!(received.iter().all(|request| request.target == "/pushed?secret=1"));
    for request in &received {
        let signature = request.header("landbridge-signature").unwrap();
        let hex = signature.strip_prefix("sha256=").unwrap();
        assert!(hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
    // What failed came again, as itself.
    assert_eq!(told[0], told[1]);
    let delivery = |at: usize| received[at].header("landbridge-delivery").unwrap();
    assert_eq!(delivery(0), delivery(1));

    let push = told.iter().find(|event| event["tag"] == "v1" && event["action"] == "push").unwrap();
    assert_eq!(push["digest"], image.manifest.digest);
    assert_eq!((&push["actor"], &push["repository"]), (&"user:ann".into(), &"team/app".into()));
    let blobs = told[1..].iter().filter(|event| event["kind"] == "blob").count();
    assert_eq!(blobs, image.layers.len() + 1, "{told:#?}");
    let deletions = told.iter().filter(|event| event["action"] == "delete");
    let deletions: Vec<_> = deletions.map(|event| [&event["kind"], &event["actor"]]).collect();
    assert_eq!(deletions, [["tag", "user:root"], ["manifest", "user:root"]]);

    origin.stop().unwrap();
    let lines = fs::read_to_string(place.path("events/events.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, told[1..]);
}

#[test]
fn a_client_that_asks_too_often_is_told_when_to_come_again() {
    let place = Place::new().unwrap();
    let clients =
        |mode: &str| format!("  clients: {{mode: {mode}, requests_per_second: 1, burst: 5}}\n");
    let origin = OwnOrigin::configured(&place.write("", &clients("enforce")).unwrap()).unwrap();
    let ask = |origin: &OwnOrigin| http::get(&origin.address, "/v2/open/app/tags/list").unwrap();
    let refused = (0..100).map(|_| ask(&origin)).find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.error_code().as_deref(), Some("TOOMANYREQUESTS"));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&seconds), "{seconds}");
    origin.wait_for("requests are over the limits of a client").unwrap();
    origin.stop().unwrap();

    let origin = OwnOrigin::configured(&place.write("", &clients("observe")).unwrap()).unwrap();
    assert!((0..50).all(|_| ask(&origin).status == 404));
    origin.wait_for("requests are over the limits of a client").unwrap();
}

#[test]
fn a_trusted_proxy_says_who_the_client_is() {
    let place = Place::new().unwrap();
    let limits = "  clients: {mode: enforce, requests_per_second: 1, burst: 1}\n  \
                  trusted_proxies: {cidrs: [127.0.0.0/8]}\n";
    let origin = OwnOrigin::configured(&place.write("", limits).unwrap()).unwrap();
    let ask = |client: &str| {
        let headers = [("X-Forwarded-For", client)];
        http::ask(&origin.address, "GET", "/v2/open/app/tags/list", &headers).unwrap().status
    };
    for n in 1..=20 {
        assert_eq!(ask(&format!("192.0.2.{n}")), 404);
    }
    assert!((0..20).any(|_| ask("192.0.2.1") == 429));
}
