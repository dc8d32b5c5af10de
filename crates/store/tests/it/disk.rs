//! A directory on a disk that is full or read-only.

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use futures::stream;
use landbridge_core::Digest;
use landbridge_store::{Bucket, BucketLayout, OpenError, PutError, StoreError};
use url::Url;

/// A small file system of its own, which needs root.
struct Disk(PathBuf);

impl Disk {
    fn mount(directory: &Path) -> Self {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(directory));
        Self(directory.to_owned())
    }

    fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}; file systems are mounted as root only");
}

async fn put(bucket: &Bucket, size: usize) -> Result<Digest, PutError> {
    let bytes = Bytes::from(vec![7; size]);
    let digest = Digest::sha256_of(&bytes);
    let source = stream::iter([Ok::<_, std::io::Error>(bytes)]);
    bucket.put_object(&digest, size as u64, "a/b", source).await?;
    Ok(digest)
}

#[tokio::test]
async fn a_full_or_read_only_disk_is_named_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Disk::mount(directory.path());
    let url = Url::from_directory_path(directory.path()).unwrap();
    let bucket = Bucket::open(&url, BucketLayout::Blobs).unwrap();
    let small = put(&bucket, 1000).await.unwrap();

    // One request, and many parts.
    for size in [2 << 20, 20 << 20] {
        let error = put(&bucket, size).await.unwrap_err();
        assert!(matches!(error, PutError::Store(StoreError::Full { .. })), "{error:?}");
        assert!(error.to_string().contains(url.as_str()), "{error}");
        let absent = Digest::sha256_of(&vec![7; size]);
        assert_eq!(bucket.size_of(&absent).await.unwrap(), None);
    }
    // What could not be finished was removed: there is room again.
    put(&bucket, 500_000).await.unwrap();

    disk.make_read_only();
    let error = put(&bucket, 10).await.unwrap_err();
    assert!(matches!(error, PutError::Store(StoreError::ReadOnly { .. })), "{error:?}");
    assert_eq!(bucket.get(&small, 1000).await.unwrap().len(), 1000);
    let inside = Url::from_directory_path(directory.path().join("new")).unwrap();
    let error = Bucket::open(&inside, BucketLayout::Blobs).unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::ReadOnly { .. })), "{error:?}");
}

#[test]
fn what_is_no_bucket_is_refused_with_what_to_write() {
    for address in ["http://example.org/", "ftp://x/", "file://host/x"] {
        let url = Url::parse(address).unwrap();
        let error = Bucket::open_with(&url, BucketLayout::Blobs, &[]).unwrap_err();
        assert!(matches!(error, OpenError::Unknown(_)), "{error:?}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let url = Url::from_directory_path(file.path()).unwrap();
    let error = Bucket::open(&url, BucketLayout::Blobs).unwrap_err();
    assert!(matches!(error, OpenError::Store(_)), "{error:?}");
}
