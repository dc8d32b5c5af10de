//! What every store promises of uploads.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::digest::Algorithm;
use landbridge_core::{Digest, RepositoryName};
use landbridge_store::{
    AppendError, Chunk, Creation, FinishError, Repositories, UploadId, UploadStatus, Uploads,
};

const LIMIT: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);
/// Below what lies in a record, above it, and more than one part of a directory's.
const SIZES: [usize; 3] = [1000, 300_000, (1 << 20) + 5];
/// More than one part of a cloud's.
const LARGE: usize = (8 << 20) + 5;

pub(crate) async fn every_promise(repositories: &Repositories) {
    let uploads = repositories.uploads();
    sessions_are_known_until_they_end(uploads).await;
    one_chunk_becomes_an_object(repositories).await;
    several_chunks_become_an_object(repositories).await;
    a_last_chunk_comes_with_the_digest(repositories).await;
    chunks_have_one_place(uploads).await;
    of_many_writers_one_wins(repositories).await;
    what_arrived_before_a_break_counts(repositories).await;
    what_is_too_large_is_refused(uploads).await;
    what_a_digest_does_not_match_is_refused(repositories).await;
    nobody_gets_an_object_for_naming_it(repositories).await;
    the_old_ones_are_found(uploads).await;
}

fn content(seed: u8, size: usize) -> Bytes {
    let period: Vec<u8> = (0..=250).map(|at| at ^ seed).collect();
    period.repeat(size / period.len() + 1)[..size].to_vec().into()
}

fn source(bytes: &Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let pieces: Vec<_> = bytes.chunks(90_000).map(Bytes::copy_from_slice).map(Ok).collect();
    stream::iter(pieces)
}

fn chunk(bytes: &Bytes) -> Chunk<impl Stream<Item = Result<Bytes, Infallible>> + use<>> {
    Chunk { from: None, size: None, source: source(bytes) }
}

fn repository() -> RepositoryName {
    "uploads/here".parse().unwrap()
}

async fn begin(uploads: &Uploads) -> UploadId {
    uploads.begin(&repository(), Timestamp::now()).await.unwrap()
}

async fn status(uploads: &Uploads, id: &UploadId) -> UploadStatus {
    uploads.status(id).await.unwrap().unwrap()
}

async fn append(uploads: &Uploads, id: &UploadId, bytes: &Bytes) -> u64 {
    uploads.append(&status(uploads, id).await, chunk(bytes), LIMIT).await.unwrap()
}

/// No last chunk, with a type.
fn none() -> Option<Chunk<stream::Empty<Result<Bytes, Infallible>>>> {
    None
}

async fn finish(uploads: &Uploads, id: &UploadId, digest: &Digest) -> Result<u64, FinishError> {
    let upload = status(uploads, id).await;
    let confirmed = uploads.finish(&upload, digest, none(), LIMIT, PATIENCE).await?;
    assert_eq!(confirmed.digest(), digest);
    Ok(confirmed.size())
}

async fn holds(repositories: &Repositories, bytes: &Bytes, algorithm: Algorithm) {
    let digest = Digest::of(algorithm, bytes);
    assert!(repositories.bucket().get(&digest, LIMIT).await.unwrap() == *bytes);
}

async fn sessions_are_known_until_they_end(uploads: &Uploads) {
    let stranger: UploadId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    assert!(uploads.status(&stranger).await.unwrap().is_none());
    assert!(!uploads.cancel(&stranger).await.unwrap());

    let began = Timestamp::now();
    let id = uploads.begin(&repository(), began).await.unwrap();
    let upload = status(uploads, &id).await;
    assert_eq!((upload.id(), upload.repository()), (&id, &repository()));
    assert_eq!((upload.started(), upload.offset()), (began, 0));
    assert_eq!(append(uploads, &id, &Bytes::new()).await, 0);
    assert_eq!(append(uploads, &id, &content(1, 10)).await, 10);
    assert!(uploads.cancel(&id).await.unwrap());
    assert!(uploads.status(&id).await.unwrap().is_none());
    assert!(!uploads.cancel(&id).await.unwrap());
    for size in SIZES {
        let late = uploads.append(&upload, chunk(&content(1, size)), LIMIT).await;
        assert!(matches!(late, Err(AppendError::Unknown)), "{late:?}");
    }
    let left: Vec<UploadId> = uploads.expired(Timestamp::MAX).try_collect().await.unwrap();
    assert_eq!(left, [], "what is cancelled leaves nothing");
}

