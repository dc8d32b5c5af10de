//! A release in force, a front that serves it, and trouble in the way of the next one.

use std::path::PathBuf;

use landbridge_core::holding::Holding;
use landbridge_testkit::Origin;

use super::looked::{InForce, Looker, pull};
use super::world::{Ended, World, image, push};
use crate::client::Client;
use crate::running::{Front, until};

/// Few: who is counted should not be asked by all at the same time.
const PARALLEL: u64 = 4;

pub(super) struct Trouble {
    pub(super) world: World,
    pub(super) registry: Origin,
    pub(super) file: PathBuf,
    pub(super) looker: Looker,
    pub(super) front: Front,
    images: u64,
    seed: u64,
}

impl Trouble {
    /// With one release, read from wherever `source` stands before the registry.
    pub(super) fn new(world: World, seed: u64, source: impl FnOnce(&Origin) -> String) -> Self {
        let registry = Origin::start().unwrap();
        let address = source(&registry);
        let file = world.configure_with("landbridge.yaml", &address, |config| {
            // What does not pass is not waited for.
            config["replicate"]["retries"] = "1s".into();
            config["replicate"]["parallel"] = PARALLEL.into();
        });
        push(&mut Client::new(registry.address()), "app", &["v0"], &image(seed, 2, 4_000)).unwrap();
        assert_eq!(world.replicate(&file).code, Some(0));
        let front = world.front();
        let mut trouble =
            Self { world, registry, file, looker: Looker::new(), front, images: 1, seed };
        trouble.serves(&["app:v0"]);
        trouble
    }

    /// Pushes one more image; its tag.
    pub(super) fn push(&mut self) -> String {
        self.push_layers(2)
    }

    /// The same of so many layers.
    pub(super) fn push_layers(&mut self, layers: usize) -> String {
        let tag = format!("v{}", self.images);
        let image = image(self.seed + self.images, layers, 4_000 / layers);
        self.images += 1;
        push(&mut Client::new(self.registry.address()), "app", &[&tag], &image).unwrap();
        format!("app:{tag}")
    }

    pub(super) fn look(&mut self) -> InForce {
        self.looker.look(&self.world).unwrap().unwrap()
    }

    /// A run that must fail, say who is to blame, and change nothing: not what is in force, and not
    /// what the front serves.
    pub(super) fn refused(&mut self, what: &str, culprits: &[&str]) -> Ended {
        let before = self.look();
        let run = self.world.replicate(&self.file);
        assert_eq!(run.code, Some(3), "{what}: {run:?}");
        for culprit in culprits {
            assert!(run.stderr.contains(culprit), "{what}: no word of `{culprit}`: {run:?}");
        }
        run.assert_brief();
        self.unchanged(what, &before);
        run
    }

    /// What mirrors say that they hold.
    pub(super) fn holdings(&self) -> Vec<Holding> {
        let mirrors = self.world.mirrors.iter();
        mirrors.map(|mirror| self.looker.holding(mirror).unwrap()).collect()
    }

    pub(super) fn unchanged(&mut self, what: &str, before: &InForce) {
        let after = self.look();
        assert!(after.pointer == before.pointer, "{what}: something was published");
        for (tag, digest) in &before.tags {
            let pulled = pull(&self.front, tag).unwrap();
            assert_eq!(pulled, Some(*digest), "{what}: the front has lost {tag}");
        }
    }

    /// One run, and everything is as if nothing had been.
    pub(super) fn heals(&mut self, what: &str, tag: &str) {
        let run = self.world.replicate(&self.file);
        assert_eq!(run.code, Some(0), "{what}: {run:?}");
        let now = self.look();
        assert!(now.tags.contains_key(tag), "{what}: {tag} is not in force");
        assert_eq!(now.complete.len(), self.world.mirrors.len(), "{what}");
        self.serves(&[tag]);
    }

    /// Waits until the front serves these.
    pub(super) fn serves(&mut self, tags: &[&str]) {
        let now = self.look();
        for tag in tags {
            let wanted = now.tags.get(*tag).copied();
            until(|| pull(&self.front, tag), |found| *found == wanted).unwrap();
        }
    }

    /// Waits until the front has written all of this into one line of its log.
    pub(super) fn front_says(&self, words: &[&str]) {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word));
        let said = until(|| Ok(self.front.log()), |log| log.lines().any(has_all));
        assert!(said.is_ok(), "{words:?} was not said: {}", self.front.log());
    }
}
