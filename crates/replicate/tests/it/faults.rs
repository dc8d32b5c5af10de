//! Mirrors and sources that fail in every way that they have, and what is left of it.

use std::time::Duration;

use landbridge_replicate::{ImportError, Pace, Progress, Report, replicate};
use landbridge_store::publish::Mirror;
use landbridge_store::{Bucket, BucketLayout};
use landbridge_testkit::image::{Image, Recipe};
use landbridge_testkit::{Origin, S3, S3Fault};
use tempfile::TempDir;
use url::Url;

use crate::replicate::{Registry, image};
use crate::world::World;

const ALWAYS: u32 = u32::MAX;

/// A directory as a mirror, and S3 as another one that fails.
struct Failing {
    world: World,
    registry: Registry,
    server: S3,
    image: Image,
    bad: Bucket,
    _directory: TempDir,
}

impl Failing {
    fn new(seed: u64) -> Self {
        let directory = TempDir::new().unwrap();
        let server = S3::start(directory.path(), &[]).unwrap();
        let bad = server.bucket("bad", BucketLayout::Blobs, "").unwrap();
        let mut world = World::new();
        world.publication.mirrors.push(Mirror {
            name: "bad".to_owned(),
            provider: None,
            bucket: bad.clone(),
        });
        world.pace = Pace { stall: Duration::from_secs(1), ..Pace::USUAL };
        let registry = Registry::start();
        // A small layer, and one that is streamed.
        let recipe = Recipe { seed, layers: 2, layer_bytes: 400_000, ..Recipe::default() };
        let image = recipe.pack().unwrap();
        registry.push_image("a", "v1", &image);
        Self { world, registry, server, image, bad, _directory: directory }
    }

    /// Everybody else has everything, and what the bad mirror shows is right.
    async fn assert_sound(&self, report: &Report) {
        assert_eq!(report.sequence, Some(1), "{report}");
        let holding = self.bad.get_holding().await.unwrap();
        for blob in self.image.blobs() {
            self.world.assert_everywhere(&blob.digest, &blob.bytes).await;
            let digest = blob.digest.parse().unwrap();
            match self.bad.get(&digest, 1 << 30).await {
                Ok(bytes) => assert_eq!(bytes, blob.bytes),
                Err(error) => {
                    assert!(error.is_not_found(), "{error}");
                    let lacks = |lacks: &[_]| lacks.contains(&digest);
                    assert!(
                        holding.as_ref().is_none_or(|holding| {
                            holding.generations.is_empty() || lacks(&holding.lacks)
                        }),
                        "{digest} is not there, and {holding:?}"
                    );
                }
            }
        }
    }

    async fn assert_heals(&self) {
        let report = self.world.replicate(&self.registry).await.unwrap();
        assert_eq!(
            (report.sequence, report.warnings.as_slice()),
            (None, [].as_slice()),
            "{report}"
        );
        for blob in self.image.blobs() {
            let digest = blob.digest.parse().unwrap();
            assert_eq!(self.bad.get(&digest, 1 << 30).await.unwrap(), blob.bytes);
        }
        let holding = self.bad.get_holding().await.unwrap().unwrap();
        assert_eq!((holding.generations.len(), holding.lacks.len()), (1, 0), "{holding:?}");
        let again = self.world.replicate(&self.registry).await.unwrap();
        assert_eq!((again.objects, again.warnings.len()), (0, 0), "{again}");
    }
}

