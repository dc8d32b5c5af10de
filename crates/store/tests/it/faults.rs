//! Processes that die in the middle, and what they leave.

use std::convert::Infallible;
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::manifest::Descriptor;
use landbridge_core::{Digest, RepositoryName};
use landbridge_store::{
    AppendError, Bucket, BucketLayout, Chunk, FinishError, ManifestLink, Repositories, StoreError,
    TagLink, UploadId,
};
use landbridge_testkit::S3;
use url::Url;

const LIMIT: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

fn here() -> RepositoryName {
    "push/here".parse().unwrap()
}

/// Bytes like no other's.
fn content(seed: usize, size: usize) -> Bytes {
    let mut bytes = vec![7; size];
    bytes[..8].copy_from_slice(&(seed as u64).to_le_bytes());
    bytes.into()
}

fn source(bytes: &Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let pieces: Vec<_> = bytes.chunks(200_000).map(Bytes::copy_from_slice).map(Ok).collect();
    stream::iter(pieces)
}

/// What a client does for one blob, from where its upload stands.
async fn push(
    repositories: &Repositories,
    id: &UploadId,
    bytes: &Bytes,
) -> Result<(), FinishError> {
    let uploads = repositories.uploads();
    let digest = Digest::sha256_of(bytes);
    let mut upload = uploads.status(id).await?.ok_or(AppendError::Unknown)?;
    let offset = usize::try_from(upload.offset()).unwrap();
    if offset < bytes.len() {
        let chunk = Chunk { from: None, size: None, source: source(&bytes.slice(offset..)) };
        uploads.append(&upload, chunk, LIMIT).await?;
        upload = uploads.status(id).await?.ok_or(AppendError::Unknown)?;
    }
    let none = None::<Chunk<stream::Empty<Result<Bytes, Infallible>>>>;
    let confirmed = uploads.finish(&upload, &digest, none, LIMIT, PATIENCE).await?;
    repositories.link_blob(&here(), &digest, confirmed.size()).await?;
    uploads.cancel(id).await?;
    Ok(())
}

/// Whatever happened: what is visible is right, and the client can go on.
async fn is_sound(repositories: &Repositories, id: &UploadId, bytes: &Bytes) {
    let digest = Digest::sha256_of(bytes);
    let size = bytes.len() as u64;
    if let Some(found) = repositories.bucket().size_of(&digest).await.unwrap() {
        assert_eq!(found, size);
        assert!(repositories.bucket().get(&digest, size).await.unwrap() == *bytes);
    }
    loop {
        match push(repositories, id, bytes).await {
            // The dead process's last request, or its clearing up, was still under way.
            Err(
                FinishError::Append(AppendError::OutOfOrder { .. })
                | FinishError::Store(StoreError::NotFound(_)),
            ) => {}
            // It had done all.
            Err(FinishError::Append(AppendError::Unknown)) => break,
            other => break other.unwrap(),
        }
    }
    assert_eq!(repositories.blob_link(&here(), &digest).await.unwrap(), Some(size));
    assert!(repositories.bucket().get(&digest, size).await.unwrap() == *bytes);
}

#[tokio::test]
async fn after_any_write_that_was_the_last_one_an_upload_can_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3::start(directory.path(), &[]).unwrap();
    let repositories =
        Repositories::open(server.bucket("cut", BucketLayout::Blobs, "").unwrap()).await.unwrap();
    for size in [100, 300_000, (8 << 20) + 1] {
        for writes in 0.. {
            let bytes = content(writes, size);
            let id = repositories.uploads().begin(&here(), Timestamp::now()).await.unwrap();
            server.allow_writes(writes.try_into().unwrap());
            let pushed = push(&repositories, &id, &bytes).await;
            server.allow_writes(i64::MAX);
            is_sound(&repositories, &id, &bytes).await;
            if pushed.is_ok() {
                assert!(writes >= 5, "{writes} writes cannot be enough");
                break;
            }
        }
    }
}

/// Polls a future this often and then drops it, as a process that is killed does. True if it had
/// come to its end.
async fn cut<T>(polls: usize, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

async fn in_directory(directory: &Path) -> Repositories {
    let url = Url::from_directory_path(directory).unwrap();
    Repositories::open(Bucket::open(&url, BucketLayout::Blobs).unwrap()).await.unwrap()
}

#[tokio::test]
async fn after_a_kill_at_any_await_an_upload_can_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let repositories = in_directory(directory.path()).await;
    let mut kills = 0;
    for size in [100, 300_000, (2 << 20) + 1] {
        for polls in 0.. {
            let bytes = content(polls, size);
            let id = repositories.uploads().begin(&here(), Timestamp::now()).await.unwrap();
            let is_done = cut(polls, push(&repositories, &id, &bytes)).await;
            is_sound(&repositories, &id, &bytes).await;
            if is_done {
                break;
            }
            kills += 1;
        }
    }
    // How many there are of one size depends on how fast the disk is: what is over at once is not
    // waited for.
    assert!(kills >= 8, "only {kills} were killed");
}

