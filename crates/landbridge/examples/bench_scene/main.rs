//! Writes what `bench/compare.sh` measures with: a large project's bucket and mirrors, the
//! configuration of a front for it, nginx's for the same, and requests.
//!
//! 500 repositories with 100,000 manifests and 400,000 blobs, on 24 mirrors; 20,000 prefixes. No
//! blob exists, since redirects do not need them; 20,000 manifests do, more than a cache keeps.
//! Everything but the signing key comes from one seed.

mod nginx;
#[path = "../../../core/benches/decision/synthetic.rs"]
mod synthetic;

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use landbridge_core::generation::{ManifestEntry, ObjectEntry, Repository, Root, TagEntry};
use landbridge_core::holding::Holding;
use landbridge_core::media_type::{OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST};
use landbridge_core::pointer::Pointer;
use landbridge_sign::LocalKey;
use landbridge_store::{Bucket, BucketLayout};
use url::Url;

use crate::synthetic::{Random, inside, ranges};

const REPOSITORIES: usize = 500;
const MANIFESTS: usize = 200; // of each repository
const BLOBS: usize = 4; // of each manifest, none shared
const STORED: usize = 40; // of each repository's manifests
const MIRRORS: usize = 24;
const REQUESTS: usize = 8_192;
const LAYOUT: BucketLayout = BucketLayout::Blobs;
const CATALOG: &str = "bench";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let root = std::env::args().nth(1).context("usage: bench_scene DIRECTORY")?;
    let root = std::path::absolute(PathBuf::from(root))?;
    anyhow::ensure!(!root.exists(), "`{}` exists: remove it, or name another", root.display());
    fs::create_dir_all(&root)?;
    let mut random = Random(2026);

    let csv = ranges(&mut random);
    fs::write(root.join("ranges.csv"), &csv)?;
    let origin = open(&root.join("origin"))?;
    let mut stored = String::new();
    let mut repositories = repositories(&root.join("origin"), &mut stored, &mut random)?;
    let first = put_generation(&origin, &repositories).await?;
    let asked = requests(&repositories, &csv, &mut random);

    // The next release: ten repositories get a tag and an image.
    for repository in repositories.iter_mut().take(10) {
        let image = image(&mut random);
        repository.manifests.push(image.manifest.clone());
        repository.tags.push(tag(&image.manifest.digest, "next"));
        repository.objects.extend(image.blobs);
        *repository = repository.clone().sorted();
    }
    let second = put_generation(&origin, &repositories).await?;

    let key = LocalKey::open_or_create(&root.join("key.pem"))?;
    let pointer = |sequence, generation, previous| -> anyhow::Result<Vec<u8>> {
        Ok(key.sign_pointer(&Pointer {
            catalog: CATALOG.to_owned(),
            expires: "2100-01-01T00:00:00Z".parse()?,
            generation,
            issued: "2026-01-01T00:00:00Z".parse()?,
            previous,
            reason: "a benchmark".to_owned(),
            sequence,
        }))
    };
    let envelope = pointer(1, first, None)?;
    origin.create_pointer(1, &envelope).await?;
    // Moved to its place by whoever measures a swap.
    fs::write(root.join("next-pointer"), pointer(2, second, Some(Digest::sha256_of(&envelope)))?)?;

    for mirror in 0..MIRRORS {
        let lacks = (0..100).map(|_| some_object(&repositories, &mut random)).collect();
        let generations = vec![first, second];
        let holding = Holding { generations, lacks, ..Holding::empty(CATALOG) };
        open(&root.join("mirrors").join(name(mirror)))?.put_holding(&holding).await?;
    }
    for (mode, port) in [("each", 18103), ("minute", 18104)] {
        fs::write(root.join(format!("landbridge-{mode}.yaml")), configuration(&root, mode, port)?)?;
    }
    fs::write(root.join("requests.txt"), asked)?;
    fs::write(root.join("manifests.txt"), stored)?;
    nginx::write(&root, &csv)?;
    Ok(())
}

/// The mirror's name, which is also its region's number.
fn name(mirror: usize) -> String {
    format!("mirror-{mirror}")
}

/// The mirror's public address, without a trailing slash. Nobody listens there: a front that reads
/// a manifest from a mirror is refused at once, without asking a name server.
fn public_url(mirror: usize) -> String {
    format!("https://127.0.0.1:9/project-images/{}", name(mirror))
}

fn open(directory: &Path) -> anyhow::Result<Bucket> {
    fs::create_dir_all(directory)?;
    let url = Url::from_directory_path(directory).ok().context("no absolute path")?;
    Ok(Bucket::open(&url, LAYOUT)?)
}

struct Image {
    bytes: Vec<u8>,
    manifest: ManifestEntry,
    blobs: Vec<ObjectEntry>,
}

/// A manifest of blobs that nobody has made.
fn image(random: &mut Random) -> Image {
    let mut blob = |at: usize| {
        let hash: Vec<u8> = (0..4).flat_map(|_| random.next().to_le_bytes()).collect();
        let digest =
            Digest::from_hash(Algorithm::Sha256, &hash).unwrap_or(Digest::sha256_of(&hash));
        let media_type = if at == 0 { OCI_CONFIG } else { OCI_LAYER_GZIP }.to_owned();
        ObjectEntry { digest, media_type, size: random.next() >> 38 }
    };
    let mut blobs: Vec<ObjectEntry> = (0..BLOBS).map(&mut blob).collect();
    let descriptor = |blob: &ObjectEntry| serde_json::json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size});
    let layers: Vec<_> = blobs.iter().skip(1).map(descriptor).collect();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(&blobs[0]),
        "layers": layers, "annotations": {"org.opencontainers.image.description": "x".repeat(800)},
    });
    let bytes = manifest.to_string().into_bytes();
    let (digest, size) = (Digest::sha256_of(&bytes), bytes.len() as u64);
    blobs.sort_by_key(|blob| blob.digest);
    Image {
        manifest: ManifestEntry { digest, media_type: OCI_MANIFEST.to_owned(), size },
        blobs,
        bytes,
    }
}

