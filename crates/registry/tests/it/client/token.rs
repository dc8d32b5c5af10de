//! A registry that wants tokens, with one counter for each side.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures::future::join_all;
use landbridge_core::digest::Digest;
use landbridge_registry::client::{ClientError, ClientSettings, RegistryClient};

use super::hostile::serve;
use super::{client, credentials, name, settings};

#[derive(Debug, Default)]
struct Counts {
    tokens: AtomicUsize,
    refusals: AtomicUsize,
    answers: AtomicUsize,
}

impl Counts {
    fn read(&self) -> (usize, usize, usize) {
        let read = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        (read(&self.tokens), read(&self.refusals), read(&self.answers))
    }
}

/// A registry whose blobs need the newest token; every `per_token` answers it wants another.
/// The token's text is the number of tokens so far, the query and the user's `Authorization`.
async fn registry(per_token: usize) -> (String, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let (giver, asker) = (Arc::clone(&counts), Arc::clone(&counts));
    let app = Router::new()
        .route(
            "/token",
            get(move |RawQuery(query): RawQuery, headers: HeaderMap| async move {
                let number = giver.tokens.fetch_add(1, Ordering::SeqCst) + 1;
                let user = headers
                    .get(header::AUTHORIZATION)
                    .map_or("nobody", |value| value.to_str().unwrap());
                let query = query.unwrap_or_default();
                format!(r#"{{"token":"{number} {query} {user}","expires_in":300}}"#)
            }),
        )
        .fallback(any(
            move |headers: HeaderMap| async move { answer(&asker, &headers, per_token) },
        ));
    (serve(app).await, counts)
}

fn answer(counts: &Counts, headers: &HeaderMap, per_token: usize) -> Response {
    let wanted = counts.answers.load(Ordering::SeqCst) / per_token + 1;
    let sent = headers.get(header::AUTHORIZATION).map_or("", |value| value.to_str().unwrap());
    if sent.starts_with(&format!("Bearer {wanted} ")) {
        counts.answers.fetch_add(1, Ordering::SeqCst);
        return ([("x-sent", sent)], "blob").into_response();
    }
    counts.refusals.fetch_add(1, Ordering::SeqCst);
    let host = headers[header::HOST].to_str().unwrap();
    let challenge =
        format!(r#"Bearer realm="http://{host}/token",service="s p",scope="repository:a:pull""#);
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
}

#[tokio::test]
async fn a_token_is_fetched_once_and_kept_for_its_scope() {
    let (url, counts) = registry(usize::MAX).await;
    let client = client(&url);
    let digest = Digest::sha256_of(b"blob");
    for _ in 0..3 {
        assert_eq!(client.head_blob(&name("a"), &digest).await.unwrap(), Some(4));
    }
    assert_eq!(counts.read(), (1, 1, 3));
    assert!(client.wants_authorization());
}

#[tokio::test]
async fn many_who_wait_for_a_token_fetch_it_once() {
    let (url, counts) = registry(usize::MAX).await;
    let client =
        RegistryClient::new(ClientSettings { max_inflight: 50, ..settings(&url) }).unwrap();
    let (repository, digest) = (name("a"), Digest::sha256_of(b"blob"));
    let answers = join_all((0..50).map(|_| client.head_blob(&repository, &digest))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap() == Some(4)));
    assert_eq!(counts.tokens.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_again() {
    let (url, counts) = registry(2).await;
    let client = client(&url);
    let digest = Digest::sha256_of(b"blob");
    for _ in 0..6 {
        assert_eq!(client.head_blob(&name("a"), &digest).await.unwrap(), Some(4));
    }
    assert_eq!(counts.read(), (3, 3, 6));
}

#[tokio::test]
async fn credentials_are_shown_to_the_giver_of_tokens_and_not_to_the_registry() {
    let sent = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&sent);
    let app = Router::new()
        .route(
            "/token",
            get(async |headers: HeaderMap| {
                let user = headers[header::AUTHORIZATION].to_str().unwrap().replace(' ', "-");
                format!(r#"{{"access_token":"{user}"}}"#)
            }),
        )
        .fallback(any(move |headers: HeaderMap| {
            let authorization =
                headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
            log.lock().unwrap().push(authorization.clone());
            let host = headers[header::HOST].to_str().unwrap().to_owned();
            async move {
                match authorization {
                    Some(_) => "blob".into_response(),
                    None => (
                        StatusCode::UNAUTHORIZED,
                        [(
                            header::WWW_AUTHENTICATE,
                            format!("Bearer realm=\"http://{host}/token\""),
                        )],
                    )
                        .into_response(),
                }
            }
        }));
    let url = serve(app).await;
    let client = RegistryClient::new(ClientSettings {
        credentials: Some(credentials("reader", "to-pull")),
        ..settings(&url)
    })
    .unwrap();
    let digest = Digest::sha256_of(b"blob");
    assert_eq!(client.head_blob(&name("a"), &digest).await.unwrap(), Some(4));
    let token = "Bearer Basic-cmVhZGVyOnRvLXB1bGw=".to_owned();
    assert_eq!(*sent.lock().unwrap(), [None, Some(token)]);
}

#[tokio::test]
async fn a_challenge_that_cannot_be_met_is_denied() {
    for challenge in [
        "",
        "Basic realm=\"x\"",
        "Negotiate",
        "Bearer",
        "Bearer realm=\"file:///etc/passwd\"",
        "Bearer realm=\"http://user:pass@127.0.0.1:1/\"",
        "Bearer realm=\"//x\"",
        "Bearer realm=\"http://",
    ] {
        let app = Router::new().fallback(any(move || async move {
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)])
        }));
        let answer = client(&serve(app).await).head_blob(&name("a"), &Digest::sha256_of(b"")).await;
        assert!(matches!(answer, Err(ClientError::Denied { .. })), "{challenge}: {answer:?}");
    }
}

#[tokio::test]
async fn credentials_are_not_sent_to_another_host_over_plain_http() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let app = Router::new().fallback(any(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let challenge = "Bearer realm=\"http://tokens.invalid/\"";
        std::future::ready((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]))
    }));
    let client = RegistryClient::new(ClientSettings {
        credentials: Some(credentials("reader", "to-pull")),
        ..settings(&serve(app).await)
    })
    .unwrap();
    let answer = client.head_blob(&name("a"), &Digest::sha256_of(b"")).await;
    let Err(ClientError::Denied { reason, .. }) = answer else { panic!("{answer:?}") };
    assert!(reason.contains("credentials must not be sent"), "{reason}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_token_service_that_fails_says_so() {
    for (status, body) in [(500, ""), (200, "{}"), (200, "<html>"), (403, "")] {
        let app = Router::new()
            .route(
                "/token",
                get(move || async move { (StatusCode::from_u16(status).unwrap(), body) }),
            )
            .fallback(any(|headers: HeaderMap| async move {
                let host = headers[header::HOST].to_str().unwrap().to_owned();
                let challenge = format!("Bearer realm=\"http://{host}/token\"");
                (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)])
            }));
        let answer = client(&serve(app).await).head_blob(&name("a"), &Digest::sha256_of(b"")).await;
        match (status, answer) {
            (500, Err(ClientError::Unavailable { .. }))
            | (200, Err(ClientError::Malformed { .. }))
            | (403, Err(ClientError::Denied { .. })) => {}
            (status, answer) => panic!("{status}: {answer:?}"),
        }
    }
}
