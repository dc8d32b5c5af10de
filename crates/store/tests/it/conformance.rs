//! What every store promises, asked of every store.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use landbridge_core::generation::{ObjectEntry, Repository, RepositoryEntry, Root};
use landbridge_core::holding::Holding;
use landbridge_core::pointer::{Keys, Pointer};
use landbridge_sign::LocalKey;
use landbridge_store::{
    Bucket, BucketLayout, Creation, EverywhereError, Object, PutError, Repositories, StoreError,
    put_everywhere,
};
use landbridge_testkit::{Azurite, Conditions, Garage, Gcs, S3};
use url::Url;

use crate::{leases, repositories, uploads};

const TYPE: &str = "application/octet-stream";
const LIMIT: u64 = 1 << 20;
/// More than one part, and not a multiple of it.
const LARGE: usize = (20 << 20) + 77;

#[tokio::test]
async fn a_directory_keeps_the_promises() {
    let directory = tempfile::tempdir().unwrap();
    for layout in [BucketLayout::ContainersImages, BucketLayout::Blobs] {
        let path = directory.path().join("made/when absent").join(layout.name());
        let bucket = Bucket::open(&Url::from_directory_path(path).unwrap(), layout).unwrap();
        every_promise(&bucket).await;
    }
}

#[tokio::test]
async fn memory_keeps_the_promises() {
    let url = Url::parse("memory:///").unwrap();
    every_promise(&Bucket::open(&url, BucketLayout::ContainersImages).unwrap()).await;
    every_promise(&Bucket::open(&url, BucketLayout::Blobs).unwrap()).await;
}

#[tokio::test]
async fn s3_keeps_the_promises() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3::start(directory.path(), &[]).unwrap();
    every_promise(&server.bucket("plain", BucketLayout::ContainersImages, "").unwrap()).await;
    every_promise(&server.bucket("prefixed", BucketLayout::Blobs, "some/where").unwrap()).await;
}

#[tokio::test]
async fn gcs_keeps_the_promises() {
    let gcs = Gcs::start().unwrap();
    let bucket = |layout, prefix| gcs.address().bucket(layout, prefix).unwrap();
    every_promise(&bucket(BucketLayout::ContainersImages, "")).await;
    every_promise(&bucket(BucketLayout::Blobs, "some/where")).await;
    assert_eq!(gcs.refused(), Vec::<String>::new());
    // The double knows no request that nobody sends, and nobody avoids one.
    let answered: Vec<&str> = gcs.answered().into_keys().collect();
    assert_eq!(answered, EVERY_REQUEST_OF_GCS);
}

const EVERY_REQUEST_OF_GCS: [&str; 14] = [
    "abort",
    "complete",
    "copy",
    "create bucket",
    "delete",
    "get",
    "get range",
    "head",
    "initiate",
    "list",
    "list on",
    "part",
    "put",
    "put if",
];

#[tokio::test]
#[ignore = "needs azurite: scripts/stores azurite"]
async fn azurite_keeps_the_promises() {
    let azurite = Azurite::start().unwrap();
    let bucket = |layout, prefix| azurite.address().bucket(layout, prefix).unwrap();
    every_promise(&bucket(BucketLayout::ContainersImages, "")).await;
    every_promise(&bucket(BucketLayout::Blobs, "some/where")).await;
}

#[tokio::test]
#[ignore = "needs garage: scripts/stores garage"]
async fn garage_is_found_out_and_keeps_what_it_can() {
    let garage = Garage::start().unwrap();
    let bucket = |layout, prefix| garage.address().bucket(layout, prefix).unwrap();
    promises_of_a_mirror(&bucket(BucketLayout::ContainersImages, "")).await;
    let overwrites = bucket(BucketLayout::Blobs, "some/where");
    promises_of_a_mirror(&overwrites).await;
    promises_of_what_overwrites(overwrites).await;
}

#[tokio::test]
async fn a_store_that_overwrites_is_found_out_and_keeps_what_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3::start_with(directory.path(), &[], Conditions::Ignored).unwrap();
    promises_of_what_overwrites(server.bucket("overwrites", BucketLayout::Blobs, "").unwrap())
        .await;
}

/// What needs no object to be created only if there is none.
async fn promises_of_a_mirror(bucket: &Bucket) {
    absent(bucket).await;
    whole_objects_come_back(bucket).await;
    wrong_sources_leave_nothing(bucket).await;
    one_read_is_for_many(bucket).await;
    damage_is_found_and_repaired(bucket).await;
    ranges(bucket).await;
    documents(bucket).await;
    holdings(bucket).await;
}

