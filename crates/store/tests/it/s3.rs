//! An S3 server in this process, which checks signatures and checksums, and which can be told to
//! refuse.

// Named, since the origin's tests take this file too.
#[path = "s3/short.rs"]
mod short;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use http::header::{CONTENT_LENGTH, ETAG, IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
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
    directory: PathBuf,
    service: S3Service,
    fault: Mutex<Option<(Fault, u32)>>,
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

/// What the server does wrong with objects, of which documents and notes are none.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code, reason = "each of the crates that take this file has its own faults")]
pub(crate) enum Fault {
    /// Writes are answered like this; with a `Retry-After` in seconds, if there is one.
    Refuses(u16, Option<u32>),
    /// Of what is written nothing is read, and nothing is answered.
    Stalls,
    /// Writes are answered as if all were well, and forgotten.
    Forgets,
    /// Of what was written the last byte is lost.
    Truncates,
    /// Of what was written the first byte becomes another one, and what was known of it is lost.
    Rots,
    /// Everything is said to be there, and of this size.
    Claims(u64),
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
            directory: directory.to_owned(),
            service: builder.build(),
            fault: Mutex::default(),
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

    /// Does this wrong so many times, and then nothing any more.
    #[allow(dead_code, reason = "not every crate that takes this file has faults")]
    pub(crate) fn fail(&self, fault: Fault, times: u32) {
        *self.gate.fault.lock().unwrap() = Some((fault, times)).filter(|_| times > 0);
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
        if request.uri().path().contains("/blobs/")
            && let Some(fault) = self.next_fault(is_read)
        {
            return self.spoil(fault, request).await;
        }
        let is_conditional = request.headers().contains_key(IF_NONE_MATCH);
        let _turn = if is_conditional { Some(self.conditional.lock().await) } else { None };
        self.service.call(request.map(s3s::Body::from)).await
    }

    fn next_fault(&self, is_read: bool) -> Option<Fault> {
        let mut fault = self.fault.lock().unwrap();
        let (next, times) = (*fault)?;
        let is_of_reads = matches!(next, Fault::Claims(_));
        if is_of_reads != is_read {
            return None;
        }
        *fault = Some((next, times - 1)).filter(|(_, times)| *times > 0);
        Some(next)
    }

    async fn spoil(
        &self,
        fault: Fault,
        request: Request<Incoming>,
    ) -> Result<Response<s3s::Body>, s3s::HttpError> {
        let mut answer = Response::new(s3s::Body::empty());
        let headers = answer.headers_mut();
        match fault {
            Fault::Refuses(status, retry_after) => {
                headers.extend(retry_after.map(|rest| (RETRY_AFTER, rest.into())));
                *answer.status_mut() = StatusCode::from_u16(status).unwrap();
            }
            Fault::Stalls => std::future::pending::<()>().await,
            Fault::Forgets => {
                // Whoever is not listened to notices.
                request.into_body().collect().await.unwrap();
                headers.insert(ETAG, "\"never\"".parse().unwrap());
            }
            Fault::Claims(size) if request.method() == Method::HEAD => {
                headers.insert(CONTENT_LENGTH, size.into());
                headers.insert(LAST_MODIFIED, "Sun, 22 Nov 2026 00:00:00 GMT".parse().unwrap());
            }
            Fault::Claims(_) => *answer.status_mut() = StatusCode::NOT_FOUND,
            Fault::Truncates | Fault::Rots => {
                let key = request.uri().path().to_owned();
                let answer = self.service.call(request.map(s3s::Body::from)).await?;
                self.damage(fault, &key);
                return Ok(answer);
            }
        }
        Ok(answer)
    }

    fn damage(&self, fault: Fault, key: &str) {
        let (before, hash) = key.rsplit_once('/').unwrap();
        let name = format!("{}/{}", before.trim_start_matches('/'), &hash[..short::KEPT]);
        let file = self.directory.join(name);
        let Ok(mut bytes) = std::fs::read(&file) else { return };
        match fault {
            Fault::Truncates => drop(bytes.pop()),
            _ => bytes[0] ^= 1,
        }
        std::fs::write(&file, bytes).unwrap();
        // Beside the buckets `s3s-fs` keeps what it knows of each object.
        for known in std::fs::read_dir(&self.directory).unwrap() {
            let known = known.unwrap().path();
            if known.is_file() {
                std::fs::remove_file(known).unwrap();
            }
        }
    }
}
