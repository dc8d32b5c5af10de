//! An S3 server in this process, over a directory: `s3s` with its file system.
//!
//! Why: the protocol spoken for real, signatures, checksums and conditional writes checked, with nothing to install;
//! and a server that fails in whatever way a test wants.
//!
//! Invariant: of conditional writes one is done after the other, as S3 does and `s3s-fs` does not.

mod faults;
mod short;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, Result, anyhow};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use landbridge_store::{Bucket, BucketLayout};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use url::Url;

pub use self::faults::S3Fault;
use self::faults::{Face, Gate};
use self::short::{Short, Whole};

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// What a server makes of `If-None-Match: *`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conditions {
    /// It creates only what is not there.
    Honoured,
    /// It overwrites, as some servers do.
    Ignored,
}

/// A running server with buckets. Dropping it stops it; what it holds stays in its directory.
pub struct S3 {
    directory: PathBuf,
    address: String,
    public: String,
    gate: Arc<Gate>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl S3 {
    /// Starts a server over a directory, with these buckets in it.
    pub fn start(directory: &Path, buckets: &[&str]) -> Result<Self> {
        Self::start_with(directory, buckets, Conditions::Honoured)
    }

    /// The same with another mind about conditional writes.
    pub fn start_with(directory: &Path, buckets: &[&str], conditions: Conditions) -> Result<Self> {
        std::fs::create_dir_all(directory)?;
        for bucket in buckets {
            std::fs::create_dir_all(directory.join(bucket))?;
        }
        let whole = Whole::default();
        let open = |auth: Option<SimpleAuth>| -> Result<S3Service> {
            let files = s3s_fs::FileSystem::new(directory)
                .map_err(|error| anyhow!("{} cannot be served: {error:?}", directory.display()))?;
            let short = Short::new(files, conditions, Arc::clone(&whole));
            let mut builder = S3ServiceBuilder::new(short);
            if let Some(auth) = auth {
                builder.set_auth(auth);
            }
            Ok(builder.build())
        };
        let signed = open(Some(SimpleAuth::from_single(KEY, SECRET)))?;
        let gate = Arc::new(Gate::new(directory, signed, open(None)?));
        let serving = Arc::clone(&gate);
        // A test may itself run on an event loop, where nothing may wait for another.
        let started = thread::spawn(move || {
            let runtime = Runtime::new()?;
            let address = runtime.block_on(serve(Arc::clone(&serving), Face::Signed))?;
            let public = runtime.block_on(serve(serving, Face::Public))?;
            anyhow::Ok((runtime, address, public))
        });
        let (runtime, address, public) = started.join().ok().context("no event loop")??;
        Ok(Self { directory: directory.to_owned(), address, public, gate, runtime: Some(runtime) })
    }

    /// Where it wants signatures, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where anybody may read a bucket, as a URL.
    pub fn public(&self, bucket: &str) -> String {
        format!("http://{}/{bucket}/", self.public)
    }

    /// The variables by which a program finds it and signs.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        Self::environment_at(&self.address)
    }

    /// The same by way of a proxy at `address` (`IP:PORT`).
    pub fn environment_at(address: &str) -> [(&'static str, String); 4] {
        [
            ("AWS_ENDPOINT", format!("http://{address}")),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
    }

    /// Opens a bucket, which is made if it is missing, below a prefix.
    pub fn bucket(&self, name: &str, layout: BucketLayout, prefix: &str) -> Result<Bucket> {
        std::fs::create_dir_all(self.directory.join(name))?;
        let options = self.environment().map(|(key, value)| (key.to_ascii_lowercase(), value));
        let url = Url::parse(&format!("s3://{name}/{prefix}"))?;
        Ok(Bucket::open_with(&url, layout, &options)?)
    }

    /// The file in which it keeps what a bucket has under this key.
    pub fn file(&self, bucket: &str, key: &str) -> PathBuf {
        self.directory.join(bucket).join(short::short(key))
    }

    /// Does this wrong with so many objects, and then nothing any more.
    pub fn fail(&self, fault: S3Fault, times: u32) {
        self.fail_at("/blobs/", fault, times);
    }

    /// Does this wrong with so many requests that have this text in path or query.
    pub fn fail_at(&self, part: &str, fault: S3Fault, times: u32) {
        self.gate.fail(part, fault, times);
    }

    /// Refuses every write after this many.
    pub fn allow_writes(&self, count: i64) {
        self.gate.allow_writes(count);
    }

    /// Refuses every read after this many.
    pub fn allow_reads(&self, count: i64) {
        self.gate.allow_reads(count);
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(gate: Arc<Gate>, face: Face) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let gate = Arc::clone(&gate);
            let answer = service_fn(move |request| {
                let gate = Arc::clone(&gate);
                async move { gate.answer(face, request).await }
            });
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                // A client that goes away in the middle is no failure of the server.
                let _ = server.serve_connection(TokioIo::new(connection), answer).await;
            });
        }
    });
    Ok(address)
}
