//! What somebody may do with a key that leaked, a mirror, or the authority's bucket. After each the
//! front's answer is the newest honest one, and what it notes names the culprit.

use super::*;

const FAR: u64 = 1 << 60;

fn memory() -> Bucket {
    Bucket::open(&Url::parse("memory:///").unwrap(), BucketLayout::Blobs).unwrap()
}

/// A pointer that nobody published.
fn forge(loaded: &Loaded, sequence: u64) -> Pointer {
    let reason = "forged".to_owned();
    Pointer { sequence, reason, ..loaded.pointer.content().clone() }
}

impl World {
    /// A front with nothing in memory.
    async fn fresh(&self) -> Loaded {
        self.load(None).await
    }

    async fn notes(&self, current: &Loaded) -> Vec<String> {
        unchanged(self.reader.poll(Some(current), NOW).await.unwrap())
    }

    /// The mirror's copy of a pointer, and its word that it has it.
    async fn plant(&self, sequence: u64, envelope: &[u8]) {
        let mirror = self.mirror();
        mirror.put_pointer_copy(sequence, envelope).await.unwrap();
        let holding = mirror.get_holding().await.unwrap().unwrap();
        mirror.put_holding(&Holding { pointer: Some(sequence), ..holding }).await.unwrap();
    }
}

fn names(notes: &[String], culprit: &Bucket, what: &str) {
    let is_named = |note: &&String| note.contains(culprit.name()) && note.contains(what);
    assert_eq!(notes.iter().filter(is_named).count(), 1, "{what}: {notes:?}");
}

#[tokio::test]
async fn a_key_that_leaked_cannot_use_up_the_numbers() {
    let world = World::new();
    world.release(&image("a", "v1", "1")).await.unwrap();
    let first = world.fresh().await;
    let authority = &world.publication.authority;
    for sequence in [FAR, FAR + 1, u64::MAX] {
        let forged = world.key.sign_pointer(&forge(&first, sequence));
        authority.put_pointer_copy(sequence, &forged).await.unwrap();
    }
    names(&world.notes(&first).await, authority, "ahead of pointer 1");
    let fresh = world.fresh().await;
    assert_eq!(fresh.pointer, first.pointer);
    names(&fresh.notes, authority, "`minimum_sequence`");

    // The project goes on.
    let two = image("a", "v2", "2");
    let published = world.release(&two).await.unwrap();
    assert_eq!(published.pointer.content().sequence, 2);
    let second = world.load(Some(&first)).await;
    assert_eq!(two.tag_in(&second), Some(two.manifest_digest()));

    // A person may say that it is right.
    let mut world = world;
    world.reader.minimum_sequence = FAR;
    assert_eq!(world.fresh().await.pointer.content().sequence, FAR + 1);
}

#[tokio::test]
async fn without_the_key_that_leaked_all_that_it_signed_is_undone() {
    let mut world = World::new();
    let leaked = LocalKey::generate().unwrap();
    let honest = world.reader.keys.clone();
    let both = vec![world.key.public().clone(), leaked.public().clone()];
    world.reader.keys = Keys::new(both, 1).unwrap();
    world.release(&image("a", "v1", "1")).await.unwrap();
    let first = world.fresh().await;
    let forged = leaked.sign_pointer(&forge(&first, 900));
    world.publication.authority.put_pointer_copy(900, &forged).await.unwrap();
    let followed = world.load(Some(&first)).await;
    assert_eq!(followed.pointer.content().sequence, 900);

    // A reload with the same keys goes nowhere, not even if the pointer is taken away.
    world.reader.last = Some(followed.pointer.clone());
    let authority = std::mem::replace(&mut world.reader.authority, memory());
    world.reader.authority.put_pointer_copy(1, first.pointer.bytes()).await.unwrap();
    for digest in [followed.pointer.content().generation] {
        let root: landbridge_core::generation::Root =
            authority.get_document(&digest).await.unwrap();
        world.reader.authority.put_document(&root).await.unwrap();
        let repository: Repository =
            authority.get_document(&root.repositories[0].digest).await.unwrap();
        world.reader.authority.put_document(&repository).await.unwrap();
    }
    let kept = world.fresh().await;
    assert_eq!(kept.pointer.content().sequence, 900);
    names(&kept.notes, &world.reader.authority, "has lost pointer 900");

    // One without the leaked key undoes it.
    world.reader.authority = authority;
    world.reader.keys = honest;
    assert_eq!(world.fresh().await.pointer, first.pointer);
    world.release(&image("a", "v2", "2")).await.unwrap();
    world.reader.last = Some(first.pointer.clone());
    assert_eq!(world.fresh().await.pointer.content().sequence, 901);
}

