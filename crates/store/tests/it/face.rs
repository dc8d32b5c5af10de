//! A copy's public face, asked over HTTP: what is absent, what fails, and what is wrong.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_NONE_MATCH, LOCATION, RANGE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use landbridge_core::Digest;
use landbridge_core::holding::Holding;
use landbridge_store::{BucketLayout, FaceError, FaceTimeouts, HoldingRead, PublicFace};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use url::Url;

const CONTENT: &[u8] = b"the bytes of an object";
const LIMIT: u64 = 1 << 10;
const ETAG_OF_HOLDING: &str = "\"holding-1\"";

const TIMEOUTS: FaceTimeouts = FaceTimeouts {
    connect: Duration::from_secs(10),
    head: Duration::from_secs(10),
    idle: Duration::from_secs(10),
};

fn digest() -> Digest {
    Digest::sha256_of(CONTENT)
}

fn holding() -> Holding {
    Holding { generations: vec![Digest::sha256_of(b"g")], ..Holding::empty("demo") }
}

/// A server whose behaviour is the first part of the path.
async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                let service =
                    service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
                // Clients that go away in the middle are part of the test.
                let _ = server.serve_connection(TokioIo::new(connection), service).await;
            });
        }
    });
    format!("http://{address}")
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let status = |status: StatusCode| with(status, b"");
    let (behaviour, path) = request.uri().path()[1..].split_once('/').unwrap();
    if path == "holding.json" {
        if request.headers().get(IF_NONE_MATCH).is_some_and(|tag| tag == ETAG_OF_HOLDING) {
            return status(StatusCode::NOT_MODIFIED);
        }
        let mut response = with(StatusCode::OK, &holding().encode());
        response.headers_mut().insert(ETAG, ETAG_OF_HOLDING.parse().unwrap());
        return response;
    }
    let is_known = BucketLayout::Blobs.parse_key(path) == Some(digest());
    match behaviour {
        "good" if !is_known => status(StatusCode::NOT_FOUND),
        "good" => object(request),
        "forbidden" => status(StatusCode::FORBIDDEN),
        "wrong" => with(StatusCode::OK, &CONTENT.to_ascii_uppercase()),
        "elsewhere" | "loop" => {
            let to = if behaviour == "loop" { "loop" } else { "good" };
            let mut response = status(StatusCode::TEMPORARY_REDIRECT);
            response.headers_mut().insert(LOCATION, format!("/{to}/{path}").parse().unwrap());
            response
        }
        "plain" => with(StatusCode::OK, CONTENT),
        "shifted" => {
            let mut response = with(StatusCode::PARTIAL_CONTENT, CONTENT);
            let range = format!("bytes 0-{}/{}", CONTENT.len() - 1, CONTENT.len());
            response.headers_mut().insert(CONTENT_RANGE, range.parse().unwrap());
            response
        }
        code => status(code.parse().unwrap()),
    }
}

fn object(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let size = CONTENT.len();
    if request.method() == Method::HEAD {
        let mut response = with(StatusCode::OK, b"");
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
        return response;
    }
    let Some(range) = request.headers().get(RANGE) else { return with(StatusCode::OK, CONTENT) };
    let range = range.to_str().unwrap();
    let from: usize = range.strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
    let mut response = with(StatusCode::PARTIAL_CONTENT, &CONTENT[from..]);
    let range = format!("bytes {from}-{}/{size}", size - 1);
    response.headers_mut().insert(CONTENT_RANGE, range.parse().unwrap());
    response
}

fn with(status: StatusCode, body: &[u8]) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body)));
    *response.status_mut() = status;
    response
}

fn face(server: &str, behaviour: &str) -> PublicFace {
    let base = Url::parse(&format!("{server}/{behaviour}/")).unwrap();
    PublicFace::new(&base, BucketLayout::Blobs, TIMEOUTS).unwrap()
}

#[tokio::test]
async fn what_is_there_is_found_also_behind_a_redirect() {
    let server = serve().await;
    for behaviour in ["good", "elsewhere"] {
        let face = face(&server, behaviour);
        assert_eq!(face.head(&digest()).await.unwrap(), Some(CONTENT.len() as u64));
        assert_eq!(face.get_verified(&digest(), LIMIT).await.unwrap(), CONTENT);
        for from in [0, 1, CONTENT.len() - 1] {
            let body = face.get_range(&digest(), from as u64).await.unwrap();
            assert_eq!(body.size, CONTENT.len() as u64);
            assert_eq!(body.range, from as u64..CONTENT.len() as u64);
            let chunks: Vec<Bytes> = body.stream.try_collect().await.unwrap();
            assert_eq!(chunks.concat(), &CONTENT[from..]);
        }
    }
}