/// All that can be listed, as text.
async fn everything(repositories: &Repositories) -> Vec<String> {
    let mut found = Vec::new();
    let page = repositories.repositories_after(None, usize::MAX).await.unwrap();
    found.extend(page.items.iter().map(ToString::to_string));
    let names: Vec<RepositoryName> = repositories.repositories().try_collect().await.unwrap();
    for name in names {
        let page = repositories.tags_after(&name, None, usize::MAX - 1).await.unwrap();
        found.extend(page.items.iter().map(ToString::to_string));
        let subject = Digest::sha256_of(b"subject");
        let page = repositories.referrers_after(&name, &subject, None, 100).await.unwrap();
        found.extend(page.items.iter().map(|item| format!("{:?}", item.digest)));
        let tags = repositories.tags(&name).map_ok(|listed| listed.item.to_string());
        let manifests = repositories.manifests(&name).map_ok(|listed| listed.item.to_string());
        let blobs = repositories.blob_links(&name).map_ok(|listed| listed.item.to_string());
        let referrers = repositories.referrer_subjects(&name).map_ok(|l| format!("{:?}", l.item));
        let all = tags.chain(manifests).chain(blobs).chain(referrers);
        found.extend(all.try_collect::<Vec<_>>().await.unwrap());
    }
    let leases = repositories.leases();
    let objects = repositories.objects().chain(leases.all()).chain(leases.all_condemned());
    found.extend(objects.map_ok(|l| l.item.to_string()).try_collect::<Vec<_>>().await.unwrap());
    let uploads = repositories.uploads().expired(Timestamp::MAX).map_ok(|id| id.to_string());
    found.extend(uploads.try_collect::<Vec<_>>().await.unwrap());
    found.sort_unstable();
    found
}

/// Puts a draft beside every file, and counts them.
fn leave_drafts(directory: &Path) -> u64 {
    let mut count = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += leave_drafts(&path);
        } else {
            for number in [0, 1, 7_777_777_777_777_777_777_u64] {
                std::fs::write(format!("{}#{number}", path.display()), "half").unwrap();
                count += 1;
            }
        }
    }
    count
}

#[tokio::test]
async fn drafts_of_dead_writers_are_nothing_and_can_be_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let repositories = in_directory(directory.path()).await;
    let uploads = repositories.uploads();
    let bytes = content(1, 300_000);
    let digest = Digest::sha256_of(&bytes);
    let id = uploads.begin(&here(), Timestamp::now()).await.unwrap();
    push(&repositories, &id, &bytes).await.unwrap();
    let id = uploads.begin(&here(), Timestamp::now()).await.unwrap();
    let upload = uploads.status(&id).await.unwrap().unwrap();
    let chunk = Chunk { from: None, size: None, source: source(&bytes) };
    uploads.append(&upload, chunk, LIMIT).await.unwrap();
    let link = TagLink { digest, media_type: "a/b".into(), size: 1, pushed: Timestamp::now() };
    repositories.put_tag(&here(), &"v1".parse().unwrap(), &link).await.unwrap();
    let link =
        ManifestLink { media_type: "a/b".into(), size: 1, artifact_type: None, subject: None };
    repositories.link_manifest(&here(), &digest, &link).await.unwrap();
    let referrer = Descriptor {
        media_type: "a/b".into(),
        digest,
        size: 1,
        artifact_type: None,
        annotations: [].into(),
        urls: vec![],
        platform: None,
    };
    let subject = Digest::sha256_of(b"subject");
    repositories.put_referrer(&here(), &subject, &referrer).await.unwrap();
    let mut collector = repositories.leases().collector(PATIENCE).await.unwrap();
    collector.condemn(&digest).await.unwrap();

    let before = everything(&repositories).await;
    assert_eq!(before.len(), 11, "{before:#?}");
    let count = leave_drafts(directory.path());
    assert!(count > 10);
    assert_eq!(everything(&repositories).await, before);
    // And they are in nobody's way.
    push(&repositories, &id, &bytes).await.unwrap();
    let id = uploads.begin(&here(), Timestamp::now()).await.unwrap();
    assert!(uploads.cancel(&id).await.unwrap());
    collector.withdraw(&digest).await.unwrap();
    let none = repositories.delete_drafts(Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(none.count, 0);
    let deleted = repositories.delete_drafts(Timestamp::MAX).await.unwrap();
    // The finished upload took its own with it.
    assert_eq!(deleted.bytes, deleted.count * 4);
    assert_eq!(deleted.count, count - 9);
    assert_eq!(repositories.delete_drafts(Timestamp::MAX).await.unwrap().count, 0);
    assert!(repositories.bucket().get(&digest, LIMIT).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_named_and_not_absent() {
    let directory = tempfile::tempdir().unwrap();
    let repositories = in_directory(directory.path()).await;
    let digest = Digest::sha256_of(b"x");
    let link = TagLink { digest, media_type: "a/b".into(), size: 1, pushed: Timestamp::now() };
    let tag = "v1".parse().unwrap();
    repositories.put_tag(&here(), &tag, &link).await.unwrap();
    let path = directory.path().join("repositories/push/here/_tags/v1");
    let whole = std::fs::read_to_string(&path).unwrap();
    for wrong in [
        String::new(),
        "[]".to_owned(),
        whole[..whole.len() - 1].to_owned(),
        whole.replace("\"size\"", "\"more\":1,\"size\""),
        whole.replace("sha256:", "md5:"),
        format!("{whole}{whole}"),
    ] {
        std::fs::write(&path, &wrong).unwrap();
        let error = repositories.tag(&here(), &tag).await.unwrap_err();
        assert!(matches!(error, StoreError::Malformed { .. }), "{wrong}: {error:?}");
        assert!(
            error.to_string().contains("`repositories/push/here/_tags/v1` in file:"),
            "{error}"
        );
    }
    std::fs::write(&path, vec![b' '; 70_000]).unwrap();
    let error = repositories.tag(&here(), &tag).await.unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { .. }), "{error:?}");
}
