//! Withdrawals: signed lists that generations, imports and rollbacks obey.

use std::collections::BTreeSet;

use landbridge_core::Digest;
use landbridge_core::topology::CopyId;
use landbridge_replicate::{
    Audit, Budget, Choice, Depth, Effect, ImportError, Stop, Verdict, WithdrawalChange,
    WithdrawalReport, audit, roll_back, withdraw, withdrawals,
};
use landbridge_store::read::{CatalogReader, CopySource, Follow, HoldingSource, Loaded, Poll};
use landbridge_testkit::image::Image;

use crate::world::{World, oci};

impl World {
    async fn withdraw(&self, digest: &str) -> WithdrawalReport {
        let change = WithdrawalChange::Withdraw(digest.parse().unwrap());
        withdraw(&self.publishing(), &change, "a test").await.unwrap()
    }

    /// What a front does.
    fn reader(&self) -> CatalogReader {
        let publication = &self.publication;
        let copy = |index| CopyId::new(index).unwrap();
        CatalogReader {
            authority: publication.authority.clone(),
            catalog: publication.catalog.clone(),
            keys: publication.keys.clone(),
            retain: 3,
            copies: vec![CopySource {
                copy: copy(1),
                name: "mirror".into(),
                source: HoldingSource::Bucket(self.mirror().clone()),
            }],
            origin: copy(0),
            holding_timeout: std::time::Duration::from_secs(10),
            minimum_sequence: 0,
            last: None,
            follow: Follow::Newest,
            cache: None,
            exported: None,
        }
    }

    async fn load(&self, current: Option<&Loaded>) -> Loaded {
        match self.reader().poll(current, jiff::Timestamp::now()).await.unwrap() {
            Poll::New(loaded) => *loaded,
            Poll::Unchanged(notes) | Poll::Silent(notes) => panic!("nothing new: {notes:?}"),
        }
    }
}

fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

/// Two releases of `a:v1`, and `a:other`.
async fn released() -> (World, [Image; 3]) {
    let world = World::new();
    let mut images = Vec::new();
    for (seed, tag) in [(1, "v1"), (2, "other"), (3, "v1")] {
        let (layout, image) = world.image(&format!("image-{seed}"), seed, tag);
        world.import(&oci(&layout), &format!("a:{tag}")).await.unwrap();
        images.push(image);
    }
    (world, images.try_into().unwrap())
}

#[tokio::test]
async fn what_is_withdrawn_is_hidden_at_once_and_deleted_everywhere() {
    let (world, [_, other, last]) = released().await;
    let before = world.load(None).await;
    let manifest = &last.manifest.digest;
    let report = world.withdraw(manifest).await;
    assert_eq!((report.published, report.failed), (Some(1), Vec::new()));
    world.assert_nowhere(manifest).await;

    let now = world.load(Some(&before)).await;
    let view = now.catalog.repository("a").unwrap();
    assert_eq!(view.tags_after("").collect::<Vec<_>>(), ["other"]);
    assert!(view.tag("v1").is_none() && view.manifest(&digest(manifest)).is_none());
    assert!(view.manifest(&digest(&other.manifest.digest)).is_some());
    assert_eq!(now.hidden_tags.len(), 1);
    // A blob, too; the manifest that needs it stays.
    let layer = &other.layers[0].digest;
    assert!(now.catalog.object(&digest(layer)).is_some());
    assert_eq!(world.withdraw(layer).await.published, Some(2));
    let now = world.load(Some(&now)).await;
    assert!(now.catalog.object(&digest(layer)).is_none());
    assert!(now.catalog.repository("a").unwrap().tag("other").is_some());

    // Saying it again changes nothing; what is deleted again was deleted.
    let again = world.withdraw(layer).await;
    assert_eq!((again.published, again.failed.len(), again.entries.len()), (None, 0, 2));
    let stop = Stop::new();
    let request = Audit {
        publication: &world.publication,
        faces: Vec::new(),
        registry: None,
        depth: Depth::Full,
        choice: Choice::all(1),
        budget: Budget::default(),
        effect: Effect::Mark,
        at_once: 4,
        stop: &stop,
    };
    let report = audit(&request, &|_| {}).await.unwrap();
    assert_eq!(report.verdict(), Verdict::Clean, "{report}");
}