#[tokio::test]
async fn absence_is_told_from_failure() {
    let server = serve().await;
    let absent = Digest::sha256_of(b"absent");
    for (behaviour, digest) in [("good", absent), ("forbidden", digest()), ("410", digest())] {
        let face = face(&server, behaviour);
        assert_eq!(face.head(&digest).await.unwrap(), None, "{behaviour}");
        let error = face.get_verified(&digest, LIMIT).await.unwrap_err();
        assert!(matches!(error, FaceError::Absent { .. }), "{behaviour}: {error}");
    }
    for behaviour in ["500", "503", "429", "401", "416", "204", "loop"] {
        let error = face(&server, behaviour).head(&digest()).await.unwrap_err();
        assert!(matches!(error, FaceError::Failing { .. }), "{behaviour}: {error}");
        assert!(error.to_string().contains(&server), "{error}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for nobody in [nobody.clone(), nobody.replace("http:", "https:")] {
        let error = face(&nobody, "good").head(&digest()).await.unwrap_err();
        assert!(matches!(error, FaceError::Failing { .. }), "{error}");
    }
    let error = face(&server.replace("http:", "https:"), "good").head(&digest()).await.unwrap_err();
    assert!(matches!(error, FaceError::Failing { .. }), "{error}");
}

#[tokio::test]
async fn wrong_bytes_and_wrong_parts_are_never_passed_on() {
    let server = serve().await;
    let error = face(&server, "wrong").get_verified(&digest(), LIMIT).await.unwrap_err();
    assert!(matches!(error, FaceError::WrongBytes { .. }), "{error}");
    let error = face(&server, "good").get_verified(&digest(), 5).await.unwrap_err();
    assert!(matches!(error, FaceError::TooLarge { limit: 5, .. }), "{error}");
    for behaviour in ["plain", "shifted"] {
        let error = face(&server, behaviour).get_range(&digest(), 3).await.err().unwrap();
        assert!(matches!(error, FaceError::Failing { .. }), "{behaviour}: {error}");
    }
}

/// Answers every request with these bytes and then closes the connection, or keeps it open.
async fn serve_raw(answer: &'static str, closes: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer.as_bytes()).await;
            if !closes {
                open.push(connection);
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_at_its_end() {
    let server = serve_raw("HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\nthe bytes", true).await;
    let body = face(&server, "raw").get_range(&digest(), 0).await.unwrap();
    let error = body.stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert!(matches!(error, FaceError::Failing { .. }), "{error}");
    let error = face(&server, "raw").get_verified(&digest(), LIMIT).await.unwrap_err();
    assert!(matches!(error, FaceError::Failing { .. }), "{error}");
}

#[tokio::test]
async fn a_copy_that_hangs_is_left_after_the_time_that_was_given() {
    let timeouts = FaceTimeouts {
        head: Duration::from_millis(50),
        idle: Duration::from_millis(50),
        ..TIMEOUTS
    };
    let silent = serve_raw("", false).await;
    let base = Url::parse(&silent).unwrap();
    let face = PublicFace::new(&base, BucketLayout::Blobs, timeouts).unwrap();
    let error = face.head(&digest()).await.unwrap_err();
    assert!(matches!(error, FaceError::Failing { .. }), "{error}");

    let stuck = serve_raw("HTTP/1.1 200 OK\r\ncontent-length: 22\r\n\r\nthe bytes", false).await;
    let base = Url::parse(&stuck).unwrap();
    let face = PublicFace::new(&base, BucketLayout::Blobs, timeouts).unwrap();
    let error = face.get_verified(&digest(), LIMIT).await.unwrap_err();
    assert!(matches!(error, FaceError::Failing { .. }), "{error}");
}

#[tokio::test]
async fn a_holding_is_fetched_once_and_then_only_if_it_changed() {
    let face = face(&serve().await, "good");
    assert_eq!(face.holding().await.unwrap(), Some(holding()));
    let HoldingRead::Found(read) = face.holding_unless(None).await.unwrap() else { panic!() };
    assert_eq!(read.etag.as_deref(), Some(ETAG_OF_HOLDING));
    let again = face.holding_unless(read.etag.as_deref()).await.unwrap();
    assert_eq!(again, HoldingRead::Unchanged);
}
