//! A bucket that somebody else has filled: what is right in it stays, what is not is replaced, as
//! far as the configured look at it can tell.

use landbridge_core::Digest;
use landbridge_replicate::Report;
use landbridge_store::publish::Mirror;
use landbridge_store::{Bucket, BucketLayout, Verify};
use landbridge_testkit::image::{Blob, Image, Recipe};
use landbridge_testkit::{Counter, S3};
use tempfile::TempDir;
use url::Url;

use crate::replicate::Registry;
use crate::world::World;

/// Enough that a page costs less than asking for each.
const LAYERS: usize = 24;

struct Sponsor {
    world: World,
    registry: Registry,
    image: Image,
    bucket: Bucket,
    counter: Counter,
    server: S3,
    directory: TempDir,
}

impl Sponsor {
    /// A bucket in S3 with all of an image, and what another tool left there beside it.
    async fn new(verify: Verify) -> Self {
        let directory = TempDir::new().unwrap();
        let server = S3::start(directory.path(), &["sponsor"]).unwrap();
        // It has an event loop of its own, which cannot be made on another one.
        let address = server.address().to_owned();
        let counter = std::thread::spawn(move || Counter::start(&address)).join().unwrap().unwrap();
        let options = S3::environment_at(counter.address())
            .map(|(key, value)| (key.to_ascii_lowercase(), value));
        let url = Url::parse("s3://sponsor/").unwrap();
        let bucket = Bucket::open_with(&url, BucketLayout::ContainersImages, &options).unwrap();
        let mut world = World::new();
        world.verify = verify;
        world.publication.mirrors =
            vec![Mirror { name: "sponsor".to_owned(), provider: None, bucket: bucket.clone() }];
        let registry = Registry::start();
        let recipe = Recipe { seed: 7, layers: LAYERS, layer_bytes: 2_000, ..Recipe::default() };
        let image = recipe.pack().unwrap();
        registry.push_image("a", "v1", &image);
        for blob in image.blobs() {
            put(&bucket, blob, &blob.bytes).await;
        }
        counter.take();
        Self { world, registry, image, bucket, counter, server, directory }
    }

    /// Changes what the bucket has, in a way that its size may tell.
    fn spoil(&self, blob: &Blob, change: impl Fn(&mut Vec<u8>)) {
        let key = self.bucket.layout().key(&digest(blob));
        let mut bytes = blob.bytes.clone();
        change(&mut bytes);
        std::fs::write(self.server.file("sponsor", &key), bytes).unwrap();
        // Beside its buckets the server keeps the checksums of what was put into them.
        for known in std::fs::read_dir(self.directory.path()).unwrap().map(Result::unwrap) {
            if known.path().is_file() {
                std::fs::remove_file(known.path()).unwrap();
            }
        }
    }

    fn remove(&self, blob: &Blob) {
        let key = self.bucket.layout().key(&digest(blob));
        std::fs::remove_file(self.server.file("sponsor", &key)).unwrap();
    }

    async fn replicate(&self) -> Report {
        let report = self.world.replicate(&self.registry).await.unwrap();
        assert_eq!((report.sequence, report.warnings.len()), (Some(1), 0), "{report}");
        report
    }

    /// The layers that the bucket has otherwise than they should be.
    async fn wrong(&self) -> Vec<usize> {
        let mut wrong = Vec::new();
        for (number, layer) in self.image.layers.iter().enumerate() {
            if self.bucket.get(&digest(layer), 1 << 20).await.is_err() {
                wrong.push(number);
            }
        }
        wrong
    }
}

fn digest(blob: &Blob) -> Digest {
    blob.digest.parse().unwrap()
}

async fn put(bucket: &Bucket, blob: &Blob, bytes: &[u8]) {
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let (digest, size) = (digest(blob), bytes.len() as u64);
    let source = futures::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    bucket.put_object(&digest, size, &blob.media_type, source).await.unwrap();
}

#[tokio::test]
async fn what_is_there_is_not_copied_again_and_is_looked_at_as_configured() {
    let objects = LAYERS as u64 + 2;
    let table = [
        (Verify::Presence, 0),
        (Verify::Checksum, 0),
        (Verify::Sample(0), 0),
        (Verify::Sample(1_000_000), objects),
        (Verify::Full, objects),
    ];
    for (verify, read) in table {
        let sponsor = Sponsor::new(verify).await;
        let report = sponsor.replicate().await;
        assert_eq!(report.objects_checked, objects, "{verify:?}");
        let counted = sponsor.counter.take();
        // Of the rest some are documents, which are read too before they are written.
        let whole: u64 = sponsor.image.blobs().map(|blob| blob.bytes.len() as u64).sum();
        assert_eq!(counted.given > whole, read > 0, "{verify:?}: {counted:?}");
        assert!(counted.sent < 20_000, "{verify:?}: {counted:?}");
        let again = sponsor.world.replicate(&sponsor.registry).await.unwrap();
        assert_eq!((again.sequence, again.objects), (None, 0), "{again}");
        assert_eq!(sponsor.counter.take().total(), 1, "{verify:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_replaced_where_the_look_can_tell() {
    let table = [
        (Verify::Presence, vec![2]),
        (Verify::Sample(0), vec![2]),
        (Verify::Sample(1_000_000), vec![]),
        (Verify::Checksum, vec![]),
        (Verify::Full, vec![]),
    ];
    for (verify, left) in table {
        let sponsor = Sponsor::new(verify).await;
        let layers = &sponsor.image.layers;
        sponsor.remove(&layers[0]);
        sponsor.spoil(&layers[1], |bytes| bytes.truncate(1_000));
        sponsor.spoil(&layers[2], |bytes| bytes[0] ^= 1);
        assert_eq!(sponsor.wrong().await, [0, 1, 2]);
        sponsor.replicate().await;
        assert_eq!(sponsor.wrong().await, left, "{verify:?}");
    }
}

#[tokio::test]
async fn a_bucket_is_listed_if_that_costs_less_than_asking() {
    // Beside the image, so many objects that nobody asks for. One request is for its holding.
    for (others, most) in [(0, 2), (1_500, 4)] {
        let sponsor = Sponsor::new(Verify::Checksum).await;
        for number in 0..others {
            let bytes = format!("{number}");
            let digest = Digest::sha256_of(bytes.as_bytes());
            let key = sponsor.bucket.layout().key(&digest);
            std::fs::write(sponsor.server.file("sponsor", &key), bytes).unwrap();
        }
        let layers = sponsor.image.layers.iter();
        for layer in layers {
            sponsor.remove(layer);
        }
        sponsor.counter.take();
        sponsor.world.prepare_replication(&sponsor.registry).await;
        let counted = sponsor.counter.take();
        assert!(counted.requests["GET"] <= most, "{others}: {counted:?}");
        assert_eq!(counted.requests.get("HEAD"), None, "{others}: {counted:?}");
    }
}