async fn fails_alone_and_heals(seed: u64, fault: S3Fault, why: &str) {
    let failing = Failing::new(seed);
    failing.server.fail(fault, ALWAYS);
    let report = failing.world.replicate(&failing.registry).await.unwrap();
    failing.server.fail(fault, 0);
    let is_named =
        |warning: &String| warning.contains("mirror `bad` failed") && warning.contains(why);
    assert!(report.warnings.iter().any(is_named), "{fault:?}: {report}");
    failing.assert_sound(&report).await;
    failing.assert_heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_refuses_falls_behind_alone() {
    fails_alone_and_heals(500, S3Fault::Refuses(500, None), "500").await;
    fails_alone_and_heals(510, S3Fault::Refuses(403, None), "denied").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_stands_still_falls_behind_alone() {
    fails_alone_and_heals(520, S3Fault::Stalls, "stands still").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_stores_something_else_is_found_out_and_keeps_nothing_of_it() {
    fails_alone_and_heals(530, S3Fault::Forgets, "does not exist").await;
    fails_alone_and_heals(540, S3Fault::Truncates, "is wrong").await;
    fails_alone_and_heals(550, S3Fault::Rots, "is wrong").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_was_busy_or_stood_still_is_caught_up_in_the_same_run() {
    let faults = [
        (S3Fault::Refuses(429, None), 6),
        (S3Fault::Refuses(503, Some(1)), 3),
        (S3Fault::Refuses(500, None), 6),
        (S3Fault::Stalls, 3),
    ];
    for (seed, (fault, times)) in (560..).step_by(10).zip(faults) {
        let failing = Failing::new(seed);
        failing.server.fail(fault, times);
        let report = failing.world.replicate(&failing.registry).await.unwrap();
        failing.server.fail(fault, 0);
        assert_eq!(report.warnings.len(), 0, "{fault:?}: {report}");
        // Each of them was read once all the same.
        assert_eq!(report.objects_read, report.objects, "{fault:?}: {report}");
        failing.assert_sound(&report).await;
        failing.assert_heals().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_lies_about_presence_is_read_and_written() {
    let failing = Failing::new(600);
    let layer = &failing.image.layers[0];
    failing.server.fail(S3Fault::Claims(layer.bytes.len() as u64), ALWAYS);
    let report = failing.world.replicate(&failing.registry).await.unwrap();
    failing.server.fail(S3Fault::Claims(0), 0);
    // It goes on lying when it is asked whether it got what it was given.
    assert!(!report.warnings.is_empty(), "{report}");
    failing.assert_sound(&report).await;
    failing.assert_heals().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_stands_still_publishes_nothing() {
    let directory = TempDir::new().unwrap();
    let server = S3::start(directory.path(), &[]).unwrap();
    let mut world = World::new();
    world.publication.authority = server.bucket("authority", BucketLayout::Blobs, "").unwrap();
    world.pace =
        Pace { stall: Duration::from_secs(1), retries: Duration::from_secs(1), ..Pace::USUAL };
    let registry = Registry::start();
    registry.push_image("a", "v1", &image(610, "amd64"));
    server.fail(S3Fault::Stalls, ALWAYS);
    let error = world.replicate(&registry).await.unwrap_err();
    assert!(error.to_string().contains("stands still"), "{error}");
    server.fail(S3Fault::Stalls, 0);
    assert!(world.pointer().await.is_none());
    assert_eq!(world.replicate(&registry).await.unwrap().sequence, Some(1));
}

/// A registry over a directory that can be damaged.
struct Rotten {
    registry: Registry,
    directory: TempDir,
}

impl Rotten {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let url = Url::from_directory_path(directory.path()).unwrap();
        let origin = std::thread::spawn(move || Origin::start_over(&url)).join().unwrap();
        Self { registry: Registry(origin.unwrap()), directory }
    }

    fn flip(&self, digest: &str) {
        let key = BucketLayout::Blobs.key(&digest.parse().unwrap());
        let file = self.directory.path().join(key);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(file, bytes).unwrap();
    }
}

#[tokio::test]
async fn a_corrupt_blob_of_the_source_is_named_and_goes_nowhere() {
    for layer_bytes in [5_000, 1 << 20] {
        let (world, rotten) = (World::new(), Rotten::start());
        let image = Recipe { seed: 620, layer_bytes, ..Recipe::default() }.pack().unwrap();
        rotten.registry.push_image("a", "v1", &image);
        let layer = &image.layers[1];
        rotten.flip(&layer.digest);
        let error = world.replicate(&rotten.registry).await.unwrap_err();
        assert!(matches!(error, ImportError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(&layer.digest), "{error}");
        assert!(error.to_string().contains("the registry's `a`"), "{error}");
        assert!(world.pointer().await.is_none());
        world.assert_nowhere(&layer.digest).await;
        rotten.flip(&layer.digest);
        assert_eq!(world.replicate(&rotten.registry).await.unwrap().sequence, Some(1));
        world.assert_everywhere(&layer.digest, &layer.bytes).await;
    }
}

#[tokio::test]
async fn an_authority_that_rots_is_healed_from_a_mirror_that_did_not() {
    let (mut world, registry) = (World::new(), Registry::start());
    let image = image(630, "amd64");
    registry.push_image("a", "v1", &image);
    world.replicate(&registry).await.unwrap();
    let layer = &image.layers[1];
    let key = BucketLayout::Blobs.key(&layer.digest.parse().unwrap());
    let file = world.dir.path().join("origin").join(key);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[0] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let url = Url::from_directory_path(world.dir.path().join("late")).unwrap();
    let late = Bucket::open(&url, BucketLayout::Blobs).unwrap();
    world.publication.mirrors.push(Mirror {
        name: "late".to_owned(),
        provider: None,
        bucket: late.clone(),
    });
    // Its bytes are not asked for again.
    registry.delete("a", &format!("blobs/{}", layer.digest));
    let report = world.replicate(&registry).await.unwrap();
    assert_eq!(report.objects_read, 0, "{report}");
    let [warning] = report.warnings.as_slice() else { panic!("{report}") };
    assert!(warning.contains(world.authority().name()), "{report}");
    assert!(warning.contains(&layer.digest), "{report}");
    world.assert_everywhere(&layer.digest, &layer.bytes).await;
    assert_eq!(late.get(&layer.digest.parse().unwrap(), 1 << 30).await.unwrap(), layer.bytes);

    // Nobody has it: nobody gets it.
    let gone = Url::from_directory_path(world.dir.path().join("later")).unwrap();
    let bucket = Bucket::open(&gone, BucketLayout::Blobs).unwrap();
    let later = Mirror { name: "later".to_owned(), provider: None, bucket: bucket.clone() };
    world.publication.mirrors.push(later);
    for copy in [world.authority(), world.mirror(), &late] {
        copy.delete_object(&layer.digest.parse().unwrap()).await.unwrap();
    }
    let error = world.replicate(&registry).await.unwrap_err();
    let hex = layer.digest.strip_prefix("sha256:").unwrap();
    assert!(error.to_string().contains(hex), "{error}");
    assert_eq!(bucket.size_of(&layer.digest.parse().unwrap()).await.unwrap(), None);
    assert_eq!(bucket.get_holding().await.unwrap(), None);
}

#[tokio::test]
async fn a_tag_that_moves_while_it_is_read_means_one_of_both_and_then_the_other() {
    let (world, registry) = (World::new(), Registry::start());
    let (before, after) = (image(640, "amd64"), image(641, "amd64"));
    registry.push_image("a", "v1", &before);
    let client = registry.client();
    let moves = |progress| {
        if matches!(progress, Progress::Planned { .. }) {
            registry.push_image("a", "v1", &after);
        }
    };
    let report = replicate(&world.replication(&client), &moves).await.unwrap();
    assert_eq!(report.sequence, Some(1));
    assert_eq!(world.tag("a", "v1").await.unwrap().to_string(), before.manifest.digest);
    for blob in before.blobs() {
        world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
    assert_eq!(world.replicate(&registry).await.unwrap().sequence, Some(2));
    assert_eq!(world.tag("a", "v1").await.unwrap().to_string(), after.manifest.digest);
}
