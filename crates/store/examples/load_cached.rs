//! How long a front takes to start from its cache: 500,000 objects and 100,000 manifests in 1,000
//! repositories, two of them large, on 24 mirrors.
//!
//! `cargo run --release -p landbridge-store --example load_cached [DIRECTORY]`: the first run fills
//! the directory's cache from a release that it publishes there, every run loads it five times and
//! prints how long each took and the most memory that the process had.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::generation::{ManifestEntry, ObjectEntry, Repository, Root, TagEntry};
use landbridge_core::holding::Holding;
use landbridge_core::pointer::{Keys, Pointer};
use landbridge_core::topology::CopyId;
use landbridge_sign::LocalKey;
use landbridge_store::read::{CatalogReader, CopySource, Follow, HoldingSource, Poll};
use landbridge_store::{Bucket, BucketLayout};
use url::Url;

// As the program has it, so that memory is what a front would take.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const REPOSITORIES: usize = 1_000;
const MANIFESTS: usize = 100_000;
const OBJECTS: usize = 500_000;
const MIRRORS: usize = 24;
/// The first repositories have this share of everything, in percent.
const LARGE: [usize; 2] = [20, 10];

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Result<()> {
    let directory = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = std::path::absolute(directory.join("landbridge-load-cached"))?;
    std::fs::create_dir_all(&directory)?;
    let key = LocalKey::open_or_create(&directory.join("key.pem"))?;
    let mut reader = reader(&directory, &key)?;
    if reader.load_cached(Timestamp::now()).await.0.is_none() {
        publish(&reader, &key).await?;
        let Poll::New(_) = reader.poll(None, Timestamp::now()).await? else {
            return Err("nothing is new".into());
        };
        println!("published; run it again for the memory of a start");
    }
    for _ in 0..5 {
        let begun = Instant::now();
        let (loaded, notes) = reader.load_cached(Timestamp::now()).await;
        let loaded = loaded.ok_or_else(|| format!("the cache is empty: {notes:?}"))?;
        let took = begun.elapsed();
        let catalog = &loaded.catalog;
        println!(
            "{took:.0?}: {} objects, {} of them manifests, in {} repositories",
            catalog.object_count(),
            catalog.manifest_count(),
            catalog.repository_count()
        );
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS"))
    {
        println!("{line}");
    }
    Ok(())
}

fn reader(directory: &Path, key: &LocalKey) -> Result<CatalogReader> {
    let bucket = |name: &str| -> Result<Bucket> {
        let url = Url::from_directory_path(directory.join(name)).map_err(|()| "no directory")?;
        Ok(Bucket::open(&url, BucketLayout::Blobs)?)
    };
    let id = |index| CopyId::new(index).ok_or("too many copies");
    let mut copies = Vec::new();
    for mirror in 1..=MIRRORS {
        let name = format!("mirror-{mirror}");
        let source = HoldingSource::Bucket(bucket(&name)?);
        copies.push(CopySource { copy: id(mirror)?, name, source });
    }
    Ok(CatalogReader {
        authority: bucket("authority")?,
        catalog: "bench".to_owned(),
        keys: Keys::new(vec![key.public().clone()], 1)?,
        retain: 4,
        copies,
        origin: id(0)?,
        holding_timeout: Duration::from_mins(1),
        minimum_sequence: 0,
        last: None,
        follow: Follow::Newest,
        cache: Some(bucket("cache")?),
        exported: None,
    })
}

/// Publishes documents about objects that nobody has.
async fn publish(reader: &CatalogReader, key: &LocalKey) -> Result<()> {
    let mut entries = Vec::new();
    let (mut manifests, mut objects) = (MANIFESTS, OBJECTS);
    for number in 0..REPOSITORIES {
        // What the large ones leave is spread evenly.
        let of = |left: usize, all: usize| match LARGE.get(number) {
            Some(percent) => all * percent / 100,
            None => left / (REPOSITORIES - number),
        };
        let share = (of(manifests, MANIFESTS), of(objects, OBJECTS));
        (manifests, objects) = (manifests - share.0, objects - share.1);
        let repository = repository(number, share.0, share.1)?;
        reader.authority.put_document(&repository).await?;
        entries.push(repository.entry());
    }
    let generation = reader.authority.put_document(&Root::new(entries)).await?;
    let holding = Holding {
        catalog: "bench".to_owned(),
        generations: vec![generation],
        lacks: Vec::new(),
        pointer: Some(1),
    };
    for copy in &reader.copies {
        if let HoldingSource::Bucket(bucket) = &copy.source {
            bucket.put_holding(&holding).await?;
        }
    }
    let pointer = Pointer {
        catalog: "bench".to_owned(),
        expires: "2099-01-01T00:00:00Z".parse()?,
        generation,
        issued: "2026-01-01T00:00:00Z".parse()?,
        previous: None,
        reason: "a bench".to_owned(),
        sequence: 1,
    };
    Ok(reader.authority.create_pointer(1, &key.sign_pointer(&pointer)).await?)
}

/// `objects` counts the manifests too, as a front does.
fn repository(number: usize, manifests: usize, objects: usize) -> Result<Repository> {
    let mut repository = Repository::empty(format!("project/image-{number}").parse()?);
    let digest = |what: usize| Digest::sha256_of(format!("{number}/{what}").as_bytes());
    for what in 0..manifests {
        let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
        let size = 1_000 + what as u64;
        repository.manifests.push(ManifestEntry { digest: digest(what), media_type, size });
        if what % 4 == 0 {
            let name = format!("v1.{what}.0").parse()?;
            repository.tags.push(TagEntry { digest: digest(what), name });
        }
    }
    for what in manifests..objects {
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip".to_owned();
        let size = 1_000_000 + what as u64;
        repository.objects.push(ObjectEntry { digest: digest(what), media_type, size });
    }
    Ok(repository.sorted())
}