async fn promises_of_what_overwrites(bucket: Bucket) {
    let unsupported = bucket.probe_create().await;
    assert!(matches!(unsupported, Err(StoreError::Unsupported { .. })), "{unsupported:?}");
    let opened = Repositories::open(bucket).await.unwrap();
    assert_eq!(opened.creation(), Creation::ReadBack);
    uploads::every_promise(&opened).await;
    repositories::every_promise(&opened).await;
    leases::every_promise(&opened).await;
}

async fn every_promise(bucket: &Bucket) {
    promises_of_a_mirror(bucket).await;
    pointers(bucket).await;
    match bucket.layout() {
        BucketLayout::Blobs => {
            let repositories = Repositories::open(bucket.clone()).await.unwrap();
            assert_eq!(repositories.creation(), Creation::Conditional);
            uploads::every_promise(&repositories).await;
            repositories::every_promise(&repositories).await;
            leases::every_promise(&repositories).await;
        }
        BucketLayout::ContainersImages => {
            let refused = Repositories::open(bucket.clone()).await;
            assert!(matches!(refused, Err(StoreError::Unsupported { .. })), "{refused:?}");
        }
    }
}

fn content(seed: u8, size: usize) -> Bytes {
    let period: Vec<u8> = (0..=250).map(|at| at ^ seed).collect();
    period.repeat(size / period.len() + 1)[..size].to_vec().into()
}

fn source(bytes: &Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let chunks: Vec<_> = bytes.chunks(100_000).map(Bytes::copy_from_slice).map(Ok).collect();
    stream::iter(chunks)
}

async fn put(bucket: &Bucket, bytes: &Bytes) -> Digest {
    let digest = Digest::sha256_of(bytes);
    let size = bytes.len() as u64;
    let confirmed = bucket.put_object(&digest, size, TYPE, source(bytes)).await.unwrap();
    assert_eq!((confirmed.digest(), confirmed.size()), (&digest, size));
    assert_eq!(confirmed.bucket(), bucket.name());
    digest
}

async fn absent(bucket: &Bucket) {
    let digest = Digest::sha256_of(b"never written");
    assert_eq!(bucket.size_of(&digest).await.unwrap(), None);
    assert!(bucket.get(&digest, LIMIT).await.unwrap_err().is_not_found());
    assert!(bucket.read(&digest, None).await.err().unwrap().is_not_found());
    assert!(bucket.read(&digest, Some(1..2)).await.err().unwrap().is_not_found());
    assert!(bucket.confirm(&digest, 13).await.unwrap_err().is_not_found());
    let document = bucket.get_document::<Root>(&digest).await;
    assert!(document.unwrap_err().is_not_found());
    assert_eq!(bucket.get_holding().await.unwrap(), None);
}

async fn whole_objects_come_back(bucket: &Bucket) {
    for size in [0, 1, 100_000, 8 << 20, LARGE] {
        let bytes = content(1, size);
        let size = bytes.len() as u64;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, &bytes);
            bucket.put_object(&digest, size, TYPE, source(&bytes)).await.unwrap();
            assert_eq!(bucket.size_of(&digest).await.unwrap(), Some(size));
            assert_eq!(bucket.get(&digest, size).await.unwrap(), bytes);
            assert_eq!(bucket.confirm(&digest, size).await.unwrap().size(), size);
        }
    }
    let digest = Digest::sha256_of(&content(1, 100_000));
    let limited = bucket.get(&digest, 99_999).await;
    assert!(matches!(limited, Err(StoreError::TooLarge { size: 100_000, .. })), "{limited:?}");
    let longer = bucket.confirm(&digest, 100_001).await;
    assert!(matches!(longer, Err(StoreError::WrongBytes { .. })), "{longer:?}");

    // Once it is there and right, the source is not even asked.
    let never = stream::iter([Err(io::Error::other("asked"))]);
    bucket.put_object(&digest, 100_000, TYPE, never).await.unwrap();
}

async fn wrong_sources_leave_nothing(bucket: &Bucket) {
    for size in [1000, LARGE] {
        let bytes = content(2, size);
        let digest = Digest::sha256_of(&bytes);
        let size = bytes.len() as u64;

        let other = source(&content(3, bytes.len()));
        let error = bucket.put_object(&digest, size, TYPE, other).await.unwrap_err();
        assert!(matches!(error, PutError::WrongSource { .. }), "{error:?}");
        let short = source(&bytes.slice(..bytes.len() - 1));
        let error = bucket.put_object(&digest, size, TYPE, short).await.unwrap_err();
        assert!(matches!(error, PutError::WrongSource { .. }), "{error:?}");
        let error = bucket.put_object(&digest, size - 1, TYPE, source(&bytes)).await.unwrap_err();
        assert!(matches!(error, PutError::WrongSource { .. }), "{error:?}");
        let broken = source(&bytes.slice(..bytes.len() / 2))
            .map_err(io::Error::other)
            .chain(stream::iter([Err(io::Error::other("broken off"))]));
        let error = bucket.put_object(&digest, size, TYPE, broken).await.unwrap_err();
        assert!(matches!(error, PutError::Source { .. }), "{error:?}");
        assert!(error.to_string().contains(&bucket.layout().key(&digest)), "{error}");
        assert!(error.to_string().contains(bucket.name()), "{error}");

        assert_eq!(bucket.size_of(&digest).await.unwrap(), None);
        put(bucket, &bytes).await;
    }
}

