//! An origin's collection beside an import into the same bucket.

use std::fs::File;
use std::time::{Duration, SystemTime};

use landbridge_core::Digest;
use landbridge_replicate::Progress;
use landbridge_store::{Repositories, Reprieve, Swept};

use crate::world::{World, oci};

const DAY: Duration = Duration::from_hours(24);

/// Lets what lies under this key look older.
fn make_old(world: &World, key: &str, digest: &Digest, age: Duration) {
    let path = format!("origin/{key}/{}", digest.to_string().replacen(':', "/", 1));
    let file = File::options().write(true).open(world.dir.path().join(path)).unwrap();
    file.set_modified(SystemTime::now() - age).unwrap();
}

#[tokio::test]
async fn an_old_blob_that_is_published_again_is_not_collected_meanwhile() {
    let world = World::new();
    let (layout, image) = world.image("image", 1, "v1");
    let layer = &image.layers[0];
    let digest: Digest = layer.digest.parse().unwrap();
    let bytes = bytes::Bytes::from(layer.bytes.clone());
    let source = futures::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    let size = layer.bytes.len() as u64;
    world.authority().put_object(&digest, size, &layer.media_type, source).await.unwrap();
    let repositories = Repositories::open(world.authority().clone()).await.unwrap();
    // Pushed three days ago, needed by nothing, and condemned two days ago: it is due.
    let mut collector = repositories.leases().collector(10 * DAY).await.unwrap();
    collector.condemn(&digest).await.unwrap();
    make_old(&world, "blobs", &digest, 3 * DAY);
    make_old(&world, "condemned", &digest, 2 * DAY);
    collector.release().await.unwrap();

    // All objects are confirmed and nothing says yet who needs them.
    let collect = async || {
        let mut collector = repositories.leases().collector(10 * DAY).await.unwrap();
        let mark = async || {
            let published = world.authority().published_objects().await?;
            Ok::<_, landbridge_store::StoreError>(move |it: &Digest| published.contains(it))
        };
        let swept = collector.sweep(&[digest], DAY, mark, async |_| Ok(())).await.unwrap();
        collector.release().await.unwrap();
        swept
    };
    let listener = |progress| {
        if let Progress::Publishing { .. } = progress {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build();
                    let swept = runtime.unwrap().block_on(collect());
                    assert_eq!(swept, [(digest, Swept::Reprieved(Reprieve::Leased))]);
                });
            });
        }
    };
    let report = world.import_and_tell(&oci(&layout), "a:one", &listener).await.unwrap();
    assert_eq!(report.sequence, Some(1));
    world.authority().confirm(&digest, size).await.unwrap();
}
