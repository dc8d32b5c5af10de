//! Landbridge's own origin, in memory.
//!
//! Why: a writable registry that starts in a millisecond and needs no package installed.

use anyhow::{Context as _, Result};
use landbridge_origin::settings::Settings;
use landbridge_store::{Bucket, BucketLayout};
use tokio::runtime::Runtime;
use url::Url;

/// A running, empty origin that speaks plain HTTP on loopback and lets everyone push and delete. Dropping it removes
/// all.
#[derive(Debug)]
pub struct Origin {
    address: String,
    bucket: Bucket,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl Origin {
    /// Starts an origin over memory, on threads of its own.
    pub fn start() -> Result<Self> {
        Self::start_over(&Url::parse("memory:///")?)
    }

    /// Starts an origin over a bucket.
    pub fn start_over(store: &Url) -> Result<Self> {
        let bucket = Bucket::open(store, BucketLayout::Blobs)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start an event loop")?;
        let settings = Settings::local(bucket.clone(), 0);
        let origin = runtime.block_on(landbridge_origin::Origin::start(settings))?;
        Ok(Self { address: origin.address().to_string(), bucket, runtime: Some(runtime) })
    }

    /// Where it listens, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A reference to `name` in this registry, for a client's command line: `127.0.0.1:PORT/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Where it keeps what it has.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A test may itself run on an event loop, where nothing may wait for another.
            runtime.shutdown_background();
        }
    }
}
