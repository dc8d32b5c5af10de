//! Events that reach a file and a real server on loopback.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes as Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::access::Secret;

const PATIENCE: Duration = Duration::from_secs(30);

fn event(tag: &str) -> Event {
    Event {
        action: EventAction::PushManifest,
        repository: RepositoryName::parse("team/app").unwrap(),
        digest: Some(Digest::sha256_of(b"manifest")),
        tag: Some(Tag::parse(tag).unwrap()),
        media_type: Some("application/vnd.oci.image.manifest.v1+json".to_owned()),
        size_bytes: Some(8),
        actor: "user:ann".to_owned(),
        at: "2026-11-22T16:00:00Z".parse().unwrap(),
    }
}

fn to_file(directory: &Path) -> EventSettings {
    let file = EventFile { directory: directory.to_owned(), rotate_bytes: 10_000, keep_files: 100 };
    EventSettings { file: Some(file), webhooks: Vec::new() }
}

/// What a receiver was sent.
struct Delivery {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Delivery {
    fn tag(&self) -> String {
        let event: Value = serde_json::from_slice(&self.body).unwrap();
        event["tag"].as_str().unwrap().to_owned()
    }

    fn id(&self) -> &str {
        self.headers["landbridge-delivery"].to_str().unwrap()
    }
}

/// A receiver that answers with these statuses, then with 204, as soon as the gate lets it.
struct Receiver {
    statuses: Mutex<Vec<u16>>,
    gate: Semaphore,
    deliveries: mpsc::UnboundedSender<Delivery>,
}

type Deliveries = mpsc::UnboundedReceiver<Delivery>;

impl Receiver {
    async fn start(statuses: &[u16], open: usize) -> (Arc<Self>, Deliveries, WebhookSettings) {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (deliveries, received) = mpsc::unbounded_channel();
        let statuses = statuses.iter().rev().copied().collect();
        let gate = Semaphore::new(open);
        let receiver = Arc::new(Self { statuses: Mutex::new(statuses), gate, deliveries });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?key=sesame", listener.local_addr().unwrap());
        let routes = Router::new().route("/hook", post(receive)).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        let secret = Some(Secret::new("sesame"));
        let mut settings = WebhookSettings::new("chat", url.parse().unwrap(), secret);
        (settings.timeout, settings.first_pause) = (PATIENCE, Duration::from_millis(1));
        settings.longest_pause = Duration::from_millis(2);
        (receiver, received, settings)
    }
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Body,
) -> impl IntoResponse {
    receiver.deliveries.send(Delivery { headers, body: body.to_vec() }).unwrap();
    receiver.gate.acquire().await.unwrap().forget();
    let status = receiver.statuses.lock().unwrap().pop().unwrap_or(204);
    (StatusCode::from_u16(status).unwrap(), [("location", "http://127.0.0.1:1/")])
}

fn to_webhook(settings: WebhookSettings) -> Events {
    Events::open(EventSettings { file: None, webhooks: vec![settings] }).unwrap()
}

#[test]
fn an_event_is_one_line_of_json() {
    let digest = Digest::sha256_of(b"manifest").to_string();
    let line: Value = serde_json::from_slice(&event("v1").to_json("7")).unwrap();
    let pushed = json!({
        "id": "7", "time": "2026-11-22T16:00:00Z", "action": "push", "kind": "manifest",
        "repository": "team/app", "tag": "v1", "digest": digest,
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 8, "actor": "user:ann",
    });
    assert_eq!(line, pushed);
    let action = EventAction::DeleteTag;
    let deleted = Event {
        action,
        digest: None,
        media_type: None,
        size_bytes: None,
        actor: "anonymous".to_owned(),
        ..event("v1")
    };
    let line: Value = serde_json::from_slice(&deleted.to_json("8")).unwrap();
    let expected = json!({
        "id": "8", "time": "2026-11-22T16:00:00Z", "action": "delete", "kind": "tag",
        "repository": "team/app", "tag": "v1", "actor": "anonymous",
    });
    assert_eq!(line, expected);
}

#[tokio::test]
async fn all_events_are_in_the_file_when_the_origin_has_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let events = Events::open(to_file(directory.path())).unwrap();
    for n in 0..1_000 {
        events.tell(&event(&format!("v{n}")));
    }
    events.close(PATIENCE).await;
    events.tell(&event("late"));
    assert_eq!(events.dropped(), 1, "what comes after the stop is counted");
    let mut seen = HashMap::new();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["id"].as_str().unwrap().to_owned();
            assert!(seen.insert(id, line["tag"].as_str().unwrap().to_owned()).is_none());
        }
    }
    let tags: std::collections::BTreeSet<_> = seen.values().collect();
    assert_eq!((seen.len(), tags.len()), (1_000, 1_000));
}

