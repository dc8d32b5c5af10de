//! Old generations go, with what only they list; everything else stays, whoever publishes meanwhile.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use landbridge_core::Digest;
use landbridge_replicate::{
    ImportError, Keep, Progress, Publishing, Said, Stop, pin, prepare_prune, prune, releases,
    roll_back, unpin,
};
use landbridge_store::publish::PublishError;
use landbridge_store::{Repositories, TagLink};
use landbridge_testkit::image::Image;

use crate::world::{World, oci};

/// Longer than anything is kept.
fn later() -> Timestamp {
    Timestamp::now() + SignedDuration::from_hours(240)
}

fn keep() -> Keep {
    Keep { releases: 0, time: Duration::from_hours(72), pinned: Vec::new() }
}

fn publishing(world: &World) -> Publishing<'_> {
    Publishing { now: later(), ..world.publishing() }
}

/// Two images, of which the second was published and taken back.
async fn taken_back() -> (World, Image, Image, Digest) {
    let world = World::new();
    let (first, one) = world.image("first", 1, "v1");
    let (second, two) = world.image("second", 2, "v1");
    world.import(&oci(&first), "app:v1").await.unwrap();
    let good = world.pointer().await.unwrap().content().generation;
    world.import(&oci(&second), "bad:v2").await.unwrap();
    let bad = world.pointer().await.unwrap().content().generation;
    roll_back(&world.publishing(), good, "it is bad").await.unwrap();
    (world, one, two, bad)
}

async fn assert_there(world: &World, image: &Image) {
    world.assert_everywhere(&image.manifest.digest, &image.manifest.bytes).await;
    for layer in &image.layers {
        world.assert_everywhere(&layer.digest, &layer.bytes).await;
    }
}

async fn assert_gone(world: &World, image: &Image) {
    world.assert_nowhere(&image.manifest.digest).await;
    for layer in &image.layers {
        world.assert_nowhere(&layer.digest).await;
    }
}

fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path().display().to_string());
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn what_only_an_old_generation_lists_goes_from_every_copy_and_nothing_else() {
    let (world, one, two, bad) = taken_back().await;
    // Somebody else's, in the same bucket: no generation ever listed it.
    let other = b"somebody else's".to_vec();
    let foreign = Digest::sha256_of(&other);
    let source = || futures::stream::iter([Ok::<_, std::io::Error>(other.clone().into())]);
    world.mirror().put_object(&foreign, 15, "a/b", source()).await.unwrap();

    let before = files(world.dir.path());
    let plan = prepare_prune(&world.publication, &keep(), later()).await.unwrap();
    assert_eq!(plan.generations, [bad]);
    assert_eq!(plan.objects, 2 + two.layers.len());
    assert!(
        prepare_prune(&world.publication, &keep(), Timestamp::now()).await.unwrap().objects == 0
    );
    assert_eq!(files(world.dir.path()), before, "a plan changes nothing");

    let report = prune(&publishing(&world), &keep()).await.unwrap();
    assert_eq!((report.sequence, &*report.failed), (4, &[][..]));
    assert_there(&world, &one).await;
    assert_gone(&world, &two).await;
    assert_eq!(world.mirror().size_of(&foreign).await.unwrap(), Some(15));
    let holding = world.mirror().get_holding().await.unwrap().unwrap();
    let in_force = world.pointer().await.unwrap().content().generation;
    assert_eq!(holding.generations, [in_force]);
    for bucket in [world.authority(), world.mirror()] {
        let documents: Vec<_> = bucket.documents().try_collect().await.unwrap();
        assert_eq!(documents.len(), 2, "a root and a repository");
    }
    let all = releases(&world.publication).await.unwrap();
    assert!(all[2].to_string().contains("(pruned)"), "{}", all[2]);
    let back = roll_back(&world.publishing(), bad, "a mistake").await;
    assert!(matches!(back, Err(ImportError::Publish(PublishError::Store(_)))), "{back:?}");

    // It can be published anew, and a second prune has nothing to do.
    assert_eq!(prune(&publishing(&world), &keep()).await.unwrap().plan.objects, 0);
    world
        .import(&format!("oci:{}", world.dir.path().join("second").display()), "bad:v2")
        .await
        .unwrap();
    assert_there(&world, &two).await;
}

#[tokio::test]
async fn a_pin_keeps_a_generation_until_it_is_taken_off() {
    let (world, _, two, bad) = taken_back().await;
    let publication = &world.publication;
    pin(publication, &bad, "the old name is frozen at it", Timestamp::now()).await.unwrap();
    let report = prune(&publishing(&world), &keep()).await.unwrap();
    assert_eq!(report.plan.objects, 0);
    assert_there(&world, &two).await;
    let site = Keep { pinned: vec![bad], ..keep() };
    assert!(unpin(publication, &bad).await.unwrap());
    assert!(!unpin(publication, &bad).await.unwrap());
    assert_eq!(prune(&publishing(&world), &site).await.unwrap().plan.objects, 0);
    prune(&publishing(&world), &keep()).await.unwrap();
    assert_gone(&world, &two).await;
    // What is not there cannot be kept.
    pin(publication, &bad, "too late", Timestamp::now()).await.unwrap_err();
    assert_eq!(publication.authority.pins().await.unwrap(), []);
}

