//! Registries that lie, never end, or never begin.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::any;
use futures::{TryStreamExt as _, stream};
use landbridge_core::digest::Digest;
use landbridge_core::media_type;
use landbridge_core::request::ManifestReference;
use landbridge_registry::client::{BlobRange, ClientError, ClientSettings, RegistryClient};
use tokio::net::TcpListener;

use super::{client, name, settings};

/// Serves `app` for as long as the runtime of the test lives.
pub(super) async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

/// A registry that answers everything in the same way.
async fn always<F, R>(answer: F) -> String
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: IntoResponse + Send + 'static,
{
    serve(Router::new().fallback(any(move || std::future::ready(answer())))).await
}

fn endless() -> Body {
    let chunk = Bytes::from(vec![b' '; 65_536]);
    Body::from_stream(stream::repeat_with(move || Ok::<_, Infallible>(chunk.clone())))
}

const TAG: ManifestReference<'static> = ManifestReference::Tag("v1");

#[tokio::test]
async fn bytes_that_are_not_those_of_the_digest_are_told_apart_from_everything_else() {
    let url =
        always(|| ([(header::CONTENT_TYPE, media_type::OCI_MANIFEST)], "not what was asked for"))
            .await;
    let asked = Digest::sha256_of(b"asked");
    let answer = client(&url).manifest(&name("a"), ManifestReference::Digest(asked)).await;
    let Err(ClientError::WrongBytes { expected, got, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((*expected, *got), (asked, Digest::sha256_of(b"not what was asked for")));

    let url = always(move || ([("docker-content-digest", asked.to_string())], "{}")).await;
    let answer = client(&url).manifest(&name("a"), TAG).await;
    assert!(matches!(answer, Err(ClientError::WrongBytes { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_page_that_is_no_manifest_and_a_header_that_is_no_digest_are_malformed() {
    let url = always(|| ([(header::CONTENT_TYPE, "text/html")], "<html>Sign in</html>")).await;
    let answer = client(&url).manifest(&name("a"), TAG).await;
    assert!(matches!(answer, Err(ClientError::Malformed { .. })), "{answer:?}");
    let answer = client(&url).tags(&name("a"), None, "").await;
    assert!(matches!(answer, Err(ClientError::Malformed { .. })), "{answer:?}");

    let url = always(|| ([("docker-content-digest", "sha256:x")], "{}")).await;
    let answer = client(&url).manifest(&name("a"), TAG).await;
    assert!(matches!(answer, Err(ClientError::Malformed { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_body_without_end_is_cut_at_the_limit() {
    let url = always(endless).await;
    let client = client(&url);
    let manifest = client.manifest(&name("a"), TAG).await.err().unwrap().to_string();
    assert!(manifest.contains("larger than the limit of 4194304 bytes"), "{manifest}");
    let tags = client.tags(&name("a"), None, "").await;
    assert!(matches!(tags, Err(ClientError::Malformed { .. })), "{tags:?}");
    let referrers = client.referrers(&name("a"), &Digest::sha256_of(b"")).await;
    assert!(matches!(referrers, Err(ClientError::Malformed { .. })), "{referrers:?}");
}

#[tokio::test]
async fn an_answer_that_never_begins_or_never_ends_is_unavailable() {
    let never = Router::new().fallback(any(std::future::pending::<()>));
    let stuck = Router::new().fallback(any(|| async {
        let first = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"{")) });
        Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
    }));
    for app in [never, stuck] {
        let client = RegistryClient::new(ClientSettings {
            answer_timeout: Duration::from_millis(100),
            ..settings(&serve(app).await)
        })
        .unwrap();
        let answer = client.manifest(&name("a"), TAG).await;
        assert!(matches!(answer, Err(ClientError::Unavailable { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn a_closed_port_and_a_failing_registry_are_unavailable() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let answer = client(&url).manifest(&name("a"), TAG).await;
    assert!(matches!(answer, Err(ClientError::Unavailable { .. })), "{answer:?}");

    let url =
        always(|| (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "3")], "slow down")).await;
    let answer = client(&url).head_blob(&name("a"), &Digest::sha256_of(b"")).await;
    let Err(ClientError::Unavailable { retry_after, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(3)));
}

#[tokio::test]
async fn requests_beyond_the_limit_wait_and_do_not_wait_for_ever() {
    let url = always(endless_blob).await;
    let client = RegistryClient::new(ClientSettings {
        max_inflight: 1,
        answer_timeout: Duration::from_millis(100),
        ..settings(&url)
    })
    .unwrap();
    let digest = Digest::sha256_of(b"");
    let first = client.blob(&name("a"), &digest, None).await.unwrap();
    let second = client.blob(&name("a"), &digest, None).await;
    assert!(matches!(second, Err(ClientError::Unavailable { .. })), "{second:?}");
    drop(first);
    assert!(client.blob(&name("a"), &digest, None).await.unwrap().is_some());
}

fn endless_blob() -> impl IntoResponse {
    ([(header::CONTENT_LENGTH, "1000000000000")], endless())
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_malformed() {
    let range = Some(BlobRange { first: 2, last: Some(5) });
    let digest = Digest::sha256_of(b"0123456789");
    for content_range in ["bytes 0-3/10", "bytes 2-9/10", "bytes 2-5/*", "bytes */10", "2-5", ""] {
        let url = always(move || {
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, content_range)], "2345")
        })
        .await;
        let answer = client(&url).blob(&name("a"), &digest, range).await;
        assert!(
            matches!(answer, Err(ClientError::Malformed { .. })),
            "{content_range}: {answer:?}"
        );
    }
    let url = always(|| "0123456789").await;
    let answer = client(&url).blob(&name("a"), &digest, range).await;
    assert!(matches!(answer, Err(ClientError::Malformed { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_body_of_another_length_than_its_range_ends_with_an_error() {
    let range = Some(BlobRange { first: 2, last: Some(5) });
    for body in ["234", "23456"] {
        // Without a length of its own, so that only the range tells it.
        let url = always(move || {
            let body = Body::from_stream(stream::iter([Ok::<_, Infallible>(body)]));
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, "bytes 2-5/10")], body)
        })
        .await;
        let digest = Digest::sha256_of(b"0123456789");
        let blob = client(&url).blob(&name("a"), &digest, range).await.unwrap().unwrap();
        let read = blob.try_collect::<Vec<_>>().await;
        assert!(read.is_err(), "{body}: {read:?}");
    }
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let url = always(|| Redirect::temporary("/again")).await;
    let answer = client(&url).head_blob(&name("a"), &Digest::sha256_of(b"")).await;
    assert!(matches!(answer, Err(ClientError::Malformed { .. })), "{answer:?}");

    let store = always(|| "blob").await;
    let url = always(move || Redirect::temporary(&store)).await;
    let digest = Digest::sha256_of(b"blob");
    let client = client(&url);
    assert_eq!(client.head_blob(&name("a"), &digest).await.unwrap(), Some(4));
    let blob = client.blob(&name("a"), &digest, None).await.unwrap().unwrap();
    assert_eq!(blob.try_collect::<Vec<_>>().await.unwrap().concat(), b"blob");
}

#[tokio::test]
async fn what_is_asked_for_cannot_leave_its_place_in_the_path() {
    let app = Router::new().fallback(any(async |uri: axum::http::Uri, _: HeaderMap| {
        (StatusCode::BAD_GATEWAY, [(header::RETRY_AFTER, "1")], uri.to_string())
    }));
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&seen);
    let app = app.layer(axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| {
            log.lock().unwrap().push(request.uri().to_string());
            next.run(request)
        },
    ));
    let url = serve(app).await;
    let client = client(&url);
    for tag in ["../../x", "a?b", "a#b", "a/b", "a\r\nb"] {
        client.manifest(&name("a"), ManifestReference::Tag(tag)).await.err().unwrap();
    }
    client.tags(&name("a"), Some(1), "x&n=9#\r\n").await.err().unwrap();
    let seen = seen.lock().unwrap();
    let expected = [
        "/v2/a/manifests/..%2F..%2Fx",
        "/v2/a/manifests/a%3Fb",
        "/v2/a/manifests/a%23b",
        "/v2/a/manifests/a%2Fb",
        "/v2/a/manifests/ab",
        "/v2/a/tags/list?n=1&last=x%26n%3D9%23%0D%0A",
    ];
    assert_eq!(*seen, expected);
}
