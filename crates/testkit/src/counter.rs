//! A reverse proxy that counts what passes.
//!
//! Why: what a replication costs is the requests and the bytes that its servers see, and no two servers write the same
//! log.
//!
//! Invariant: requests and answers pass as they are, the `Host` included, so that signatures stay good.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

type Body = BoxBody<Bytes, hyper::Error>;

/// What has passed since the start, or the last [`Counter::take`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many requests, by method.
    pub requests: BTreeMap<String, u64>,
    /// The same one by one, as `METHOD target`, in the order in which they came.
    pub lines: Vec<String>,
    /// Bytes of contents that clients sent.
    pub sent: u64,
    /// Bytes of contents that clients were given.
    pub given: u64,
}

impl Counted {
    /// Requests of all methods.
    pub fn total(&self) -> u64 {
        self.requests.values().sum()
    }

    /// Targets of requests with this method that have `part` in them, in the order in which they came.
    pub fn targets<'a>(&'a self, method: &str, part: &str) -> Vec<&'a str> {
        let with_method = self.lines.iter().filter_map(|line| line.split_once(' '));
        let targets = with_method.filter(|(its, target)| *its == method && target.contains(part));
        targets.map(|(_, target)| target).collect()
    }
}

/// A running proxy on loopback. Dropping it stops it.
#[derive(Debug)]
pub struct Counter {
    address: String,
    tally: Arc<Tally>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct Tally {
    lines: Mutex<Vec<String>>,
    sent: AtomicU64,
    given: AtomicU64,
}

impl Counter {
    /// Starts a proxy for `upstream` (`IP:PORT`).
    pub fn start(upstream: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start an event loop")?;
        let tally = Arc::new(Tally::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?.to_string();
        runtime.spawn(accept(listener, upstream.to_owned(), Arc::clone(&tally)));
        Ok(Self { address, tally, runtime: Some(runtime) })
    }

    /// Where it listens, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests with this method, and `part` in their target, have come since
    /// [`Counter::take`].
    pub fn passed(&self, method: &str, part: &str) -> usize {
        let lines = self.tally.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = lines.iter().filter_map(|line| line.split_once(' '));
        lines.filter(|(its, target)| *its == method && target.contains(part)).count()
    }

    /// What has passed since this was asked last. Of what is under way, some is counted.
    pub fn take(&self) -> Counted {
        let mut lines = self.tally.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut *lines);
        let mut requests: BTreeMap<String, u64> = BTreeMap::new();
        for (method, _) in lines.iter().filter_map(|line| line.split_once(' ')) {
            *requests.entry(method.to_owned()).or_default() += 1;
        }
        Counted {
            requests,
            lines,
            sent: self.tally.sent.swap(0, Ordering::Relaxed),
            given: self.tally.given.swap(0, Ordering::Relaxed),
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, upstream: String, tally: Arc<Tally>) {
    let client: Client<HttpConnector, Body> = Client::builder(TokioExecutor::new()).build_http();
    while let Ok((connection, _)) = listener.accept().await {
        let (client, upstream, tally) = (client.clone(), upstream.clone(), Arc::clone(&tally));
        let service = service_fn(move |request| {
            pass(request, client.clone(), upstream.clone(), Arc::clone(&tally))
        });
        let server = hyper::server::conn::http1::Builder::new();
        let served = server.serve_connection(TokioIo::new(connection), service);
        // What fails here fails at the client, which says so.
        tokio::spawn(async move { served.await.ok() });
    }
}

async fn pass(
    request: Request<Incoming>,
    client: Client<HttpConnector, Body>,
    upstream: String,
    tally: Arc<Tally>,
) -> Result<Response<Body>, Infallible> {
    let (mut head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let line = format!("{} {target}", head.method);
    tally.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    let Ok(uri) = format!("http://{upstream}{target}").parse::<Uri>() else {
        return Ok(failed(StatusCode::BAD_REQUEST));
    };
    head.uri = uri;
    let sent = Arc::clone(&tally);
    let body = body.map_frame(move |frame| {
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        sent.sent.fetch_add(bytes, Ordering::Relaxed);
        frame
    });
    let Ok(answer) = client.request(Request::from_parts(head, body.boxed())).await else {
        return Ok(failed(StatusCode::BAD_GATEWAY));
    };
    Ok(answer.map(|body| {
        let counted = body.map_frame(move |frame| {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            tally.given.fetch_add(bytes, Ordering::Relaxed);
            frame
        });
        counted.boxed()
    }))
}

fn failed(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}
