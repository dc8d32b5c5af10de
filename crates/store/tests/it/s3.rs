//! An S3 server in this process, which checks signatures and checksums, and which can be told to
//! refuse.

// Named, since the origin's tests take this file too.
#[path = "s3/short.rs"]
mod short;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::header::IF_NONE_MATCH;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use landbridge_store::{Bucket, BucketLayout};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use url::Url;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// Serves a directory, whose subdirectories are buckets; ends with the runtime.
pub(crate) struct Server {
    directory: PathBuf,
    endpoint: String,
    gate: Arc<Gate>,
}

struct Gate {
    service: S3Service,
    /// As S3 does, and s3s-fs does not: of conditional writes one is done after the other.
    conditional: tokio::sync::Mutex<()>,
    writes: AtomicI64,
    reads: AtomicI64,
}

/// What the server makes of `If-None-Match: *`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Conditions {
    Honoured,
    /// It overwrites, as some servers do.
    Ignored,
}

impl Server {
    pub(crate) async fn start(directory: &Path) -> Self {
        Self::start_with(directory, Conditions::Honoured).await
    }

    pub(crate) async fn start_with(directory: &Path, conditions: Conditions) -> Self {
        let files = s3s_fs::FileSystem::new(directory).unwrap();
        let mut builder = S3ServiceBuilder::new(short::Short::new(files, conditions));
        builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let gate = Arc::new(Gate {
            service: builder.build(),
            conditional: tokio::sync::Mutex::new(()),
            writes: AtomicI64::new(i64::MAX),
            reads: AtomicI64::new(i64::MAX),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(accept(listener, Arc::clone(&gate)));
        Self { directory: directory.to_owned(), endpoint, gate }
    }

    /// A new bucket.
    pub(crate) fn bucket(&self, name: &str, layout: BucketLayout, prefix: &str) -> Bucket {
        std::fs::create_dir_all(self.directory.join(name)).unwrap();
        let options = [
            ("aws_endpoint", &*self.endpoint),
            ("aws_region", "us-east-1"),
            ("aws_access_key_id", KEY),
            ("aws_secret_access_key", SECRET),
        ];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let url = Url::parse(&format!("s3://{name}/{prefix}")).unwrap();
        Bucket::open_with(&url, layout, &options).unwrap()
    }

    /// Refuses every write after this many.
    pub(crate) fn allow_writes(&self, count: i64) {
        self.gate.writes.store(count, Ordering::SeqCst);
    }

    /// Refuses every read after this many.
    pub(crate) fn allow_reads(&self, count: i64) {
        self.gate.reads.store(count, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, gate: Arc<Gate>) {
    while let Ok((connection, _)) = listener.accept().await {
        let gate = Arc::clone(&gate);
        let service = service_fn(move |request| {
            let gate = Arc::clone(&gate);
            async move { gate.answer(request).await }
        });
        tokio::spawn(async move {
            let server = Builder::new(TokioExecutor::new());
            // A client that goes away in the middle is no failure of the server.
            let _ = server.serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

impl Gate {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<s3s::Body>, s3s::HttpError> {
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let left = if is_read { &self.reads } else { &self.writes };
        if left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            let mut refusal = Response::new(s3s::Body::empty());
            *refusal.status_mut() = StatusCode::FORBIDDEN;
            return Ok(refusal);
        }
        let is_conditional = request.headers().contains_key(IF_NONE_MATCH);
        let _turn = if is_conditional { Some(self.conditional.lock().await) } else { None };
        self.service.call(request.map(s3s::Body::from)).await
    }
}