async fn one_chunk_becomes_an_object(repositories: &Repositories) {
    let uploads = repositories.uploads();
    for size in [0, 1, SIZES[0], SIZES[1], SIZES[2], LARGE] {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let bytes = content(20, size);
            let digest = Digest::of(algorithm, &bytes);
            let id = begin(uploads).await;
            assert_eq!(append(uploads, &id, &bytes).await, size as u64);
            // Once more, as a client does that lost the answer: there is something in the place.
            for _ in 0..2 {
                assert_eq!(finish(uploads, &id, &digest).await.unwrap(), size as u64);
                holds(repositories, &bytes, algorithm).await;
            }
            assert!(repositories.leases().leased_at(&digest).await.unwrap().is_some());
            assert!(uploads.cancel(&id).await.unwrap());
            holds(repositories, &bytes, algorithm).await;
        }
    }
}

async fn several_chunks_become_an_object(repositories: &Repositories) {
    let uploads = repositories.uploads();
    let bytes = content(30, LARGE + SIZES[2]);
    let id = begin(uploads).await;
    let mut offset = 0;
    for size in [SIZES[0], SIZES[1], 1, SIZES[2], usize::MAX] {
        let end = bytes.len().min(offset + size.min(bytes.len()));
        assert_eq!(append(uploads, &id, &bytes.slice(offset..end)).await, end as u64);
        offset = end;
    }
    assert_eq!(offset, bytes.len());
    for algorithm in [Algorithm::Sha512, Algorithm::Sha256] {
        finish(uploads, &id, &Digest::of(algorithm, &bytes)).await.unwrap();
        holds(repositories, &bytes, algorithm).await;
    }
    assert!(uploads.cancel(&id).await.unwrap());
}

async fn a_last_chunk_comes_with_the_digest(repositories: &Repositories) {
    let uploads = repositories.uploads();
    for first in [0, 700] {
        for size in [None, Some(())] {
            let bytes = content(if size.is_some() { 40 } else { 41 }, 100_000 + first);
            let digest = Digest::sha256_of(&bytes);
            let id = begin(uploads).await;
            append(uploads, &id, &bytes.slice(..first)).await;
            let rest = bytes.slice(first..);
            let size = size.map(|()| rest.len() as u64);
            let last = Chunk { from: Some(first as u64), size, source: source(&rest) };
            let upload = status(uploads, &id).await;
            uploads.finish(&upload, &digest, Some(last), LIMIT, PATIENCE).await.unwrap();
            holds(repositories, &bytes, Algorithm::Sha256).await;
            assert!(uploads.cancel(&id).await.unwrap());
        }
    }
    let bytes = content(42, SIZES[1]);
    let (digest, size) = (Digest::sha256_of(&bytes), bytes.len() as u64);
    uploads.put_whole(&digest, size, source(&bytes), PATIENCE).await.unwrap();
    holds(repositories, &bytes, Algorithm::Sha256).await;
}

