//! Readers that do not want the newest release: late ones, and one that is pinned.

use std::collections::BTreeSet;

use super::*;

const HOUR: Duration = Duration::from_hours(1);

fn at(hours: u32) -> Timestamp {
    Timestamp::UNIX_EPOCH + HOUR * hours
}

impl World {
    async fn publish_at(&self, hours: u32, image: &Image) -> Published {
        self.now.set(at(hours));
        self.release(image).await.unwrap()
    }

    /// What a reader shows then; nothing if that is what it showed before.
    async fn shown(&self, before: Option<&Loaded>, now: Timestamp) -> Option<Loaded> {
        match self.reader.poll(before, now).await.unwrap() {
            Poll::New(loaded) => Some(*loaded),
            Poll::Unchanged(notes) | Poll::Silent(notes) => {
                assert!(notes.is_empty(), "{notes:?}");
                None
            }
        }
    }

    /// Publishes a generation again.
    async fn go_back_to(&self, hours: u32, generation: Digest) {
        self.now.set(at(hours));
        let base = self.publication.base().await.unwrap();
        let withdrawn = BTreeSet::new();
        let checked = self.publication.check_again(base, generation, &withdrawn).await.unwrap();
        let sign = |pointer: &Pointer| self.key.sign_pointer(pointer);
        self.sign_and_publish(checked, sign).await.unwrap();
    }
}

#[tokio::test]
async fn a_late_reader_shows_each_release_when_its_time_has_come() {
    let mut world = World::new();
    world.reader.follow = Follow::Later(HOUR * 24);
    world.reader.retain = 1;
    let images = ["one", "two", "three"].map(|content| image("a", "v1", content));
    let [one, two, three] = &images;
    world.publish_at(0, one).await;
    let first = world.shown(None, at(1)).await.unwrap();
    assert_eq!(one.tag_in(&first), Some(one.manifest_digest()), "there is nothing older to show");
    world.publish_at(30, two).await;
    world.publish_at(40, three).await;

    let waiting = world.shown(Some(&first), at(41)).await.unwrap();
    assert_eq!(one.tag_in(&waiting), Some(one.manifest_digest()));
    assert_eq!(waiting.due, Some(at(54)));
    assert_eq!(waiting.pointer.content().sequence, 3, "what it is late behind is known");
    // Who learned a digest elsewhere gets it here.
    for image in &images {
        assert!(waiting.catalog.object(&image.layer_digest()).is_some());
    }
    let almost = at(54) - Duration::from_secs(1);
    assert!(world.shown(Some(&waiting), almost).await.is_none());
    let second = world.shown(Some(&waiting), at(54)).await.unwrap();
    assert_eq!(two.tag_in(&second), Some(two.manifest_digest()));
    assert_eq!(second.release().unwrap().content().sequence, 2);
    let third = world.shown(Some(&second), at(64)).await.unwrap();
    assert_eq!(three.tag_in(&third), Some(three.manifest_digest()));
    assert_eq!(third.due, None);
    assert!(third.catalog.object(&two.layer_digest()).is_some(), "it is retained");
}

#[tokio::test]
async fn what_was_taken_back_never_reaches_a_late_reader() {
    let mut world = World::new();
    world.reader.follow = Follow::Later(HOUR * 24);
    let (good, bad) = (image("a", "v1", "good"), image("a", "v1", "bad"));
    let generation = world.publish_at(0, &good).await.pointer.content().generation;
    world.publish_at(48, &bad).await;
    world.go_back_to(50, generation).await;
    let mut shown = world.shown(None, at(51)).await;
    for now in (51..200).map(at) {
        let loaded = shown.as_ref().unwrap();
        assert_eq!(good.tag_in(loaded), Some(good.manifest_digest()), "{now}");
        shown = world.shown(shown.as_ref(), now).await.or(shown);
    }
    // Even if it was shown already, going back is followed at once.
    world.publish_at(200, &bad).await;
    let late = world.shown(shown.as_ref(), at(230)).await;
    assert_eq!(bad.tag_in(late.as_ref().unwrap()), Some(bad.manifest_digest()));
    world.go_back_to(231, generation).await;
    let back = world.shown(late.as_ref(), at(231)).await.unwrap();
    assert_eq!(good.tag_in(&back), Some(good.manifest_digest()));
}

#[tokio::test]
async fn a_pinned_reader_shows_one_generation_and_nothing_else() {
    let mut world = World::new();
    let (one, two) = (image("a", "v1", "one"), image("a", "v1", "two"));
    let generation = world.publish_at(0, &one).await.pointer.content().generation;
    world.publish_at(1, &two).await;
    world.reader.follow = Follow::Pinned(generation);
    let pinned = world.shown(None, at(2)).await.unwrap();
    assert_eq!(one.tag_in(&pinned), Some(one.manifest_digest()));
    assert_eq!(pinned.catalog.object(&one.layer_digest()).unwrap().copies, copies(&[0, 1]));
    assert!(pinned.catalog.object(&two.layer_digest()).is_none());
    assert_eq!((pinned.generation, pinned.pointer.content().sequence), (generation, 2));
    world.publish_at(3, &image("a", "v1", "three")).await;
    let later = world.shown(Some(&pinned), at(4)).await.unwrap();
    assert_eq!(one.tag_in(&later), Some(one.manifest_digest()));

    world.reader.follow = Follow::Pinned(Digest::sha256_of(b"nothing"));
    let error = world.reader.poll(None, at(4)).await.map(drop).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
}