/// In this bucket and in a directory, at the same time.
async fn one_read_is_for_many(bucket: &Bucket) {
    let directory = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(directory.path()).unwrap();
    let other = Bucket::open(&url, BucketLayout::Blobs).unwrap();
    let both = [bucket, &other];
    let (stall, nobody) = (Duration::from_secs(30), |_| {});
    for size in [0, 1, 255_000, 1 << 20, LARGE] {
        let bytes = content(7, size);
        let size = bytes.len() as u64;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, &bytes);
            let object = Object { digest: &digest, size, media_type: TYPE };
            if size > 1 {
                let wrong = source(&content(8, bytes.len()));
                let error = put_everywhere(&both, object, stall, wrong, &nobody).await;
                assert!(matches!(error, Err(EverywhereError::Wrong(_))), "{error:?}");
                let broken = source(&bytes.slice(..bytes.len() / 2))
                    .map_err(|never| match never {})
                    .chain(stream::iter([Err("broken off")]));
                let error = put_everywhere(&both, object, stall, broken, &nobody).await;
                assert!(matches!(error, Err(EverywhereError::Source("broken off"))), "{error:?}");
                for bucket in both {
                    assert_eq!(bucket.size_of(&digest).await.unwrap(), None, "{bucket:?}");
                }
            }
            let passed = AtomicU64::new(0);
            let count = |bytes| _ = passed.fetch_add(bytes, Ordering::Relaxed);
            let puts = put_everywhere(&both, object, stall, source(&bytes), &count).await.unwrap();
            assert_eq!(passed.into_inner(), size);
            for (put, bucket) in puts.into_iter().zip(both) {
                let confirmed = put.unwrap();
                assert_eq!((confirmed.bucket(), confirmed.size()), (bucket.name(), size));
                assert_eq!(bucket.get(&digest, size).await.unwrap(), bytes);
            }
        }
    }
}

async fn damage_is_found_and_repaired(bucket: &Bucket) {
    let url = Url::parse(bucket.name()).unwrap();
    if url.scheme() != "file" {
        return;
    }
    let path = url.to_file_path().unwrap();
    let bytes = content(4, 1000);
    let digest = put(bucket, &bytes).await;
    let path = path.join(bucket.layout().key(&digest));
    for damage in [content(5, 1000), content(4, 999)] {
        std::fs::write(&path, damage).unwrap();
        let error = bucket.get(&digest, LIMIT).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongBytes { .. }), "{error:?}");
        let error = bucket.confirm(&digest, 1000).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongBytes { .. }), "{error:?}");
        put(bucket, &bytes).await;
        assert_eq!(bucket.get(&digest, LIMIT).await.unwrap(), bytes);
    }
    let drafts = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let names = drafts.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.contains('#')), "a draft was left");
}

async fn ranges(bucket: &Bucket) {
    let bytes = content(6, 700_000);
    let digest = put(bucket, &bytes).await;
    let whole = 0..bytes.len() as u64;
    for (asked, given) in [
        (None, whole.clone()),
        (Some(whole.clone()), whole.clone()),
        (Some(0..1), 0..1),
        (Some(5..600_000), 5..600_000),
        (Some(699_999..700_000), 699_999..700_000),
        (Some(699_000..800_000), 699_000..700_000),
        (Some(0..u64::MAX), whole),
    ] {
        let body = bucket.read(&digest, asked).await.unwrap();
        assert_eq!((body.size, body.range), (700_000, given.clone()));
        assert!(body.last_modified.is_some());
        assert!(body.etag.is_some_and(|tag| tag.ends_with('"')));
        let chunks: Vec<Bytes> = body.stream.try_collect().await.unwrap();
        let (start, end) = (given.start.try_into().unwrap(), given.end.try_into().unwrap());
        assert!(bytes.get(start..end) == Some(&*chunks.concat()), "{given:?}");
    }
    let beyond = bucket.read(&digest, Some(700_000..700_001)).await.err().unwrap();
    assert!(matches!(beyond, StoreError::BadRange { size: 700_000, .. }), "{beyond:?}");
}