async fn chunks_have_one_place(uploads: &Uploads) {
    let id = begin(uploads).await;
    let bytes = content(50, 500);
    let empty = status(uploads, &id).await;
    append(uploads, &id, &bytes).await;
    let upload = status(uploads, &id).await;
    for (upload, from) in [
        (&upload, Some(0)),
        (&upload, Some(499)),
        (&upload, Some(501)),
        (&upload, Some(u64::MAX)),
        // Whoever has not heard of the first chunk meets it.
        (&empty, None),
        (&empty, Some(0)),
    ] {
        for size in SIZES {
            let chunk = Chunk { from, ..chunk(&content(51, size)) };
            let refused = uploads.append(upload, chunk, LIMIT).await;
            assert!(matches!(refused, Err(AppendError::OutOfOrder { offset: 500 })), "{refused:?}");
        }
    }
    let next = Chunk { from: Some(500), ..chunk(&bytes) };
    assert_eq!(uploads.append(&upload, next, LIMIT).await.unwrap(), 1000);
    assert!(uploads.cancel(&id).await.unwrap());
}

async fn of_many_writers_one_wins(repositories: &Repositories) {
    let uploads = repositories.uploads();
    for size in SIZES {
        let id = begin(uploads).await;
        let upload = status(uploads, &id).await;
        let start = std::sync::Arc::new(tokio::sync::Barrier::new(6));
        let mut racers = tokio::task::JoinSet::new();
        for racer in 0..6_u8 {
            let (uploads, upload, start) =
                (uploads.clone(), upload.clone(), std::sync::Arc::clone(&start));
            // Equal bytes of two writers are two chunks all the same.
            let bytes = content(60 + racer / 2, size);
            racers.spawn(async move {
                start.wait().await;
                let appended = uploads.append(&upload, chunk(&bytes), LIMIT).await;
                (Digest::sha256_of(&bytes), appended)
            });
        }
        let (won, lost): (Vec<_>, Vec<_>) =
            racers.join_all().await.into_iter().partition(|(_, appended)| appended.is_ok());
        for (_, refused) in &lost {
            let AppendError::OutOfOrder { offset } = refused.as_ref().unwrap_err() else {
                panic!("{refused:?}")
            };
            assert_eq!(*offset, size as u64);
        }
        match repositories.creation() {
            Creation::Conditional => assert_eq!(won.len(), 1, "{won:?}"),
            Creation::ReadBack => assert!(!won.is_empty()),
        }
        // Of those that believe to have won the last one has, and what is visible is right.
        let mut finished = 0;
        let digests: BTreeSet<Digest> = won.iter().map(|(digest, _)| *digest).collect();
        for digest in digests {
            match finish(uploads, &id, &digest).await {
                Ok(_) => finished += 1,
                Err(FinishError::WrongDigest { .. }) => continue,
                Err(error) => panic!("{error:?}"),
            }
            repositories.bucket().get(&digest, LIMIT).await.unwrap();
        }
        assert_eq!(finished, 1);
        assert!(uploads.cancel(&id).await.unwrap());
    }
}

async fn what_arrived_before_a_break_counts(repositories: &Repositories) {
    let uploads = repositories.uploads();
    for size in SIZES.into_iter().chain([2 * LARGE]) {
        let bytes = content(70, size);
        let middle = size / 2;
        let id = begin(uploads).await;
        let broken = source(&bytes.slice(..middle))
            .map_err(io::Error::other)
            .chain(stream::iter([Err(io::Error::other("the line is dead"))]));
        let upload = status(uploads, &id).await;
        let chunk = Chunk { from: Some(0), size: Some(size as u64), source: broken };
        let error = uploads.append(&upload, chunk, LIMIT).await.unwrap_err();
        let AppendError::Source { offset, source } = error else { panic!("{error:?}") };
        assert_eq!((offset, source.to_string()), (middle as u64, "the line is dead".to_owned()));
        assert_eq!(status(uploads, &id).await.offset(), middle as u64);
        append(uploads, &id, &bytes.slice(middle..)).await;
        finish(uploads, &id, &Digest::sha256_of(&bytes)).await.unwrap();
        holds(repositories, &bytes, Algorithm::Sha256).await;
        assert!(uploads.cancel(&id).await.unwrap());
    }
}