fn in_a_thread<T: Send>(work: impl Future<Output = T> + Send) -> T {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[tokio::test]
async fn who_publishes_while_it_is_pruned_does_not_rely_on_what_goes() {
    let (world, one, two, _) = taken_back().await;
    let once = std::sync::Once::new();
    // All objects were found in place and confirmed; the next step is the pointer.
    let listener = |progress| {
        if let Progress::Publishing { .. } = progress {
            once.call_once(|| {
                let report = in_a_thread(async { prune(&publishing(&world), &keep()).await });
                assert_ne!(report.unwrap().plan.objects, 0);
            });
        }
    };
    let source = format!("oci:{}", world.dir.path().join("second").display());
    let report = world.import_and_tell(&source, "again:v2", &listener).await.unwrap();
    assert_eq!(report.rebases, 1);
    assert_there(&world, &one).await;
    assert_there(&world, &two).await;
}

#[tokio::test]
async fn nobody_publishes_until_it_is_done_or_dead() {
    let (world, ..) = taken_back().await;
    let source = format!("oci:{}", world.dir.path().join("second").display());
    let pruner = world.authority().pruner(Duration::from_mins(20)).await.unwrap();
    let refused = world.import(&source, "again:v2").await.unwrap_err();
    assert!(refused.to_string().contains("is being pruned"), "{refused}");
    let bad = prune(&publishing(&world), &keep()).await.unwrap_err();
    assert!(matches!(bad, ImportError::Collector(_)), "{bad}");
    drop(pruner);
    world.import(&source, "again:v2").await.unwrap_err();
    bury(&world);
    world.import(&source, "again:v2").await.unwrap();
    // One that collects an origin's bucket stops nobody.
    let repositories = Repositories::open(world.authority().clone()).await.unwrap();
    let _collector = repositories.leases().collector(Duration::from_mins(20)).await.unwrap();
    world.import(&source, "again:v3").await.unwrap();
}

/// Lets whoever pruned look as if nothing was heard of it for an hour.
fn bury(world: &World) {
    for file in files(&world.dir.path().join("origin/collector")) {
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    }
}

#[tokio::test]
async fn a_mirror_that_fails_is_named_and_cleared_by_the_next_prune() {
    let (world, one, two, _) = taken_back().await;
    let (mirror, away) = (world.dir.path().join("aws"), world.dir.path().join("away"));
    fs::rename(&mirror, &away).unwrap();
    fs::write(&mirror, "no directory").unwrap();
    let report = prune(&publishing(&world), &keep()).await.unwrap();
    assert!(report.failed[0].contains("mirror `aws`"), "{:?}", report.failed);
    fs::remove_file(&mirror).unwrap();
    fs::rename(&away, &mirror).unwrap();
    let layer: Digest = two.layers[0].digest.parse().unwrap();
    assert_eq!(world.authority().size_of(&layer).await.unwrap(), None);
    assert!(world.mirror().size_of(&layer).await.unwrap().is_some());
    let report = prune(&publishing(&world), &keep()).await.unwrap();
    assert_eq!(report.failed, [""; 0]);
    assert_gone(&world, &two).await;
    assert_there(&world, &one).await;
}

#[tokio::test]
async fn an_origins_objects_are_left_to_its_own_collection() {
    let (world, _, two, bad) = taken_back().await;
    let repositories = Repositories::open(world.authority().clone()).await.unwrap();
    let link = TagLink {
        digest: Digest::sha256_of(b"pushed"),
        media_type: "a/b".to_owned(),
        size: 6,
        pushed: Timestamp::now(),
    };
    let (name, tag) = ("team/app".parse().unwrap(), "v1".parse().unwrap());
    repositories.put_tag(&name, &tag, &link).await.unwrap();
    let report = prune(&publishing(&world), &keep()).await.unwrap();
    assert!(report.plan.notes[0].contains("landbridge gc"), "{:?}", report.plan.notes);
    let layer: Digest = two.layers[0].digest.parse().unwrap();
    assert!(world.authority().size_of(&layer).await.unwrap().is_some());
    assert_eq!(world.mirror().size_of(&layer).await.unwrap(), None);
    // But no generation speaks for them any more.
    assert!(!world.authority().published_objects().await.unwrap().contains(&layer));
    assert!(report.plan.generations.contains(&bad));
}

/// Runs `work` for so many polls; true if it came to its end.
async fn cut(polls: usize, work: impl Future<Output = ()>) -> bool {
    let mut work = std::pin::pin!(work);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        work.as_mut().poll(context).map(|()| true)
    })
    .await
}

#[tokio::test]
async fn killed_at_any_await_it_leaves_what_is_in_force_and_the_next_one_ends_it() {
    let mut kills = 0;
    for polls in (1..).step_by(3) {
        let (world, one, two, _) = taken_back().await;
        let work = async { drop(prune(&publishing(&world), &keep()).await.unwrap()) };
        let is_done = cut(polls, work).await;
        assert_there(&world, &one).await;
        let in_force = world.pointer().await.unwrap().content().generation;
        let holding = world.mirror().get_holding().await.unwrap().unwrap();
        assert!(holding.generations.contains(&in_force));
        if !is_done {
            kills += 1;
            if world.dir.path().join("origin/collector").is_dir() {
                bury(&world);
            }
            prune(&publishing(&world), &keep()).await.unwrap();
        }
        assert_gone(&world, &two).await;
        assert_there(&world, &one).await;
        if is_done {
            break;
        }
    }
    assert!(kills >= 8, "only {kills} were killed");
}

#[tokio::test]
async fn asked_to_stop_it_says_what_is_left() {
    let (world, _, two, _) = taken_back().await;
    let stop = Stop::new();
    stop.ask();
    let report = prune(&Publishing { stop: &stop, ..publishing(&world) }, &keep()).await.unwrap();
    assert!(report.failed[0].contains("asked to stop"), "{:?}", report.failed);
    prune(&publishing(&world), &keep()).await.unwrap();
    assert_gone(&world, &two).await;
    let all = releases(&world.publication).await.unwrap();
    let reason = |said: &Said| matches!(said, Said::Believed { reason, .. } if reason == "prune");
    assert_eq!(all.iter().filter(|release| reason(&release.said)).count(), 2);
}
