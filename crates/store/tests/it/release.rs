//! Releases, written by the five steps and read as a front reads them.

mod attacks;
mod cache;
mod follow;

use std::cell::Cell;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use jiff::Timestamp;
use landbridge_core::generation::{ManifestEntry, ObjectEntry, Repository, TagEntry};
use landbridge_core::holding::Holding;
use landbridge_core::pointer::{Keys, Pointer};
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_core::{Digest, RepositoryName};
use landbridge_sign::LocalKey;
use landbridge_store::publish::{
    Act, Base, Changes, Checked, Mirror, Publication, PublishError, Published,
};
use landbridge_store::read::{
    CatalogReader, CopySource, Follow, HoldingSource, Loaded, Poll, ReadError,
};
use landbridge_store::{Bucket, BucketLayout, Evidence, MirrorState, Require};
use landbridge_testkit::{Azurite, Garage, Gcs, S3, StoreAddress};
use tempfile::TempDir;
use url::Url;

/// When fronts poll, as long as that makes no difference.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An authority and a mirror, and a front that reads both.
struct World {
    publication: Publication,
    reader: CatalogReader,
    key: LocalKey,
    /// When the next release is published.
    now: Cell<Timestamp>,
    _directory: Option<TempDir>,
}

fn copy(index: usize) -> CopyId {
    CopyId::new(index).unwrap()
}

fn copies(indexes: &[usize]) -> CopySet {
    indexes.iter().map(|index| copy(*index)).collect()
}

impl World {
    /// On a disk, or over the store that this process was given: what overwrites is a mirror only.
    fn new() -> Self {
        let offered = StoreAddress::offered().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let open = |name, offered: Option<&StoreAddress>| {
            if let Some(store) = offered {
                return store.bucket(BucketLayout::ContainersImages, name).unwrap();
            }
            let url = Url::from_directory_path(directory.path().join(name)).unwrap();
            Bucket::open(&url, BucketLayout::ContainersImages).unwrap()
        };
        let authority = open("origin", offered.as_ref().filter(|store| store.kind().creates()));
        let mirror = open("mirror", offered.as_ref());
        Self { _directory: Some(directory), ..Self::over(authority, mirror) }
    }

    fn over(authority: Bucket, mirror: Bucket) -> Self {
        let key = LocalKey::generate().unwrap();
        let keys = Keys::new(vec![key.public().clone()], 1).unwrap();
        let publication = Publication {
            authority: authority.clone(),
            mirrors: vec![Mirror { name: "mirror".into(), provider: None, bucket: mirror.clone() }],
            catalog: "demo".into(),
            keys: keys.clone(),
            minimum_sequence: 0,
            require: Require::default(),
        };
        let reader = CatalogReader {
            authority,
            catalog: "demo".into(),
            keys,
            retain: 2,
            copies: vec![CopySource {
                copy: copy(1),
                name: "mirror".into(),
                source: HoldingSource::Bucket(mirror),
            }],
            origin: copy(0),
            holding_timeout: Duration::from_secs(10),
            minimum_sequence: 0,
            last: None,
            follow: Follow::Newest,
            cache: None,
            exported: None,
        };
        Self { publication, reader, key, now: Cell::new(Timestamp::UNIX_EPOCH), _directory: None }
    }

    fn mirror(&self) -> &Bucket {
        &self.publication.mirrors[0].bucket
    }

    /// Steps one and two: the image's objects in these buckets.
    async fn put(&self, image: &Image, buckets: &[&Bucket]) -> Result<Evidence, String> {
        let mut evidence = Evidence::default();
        for bucket in buckets {
            for bytes in [&image.manifest, &image.layer] {
                let (digest, size) = (Digest::sha256_of(bytes), bytes.len() as u64);
                let source = stream::iter([Ok::<_, std::io::Error>(bytes.clone())]);
                let confirmed = bucket.put_object(&digest, size, MANIFEST, source).await;
                evidence.add(&confirmed.map_err(|error| error.to_string())?);
            }
        }
        Ok(evidence)
    }

    async fn release(&self, image: &Image) -> Result<Published, String> {
        let evidence = self.put(image, &[&self.publication.authority, self.mirror()]).await?;
        self.release_with(image, evidence).await.map_err(|error| format!("{error:?}"))
    }

