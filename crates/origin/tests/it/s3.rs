//! An S3 server in this process, which checks signatures and checksums.

use std::path::Path;
use std::sync::Arc;

use http::header::IF_NONE_MATCH;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use landbridge_store::{Bucket, BucketLayout};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use url::Url;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// A new bucket of a server that keeps it in `directory` and ends with the runtime.
pub(crate) async fn serve(directory: &Path) -> Bucket {
    std::fs::create_dir(directory.join("bucket")).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(accept(listener, builder.build()));
    let options = [
        ("aws_endpoint", &*endpoint),
        ("aws_region", "us-east-1"),
        ("aws_access_key_id", KEY),
        ("aws_secret_access_key", SECRET),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let url = Url::parse("s3://bucket/registry").unwrap();
    Bucket::open_with(&url, BucketLayout::Blobs, &options).unwrap()
}

async fn accept(listener: TcpListener, s3: S3Service) {
    // As S3 does, and s3s-fs does not: of conditional writes one is done after the other.
    let conditional = Arc::new(Mutex::new(()));
    while let Ok((connection, _)) = listener.accept().await {
        let (s3, conditional) = (s3.clone(), Arc::clone(&conditional));
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (s3, conditional) = (s3.clone(), Arc::clone(&conditional));
            async move {
                let is_conditional = request.headers().contains_key(IF_NONE_MATCH);
                let _turn = if is_conditional { Some(conditional.lock().await) } else { None };
                s3.call(request.map(s3s::Body::from)).await
            }
        });
        let server = hyper::server::conn::http1::Builder::new();
        // A client that goes away in the middle is no failure of the server.
        tokio::spawn(server.serve_connection(TokioIo::new(connection), service));
    }
}