#[tokio::test]
async fn a_receiver_that_stumbles_gets_every_event_in_order_and_can_check_it() {
    let (_receiver, mut received, settings) =
        Receiver::start(&[500, 503, 429, 408, 204, 502], 100).await;
    let events = to_webhook(settings);
    for tag in ["a", "b", "c"] {
        events.tell(&event(tag));
    }
    events.close(PATIENCE).await;
    let mut deliveries = Vec::new();
    while let Ok(delivery) = received.try_recv() {
        deliveries.push(delivery);
    }
    let tags: Vec<_> = deliveries.iter().map(Delivery::tag).collect();
    assert_eq!(tags, ["a", "a", "a", "a", "a", "b", "b", "c"]);
    assert!(deliveries[..5].iter().all(|delivery| delivery.id() == deliveries[0].id()));
    assert_ne!(deliveries[5].id(), deliveries[0].id());
    let key = hmac_key();
    for Delivery { headers, body } in &deliveries {
        let text = headers["landbridge-signature"].to_str().unwrap();
        let tag = text.strip_prefix("sha256=").unwrap();
        let bytes = (0..tag.len()).step_by(2).map(|at| u8::from_str_radix(&tag[at..at + 2], 16));
        let tag: Vec<_> = bytes.map(Result::unwrap).collect();
        aws_lc_rs::hmac::verify(&key, body, &tag).unwrap();
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["landbridge-event"], "push");
    }
    assert_eq!(events.dropped(), 0);
}

fn hmac_key() -> aws_lc_rs::hmac::Key {
    aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"sesame")
}

#[tokio::test]
async fn what_will_never_be_taken_is_given_up_and_counted() {
    let (_receiver, mut received, settings) = Receiver::start(&[400, 302, 204], 100).await;
    let events = to_webhook(settings);
    for tag in ["refused", "elsewhere", "good"] {
        events.tell(&event(tag));
    }
    events.close(PATIENCE).await;
    for tag in ["refused", "elsewhere", "good"] {
        assert_eq!(received.try_recv().unwrap().tag(), tag);
    }
    assert!(received.try_recv().is_err(), "none was repeated, no redirect was followed");
    assert_eq!(events.dropped(), 2);
}

#[tokio::test]
async fn a_receiver_that_is_away_costs_an_event_its_budget_and_no_more() {
    let (_receiver, _received, mut settings) = Receiver::start(&[], 0).await;
    // Nobody listens there: the port was freed.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    settings.url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    settings.budget = Duration::from_millis(50);
    let events = to_webhook(settings);
    events.tell(&event("lost"));
    events.close(PATIENCE).await;
    assert_eq!(events.dropped(), 1);
}

#[tokio::test]
async fn a_full_queue_drops_and_a_stop_does_not_wait_for_ever() {
    let (receiver, mut received, mut settings) = Receiver::start(&[], 0).await;
    settings.queue = 2;
    let events = to_webhook(settings);
    events.tell(&event("first"));
    // The first is under way and the queue is empty again.
    assert_eq!(received.recv().await.unwrap().tag(), "first");
    for tag in ["second", "third", "lost", "lost"] {
        events.tell(&event(tag));
    }
    assert_eq!(events.dropped(), 2);
    receiver.gate.add_permits(1);
    assert_eq!(received.recv().await.unwrap().tag(), "second");
    events.close(Duration::from_millis(20)).await;
    assert!(received.try_recv().is_err(), "the third was lost with the stop");
}

#[tokio::test]
async fn nobody_is_told_unless_somebody_asked_and_a_bad_directory_is_named() {
    let events = Events::open(EventSettings::default()).unwrap();
    events.tell(&event("v1"));
    events.close(PATIENCE).await;
    assert_eq!(events.dropped(), 0);
    let error = Events::open(to_file(Path::new("/proc/nothing"))).unwrap_err();
    assert!(error.to_string().contains("/proc/nothing"), "{error}");
}

#[test]
fn neither_address_nor_key_is_printed() {
    let url = "https://chat.example/hook/sesame?key=sesame".parse().unwrap();
    let settings = WebhookSettings::new("chat", url, Some(Secret::new("sesame")));
    let shown = format!("{:?}", EventSettings { file: None, webhooks: vec![settings] });
    assert!(shown.contains("chat") && !shown.contains("sesame"), "{shown}");
}
