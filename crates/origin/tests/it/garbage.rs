//! Garbage collection beside clients that push.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use landbridge_core::Digest;
use landbridge_core::generation::{ObjectEntry, Repository, Root};
use landbridge_core::media_type::{OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST};
use landbridge_origin::gc::{
    Collection, GcError, Report, Retention, collect, collect_until, prepare,
};
use landbridge_store::{BucketLayout, Repositories};
use landbridge_testkit::S3;
use serde_json::json;

use crate::content::{bytes, encode, image};
use crate::served::{Served, Store, everywhere_with};

fn collection(grace: Duration) -> Collection {
    Collection {
        grace,
        upload_expiry: grace,
        retention: Retention::default(),
        kept: HashSet::new(),
        stale_after: Duration::from_mins(1),
    }
}

fn run(served: &Served, collection: &Collection) -> Report {
    served.runtime.block_on(async {
        let repositories = Repositories::open(served.bucket.clone()).await.unwrap();
        collect(&repositories, collection, &|_| {}).await.unwrap().1
    })
}

#[test]
fn what_no_name_leads_to_goes_in_two_collections_and_an_image_stays() {
    everywhere_with(at_once, |served| {
        let manifest = encode(&image(served, "a", 1));
        assert_eq!(served.push("a", "v1", OCI_MANIFEST, &manifest).status, 201);
        let orphan = served.push_blob("a", &bytes(9, 1000));
        let target = format!("/v2/a/blobs/{orphan}");

        let first = until(served, |report| report.condemned.objects > 0);
        assert_eq!((first.condemned.objects, first.deleted.objects), (1, 0), "{first}");
        assert_eq!(first.condemned.bytes, 1000);
        let second = until(served, |report| report.deleted.objects > 0);
        assert_eq!((second.deleted.objects, second.deleted.bytes), (1, 1000), "{second}");
        assert_eq!(served.get(&target).status, 404);
        assert_eq!(served.get("/v2/a/manifests/v1").body, manifest);
        served.push_blob("a", &bytes(9, 1000));
        assert_eq!(served.get(&target).status, 200, "what was deleted can be pushed again");

        let digest = Digest::sha256_of(&manifest);
        assert_eq!(served.delete(&format!("/v2/a/manifests/{digest}")).status, 202);
        until(served, |report| report.kept.objects + report.waiting.objects == 0);
        // What was pushed in the second of its condemnation is reprieved once, others are not.
        until(served, |_| served.get(&target).status == 404);
    });
}

#[test]
fn what_a_generation_lists_stays() {
    everywhere_with(at_once, |served| {
        let published = served.push_blob("a", &bytes(1, 100));
        let orphan = served.push_blob("a", &bytes(2, 100));
        let object =
            ObjectEntry { digest: published, media_type: OCI_LAYER_GZIP.to_owned(), size: 100 };
        let mut repository = Repository::empty("a".parse().unwrap());
        repository.objects.push(object);
        served.runtime.block_on(async {
            served.bucket.put_document(&repository).await.unwrap();
            served.bucket.put_document(&Root::new(vec![repository.entry()])).await.unwrap();
        });
        until(served, |report| report.deleted.objects > 0);
        assert_eq!(served.get(&format!("/v2/a/blobs/{published}")).status, 200);
        assert_eq!(served.get(&format!("/v2/a/blobs/{orphan}")).status, 404);
    });
}

#[test]
fn an_upload_that_was_given_up_goes() {
    everywhere_with(at_once, |served| {
        let upload = served.begin("a");
        assert_eq!(served.ask("PATCH", &upload, &[], &bytes(3, 70_000)).status, 202);
        until(served, |report| report.uploads == 1);
        assert_eq!(served.get(&upload).status, 404);
    });
}

#[test]
fn who_is_told_that_a_condemned_blob_is_there_can_rely_on_it() {
    everywhere_with(at_once, |served| {
        let orphan = served.push_blob("a", &bytes(9, 1000));
        until(served, |report| report.condemned.objects == 1);
        assert_eq!(served.head(&format!("/v2/a/blobs/{orphan}")).status, 200);
        let report = run(served, &collection(Duration::ZERO));
        assert_eq!((report.deleted.objects, report.withdrawn), (0, 1), "{report}");
    });
}

/// Collections whose store refuses more and more reads, each followed by one that may do all.
#[tokio::test]
async fn a_collection_that_fails_in_the_middle_makes_way_for_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3::start(directory.path(), &[]).unwrap();
    let bucket = server.bucket("bucket", BucketLayout::Blobs, "").unwrap();
    let repositories = Repositories::open(bucket).await.unwrap();
    let orphan = bytes(9, 1000);
    let digest = Digest::sha256_of(&orphan);
    let once = futures::stream::iter([Ok::<_, std::convert::Infallible>(orphan.into())]);
    repositories.bucket().put_object(&digest, 1000, "", once).await.unwrap();

    // So does one that is told to stop while it waits for the store.
    let stopped =
        collect_until(&repositories, &collection(GRACE), &|_| {}, std::future::ready(())).await;
    assert!(matches!(stopped, Err(GcError::Stopped)), "{stopped:?}");
    collect(&repositories, &collection(GRACE), &|_| {}).await.unwrap();

    let (mut failed, mut reads) = (0, 0);
    loop {
        server.allow_reads(reads);
        let first = collect(&repositories, &collection(GRACE), &|_| {}).await;
        server.allow_reads(i64::MAX);
        collect(&repositories, &collection(GRACE), &|_| {}).await.unwrap();
        reads += 1;
        match first {
            Ok(_) => break,
            Err(_) => failed += 1,
        }
    }
    assert!(failed > 3, "only {failed} collections failed");
}

