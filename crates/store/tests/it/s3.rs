//! An S3 server in this process, which checks signatures and checksums.

use std::path::Path;
use std::sync::Arc;

use http::Request;
use http::header::IF_NONE_MATCH;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use landbridge_store::{Bucket, BucketLayout};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use url::Url;

const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// Serves `directory`, whose subdirectories are buckets; ends with the runtime.
pub(crate) async fn serve(directory: &Path) -> String {
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    // As S3 does, and s3s-fs does not: of conditional writes one is done after the other.
    let conditional = Arc::new(tokio::sync::Mutex::new(()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let (service, conditional) = (service.clone(), Arc::clone(&conditional));
            let service = service_fn(move |request: Request<Incoming>| {
                let (service, conditional) = (service.clone(), Arc::clone(&conditional));
                async move {
                    let is_conditional = request.headers().contains_key(IF_NONE_MATCH);
                    let _turn = if is_conditional { Some(conditional.lock().await) } else { None };
                    service.call(request.map(s3s::Body::from)).await
                }
            });
            tokio::spawn(async move {
                let server = Builder::new(TokioExecutor::new());
                // A client that goes away in the middle is no failure of the server.
                let _ = server.serve_connection(TokioIo::new(connection), service).await;
            });
        }
    });
    format!("http://{address}")
}

/// A new bucket on the server at `endpoint`.
pub(crate) fn bucket(
    directory: &Path,
    endpoint: &str,
    name: &str,
    layout: BucketLayout,
    prefix: &str,
) -> Bucket {
    std::fs::create_dir_all(directory.join(name)).unwrap();
    let options = [
        ("aws_endpoint", endpoint),
        ("aws_region", "us-east-1"),
        ("aws_access_key_id", KEY),
        ("aws_secret_access_key", SECRET),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let url = Url::parse(&format!("s3://{name}/{prefix}")).unwrap();
    Bucket::open_with(&url, layout, options).unwrap()
}
