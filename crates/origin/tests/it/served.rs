//! An origin over some store, and a client that sends exactly what it is told.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use landbridge_core::Digest;
use landbridge_origin::Origin;
use landbridge_origin::settings::Settings;
use landbridge_store::{Bucket, BucketLayout};
use landbridge_testkit::http::{Answer, Wire};
use landbridge_testkit::{Azurite, Garage, Gcs, S3, StoreAddress};
use tokio::runtime::Runtime;
use url::Url;

/// Where an origin keeps what it has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Store {
    Memory,
    Directory,
    S3,
    Gcs,
    /// The store that this process was given.
    Offered,
}

/// Every kind of store that needs nothing but this process.
const STORES: [Store; 4] = [Store::Memory, Store::Directory, Store::S3, Store::Gcs];

/// What a process runs that was given a store. Real clients bring an origin of their own.
const AGAIN: [&str; 2] = ["--skip", "clients::"];

#[test]
#[ignore = "needs azurite: scripts/stores azurite"]
fn azurite_serves_an_origin_like_every_store() {
    Azurite::start().unwrap().address().run_again(&AGAIN).unwrap();
}

#[test]
#[ignore = "needs garage: scripts/stores garage"]
fn garage_serves_an_origin_like_every_store() {
    Garage::start().unwrap().address().run_again(&AGAIN).unwrap();
}

/// What its store is, if it runs in this process.
enum Double {
    Gcs(Gcs),
    S3(#[expect(dead_code, reason = "dropped, it stops")] S3),
    None,
}

/// A running origin with nothing in it.
pub(crate) struct Served {
    pub(crate) bucket: Bucket,
    origin: Option<Origin>,
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Runtime,
    /// Whether its store creates an object only if there is none.
    pub(crate) creates: bool,
    double: Double,
    _directory: tempfile::TempDir,
}

/// Runs a check against an empty origin over each kind of store.
pub(crate) fn everywhere(check: impl Fn(&Served)) {
    everywhere_with(|_| {}, check);
}

/// As [`everywhere`], with other settings.
pub(crate) fn everywhere_with(change: impl Fn(&mut Settings), check: impl Fn(&Served)) {
    let is_offered = StoreAddress::offered().unwrap().is_some();
    let stores = if is_offered { &[Store::Offered][..] } else { &STORES };
    for &store in stores {
        #[expect(clippy::print_stdout, reason = "seen only if the check fails")]
        {
            println!("over {store:?}");
        }
        let served = Served::start_with(store, &change);
        check(&served);
        // What the origin recovered from is a mistake all the same.
        let refused = match &served.double {
            Double::Gcs(gcs) => gcs.refused(),
            Double::S3(_) | Double::None => Vec::new(),
        };
        assert_eq!(refused, Vec::<String>::new());
    }
}

impl Served {
    pub(crate) fn start(store: Store) -> Self {
        Self::start_with(store, |_| {})
    }

    pub(crate) fn start_with(store: Store, change: impl Fn(&mut Settings)) -> Self {
        let runtime = Runtime::new().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (bucket, double) = open(store, directory.path());
        let mut settings = Settings::local(bucket.clone(), 0);
        change(&mut settings);
        let origin = runtime.block_on(Origin::start(settings)).unwrap();
        let address = origin.address();
        let creates = match store {
            Store::Memory | Store::Directory | Store::S3 | Store::Gcs => true,
            Store::Offered => StoreAddress::offered().unwrap().unwrap().kind().creates(),
        };
        let origin = Some(origin);
        Self { bucket, origin, address, runtime, creates, double, _directory: directory }
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

/// An empty bucket, and the double that it is in.
fn open(store: Store, directory: &Path) -> (Bucket, Double) {
    let plain = |url: Url| (Bucket::open(&url, BucketLayout::Blobs).unwrap(), Double::None);
    match store {
        Store::Memory => plain(Url::parse("memory:///").unwrap()),
        Store::Directory => plain(Url::from_directory_path(directory).unwrap()),
        Store::S3 => {
            let server = S3::start(directory, &[]).unwrap();
            (server.bucket("bucket", BucketLayout::Blobs, "registry").unwrap(), Double::S3(server))
        }
        Store::Gcs => {
            let gcs = Gcs::start().unwrap();
            (gcs.address().bucket(BucketLayout::Blobs, "registry").unwrap(), Double::Gcs(gcs))
        }
        Store::Offered => {
            let store = StoreAddress::offered().unwrap().unwrap();
            (store.bucket(BucketLayout::Blobs, "registry").unwrap(), Double::None)
        }
    }
}
