//! A front that keeps what it serves, and starts from that when every store is out of reach.

use std::fs;
use std::path::{Path, PathBuf};

use landbridge_core::withdrawal::{PAYLOAD_TYPE, Withdrawal, Withdrawals};
use landbridge_sign::{Signer, sign_envelope};

use super::*;

/// A world in directories, and where they are.
fn on_disk() -> (World, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let [origin, mirror, cache] =
        ["origin", "mirror", "cache"].map(|name| bucket_in(&directory.path().join(name)));
    let mut world = World::over(origin, mirror);
    world.reader.cache = Some(cache);
    (world, directory)
}

fn bucket_in(directory: &Path) -> Bucket {
    let url = Url::from_directory_path(directory).unwrap();
    Bucket::open(&url, BucketLayout::Blobs).unwrap()
}

/// What is done to a file.
type Damage = fn(&Path);

/// No store can be read any more.
fn lose_stores(directory: &TempDir) {
    for store in ["origin", "mirror"] {
        let store = directory.path().join(store);
        fs::remove_dir_all(&store).unwrap();
        fs::write(&store, "a disk that is gone").unwrap();
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

impl World {
    async fn cached(&self) -> Loaded {
        let (loaded, notes) = self.reader.clone().load_cached(NOW).await;
        loaded.unwrap_or_else(|| panic!("nothing is in the cache: {notes:?}"))
    }

    /// Why nothing in the cache is believed.
    async fn disbelieved(&self) -> Vec<String> {
        let (loaded, notes) = self.reader.clone().load_cached(NOW).await;
        assert!(loaded.is_none(), "{notes:?}");
        notes
    }
}

#[tokio::test]
async fn documents_that_the_authority_lost_come_from_a_mirror() {
    let (mut world, directory) = on_disk();
    world.reader.cache = None;
    world.release(&image("a", "v1", "one")).await.unwrap();
    fs::remove_dir_all(directory.path().join("origin/generations")).unwrap();
    let loaded = world.load(None).await;
    assert!(loaded.catalog.repository("a").unwrap().tag("v1").is_some());
    // Wrong bytes are no document, wherever they lie.
    for path in files(&directory.path().join("mirror/generations/sha256")) {
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
    assert!(world.reader.poll(None, NOW).await.is_err());
}

#[tokio::test]
async fn a_front_starts_from_its_cache_when_every_store_is_gone() {
    let (world, directory) = on_disk();
    let (nothing, notes) = world.reader.clone().load_cached(NOW).await;
    assert!(nothing.is_none() && notes.is_empty(), "an empty cache is no fault: {notes:?}");
    let (one, two) = (image("a", "v1", "one"), image("a", "v1", "two"));
    world.release(&one).await.unwrap();
    let first = world.load(None).await;
    world.release(&two).await.unwrap();
    let before = world.load(Some(&first)).await;
    assert!(!before.is_unconfirmed);
    lose_stores(&directory);
    assert!(world.reader.poll(None, NOW).await.is_err());

    let after = world.cached().await;
    assert!(after.is_unconfirmed);
    assert_eq!((&after.pointer, &after.notes), (&before.pointer, &Vec::new()));
    let notes = unchanged(world.reader.poll(Some(&after), NOW).await.unwrap());
    assert!(!notes.is_empty(), "that no store answers is told");
    for loaded in [&before, &after] {
        let repository = loaded.catalog.repository("a").unwrap();
        let manifest = repository.tag("v1").unwrap();
        assert_eq!(manifest.digest, two.manifest_digest());
        assert_eq!(manifest.copies, copies(&[0, 1]), "what mirrors hold is known too");
        assert!(repository.manifest(&one.manifest_digest()).is_some());
    }
}

#[tokio::test]
async fn the_authority_confirms_what_the_cache_holds_and_is_followed_again() {
    let (world, _directory) = on_disk();
    world.release(&image("a", "v1", "one")).await.unwrap();
    world.load(None).await;
    let cached = world.cached().await;
    let confirmed = world.load(Some(&cached)).await;
    assert!(!confirmed.is_unconfirmed && confirmed.pointer == cached.pointer);
    world.release(&image("a", "v1", "two")).await.unwrap();
    let newer = world.load(Some(&cached)).await;
    assert!(!newer.is_unconfirmed);
    assert_eq!(newer.pointer.content().sequence, 2);
    assert_eq!(world.cached().await.pointer, newer.pointer);
}

#[tokio::test]
async fn what_is_in_the_cache_is_not_gone_back_behind() {
    let (mut world, directory) = on_disk();
    world.release(&image("a", "v1", "one")).await.unwrap();
    let first = world.load(None).await;
    world.release(&image("a", "v1", "two")).await.unwrap();
    let second = world.load(Some(&first)).await;
    for store in ["origin", "mirror"] {
        fs::remove_file(directory.path().join(store).join("pointers/00000000000000000002"))
            .unwrap();
    }
    let loaded = match world.reader.poll(Some(&world.cached().await), NOW).await.unwrap() {
        Poll::New(loaded) => *loaded,
        Poll::Unchanged(_) | Poll::Silent(_) => world.cached().await,
    };
    assert_eq!(loaded.pointer, second.pointer);

    // Even if that is all that is left of it.
    let mut reader = world.reader.clone();
    for document in files(&directory.path().join("cache/generations/sha256")) {
        fs::remove_file(document).unwrap();
    }
    assert!(reader.load_cached(NOW).await.0.is_none());
    let Poll::New(loaded) = reader.poll(None, NOW).await.unwrap() else {
        panic!("it is not loaded")
    };
    assert_eq!(loaded.pointer, second.pointer);
    // Nor does the cache go back behind what a running front knows.
    fs::remove_file(directory.path().join("cache/pointers/00000000000000000002")).unwrap();
    assert_eq!(world.cached().await.pointer, first.pointer);
    world.reader.last = Some(second.pointer.clone());
    let notes = world.disbelieved().await;
    assert!(notes[0].contains("older than what is in force"), "{notes:?}");
}

#[tokio::test]
async fn a_damaged_cache_is_told_by_name_not_believed_and_made_whole_again() {
    let (world, directory) = on_disk();
    world.release(&image("a", "v1", "one")).await.unwrap();
    let before = world.load(None).await;
    let documents = files(&directory.path().join("cache/generations/sha256"));
    assert_eq!(documents.len(), 2);
    let damage: [(&str, Damage); 3] = [
        ("cut off", |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("foreign", |file| fs::write(file, zstd_of_nothing()).unwrap()),
        ("absent", |file| fs::remove_file(file).unwrap()),
    ];
    for document in &documents {
        for (what, damage) in damage {
            damage(document);
            let name = document.file_name().unwrap().to_str().unwrap();
            let notes = world.disbelieved().await;
            assert!(notes.iter().any(|note| note.contains(name)), "{what}: {notes:?}");
            let loaded = world.load(None).await;
            assert_eq!(loaded.pointer, before.pointer);
            let is_told = loaded.notes.iter().any(|note| note.contains(name));
            assert_eq!(is_told, what != "absent", "{what}: {:?}", loaded.notes);
            assert_eq!(world.cached().await.notes, Vec::<String>::new());
        }
    }
    // A holding that cannot be read costs that mirror's share, and no more.
    let holding = &files(&directory.path().join("cache/holdings"))[0];
    fs::write(holding, "{").unwrap();
    let cached = world.cached().await;
    assert_eq!(cached.notes.len(), 1, "{:?}", cached.notes);
    assert_eq!(cached.catalog.repository("a").unwrap().tag("v1").unwrap().copies, copies(&[0]));
    assert!(!world.load(Some(&cached)).await.is_unconfirmed);
    assert_eq!(world.cached().await.notes, Vec::<String>::new());
    for pointer in files(&directory.path().join("cache/pointers")) {
        fs::write(pointer, "junk").unwrap();
    }
    let notes = world.disbelieved().await;
    assert!(notes[0].contains("pointers/00000000000000000001"), "{notes:?}");
}

/// A frame that is whole, and not what is looked for.
fn zstd_of_nothing() -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, 0x00, 0x01, 0x00, 0x00]
}

#[tokio::test]
async fn a_cache_of_another_catalog_or_of_other_keys_is_not_believed() {
    let (mut world, directory) = on_disk();
    world.release(&image("a", "v1", "one")).await.unwrap();
    world.load(None).await;
    let (mut other, _other_directory) = on_disk();
    other.reader.cache = Some(bucket_in(&directory.path().join("cache")));
    let notes = other.disbelieved().await;
    assert!(notes[0].contains("pointers/00000000000000000001"), "{notes:?}");
    other.release(&image("b", "v1", "other")).await.unwrap();
    let loaded = other.load(None).await;
    assert_eq!(other.cached().await.pointer, loaded.pointer, "it is the other's now");
    assert_eq!(files(&directory.path().join("cache/pointers")).len(), 1);
    world.reader.catalog = "another".into();
    world.reader.keys = other.reader.keys.clone();
    let notes = world.disbelieved().await;
    assert!(notes[0].contains("`another`"), "{notes:?}");
}

#[tokio::test]
async fn what_was_withdrawn_stays_away_after_a_start_from_the_cache() {
    let (mut world, directory) = on_disk();
    let key = || LocalKey::open_or_create(&directory.path().join("key.pem")).unwrap();
    world.key = key();
    let keys = Keys::new(vec![key().public().clone()], 1).unwrap();
    world.publication.keys = keys.clone();
    world.reader.keys = keys.clone();
    let one = image("a", "v1", "one");
    world.release(&one).await.unwrap();
    let before = world.load(None).await;
    let (since, reason) = (Timestamp::UNIX_EPOCH, "it leaks".to_owned());
    let entry = Withdrawal { since, digest: one.layer_digest(), reason: reason.clone() };
    let list = Withdrawals {
        catalog: "demo".into(),
        entries: vec![entry],
        issued: since,
        previous: None,
        reason,
        sequence: 1,
    };
    let signer = [Signer::Ed25519(Box::new(key()))];
    let signed = sign_envelope(&signer, &keys, PAYLOAD_TYPE, &list.encode()).await.unwrap();
    world.publication.authority.create_withdrawals(1, &signed).await.unwrap();
    let obeying = world.load(Some(&before)).await;
    assert!(obeying.catalog.object(&one.layer_digest()).is_none());
    lose_stores(&directory);
    assert!(world.cached().await.catalog.object(&one.layer_digest()).is_none());
    // What else is in the cache would bring it back.
    fs::write(directory.path().join("cache/withdrawn/00000000000000000001"), "junk").unwrap();
    let notes = world.disbelieved().await;
    assert!(notes[0].contains("withdrawn/00000000000000000001"), "{notes:?}");
}

/// Every write of the cache fails once, with all after it, as if the process had been killed or the
/// disk had filled up there.
#[tokio::test]
async fn a_cache_that_breaks_off_anywhere_holds_the_release_before_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let server = S3::start(directory.path(), &[]).unwrap();
    let mut broken_off = 0;
    for writes in 0.. {
        let [origin, mirror] = ["origin", "mirror"]
            .map(|name| bucket_in(&directory.path().join(format!("{name}-{writes}"))));
        let mut world = World::over(origin, mirror);
        let cache = server.bucket(&format!("cache-{writes}"), BucketLayout::Blobs, "").unwrap();
        world.reader.cache = Some(cache);
        server.allow_writes(i64::MAX);
        world.release(&image("a", "v1", "1")).await.unwrap();
        let first = world.load(None).await;
        world.release(&image("a", "v1", "2")).await.unwrap();

        server.allow_writes(writes);
        let second = world.load(Some(&first)).await;
        server.allow_writes(i64::MAX);
        let cached = world.cached().await;
        assert_eq!(cached.notes, Vec::<String>::new(), "after {writes} writes");
        if second.notes.is_empty() {
            assert_eq!(cached.pointer, second.pointer);
            break;
        }
        broken_off += 1;
        assert!(cached.pointer == first.pointer || cached.pointer == second.pointer);
        let is_told = second.notes.iter().any(|note| note.contains("not all in the cache"));
        assert!(is_told, "{:?}", second.notes);
        // The next start makes it whole.
        world.load(None).await;
        assert_eq!(world.cached().await.pointer, second.pointer);
    }
    assert!(broken_off >= 4, "only {broken_off} places to break off");
}

#[tokio::test]
async fn a_repository_in_parts_is_read_with_all_its_tags() {
    let (world, _directory) = on_disk();
    let one = image("a", "v1", "one");
    let evidence = world.put(&one, &[&world.publication.authority, world.mirror()]).await.unwrap();
    let base = world.publication.base().await.unwrap();
    let mut changes = world.changes(&base, &one).await.unwrap();
    let repository = &mut changes.put[0];
    let digest = repository.tags[0].digest;
    for number in 0..12_000 {
        let name = format!("a-tag-with-a-name-that-takes-room-{number}").parse().unwrap();
        repository.tags.push(TagEntry { digest, name });
    }
    world.publish(base, changes, evidence).await.unwrap();
    world.load(None).await;
    let loaded = world.cached().await;
    let repository = loaded.catalog.repository("a").unwrap();
    assert_eq!(repository.tags_after("").count(), 12_001);
    assert!(repository.tag("a-tag-with-a-name-that-takes-room-11999").is_some());
    assert!(loaded.catalog.object(&one.layer_digest()).is_some());
}