fn tag(digest: &Digest, name: &str) -> TagEntry {
    TagEntry { digest: *digest, name: name.parse().expect("a plain tag") }
}

/// All repositories; to `stored` the paths of those manifests whose bytes are written.
fn repositories(
    origin: &Path,
    stored: &mut String,
    random: &mut Random,
) -> anyhow::Result<Vec<Repository>> {
    let mut all = Vec::new();
    for at in 0..REPOSITORIES {
        let mut repository = Repository::empty(format!("group-{}/image-{at}", at % 20).parse()?);
        for number in 0..MANIFESTS {
            let image = image(random);
            if number < STORED {
                let path = origin.join(LAYOUT.key(&image.manifest.digest));
                fs::create_dir_all(path.parent().context("no directory")?)?;
                fs::write(path, &image.bytes)?;
                writeln!(stored, "/v2/{}/manifests/{}", repository.name, image.manifest.digest)?;
            }
            repository.tags.push(tag(&image.manifest.digest, &format!("v1.{number}.0")));
            repository.manifests.push(image.manifest);
            repository.objects.extend(image.blobs);
        }
        all.push(repository.sorted());
    }
    Ok(all)
}

/// Writes all documents. Returns the root's digest.
async fn put_generation(origin: &Bucket, repositories: &[Repository]) -> anyhow::Result<Digest> {
    let mut entries = Vec::new();
    for repository in repositories {
        origin.put_document(repository).await?;
        entries.push(repository.entry());
    }
    Ok(origin.put_document(&Root::new(entries)).await?)
}

fn some_object(repositories: &[Repository], random: &mut Random) -> Digest {
    let objects = &repositories[random.below(repositories.len())].objects;
    objects[random.below(objects.len())].digest
}

/// Lines of `path address`: blobs, half of them for clients in a cloud, half for the others.
fn requests(repositories: &[Repository], csv: &str, random: &mut Random) -> String {
    let prefixes: Vec<IpAddr> =
        csv.lines().filter_map(|line| line.split_once('/')?.0.parse().ok()).collect();
    let mut lines = String::new();
    for _ in 0..REQUESTS {
        let repository = &repositories[random.below(repositories.len())];
        let blob = repository.objects[random.below(repository.objects.len())].digest;
        let client = if random.below(2) == 0 {
            inside(prefixes[random.below(prefixes.len())], random)
        } else {
            let bytes = random.next().to_be_bytes();
            IpAddr::V4(Ipv4Addr::new(100 + bytes[0] / 4, bytes[1], bytes[2], bytes[3]))
        };
        let _infallible = writeln!(lines, "/v2/{}/blobs/{blob} {client}", repository.name);
    }
    lines
}

/// Who is sent where, for the front and for nginx alike: mirrors 0 to 23 are in regions 0 to 23,
/// regions 24 to 47 have one of them as a neighbour, the others have none.
fn neighbour_of(region: usize) -> Option<usize> {
    (region < 2 * MIRRORS).then_some(region % MIRRORS)
}

fn provider_of(region: usize) -> &'static str {
    ["aws", "gcp", "azure"][region % 3]
}

/// Shares of clients without a mirror or a neighbour.
fn weight_of(mirror: usize) -> usize {
    [1, 2, 4][mirror % 3]
}

fn configuration(root: &Path, mode: &str, port: u16) -> anyhow::Result<String> {
    let at = root.display();
    let mut yaml = format!(
        "listen:\n  address: 127.0.0.1:{port}\n  admin: 127.0.0.1:{}\n  threads: 1\n\
         trusted_proxies:\n  cidrs: [127.0.0.0/8]\n\
         ranges:\n  - name: clouds\n    format: csv\n    file: {at}/ranges.csv\n\
         records:\n  mode: {mode}\n  directory: {at}/records-{mode}\n  rotate: 1GiB\n  keep: 1\n\
         origins:\n  - name: origin\n    store:\n      url: {at}/origin\n      layout: {LAYOUT}\n      \
         catalog: {CATALOG}\n      keys: [{at}/key.pem.pub]\n      poll: 2s\n\
         sites:\n  - name: bench\n    hosts: ['*']\n    origin: origin\n    routes:\n",
        port + 100
    );
    for region in MIRRORS..2 * MIRRORS {
        let copy = name(neighbour_of(region).context("no neighbour")?);
        writeln!(
            yaml,
            "      - provider: {}\n        region: region-{region}\n        copies: [{copy}]",
            provider_of(region)
        )?;
    }
    yaml.push_str("    default:\n");
    for mirror in 0..MIRRORS {
        writeln!(yaml, "      - copy: {}\n        weight: {}", name(mirror), weight_of(mirror))?;
    }
    yaml.push_str("mirrors:\n");
    for mirror in 0..MIRRORS {
        let (name, provider, url) = (name(mirror), provider_of(mirror), public_url(mirror));
        writeln!(
            yaml,
            "  - name: {name}\n    provider: {provider}\n    region: region-{mirror}\n    bucket:\n      \
             url: {url}\n      layout: {LAYOUT}\n      store: {at}/mirrors/{name}"
        )?;
    }
    Ok(yaml)
}