#[tokio::test]
async fn an_authority_that_is_frozen_or_emptied_holds_nobody_back() {
    let mut world = World::new();
    world.release(&image("a", "v1", "1")).await.unwrap();
    let first = world.fresh().await;
    world.release(&image("a", "v2", "2")).await.unwrap();
    let second = world.load(Some(&first)).await;

    // Who takes pointers out of the authority does not reach the mirrors' copies.
    let authority = world.publication.authority.clone();
    let frozen = memory();
    for generation in [&first, &second].map(|loaded| loaded.pointer.content().generation) {
        let root: landbridge_core::generation::Root =
            authority.get_document(&generation).await.unwrap();
        frozen.put_document(&root).await.unwrap();
        for entry in &root.repositories {
            let repository: Repository = authority.get_document(&entry.digest).await.unwrap();
            frozen.put_document(&repository).await.unwrap();
        }
    }
    world.reader.authority = frozen.clone();
    assert_eq!(world.fresh().await.pointer, second.pointer, "emptied");
    frozen.put_pointer_copy(1, first.pointer.bytes()).await.unwrap();
    assert_eq!(world.fresh().await.pointer, second.pointer, "frozen");
    names(&world.notes(&second).await, &frozen, "has lost pointer 2");

    // Whoever knows of no mirror is protected by the configuration.
    world.reader.copies.clear();
    assert_eq!(world.fresh().await.pointer, first.pointer);
    world.reader.minimum_sequence = 2;
    let refused = world.reader.poll(None, NOW).await.unwrap_err();
    assert!(matches!(refused, ReadError::NoPointer { .. }), "{refused:?}");
}

#[tokio::test]
async fn what_a_mirror_makes_up_is_refused_and_named() {
    let world = World::new();
    world.release(&image("a", "v1", "1")).await.unwrap();
    let first = world.fresh().await;
    let sign = |pointer: &Pointer| world.key.sign_pointer(pointer);
    let stranger = LocalKey::generate().unwrap();
    let elsewhere = Pointer { catalog: "elsewhere".into(), ..forge(&first, 9) };
    let table = [
        (9, first.pointer.bytes().to_vec(), "put where it does not belong"),
        (9, stranger.sign_pointer(&forge(&first, 9)), "0 good signatures"),
        (9, sign(&elsewhere), "of catalog `elsewhere`"),
        (9, b"{}".to_vec(), "malformed"),
        (9, sign(&forge(&first, 9))[..300].to_vec(), "malformed"),
        (9, vec![b' '; 1 << 20], "more than the limit"),
        (FAR, sign(&forge(&first, FAR)), "ahead of pointer 1"),
        (1, sign(&forge(&first, 1)), "two histories"),
    ];
    for (sequence, envelope, what) in table {
        world.plant(sequence, &envelope).await;
        let polled = match world.reader.poll(Some(&first), NOW).await.unwrap() {
            Poll::Unchanged(notes) | Poll::Silent(notes) => notes,
            Poll::New(loaded) => {
                assert_eq!(loaded.pointer, first.pointer, "{what}");
                loaded.notes
            }
        };
        // A running front looks again at what it has seen when the mirror's word changes.
        if sequence > 1 {
            names(&polled, world.mirror(), what);
        }
        let fresh = world.fresh().await;
        assert_eq!(fresh.pointer, first.pointer, "{what}");
        names(&fresh.notes, world.mirror(), what);
    }
    // A hint that leads to nothing, and one that goes back, hide nothing.
    world.plant(1, first.pointer.bytes()).await;
    world.release(&image("a", "v2", "2")).await.unwrap();
    world.plant(1, first.pointer.bytes()).await;
    assert_eq!(world.fresh().await.pointer.content().sequence, 2);
}

#[tokio::test]
async fn a_document_in_the_place_of_another_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let url = Url::from_directory_path(directory.path().join(name)).unwrap();
        Bucket::open(&url, BucketLayout::Blobs).unwrap()
    };
    let mut world = World::over(open("origin"), open("mirror"));
    // There is no other place to read it.
    world.reader.copies.clear();
    world.release(&image("a", "v1", "1")).await.unwrap();
    let first = world.fresh().await;
    world.release(&image("a", "v2", "2")).await.unwrap();
    let generations = directory.path().join("origin/generations/sha256");
    let path = |digest: &Digest| {
        let hex = digest.hex().to_string();
        let mut files = std::fs::read_dir(&generations).unwrap().map(|file| file.unwrap().path());
        files.find(|file| file.to_string_lossy().contains(&hex)).unwrap()
    };
    let second = world.publication.base().await.unwrap();
    let second = second.pointer().unwrap().content().generation;
    let (old, new) = (path(&first.pointer.content().generation), path(&second));
    let good = std::fs::read(&new).unwrap();
    for bad in [std::fs::read(&old).unwrap(), good[..good.len() / 2].to_vec(), Vec::new()] {
        std::fs::write(&new, &bad).unwrap();
        let error = world.reader.poll(Some(&first), NOW).await.map(drop).unwrap_err();
        assert!(error.to_string().contains(&second.hex().to_string()), "{error}");
    }
    // One that does not end is not read to its end.
    std::fs::File::create(&new).unwrap().set_len(1 << 40).unwrap();
    let error = world.reader.poll(Some(&first), NOW).await.map(drop).unwrap_err();
    assert!(error.to_string().contains(&second.hex().to_string()), "{error}");
    std::fs::write(&new, good).unwrap();
    assert_eq!(world.load(Some(&first)).await.pointer.content().sequence, 2);
}
