//! The live resolver against a real server that counts what it is asked.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use futures::FutureExt as _;
use futures::future::join_all;
use landbridge_core::breaker::BreakerSettings;
use landbridge_core::digest::Digest;
use landbridge_core::media_type::OCI_MANIFEST;
use landbridge_core::reference::RepositoryName;
use landbridge_core::request::ManifestReference;
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_registry::client::{ClientSettings, RegistryClient};
use landbridge_store::{BucketLayout, FaceTimeouts, PublicFace};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use url::Url;

use super::*;
use crate::health::Health;
use crate::reader::Reader;
use crate::settings::CacheSettings;

const MANIFEST: &str = r#"{"schemaVersion":2,"config":null}"#;
const TAG: ManifestReference<'static> = ManifestReference::Tag("v1");
const SECOND: Duration = Duration::from_secs(1);

/// A registry whose manner the test changes while it runs.
#[derive(Default)]
struct Server {
    asked: AtomicUsize,
    /// The status of every answer; 0 is none at all.
    status: AtomicUsize,
    /// If set, an answer waits for a permit.
    gate: Option<Semaphore>,
}

impl Server {
    fn start(gate: Option<Semaphore>) -> (Arc<Self>, String) {
        let server = Arc::new(Self { gate, ..Self::default() });
        server.answer_with(200);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = Arc::clone(&server);
        let app = Router::new().fallback(any(move |method: Method, uri: Uri| {
            let server = Arc::clone(&answers);
            async move { server.answer(&method, uri.path()).await }
        }));
        let listener = TcpListener::from_std(listener).unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        (server, url)
    }