    async fn release_with(
        &self,
        image: &Image,
        evidence: Evidence,
    ) -> Result<Published, PublishError> {
        let base = self.publication.base().await?;
        let changes = self.changes(&base, image).await?;
        self.publish(base, changes, evidence).await
    }

    /// Steps three to five.
    async fn publish(
        &self,
        base: Base,
        changes: Changes,
        evidence: Evidence,
    ) -> Result<Published, PublishError> {
        let written = self.publication.write(base, changes, evidence).await?;
        let checked = self.publication.check(written).await?;
        self.sign_and_publish(checked, |pointer| self.key.sign_pointer(pointer)).await
    }

    async fn sign_and_publish(
        &self,
        checked: Checked,
        sign: impl FnOnce(&Pointer) -> Vec<u8>,
    ) -> Result<Published, PublishError> {
        let unsigned = self.publication.draft(checked, Act { now: self.now.get(), ..ACT })?;
        let envelope = sign(unsigned.pointer());
        self.publication.publish(unsigned, &envelope).await
    }

    async fn changes(&self, base: &Base, image: &Image) -> Result<Changes, PublishError> {
        let name: RepositoryName = image.repository.parse().unwrap();
        let before = self.publication.repository(base, &name).await?;
        let mut repository = before.unwrap_or_else(|| Repository::empty(name));
        image.add_to(&mut repository);
        Ok(Changes { put: vec![repository], remove: vec![] })
    }

    async fn load(&self, current: Option<&Loaded>) -> Loaded {
        match self.reader.poll(current, NOW).await.unwrap() {
            Poll::New(loaded) => *loaded,
            Poll::Unchanged(notes) | Poll::Silent(notes) => panic!("unchanged: {notes:?}"),
        }
    }
}

const ACT: Act<'_> =
    Act { now: Timestamp::UNIX_EPOCH, expires: Timestamp::MAX, reason: "test", despite_gaps: None };

struct Image {
    repository: &'static str,
    tag: &'static str,
    manifest: Bytes,
    layer: Bytes,
}

fn image(repository: &'static str, tag: &'static str, seed: &str) -> Image {
    let (manifest, layer) = (format!("manifest {seed}").into(), format!("layer {seed}").into());
    Image { repository, tag, manifest, layer }
}

impl Image {
    fn manifest_digest(&self) -> Digest {
        Digest::sha256_of(&self.manifest)
    }

    fn layer_digest(&self) -> Digest {
        Digest::sha256_of(&self.layer)
    }

    fn add_to(&self, repository: &mut Repository) {
        let (digest, size) = (self.manifest_digest(), self.manifest.len() as u64);
        repository.manifests.push(ManifestEntry { digest, media_type: MANIFEST.into(), size });
        repository.tags.push(TagEntry { digest, name: self.tag.parse().unwrap() });
        let (digest, size) = (self.layer_digest(), self.layer.len() as u64);
        repository.objects.push(ObjectEntry { digest, media_type: "a/layer".into(), size });
    }

    fn tag_in(&self, loaded: &Loaded) -> Option<Digest> {
        Some(loaded.catalog.repository(self.repository)?.tag(self.tag)?.digest)
    }
}

fn unchanged(poll: Poll) -> Vec<String> {
    match poll {
        Poll::Unchanged(notes) | Poll::Silent(notes) => notes,
        Poll::New(loaded) => panic!("new: {loaded:?}"),
    }
}

/// What a process runs that was given a store: not those tests that would give it another, or that
/// bring their own.
const AGAIN: [&str; 5] =
    ["release::", "--skip", "the_same_releases", "--skip", "breaks_off_anywhere"];

#[test]
fn gcs_has_the_same_releases() {
    let gcs = Gcs::start().unwrap();
    gcs.address().run_again(&AGAIN).unwrap();
    assert_eq!(gcs.refused(), Vec::<String>::new());
}

#[test]
#[ignore = "needs azurite: scripts/stores azurite"]
fn azurite_has_the_same_releases() {
    Azurite::start().unwrap().address().run_again(&AGAIN).unwrap();
}

#[test]
#[ignore = "needs garage: scripts/stores garage"]
fn garage_as_a_mirror_has_the_same_releases() {
    Garage::start().unwrap().address().run_again(&AGAIN).unwrap();
}