async fn what_is_too_large_is_refused(uploads: &Uploads) {
    for size in SIZES {
        let id = begin(uploads).await;
        append(uploads, &id, &content(80, 10)).await;
        let upload = status(uploads, &id).await;
        let bytes = content(81, size);
        for told in [None, Some(size as u64)] {
            let chunk = Chunk { from: None, size: told, source: source(&bytes) };
            let refused = uploads.append(&upload, chunk, size as u64 + 9).await;
            assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
        }
        assert_eq!(status(uploads, &id).await.offset(), 10);
        let offset = uploads.append(&upload, chunk(&bytes), size as u64 + 10).await.unwrap();
        assert_eq!(offset, size as u64 + 10);
        let upload = status(uploads, &id).await;
        let beyond = uploads.append(&upload, chunk(&bytes), 5).await;
        assert!(matches!(beyond, Err(AppendError::TooLarge { limit: 5 })), "{beyond:?}");
        assert!(uploads.cancel(&id).await.unwrap());
    }
}

async fn what_a_digest_does_not_match_is_refused(repositories: &Repositories) {
    let uploads = repositories.uploads();
    for size in SIZES {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let (bytes, other) = (content(90, size), content(91, size));
            let (digest, wrong) = (Digest::of(algorithm, &bytes), Digest::of(algorithm, &other));
            let id = begin(uploads).await;
            append(uploads, &id, &bytes).await;
            let refused = finish(uploads, &id, &wrong).await;
            assert!(matches!(refused, Err(FinishError::WrongDigest { .. })), "{refused:?}");
            assert_eq!(repositories.bucket().size_of(&wrong).await.unwrap(), None);
            // Who named it wrongly may name it rightly.
            finish(uploads, &id, &digest).await.unwrap();
            holds(repositories, &bytes, algorithm).await;
            assert!(uploads.cancel(&id).await.unwrap());

            let size = bytes.len() as u64;
            let refused = uploads.put_whole(&wrong, size, source(&bytes), PATIENCE).await;
            assert!(matches!(refused, Err(FinishError::WrongDigest { .. })), "{refused:?}");
            assert_eq!(repositories.bucket().size_of(&wrong).await.unwrap(), None);
        }
    }
}

async fn nobody_gets_an_object_for_naming_it(repositories: &Repositories) {
    let uploads = repositories.uploads();
    for size in SIZES {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let (bytes, other) = (content(110, size), content(111, size));
            let (digest, size) = (Digest::of(algorithm, &bytes), bytes.len() as u64);
            uploads.put_whole(&digest, size, source(&bytes), PATIENCE).await.unwrap();

            let refused = uploads.put_whole(&digest, size, source(&other), PATIENCE).await;
            assert!(matches!(refused, Err(FinishError::WrongDigest { .. })), "{refused:?}");
            for chunks in [vec![other.clone()], vec![other.slice(..9), other.slice(9..)]] {
                let id = begin(uploads).await;
                for chunk in chunks {
                    append(uploads, &id, &chunk).await;
                }
                let refused = finish(uploads, &id, &digest).await;
                assert!(matches!(refused, Err(FinishError::WrongDigest { .. })), "{refused:?}");
                assert!(uploads.cancel(&id).await.unwrap());
            }
            holds(repositories, &bytes, algorithm).await;
        }
    }
}

async fn the_old_ones_are_found(uploads: &Uploads) {
    let (one, other) = (begin(uploads).await, begin(uploads).await);
    append(uploads, &one, &content(100, 100_000)).await;
    let expired = |before| uploads.expired(before).try_collect::<Vec<UploadId>>();
    assert_eq!(expired(Timestamp::UNIX_EPOCH).await.unwrap(), []);
    let mut found = expired(Timestamp::MAX).await.unwrap();
    found.sort_unstable();
    let mut all = vec![one, other];
    all.sort_unstable();
    assert_eq!(found, all);
    for id in all {
        assert!(uploads.cancel(&id).await.unwrap());
    }
}
