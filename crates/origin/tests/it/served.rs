//! An origin over some store, and a client that sends exactly what it is told.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use landbridge_core::Digest;
use landbridge_origin::Origin;
use landbridge_origin::settings::Settings;
use landbridge_store::{Bucket, BucketLayout};
use landbridge_testkit::http::{Answer, Wire};
use tokio::runtime::Runtime;
use url::Url;

use crate::azurite::{Azurite, Endpoint};
use crate::s3;

/// Where an origin keeps what it has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Store {
    Memory,
    Directory,
    S3,
    Azurite,
}

/// Every kind of store that needs nothing but this process.
const STORES: [Store; 3] = [Store::Memory, Store::Directory, Store::S3];

#[test]
#[ignore = "needs azurite: scripts/stores azurite"]
fn azurite_serves_an_origin_like_every_store() {
    // Real clients bring an origin of their own.
    Azurite::start().run_again(&["--skip", "clients::"]);
}

/// A running origin with nothing in it.
pub(crate) struct Served {
    pub(crate) bucket: Bucket,
    origin: Option<Origin>,
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Runtime,
    _directory: tempfile::TempDir,
}

/// Runs a check against an empty origin over each kind of store.
pub(crate) fn everywhere(check: impl Fn(&Served)) {
    everywhere_with(|_| {}, check);
}

/// As [`everywhere`], with other settings.
pub(crate) fn everywhere_with(change: impl Fn(&mut Settings), check: impl Fn(&Served)) {
    let stores = if Endpoint::offered().is_some() { &[Store::Azurite][..] } else { &STORES };
    for &store in stores {
        #[expect(clippy::print_stdout, reason = "seen only if the check fails")]
        {
            println!("over {store:?}");
        }
        check(&Served::start_with(store, &change));
    }
}

impl Served {
    pub(crate) fn start(store: Store) -> Self {
        Self::start_with(store, |_| {})
    }

    pub(crate) fn start_with(store: Store, change: impl Fn(&mut Settings)) -> Self {
        let runtime = Runtime::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let bucket = runtime.block_on(open(store, directory.path()));
        let mut settings = Settings::local(bucket.clone(), 0);
        change(&mut settings);
        let origin = runtime.block_on(Origin::start(settings)).unwrap();
        let address = origin.address();
        Self { bucket, origin: Some(origin), address, runtime, _directory: directory }
    }

    /// A second origin on the same bucket.
    pub(crate) fn another(&self) -> SocketAddr {
        let settings = Settings::local(self.bucket.clone(), 0);
        let origin = self.runtime.block_on(Origin::start(settings)).unwrap();
        origin.address()
    }

    /// Stops it, and waits until it has stopped.
    pub(crate) fn stop(&mut self) {
        let origin = self.origin.take().unwrap();
        self.runtime.block_on(origin.stop());
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(&self.address.to_string()).unwrap()
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[], b"")
    }

    pub(crate) fn head(&self, target: &str) -> Answer {
        self.ask("HEAD", target, &[], b"")
    }

    pub(crate) fn delete(&self, target: &str) -> Answer {
        self.ask("DELETE", target, &[], b"")
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        ask(self.address, method, target, headers, body)
    }

    /// Pushes a blob in one request, and returns its digest.
    pub(crate) fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256_of(bytes);
        self.push_blob_as(repository, &digest, bytes);
        digest
    }

    pub(crate) fn push_blob_as(&self, repository: &str, digest: &Digest, bytes: &[u8]) {
        let target = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.ask("POST", &target, &[], bytes);
        assert_eq!(answer.status, 201, "{answer}");
    }

    /// Begins an upload, and returns where it goes on.
    pub(crate) fn begin(&self, repository: &str) -> String {
        let answer = self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), &[], b"");
        assert_eq!(answer.status, 202, "{answer}");
        location(&answer)
    }

    /// Pushes a manifest under a tag or its digest.
    pub(crate) fn push(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Answer {
        let target = format!("/v2/{repository}/manifests/{reference}");
        self.ask("PUT", &target, &[("content-type", media_type)], bytes)
    }
}

/// One request on a connection of its own.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut wire = Wire::connect(&address.to_string()).unwrap();
    wire.send(&request(method, target, headers, body)).unwrap();
    wire.answer(method).unwrap().unwrap()
}

/// A request as it is sent, the last of its connection.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    if !matches!(method, "GET" | "HEAD") && !headers.iter().any(|(name, _)| is_framing(name)) {
        write!(text, "content-length: {}\r\n", body.len()).unwrap();
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn is_framing(header: &str) -> bool {
    matches!(header, "content-length" | "transfer-encoding")
}

/// A relative `Location`.
pub(crate) fn location(answer: &Answer) -> String {
    let location = answer.header("location").unwrap();
    assert!(location.starts_with("/v2/"), "{location}");
    location.to_owned()
}

/// The answer has this status and, if it is a refusal, this code.
#[track_caller]
pub(crate) fn expect(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{answer}");
    assert_eq!(answer.error_code().as_deref(), Some(code), "{answer}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

async fn open(store: Store, directory: &Path) -> Bucket {
    match store {
        Store::Memory => {
            Bucket::open(&Url::parse("memory:///").unwrap(), BucketLayout::Blobs).unwrap()
        }
        Store::Directory => {
            Bucket::open(&Url::from_directory_path(directory).unwrap(), BucketLayout::Blobs)
                .unwrap()
        }
        Store::S3 => {
            s3::Server::start(directory).await.bucket("bucket", BucketLayout::Blobs, "registry")
        }
        Store::Azurite => Endpoint::offered().unwrap().bucket(BucketLayout::Blobs, "registry"),
    }
}
