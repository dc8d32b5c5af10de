//! An S3 server in this process, over a directory: `s3s` with its file system.
//!
//! Why: the protocol spoken for real, signatures and conditional writes checked, with nothing to install.

use std::path::Path;

use anyhow::Result;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// A running server with buckets. Dropping it stops it; what it holds stays in its directory.
#[derive(Debug)]
pub struct S3 {
    address: String,
    public: String,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

impl S3 {
    /// Starts a server over a directory, with these buckets in it.
    pub fn start(directory: &Path, buckets: &[&str]) -> Result<Self> {
        for bucket in buckets {
            std::fs::create_dir_all(directory.join(bucket))?;
        }
        let runtime = Runtime::new()?;
        let open = |auth: Option<SimpleAuth>| {
            let files = s3s_fs::FileSystem::new(directory).map_err(|error| {
                anyhow::anyhow!("{} cannot be served: {error:?}", directory.display())
            })?;
            let mut builder = S3ServiceBuilder::new(files);
            if let Some(auth) = auth {
                builder.set_auth(auth);
            }
            runtime.block_on(serve(builder.build()))
        };
        let address = open(Some(SimpleAuth::from_single(KEY, SECRET)))?;
        let public = open(None)?;
        Ok(Self { address, public, runtime: Some(runtime) })
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
}

impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(service: S3Service) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let service = service.clone();
            let answer = service_fn(move |request: hyper::Request<_>| {
                let service = service.clone();
                async move { service.call(request.map(s3s::Body::from)).await }
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
