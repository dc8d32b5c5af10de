//! An S3 server in this process, over a directory.

use std::path::Path;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// A server with one bucket, `bucket`; ends when it is dropped.
pub(super) struct Server {
    endpoint: String,
    _runtime: Runtime,
}

impl Server {
    pub(super) fn start(directory: &Path) -> Self {
        std::fs::create_dir_all(directory.join("bucket")).unwrap();
        let runtime = Runtime::new().unwrap();
        let endpoint = runtime.block_on(async {
            let files = s3s_fs::FileSystem::new(directory).unwrap();
            let mut builder = S3ServiceBuilder::new(files);
            builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
            let service = builder.build();
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
        });
        Self { endpoint, _runtime: runtime }
    }

    /// The variables by which a program finds it.
    pub(super) fn environment(&self) -> [(&'static str, &str); 4] {
        [
            ("AWS_ENDPOINT", &self.endpoint),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ]
    }
}