#[tokio::test]
async fn a_release_is_seen_whole_with_every_copy_that_holds_it() {
    let world = World::new();
    let none = world.reader.poll(None, NOW).await.unwrap_err();
    assert!(matches!(none, ReadError::NoPointer { .. }), "{none:?}");

    let (one, two) = (image("a/one", "v1", "1"), image("b/two", "v1", "2"));
    let published = world.release(&one).await.unwrap();
    assert_eq!(published.mirrors, [("mirror".to_owned(), MirrorState::Complete)]);
    let first = world.load(None).await;
    assert_eq!(one.tag_in(&first), Some(one.manifest_digest()));
    let presence = first.catalog.object(&one.layer_digest()).unwrap();
    assert_eq!((presence.size, presence.copies), (one.layer.len() as u64, copies(&[0, 1])));
    assert_eq!(first.notes, Vec::<String>::new());
    assert!(unchanged(world.reader.poll(Some(&first), NOW).await.unwrap()).is_empty());

    world.release(&two).await.unwrap();
    let second = world.load(Some(&first)).await;
    assert_eq!(second.pointer.content().sequence, 2);
    assert_eq!(second.pointer.content().previous, Some(*first.pointer.envelope()));
    for image in [&one, &two] {
        assert_eq!(image.tag_in(&second), Some(image.manifest_digest()));
        let presence = second.catalog.object(&image.layer_digest()).unwrap();
        assert_eq!(presence.copies, copies(&[0, 1]));
    }
    let copy = world.mirror().pointer_at(2, &world.reader.keys, "demo").await.unwrap();
    assert_eq!(copy.unwrap(), second.pointer);
}

#[tokio::test]
async fn a_moved_tag_keeps_the_old_digests_answerable_for_a_while() {
    let world = World::new();
    for seed in ["1", "2", "3", "4"] {
        world.release(&image("a", "latest", seed)).await.unwrap();
        let base = world.publication.base().await.unwrap();
        // As garbage collection of the origin would: the tag alone stays.
        let name: RepositoryName = "a".parse().unwrap();
        let mut repository = Repository::empty(name);
        image("a", "latest", seed).add_to(&mut repository);
        let changes = Changes { put: vec![repository], remove: vec![] };
        world.publish(base, changes, Evidence::default()).await.unwrap();
        world.now.set(world.now.get() + Duration::from_hours(49));
    }
    // Pointers 8, 7, 6: image 4 alone, 4 with 3, 3 alone.
    let loaded = world.load(None).await;
    assert_eq!(
        image("a", "latest", "4").tag_in(&loaded).unwrap(),
        Digest::sha256_of(b"manifest 4")
    );
    let known = |text: &str| loaded.catalog.object(&Digest::sha256_of(text.as_bytes())).is_some();
    assert!(known("layer 4") && known("layer 3") && known("manifest 3"));
    assert!(!known("layer 2") && !known("manifest 1"));
    assert_eq!(loaded.notes, Vec::<String>::new());
}

#[tokio::test]
async fn what_was_not_confirmed_is_not_published() {
    let world = World::new();
    let one = image("a", "v1", "1");
    let mirror_only = world.put(&one, &[world.mirror()]).await.unwrap();
    for evidence in [Evidence::default(), mirror_only] {
        let error = world.release_with(&one, evidence).await.unwrap_err();
        assert!(matches!(error, PublishError::Unconfirmed { .. }), "{error:?}");
    }
    assert!(world.publication.base().await.unwrap().pointer().is_none());

    let mut other = image("a", "v1", "1");
    other.layer = Bytes::from_static(b"another size, same name");
    let evidence = world.put(&other, &[&world.publication.authority]).await.unwrap();
    let base = world.publication.base().await.unwrap();
    let mut changes = world.changes(&base, &other).await.unwrap();
    changes.put[0].objects[0].size += 1;
    let written = world.publication.write(base, changes, evidence).await.unwrap();
    let error = world.publication.check(written).await.unwrap_err();
    assert!(matches!(error, PublishError::Unconfirmed { .. }), "{error:?}");
}