async fn documents(bucket: &Bucket) {
    let repository = Repository::empty("a/b".parse().unwrap());
    let digest = bucket.put_document(&repository).await.unwrap();
    assert_eq!(bucket.put_document(&repository).await.unwrap(), digest);
    assert_eq!(bucket.get_document::<Repository>(&digest).await.unwrap(), repository);
    let root = Root::new(vec![RepositoryEntry { digest, name: repository.name, size: 1 }]);
    let digest = bucket.put_document(&root).await.unwrap();
    assert_eq!(bucket.get_document::<Root>(&digest).await.unwrap(), root);
    let other = bucket.get_document::<Repository>(&digest).await.unwrap_err();
    assert!(matches!(other, StoreError::Malformed { .. }), "{other:?}");
    let mut large = Repository::empty("a/large".parse().unwrap());
    for number in 0..20_000_u32 {
        let digest = Digest::sha256_of(&number.to_le_bytes());
        large.objects.push(ObjectEntry { digest, media_type: TYPE.into(), size: 1 });
    }
    let large = large.sorted();
    let digest = bucket.put_document(&large).await.unwrap();
    assert_eq!(digest, large.entry().digest);
    assert_eq!(bucket.get_document::<Repository>(&digest).await.unwrap(), large);
    let other = bucket.get_document::<Root>(&digest).await.unwrap_err();
    assert!(matches!(other, StoreError::Malformed { .. }), "{other:?}");
}

async fn holdings(bucket: &Bucket) {
    let generation = Digest::sha256_of(b"generation");
    let mut holding = Holding { generations: vec![generation], ..Holding::empty("demo") };
    for lacks in [vec![], vec![Digest::sha256_of(b"lost")]] {
        holding.lacks = lacks;
        bucket.put_holding(&holding).await.unwrap();
        assert_eq!(bucket.get_holding().await.unwrap().as_ref(), Some(&holding));
    }
}

fn pointer(sequence: u64, catalog: &str) -> Pointer {
    Pointer {
        catalog: catalog.to_owned(),
        expires: Timestamp::MAX,
        generation: Digest::sha256_of(b"root"),
        issued: Timestamp::UNIX_EPOCH,
        previous: None,
        reason: "test".into(),
        sequence,
    }
}

async fn pointers(bucket: &Bucket) {
    let (key, stranger) = (LocalKey::generate().unwrap(), LocalKey::generate().unwrap());
    let keys = Keys::new(vec![key.public().clone()], 1).unwrap();
    let search = bucket.latest_pointer(&keys, "demo").await.unwrap();
    assert!(search.latest.is_none() && search.refused.is_empty());

    bucket.probe_create().await.unwrap();
    bucket.probe_create().await.unwrap();
    let first = key.sign_pointer(&pointer(1, "demo"));
    bucket.create_pointer(1, &first).await.unwrap();
    bucket.create_pointer(1, &first).await.unwrap();
    one_of_many_wins(bucket, &key).await;

    for (sequence, junk) in [
        (3, stranger.sign_pointer(&pointer(3, "demo"))),
        (4, first.clone()),
        (5, key.sign_pointer(&pointer(5, "elsewhere"))),
        (6, b"{}".to_vec()),
        (7, vec![b' '; 1 << 17]),
    ] {
        bucket.put_pointer_copy(sequence, &junk).await.unwrap();
    }
    let search = bucket.latest_pointer(&keys, "demo").await.unwrap();
    assert_eq!(search.latest.unwrap().content().sequence, 2);
    assert_eq!(search.next, Some(8));
    assert_eq!(search.refused.len(), 5, "{:?}", search.refused);
    let search = bucket.latest_pointer_from(&keys, "demo", 3).await.unwrap();
    assert!(search.latest.is_none());
    let search = bucket.latest_pointer_from(&keys, "demo", 2).await.unwrap();
    assert_eq!(search.latest.unwrap().content().sequence, 2);

    let at = |sequence| bucket.pointer_at(sequence, &keys, "demo");
    assert_eq!(at(1).await.unwrap().unwrap().content(), &pointer(1, "demo"));
    assert!(at(3).await.unwrap().is_none() && at(99).await.unwrap().is_none());
}

async fn one_of_many_wins(bucket: &Bucket, key: &LocalKey) {
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(6));
    let mut racers = tokio::task::JoinSet::new();
    for racer in 0..6 {
        let (bucket, start) = (bucket.clone(), std::sync::Arc::clone(&start));
        let reason = format!("racer {racer}");
        let envelope = key.sign_pointer(&Pointer { reason, ..pointer(2, "demo") });
        racers.spawn(async move {
            start.wait().await;
            bucket.create_pointer(2, &envelope).await
        });
    }
    let results = racers.join_all().await;
    let lost = results.iter().filter(|r| matches!(r, Err(StoreError::Taken(_)))).count();
    assert_eq!((results.iter().filter(|r| r.is_ok()).count(), lost), (1, 5), "{results:?}");
}