    fn answer_with(&self, status: u16) {
        self.status.store(usize::from(status), Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn answer(&self, method: &Method, path: &str) -> Response {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        let status = u16::try_from(self.status.load(Ordering::SeqCst)).unwrap();
        match status {
            0 => pending().await,
            200 => {}
            other => return StatusCode::from_u16(other).unwrap().into_response(),
        }
        if path.contains("/manifests/") {
            return ([(header::CONTENT_TYPE, OCI_MANIFEST)], MANIFEST).into_response();
        }
        if method == Method::HEAD {
            return ([(header::CONTENT_LENGTH, "11")], Body::empty()).into_response();
        }
        r#"{"tags":["v1"],"repositories":["a"],"manifests":[]}"#.into_response()
    }
}

fn copy() -> CopyId {
    CopyId::new(0).unwrap()
}

fn health() -> Arc<Health> {
    Arc::new(Health::new(1, BreakerSettings::default(), crate::health::Probed::none()))
}

fn client(url: &str) -> Arc<RegistryClient> {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let answer_timeout = caches().fetch_timeout;
    let client = RegistryClient::new(ClientSettings {
        url: Url::parse(url).unwrap(),
        repository_prefix: String::new(),
        credentials: None,
        connect_timeout: answer_timeout,
        answer_timeout,
        max_inflight: 100,
    });
    Arc::new(client.unwrap())
}

fn caches() -> CacheSettings {
    CacheSettings {
        manifest_bytes: 1 << 20,
        tag_fresh: 10 * SECOND,
        tag_stale: 100 * SECOND,
        live_entries: 1_000,
        present: 100 * SECOND,
        absent: 2 * SECOND,
        presence_entries: 1_000,
        presence_timeout: 20 * SECOND,
        fetch_timeout: 20 * SECOND,
    }
}

fn origin_at(url: &str) -> LiveOrigin {
    LiveOrigin::new(client(url), copy(), health(), &caches())
}

fn name() -> RepositoryName {
    RepositoryName::parse("a").unwrap()
}

/// Lets time pass, and only here: a paused clock would jump over the deadlines of real sockets.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// How an answer by tag came: whether it is stale; `None` is absence.
async fn by_tag(origin: &LiveOrigin) -> Result<Option<bool>, LiveError> {
    let found = origin.manifest(&name(), TAG).await?;
    Ok(found.map(|found| {
        assert_eq!(found.bytes, MANIFEST);
        found.is_stale
    }))
}

#[tokio::test]
async fn an_answer_is_fresh_for_a_while_and_then_asked_for_again() {
    let (server, url) = Server::start(None);
    let origin = origin_at(&url);
    for _ in 0..3 {
        assert_eq!(by_tag(&origin).await.unwrap(), Some(false));
    }
    assert_eq!(server.asked(), 1);
    let digest = Digest::sha256_of(MANIFEST.as_bytes());
    let by_digest = origin.manifest(&name(), ManifestReference::Digest(digest)).await;
    assert_eq!(by_digest.unwrap().unwrap().bytes, MANIFEST);
    assert_eq!(server.asked(), 1, "what came by tag is known by digest");
    pass(11 * SECOND).await;
    assert_eq!(by_tag(&origin).await.unwrap(), Some(false));
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn every_kind_of_answer_is_remembered_for_its_own_question() {
    let (server, url) = Server::start(None);
    let (origin, digest) = (origin_at(&url), Digest::sha256_of(b"x"));
    for _ in 0..2 {
        assert_eq!(origin.tags(&name(), Some(1), "").await.unwrap().unwrap().tags.len(), 1);
        assert!(!origin.tags(&name(), Some(2), "").await.unwrap().unwrap().has_more);
        assert_eq!(origin.catalog(None, "").await.unwrap().repositories, [name()]);
        let referrers = origin.referrers(&name(), &digest).await.unwrap().unwrap();
        assert!(referrers.starts_with(b"{"));
    }
    assert_eq!(server.asked(), 4);
    assert!(!origin.wants_token());
}

#[tokio::test]
async fn when_the_origin_fails_its_last_answer_is_served_for_a_while_and_says_so() {
    let (server, url) = Server::start(None);
    let origin = origin_at(&url);
    assert_eq!(by_tag(&origin).await.unwrap(), Some(false));
    server.answer_with(503);
    pass(11 * SECOND).await;
    for _ in 0..10 {
        assert_eq!(by_tag(&origin).await.unwrap(), Some(true));
    }
    assert_eq!(server.asked(), 1 + 3, "the breaker has opened");
    let other = origin.manifest(&name(), ManifestReference::Tag("v2")).await;
    assert!(matches!(other, Err(LiveError::LeftAlone)), "{other:?}");
    server.answer_with(200);
    pass(6 * SECOND).await;
    assert_eq!(by_tag(&origin).await.unwrap(), Some(false), "the trial went well");
    server.answer_with(503);
    pass(101 * SECOND).await;
    assert!(matches!(by_tag(&origin).await, Err(LiveError::Failed(_))), "too old");
}

#[tokio::test]
async fn absence_is_kept_for_a_short_while_and_never_served_for_an_answer() {
    let (server, url) = Server::start(None);
    server.answer_with(404);
    let origin = origin_at(&url);
    for _ in 0..2 {
        assert_eq!(by_tag(&origin).await.unwrap(), None);
    }
    assert_eq!(server.asked(), 1);
    pass(3 * SECOND).await;
    server.answer_with(500);
    assert!(matches!(by_tag(&origin).await, Err(LiveError::Failed(_))));
    server.answer_with(200);
    assert_eq!(by_tag(&origin).await.unwrap(), Some(false), "failures are not kept");
}

#[tokio::test]
async fn an_origin_that_shuts_us_out_is_not_outlived() {
    let (server, url) = Server::start(None);
    let origin = origin_at(&url);
    assert_eq!(by_tag(&origin).await.unwrap(), Some(false));
    server.answer_with(403);
    pass(11 * SECOND).await;
    for _ in 0..5 {
        assert!(matches!(by_tag(&origin).await, Err(LiveError::Denied(_))));
    }
}

#[tokio::test]
async fn many_clients_ask_the_origin_once_and_share_its_failure() {
    let (server, url) = Server::start(Some(Semaphore::new(0)));
    let origin = origin_at(&url);
    for (status, expected) in [(500, None), (200, Some(Some(false)))] {
        server.answer_with(status);
        let before = server.asked();
        let all = join_all((0..50).map(|_| by_tag(&origin)));
        server.gate.as_ref().unwrap().add_permits(1);
        for answer in all.await {
            assert_eq!(answer.ok(), expected);
        }
        assert_eq!(server.asked(), before + 1);
    }
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_fail_the_others() {
    let (server, url) = Server::start(Some(Semaphore::new(0)));
    let origin = origin_at(&url);
    let mut first = by_tag(&origin).boxed();
    let second = by_tag(&origin);
    // The first has sent the question before it goes.
    while server.asked() == 0 {
        assert!(futures::poll!(&mut first).is_pending());
        tokio::task::yield_now().await;
    }
    let mut second = second.boxed();
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    server.gate.as_ref().unwrap().add_permits(1);
    assert_eq!(second.await.unwrap(), Some(false));
    assert_eq!(server.asked(), 1);
}

/// Asks whether the copy, which is the server, holds `object`.
async fn holds(presence: &LivePresence, reader: &Reader, object: &str) -> Known {
    presence.holds(copy(), reader, "a", &Digest::sha256_of(object.as_bytes())).await
}

#[tokio::test]
async fn presence_and_absence_are_kept_for_their_own_times() {
    let (server, url) = Server::start(None);
    let (presence, reader) =
        (LivePresence::new(&caches(), health()), Reader::Registry(client(&url)));
    for _ in 0..3 {
        assert_eq!(holds(&presence, &reader, "there").await, Known::Present(11));
    }
    server.answer_with(404);
    for _ in 0..3 {
        assert_eq!(holds(&presence, &reader, "not there").await, Known::Absent);
    }
    assert_eq!(server.asked(), 2);
    pass(3 * SECOND).await;
    server.answer_with(200);
    assert_eq!(holds(&presence, &reader, "not there").await, Known::Present(11));
    assert_eq!(holds(&presence, &reader, "there").await, Known::Present(11));
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn many_clients_ask_a_mirror_once() {
    let (server, url) = Server::start(None);
    let (presence, reader) =
        (LivePresence::new(&caches(), health()), Reader::Registry(client(&url)));
    let all = join_all((0..50).map(|_| holds(&presence, &reader, "x"))).await;
    assert_eq!(all, [Known::Present(11); 50]);
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn nobody_waits_on_a_dead_mirror_once_it_is_known_to_be_dead() {
    let (server, url) = Server::start(None);
    server.answer_with(0);
    let health = health();
    let impatient = CacheSettings { presence_timeout: SECOND / 10, ..caches() };
    let presence = LivePresence::new(&impatient, Arc::clone(&health));
    let reader = Reader::Registry(client(&url));
    for object in ["1", "2", "3", "4", "5"] {
        assert_eq!(holds(&presence, &reader, object).await, Known::Failing);
    }
    assert!(server.asked() <= 3, "an open breaker answers by itself");
    let now = || tokio::time::Instant::now().into_std();
    assert_eq!(health.working(now), CopySet::ALL.without(copy()));
    pass(6 * SECOND).await;
    server.answer_with(200);
    let patient = LivePresence::new(&caches(), Arc::clone(&health));
    assert_eq!(holds(&patient, &reader, "4").await, Known::Present(11));
    assert_eq!(health.working(now), CopySet::ALL);
}

#[tokio::test]
async fn a_registry_is_asked_for_each_repository_and_a_bucket_is_not() {
    let (server, url) = Server::start(None);
    let presence = LivePresence::new(&caches(), health());
    let timeouts = FaceTimeouts { connect: SECOND, head: SECOND, idle: SECOND };
    let face = PublicFace::new(&Url::parse(&url).unwrap(), BucketLayout::Blobs, timeouts);
    let digest = Digest::sha256_of(b"x");
    for (reader, questions) in
        [(Reader::Registry(client(&url)), 2), (Reader::Public(face.unwrap()), 1)]
    {
        let before = server.asked();
        for repository in ["b", "c", "b"] {
            assert_eq!(
                presence.holds(copy(), &reader, repository, &digest).await,
                Known::Present(11)
            );
        }
        assert_eq!(server.asked() - before, questions);
    }
}