#[tokio::test]
async fn of_two_publishers_the_slower_one_starts_again() {
    let world = World::new();
    let (one, two) = (image("a", "v1", "1"), image("a", "v2", "2"));
    let evidence = world.put(&two, &[&world.publication.authority, world.mirror()]).await.unwrap();
    let base = world.publication.base().await.unwrap();
    let changes = world.changes(&base, &two).await.unwrap();
    let written = world.publication.write(base, changes, evidence.clone()).await.unwrap();
    let checked = world.publication.check(written).await.unwrap();

    world.release(&one).await.unwrap();
    let sign = |pointer: &Pointer| world.key.sign_pointer(pointer);
    let lost = world.sign_and_publish(checked, sign).await.unwrap_err();
    assert!(matches!(lost, PublishError::Conflict { sequence: 1 }), "{lost:?}");

    world.release_with(&two, evidence).await.unwrap();
    let loaded = world.load(None).await;
    assert_eq!(one.tag_in(&loaded), Some(one.manifest_digest()));
    assert_eq!(two.tag_in(&loaded), Some(two.manifest_digest()));
    assert_eq!(loaded.catalog.object(&one.layer_digest()).unwrap().copies, copies(&[0, 1]));
}

#[tokio::test]
async fn a_signature_that_nobody_would_believe_is_not_published() {
    let world = World::new();
    let one = image("a", "v1", "1");
    let evidence = world.put(&one, &[&world.publication.authority]).await.unwrap();
    let stranger = LocalKey::generate().unwrap();
    let foreign = |pointer: &Pointer| stranger.sign_pointer(pointer);
    let other = |pointer: &Pointer| {
        world.key.sign_pointer(&Pointer { reason: "other".into(), ..pointer.clone() })
    };
    let draft = async || {
        let base = world.publication.base().await.unwrap();
        let changes = world.changes(&base, &one).await.unwrap();
        let written = world.publication.write(base, changes, evidence.clone()).await.unwrap();
        world.publication.check(written).await.unwrap()
    };
    let error = world.sign_and_publish(draft().await, foreign).await.unwrap_err();
    assert!(matches!(error, PublishError::NotBelieved(_)), "{error:?}");
    let error = world.sign_and_publish(draft().await, other).await.unwrap_err();
    assert!(matches!(error, PublishError::OtherPointer), "{error:?}");
    assert!(world.publication.base().await.unwrap().pointer().is_none());
}

#[tokio::test]
async fn a_mirror_is_used_for_what_it_holds_and_no_more() {
    let world = World::new();
    let (one, two) = (image("a", "v1", "1"), image("b", "v1", "2"));
    world.release(&one).await.unwrap();
    let evidence = world.put(&two, &[&world.publication.authority]).await.unwrap();
    let published = world.release_with(&two, evidence).await.unwrap();
    assert_eq!(published.mirrors[0].1, MirrorState::Lacks { objects: 2, bytes: 17 });
    let loaded = world.load(None).await;
    assert_eq!(loaded.catalog.object(&one.layer_digest()).unwrap().copies, copies(&[0, 1]));
    assert_eq!(loaded.catalog.object(&two.layer_digest()).unwrap().copies, copies(&[0]));

    // The next release brings what was lacking.
    let evidence = world.put(&two, &[&world.publication.authority, world.mirror()]).await.unwrap();
    let base = world.publication.base().await.unwrap();
    let mut changes = world.changes(&base, &two).await.unwrap();
    changes.put[0].tags[0].name = "v2".parse().unwrap();
    let published = world.publish(base, changes, evidence).await.unwrap();
    assert_eq!(published.mirrors[0].1, MirrorState::Complete);
    let loaded = world.load(Some(&loaded)).await;
    assert_eq!(loaded.catalog.object(&two.layer_digest()).unwrap().copies, copies(&[0, 1]));

    // A new, empty mirror does not hold what was there before, and does not say so.
    let empty = Bucket::open(&Url::parse("memory:///").unwrap(), BucketLayout::Blobs).unwrap();
    let mut world = world;
    world.publication.mirrors[0].bucket = empty.clone();
    let base = world.publication.base().await.unwrap();
    let changes = Changes { put: vec![], remove: vec!["b".parse().unwrap()] };
    let published = world.publish(base, changes, Evidence::default()).await;
    assert!(matches!(published.unwrap().mirrors[0].1, MirrorState::Behind(_)));
    assert_eq!(empty.get_holding().await.unwrap(), None);
    assert!(world.load(Some(&loaded)).await.catalog.repository("b").unwrap().tag("v1").is_none());
}