/// No time to wait for: a report then holds for the next collection only.
fn at_once(settings: &mut landbridge_origin::settings::Settings) {
    settings.grace = Duration::ZERO;
}

/// Collects again and again, since some stores keep time in seconds, until the report is right.
#[track_caller]
fn until(served: &Served, is_right: impl Fn(&Report) -> bool) -> Report {
    let started = std::time::Instant::now();
    loop {
        let report = run(served, &collection(Duration::ZERO));
        if is_right(&report) {
            return report;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "not to be seen: {report}");
    }
}

#[test]
fn a_plan_changes_nothing() {
    let served = Served::start(Store::Directory);
    served.push_blob("a", &bytes(9, 1000));
    let plan = served.runtime.block_on(async {
        let repositories = Repositories::open(served.bucket.clone()).await.unwrap();
        prepare(&repositories, &collection(Duration::ZERO)).await.unwrap()
    });
    assert_eq!(plan.condemn.len(), 1);
    let report = run(&served, &collection(Duration::ZERO));
    assert_eq!((report.condemned.objects, report.deleted.objects), (1, 0));
}

/// Blobs that manifests choose from. Most of them are unreferenced most of the time.
const POOL: u64 = 24;
const GRACE: Duration = Duration::from_millis(40);

#[test]
fn nothing_that_was_acknowledged_is_lost_while_collections_run() {
    push_beside_collections(Store::Memory, 1_000);
    // Where each write goes to the disk.
    push_beside_collections(Store::Directory, 100);
}

fn push_beside_collections(store: Store, rounds: u64) {
    let served = Served::start_with(store, |settings| settings.grace = GRACE);
    let is_done = AtomicBool::new(false);
    let (deleted, saved) = (AtomicU64::new(0), AtomicU64::new(0));
    let refused = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Another handle, as another process has one.
            let collection = collection(GRACE);
            while !is_done.load(Ordering::Relaxed) {
                let report = run(&served, &collection);
                deleted.fetch_add(report.deleted.objects, Ordering::Relaxed);
                saved.fetch_add(report.reprieved + report.withdrawn, Ordering::Relaxed);
            }
        });
        let stop = Stop(&is_done);
        let refused = (0..rounds).filter(|round| !push(&served, *round)).count();
        drop(stop);
        refused
    });
    let (deleted, saved) = (deleted.into_inner(), saved.into_inner());
    assert!(
        deleted > rounds / 20,
        "only {deleted} objects were deleted: the collections did nothing"
    );
    assert!(saved > 0, "no condemned object was ever relied on again");
    assert!(refused as u64 <= rounds / 2, "{refused} of {rounds} pushes were refused");
}

/// Ends the collections even if a push panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Pushes a manifest as clients do: asks for each blob, uploads what is not there. If it is
/// acknowledged, all of it must be there, now and until it is deleted. Says if it was.
fn push(served: &Served, round: u64) -> bool {
    let blobs: Vec<_> = (0..3).map(|n| bytes((round * 7 + n * 5) % POOL, 500)).collect();
    let mut descriptors = Vec::new();
    for (n, blob) in blobs.iter().enumerate() {
        let digest = Digest::sha256_of(blob);
        if served.head(&format!("/v2/a/blobs/{digest}")).status != 200 {
            served.push_blob("a", blob);
        }
        let media_type = if n == 0 { OCI_CONFIG } else { OCI_LAYER_GZIP };
        descriptors.push(
            json!({"mediaType": media_type, "digest": digest.to_string(), "size": blob.len()}),
        );
    }
    let manifest = encode(&json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": descriptors[0], "layers": descriptors[1..],
        "annotations": {"round": round.to_string()},
    }));
    let digest = Digest::sha256_of(&manifest);
    let answer = served.push("a", &format!("r{round}"), OCI_MANIFEST, &manifest);
    if answer.status != 201 {
        assert_eq!(answer.error_code().as_deref(), Some("MANIFEST_BLOB_UNKNOWN"), "{answer}");
        return false;
    }
    let is_whole = || {
        assert_eq!(served.get(&format!("/v2/a/manifests/{digest}")).body, manifest);
        for blob in &blobs {
            let target = format!("/v2/a/blobs/{}", Digest::sha256_of(blob));
            assert_eq!(served.get(&target).body, *blob, "round {round}");
        }
    };
    is_whole();
    // Some stay for several collections.
    if round.is_multiple_of(16) {
        std::thread::sleep(3 * GRACE);
        is_whole();
    }
    assert_eq!(served.delete(&format!("/v2/a/manifests/{digest}")).status, 202);
    true
}
