//! Imports that are stopped in the middle, or overtaken.

use std::sync::atomic::{AtomicU64, Ordering};

use landbridge_replicate::Progress;
use tokio::sync::Notify;

use crate::world::{World, oci};

#[tokio::test]
async fn an_import_that_was_overtaken_starts_over_from_the_other_one() {
    let world = World::new();
    let (first, one) = world.image("first", 1, "v1");
    let (second, two) = world.image("second", 2, "v1");
    let once = AtomicU64::new(0);
    // At the worst moment, just before the first one's pointer, the second one runs to its end.
    let listener = |progress| {
        if matches!(progress, Progress::Publishing { .. })
            && once.fetch_add(1, Ordering::SeqCst) == 0
        {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let report =
                        runtime.unwrap().block_on(world.import(&oci(&second), "a:two")).unwrap();
                    assert_eq!(report.sequence, Some(1));
                });
            });
        }
    };
    let report = world.import_and_tell(&oci(&first), "a:one", &listener).await.unwrap();
    assert_eq!((report.sequence, report.rebases), (Some(2), 1));
    assert_eq!(world.tag("a", "one").await.unwrap().to_string(), one.manifest.digest);
    assert_eq!(world.tag("a", "two").await.unwrap().to_string(), two.manifest.digest);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_importers_at_once_all_end_up_visible() {
    let world = World::new();
    let layouts: Vec<_> =
        (1..=4).map(|seed| world.image(&format!("layout{seed}"), seed, "x")).collect();
    let imports = layouts.iter().zip(1..).map(|((layout, _), number)| {
        let (world, source, name) = (&world, oci(layout), format!("a:v{number}"));
        async move { world.import(&source, &name).await.unwrap() }
    });
    futures::future::join_all(imports).await;
    for ((_, image), number) in layouts.iter().zip(1..) {
        let tag = world.tag("a", &format!("v{number}")).await.unwrap();
        assert_eq!(tag.to_string(), image.manifest.digest);
    }
    assert_eq!(world.pointer().await.unwrap().content().sequence, 4);
}

#[tokio::test]
async fn asked_to_stop_a_run_finishes_what_is_in_flight_and_publishes_nothing() {
    let world = World::new();
    let (layout, image) = world.image("layout", 1, "v1");
    let (started, finished) = (AtomicU64::new(0), AtomicU64::new(0));
    let listener = |progress| match progress {
        Progress::Started { .. } => {
            started.fetch_add(1, Ordering::SeqCst);
            world.stop.ask();
        }
        Progress::Finished { .. } => {
            finished.fetch_add(1, Ordering::SeqCst);
        }
        _ => {}
    };
    let stopped = world.import_and_tell(&oci(&layout), "a", &listener).await.unwrap_err();
    let (started, finished) = (started.into_inner(), finished.into_inner());
    assert!(started == finished && started < 4, "{started} began and {finished} ended");
    let said = format!("stopped as asked with {finished} of 4 objects in place");
    assert!(stopped.to_string().starts_with(&said), "{stopped}");
    assert!(world.pointer().await.is_none());

    let world = world.again();
    let report = world.import(&oci(&layout), "a").await.unwrap();
    assert_eq!((report.sequence, report.objects_read), (Some(1), 4 - finished));
    world.assert_everywhere(&image.layers[1].digest, &image.layers[1].bytes).await;
}

#[tokio::test]
async fn what_was_copied_before_a_stop_is_not_copied_again() {
    let world = World::new();
    let (layout, image) = world.image("layout", 1, "v1");
    let (finished, stop) = (AtomicU64::new(0), Notify::new());
    let listener = |progress| {
        if matches!(progress, Progress::Finished { .. })
            && finished.fetch_add(1, Ordering::SeqCst) == 1
        {
            stop.notify_one();
        }
    };
    let source = oci(&layout);
    tokio::select! {
        biased;
        () = stop.notified() => {}
        _ = world.import_and_tell(&source, "a", &listener) => panic!("it was to be stopped"),
    }
    assert!(world.pointer().await.is_none());
    let report = world.import(&source, "a").await.unwrap();
    let before = finished.load(Ordering::SeqCst);
    assert!(report.objects_read <= 4 - before, "{before} of 4 were done: {report}");
    assert!(report.objects_checked >= 2 * before, "{report}");
    for blob in image.blobs() {
        world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
}