#[tokio::test]
async fn nothing_is_published_before_one_mirror_of_each_provider_has_all_of_it() {
    let mut world = World::new();
    let one = image("a", "v1", "1");
    let authority = world.publication.authority.clone();
    let evidence = world.put(&one, &[&authority]).await.unwrap();
    world.publication.mirrors[0].provider = Some("aws".to_owned());
    let draft = async |world: &World| {
        let base = world.publication.base().await.unwrap();
        let changes = world.changes(&base, &one).await.unwrap();
        let written = world.publication.write(base, changes, evidence.clone()).await.unwrap();
        world.publication.check(written).await.unwrap()
    };
    let names = ["mirror", "other"].map(str::to_owned).to_vec();
    for require in [Require::OneOfEachProvider, Require::These(names)] {
        world.publication.require = require;
        let error = world.publication.draft(draft(&world).await, ACT).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("mirror `mirror` lacks 2 objects (17 bytes)"), "{text}");
        assert!(world.publication.base().await.unwrap().pointer().is_none());
        assert_eq!(world.mirror().get_holding().await.unwrap(), None);
    }
    let despite = Act { despite_gaps: Some("the sponsor's account is closed"), ..ACT };
    let unsigned = world.publication.draft(draft(&world).await, despite).unwrap();
    assert_eq!(unsigned.pointer().reason, "test; despite gaps: the sponsor's account is closed");

    // Whoever is not waited for does not stand in the way, nor does a second one of a provider.
    world.publication.require = Require::These(Vec::new());
    world.publication.draft(draft(&world).await, ACT).unwrap();
    world.publication.require = Require::OneOfEachProvider;
    let url = Url::parse("memory:///").unwrap();
    let second = Bucket::open(&url, BucketLayout::Blobs).unwrap();
    let second_evidence = world.put(&one, &[&second, &authority]).await.unwrap();
    let second = Mirror { name: "second".into(), provider: Some("aws".into()), bucket: second };
    world.publication.mirrors.push(second);
    let published = world.release_with(&one, second_evidence).await.unwrap();
    assert!(matches!(published.mirrors[0].1, MirrorState::Lacks { objects: 2, .. }));
    assert_eq!(published.mirrors[1].1, MirrorState::Complete);
}

#[tokio::test]
async fn a_change_of_a_holding_alone_is_news() {
    let world = World::new();
    let one = image("a", "v1", "1");
    world.release(&one).await.unwrap();
    let loaded = world.load(None).await;
    let mut holding = world.mirror().get_holding().await.unwrap().unwrap();
    holding.lacks = vec![one.layer_digest()];
    world.mirror().put_holding(&holding).await.unwrap();
    let loaded = world.load(Some(&loaded)).await;
    assert_eq!(loaded.catalog.object(&one.layer_digest()).unwrap().copies, copies(&[0]));
    assert_eq!(loaded.catalog.object(&one.manifest_digest()).unwrap().copies, copies(&[0, 1]));

    let other = Holding { catalog: "other".into(), ..holding };
    world.mirror().put_holding(&other).await.unwrap();
    let loaded = world.load(Some(&loaded)).await;
    assert_eq!(loaded.catalog.object(&one.manifest_digest()).unwrap().copies, copies(&[0]));
    assert_eq!(loaded.notes.len(), 1, "{:?}", loaded.notes);
}