#[tokio::test]
async fn neither_an_import_nor_a_rollback_brings_it_back() {
    let (world, [first, _, last]) = released().await;
    let manifest = &first.manifest.digest;
    world.withdraw(manifest).await;
    // Back to where `a:v1` meant it.
    let all = landbridge_replicate::releases(&world.publication).await.unwrap();
    let generation = landbridge_replicate::find_release(&all, "1").unwrap();
    roll_back(&world.publishing(), generation, "a test").await.unwrap();
    let now = world.load(None).await;
    assert_eq!(now.pointer.content().sequence, 4);
    assert!(now.catalog.repository("a").unwrap().tag("v1").is_none());
    assert!(now.catalog.object(&digest(manifest)).is_none());

    let (layout, same) = world.image("again", 1, "v1");
    assert_eq!(same.manifest.digest, *manifest);
    let report = world.import(&oci(&layout), "a:v1").await.unwrap();
    assert_eq!(report.skipped.len(), 1, "{report}");
    assert!(report.to_string().contains("`a:v1` is withdrawn"), "{report}");
    world.assert_nowhere(manifest).await;
    // Another image that needs something withdrawn is left out as well.
    world.withdraw(&last.layers[0].digest).await;
    let (layout, _) = world.image("needs", 3, "v1");
    let report = world.import(&oci(&layout), "a:v1").await.unwrap();
    assert!(report.to_string().contains("needs something that is withdrawn"), "{report}");
    world.assert_nowhere(&last.layers[0].digest).await;

    // Restored, it may come again.
    for digest in [manifest, &last.layers[0].digest] {
        let change = WithdrawalChange::Restore(digest.parse().unwrap());
        let report = withdraw(&world.publishing(), &change, "a mistake").await.unwrap();
        assert!(report.published.is_some() && report.failed.is_empty(), "{report}");
    }
    let (layout, _) = world.image("back", 1, "v1");
    world.import(&oci(&layout), "a:v1").await.unwrap();
    for blob in first.blobs() {
        world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
    let now = world.load(None).await;
    assert_eq!(now.catalog.repository("a").unwrap().tag("v1").unwrap().digest, digest(manifest));
    assert_eq!(now.withdrawals.unwrap().content().digests(), BTreeSet::new());
}

#[tokio::test]
async fn a_list_never_goes_back_and_only_one_that_is_signed_counts() {
    let (world, [first, other, _]) = released().await;
    world.withdraw(&first.manifest.digest).await;
    let one = world.load(None).await;
    world.withdraw(&other.manifest.digest).await;
    let two = world.load(Some(&one)).await;
    let file = |number: u64| world.dir.path().join(format!("origin/withdrawn/{number:020}"));
    let lists = [1, 2].map(|number| std::fs::read(file(number)).unwrap());
    let unchanged = async |loaded: &Loaded| match world
        .reader()
        .poll(Some(loaded), jiff::Timestamp::now())
        .await
        .unwrap()
    {
        Poll::Unchanged(notes) | Poll::Silent(notes) => notes.join("\n"),
        Poll::New(loaded) => panic!("{:?}", loaded.withdrawals),
    };
    assert_eq!(unchanged(&two).await, "");
    // Lost, replaced by an older one, by nonsense, by another catalog's: the old one is obeyed on.
    std::fs::remove_file(file(2)).unwrap();
    assert!(unchanged(&two).await.contains("has lost list 2"));
    std::fs::write(file(2), &lists[0]).unwrap();
    assert!(unchanged(&two).await.contains("put where it does not belong"));
    std::fs::write(file(3), "{}").unwrap();
    assert!(unchanged(&two).await.contains("malformed"));
    // Whoever publishes does not build on what it cannot read.
    std::fs::remove_file(file(1)).unwrap();
    let error = withdrawals(&world.publication).await.unwrap();
    assert_eq!((error.0.len(), error.1.len()), (0, 2));
    let change = WithdrawalChange::Withdraw(Digest::sha256_of(b"x"));
    let error = withdraw(&world.publishing(), &change, "a test").await.unwrap_err();
    assert!(matches!(error, ImportError::NoTrustedWithdrawals { .. }), "{error}");
    std::fs::write(file(2), &lists[1]).unwrap();
    // Number 3 is taken by nonsense, so the next is 4.
    let report = withdraw(&world.publishing(), &change, "a test").await.unwrap();
    assert_eq!((report.published, report.entries.len()), (Some(4), 3));
    // Mirrors have it as well.
    let mirror = world.dir.path().join(format!("aws/withdrawn/{:020}", 4));
    assert_eq!(std::fs::read(mirror).unwrap(), std::fs::read(file(4)).unwrap());
    let long = "x".repeat(1_000);
    let error = withdraw(&world.publishing(), &change, &long).await.unwrap_err();
    assert!(matches!(error, ImportError::LongReason { .. }), "{error}");
}

#[tokio::test]
async fn two_that_withdraw_at_once_both_succeed() {
    let (world, _) = released().await;
    let digests: Vec<_> = (0..8u8).map(|number| Digest::sha256_of(&[number])).collect();
    let withdrawn = digests.iter().map(|digest| async {
        let change = WithdrawalChange::Withdraw(*digest);
        withdraw(&world.publishing(), &change, "a race").await.unwrap()
    });
    let reports = futures::future::join_all(withdrawn).await;
    let numbers: BTreeSet<_> = reports.iter().filter_map(|report| report.published).collect();
    assert_eq!(numbers, (1..=8).collect());
    let (entries, refused) = withdrawals(&world.publication).await.unwrap();
    assert_eq!((entries.len(), refused.len()), (8, 0));
}
