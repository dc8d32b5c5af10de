//! An S3 server in this process, over a directory.

use std::path::Path;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// A server with buckets; ends when it is dropped.
pub(crate) struct Server {
    endpoint: String,
    public: String,
    _runtime: Runtime,
}

impl Server {
    pub(crate) fn start(directory: &Path, buckets: &[&str]) -> Self {
        for bucket in buckets {
            std::fs::create_dir_all(directory.join(bucket)).unwrap();
        }
        let runtime = Runtime::new().unwrap();
        let open = |auth: Option<SimpleAuth>| {
            let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory).unwrap());
            if let Some(auth) = auth {
                builder.set_auth(auth);
            }
            runtime.block_on(serve(builder.build()))
        };
        let endpoint = open(Some(SimpleAuth::from_single(KEY, SECRET)));
        let public = open(None);
        Self { endpoint, public, _runtime: runtime }
    }

    /// Where anybody may read a bucket.
    pub(crate) fn public(&self, bucket: &str) -> String {
        format!("{}/{bucket}/", self.public)
    }

    /// The variables by which a program finds it.
    pub(crate) fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
    }
}

async fn serve(service: S3Service) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
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
    endpoint
}