#[tokio::test]
async fn a_history_that_is_rewritten_is_refused_and_told() {
    let world = World::new();
    world.release(&image("a", "v1", "1")).await.unwrap();
    let loaded = world.load(None).await;
    let rewritten = Pointer { reason: "rewritten".into(), ..loaded.pointer.content().clone() };
    let rewritten = world.key.sign_pointer(&rewritten);
    let authority = &world.publication.authority;
    authority.put_pointer_copy(1, &rewritten).await.unwrap();
    let notes = unchanged(world.reader.poll(Some(&loaded), NOW).await.unwrap());
    assert!(notes.iter().any(|note| note.contains("two histories")), "{notes:?}");

    authority.put_pointer_copy(5, b"junk").await.unwrap();
    let notes = unchanged(world.reader.poll(Some(&loaded), NOW).await.unwrap());
    assert_eq!(notes.len(), 2, "{notes:?}");
    // Junk does not stop the project either, and the way back over the gap is found.
    authority.put_pointer_copy(1, &world.key.sign_pointer(loaded.pointer.content())).await.unwrap();
    world.release(&image("a", "v2", "2")).await.unwrap();
    let loaded = world.load(Some(&loaded)).await;
    assert_eq!(loaded.pointer.content().sequence, 6);
    assert_eq!(loaded.notes, Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_that_fails_keeps_the_holding_it_had_and_one_that_lost_it_is_avoided() {
    let directory = tempfile::tempdir().unwrap();
    let (near, far) = (directory.path().join("near"), directory.path().join("far"));
    std::fs::create_dir_all(&near).unwrap();
    std::fs::create_dir_all(&far).unwrap();
    let (near, far_server) = (S3::start(&near, &[]).unwrap(), S3::start(&far, &[]).unwrap());
    let authority = near.bucket("origin", BucketLayout::Blobs, "").unwrap();
    let world =
        World::over(authority, far_server.bucket("mirror", BucketLayout::Blobs, "").unwrap());
    let one = image("a", "v1", "1");
    world.release(&one).await.unwrap();
    let loaded = world.load(None).await;

    far_server.allow_reads(0);
    let notes = unchanged(world.reader.poll(Some(&loaded), NOW).await.unwrap());
    assert_eq!(notes.len(), 1, "{notes:?}");
    far_server.allow_reads(i64::MAX);
    std::fs::remove_file(far.join("mirror/holding.json")).unwrap();
    let lost = world.load(Some(&loaded)).await;
    assert_eq!(lost.catalog.object(&one.layer_digest()).unwrap().copies, copies(&[0]));

    near.allow_reads(0);
    let without_authority = world.load(Some(&loaded)).await;
    assert_eq!(one.tag_in(&without_authority), Some(one.manifest_digest()));
    far_server.allow_reads(0);
    let error = world.reader.poll(None, NOW).await.map(drop).unwrap_err();
    assert!(matches!(error, ReadError::Store(_)), "{error:?}");
}

/// Every write of a release fails once, with all after it, as if the process had been killed or
/// the disk had filled up there.
#[tokio::test]
async fn a_release_that_breaks_off_anywhere_leaves_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3::start(directory.path(), &[]).unwrap();
    let mut broken_off = 0;
    for writes in 0.. {
        let open = |name: &str| {
            server.bucket(&format!("{name}-{writes}"), BucketLayout::ContainersImages, "").unwrap()
        };
        let world = World::over(open("origin"), open("mirror"));
        let (old, new) = (image("a", "v1", "1"), image("a", "v1", "2"));
        server.allow_writes(i64::MAX);
        world.release(&old).await.unwrap();

        server.allow_writes(writes);
        let result = world.release(&new).await;
        server.allow_writes(i64::MAX);
        let loaded = world.load(None).await;
        let seen = if result.is_ok() { &new } else { &old };
        assert_eq!(seen.tag_in(&loaded), Some(seen.manifest_digest()), "after {writes} writes");
        let repository = loaded.catalog.repository("a").unwrap();
        for digest in [seen.manifest_digest(), seen.layer_digest()] {
            let holders = loaded.catalog.object(&digest).unwrap().copies;
            assert!(holders.contains(copy(0)));
            let buckets = [&world.publication.authority, world.mirror()];
            for holder in holders.iter() {
                buckets[holder.index()].get(&digest, 1 << 20).await.unwrap();
            }
        }
        assert_eq!(repository.tags_after("").count(), 1);
        if let Ok(published) = result
            && published.mirrors[0].1 == MirrorState::Complete
        {
            break;
        }
        broken_off += 1;

        // Doing it again completes it.
        world.release(&new).await.unwrap();
        let loaded = world.load(None).await;
        assert_eq!(new.tag_in(&loaded), Some(new.manifest_digest()));
        assert!(loaded.catalog.object(&new.layer_digest()).unwrap().copies.contains(copy(0)));
    }
    assert!(broken_off > 8, "only {broken_off} places to break off");
}
