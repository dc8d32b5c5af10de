//! What copies hold, looked at with other eyes than the program's: every byte is read and hashed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use landbridge_core::Digest;
use landbridge_core::generation::{Repository, Root};
use landbridge_core::holding::Holding;
use landbridge_core::pointer::{Pointer, Verified};
use landbridge_store::Bucket;
use tokio::runtime::Runtime;

use super::world::{CATALOG, Copy, Kind, World};
use crate::running::Front;
use landbridge_testkit::image::digest;

/// A release, looked at whole.
pub(super) struct InForce {
    pub(super) pointer: Verified<Pointer>,
    /// What tags mean.
    pub(super) tags: BTreeMap<String, Digest>,
    /// Mirrors that have all of it.
    pub(super) complete: BTreeSet<&'static str>,
}

/// Whoever looks, and remembers what need not be read again: nothing here is ever overwritten with
/// the same time and inode.
pub(super) struct Looker {
    runtime: Runtime,
    right: BTreeSet<(&'static str, Digest)>,
    files: BTreeMap<PathBuf, (u64, i64)>,
    last: Option<Verified<Pointer>>,
    pointers: BTreeMap<u64, Digest>,
}

impl Looker {
    pub(super) fn new() -> Self {
        Self {
            runtime: Runtime::new().unwrap(),
            right: BTreeSet::new(),
            files: BTreeMap::new(),
            last: None,
            pointers: BTreeMap::new(),
        }
    }

    /// Everything is read again from now on.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.right.clear();
        self.files.clear();
    }

    /// The release in force, if there is one. An error is whatever must never be:
    ///
    /// - a pointer that is not believed, is missing below the last one, or became another one;
    /// - a document or an object of the release that the authority has not got;
    /// - a provider none of whose mirrors has all of it;
    /// - a mirror that says it holds the release, and lacks something that it does not say it lacks;
    /// - any object in any copy whose bytes are not those of its name.
    pub(super) fn look(&mut self, world: &World) -> Result<Option<InForce>> {
        for copy in world.copies() {
            self.check_names(world, copy)?;
        }
        let Some((pointer, repositories)) = self.documents(world)? else { return Ok(None) };
        let mut objects = BTreeMap::new();
        let mut tags = BTreeMap::new();
        for repository in &repositories {
            objects.extend(repository.listed());
            tags.extend(
                repository
                    .tags
                    .iter()
                    .map(|tag| (format!("{}:{}", repository.name, tag.name), tag.digest)),
            );
        }
        let lacking = self.lacking(&world.authority, &objects);
        ensure!(lacking.is_empty(), "the authority lacks {lacking:?} of the release in force");
        let mut complete = BTreeSet::new();
        let generation = pointer.content().generation;
        for mirror in &world.mirrors {
            let lacking = self.lacking(mirror, &objects);
            if lacking.is_empty() {
                complete.insert(mirror.name);
            }
            let holding = self.runtime.block_on(mirror.bucket.get_holding())?;
            let Some(holding) = holding else { continue };
            if holding.generations.contains(&generation) {
                let hidden: Vec<_> =
                    lacking.iter().filter(|digest| !holding.lacks.contains(digest)).collect();
                ensure!(hidden.is_empty(), "{} says it holds {hidden:?}", mirror.name);
            }
        }
        let providers: BTreeSet<_> = world.mirrors.iter().map(|mirror| mirror.provider).collect();
        for provider in providers {
            let has_all =
                |mirror: &&Copy| mirror.provider == provider && complete.contains(mirror.name);
            ensure!(world.mirrors.iter().any(|m| has_all(&m)), "no mirror of {provider} has all");
        }
        Ok(Some(InForce { pointer, tags, complete }))
    }

    fn documents(&mut self, world: &World) -> Result<Option<(Verified<Pointer>, Vec<Repository>)>> {
        let Self { runtime, last, pointers, .. } = self;
        let (bucket, keys) = (&world.authority.bucket, &world.keys);
        runtime.block_on(async {
            if last.is_none() {
                // All that lie there; else one after the other from the last one that was seen.
                let all = bucket.pointers(keys, CATALOG).await?;
                for ((sequence, pointer), expected) in all.into_iter().rev().zip(1..) {
                    ensure!(sequence == expected, "pointer {expected} is not there");
                    let pointer =
                        pointer.map_err(|why| anyhow!("pointer {sequence} is bad: {why}"))?;
                    follow(last, pointer, pointers)?;
                }
            }
            let sequence = |last: &Verified<Pointer>| last.content().sequence;
            while let next = last.as_ref().map_or(0, sequence) + 1
                && let Some(pointer) = bucket.pointer_at(next, keys, CATALOG).await?
            {
                follow(last, pointer, pointers)?;
            }
            let known = pointers.last_key_value().map(|(sequence, _)| *sequence);
            ensure!(known == last.as_ref().map(sequence), "pointer {known:?} is lost");
            let Some(pointer) = last.clone() else { return Ok(None) };
            let root: Root = bucket.get_document(&pointer.content().generation).await?;
            let mut repositories = Vec::new();
            for entry in &root.repositories {
                repositories.push(bucket.get_document(&entry.digest).await?);
            }
            Ok(Some((pointer, repositories)))
        })
    }

    /// What a mirror says that it holds.
    pub(super) fn holding(&self, mirror: &Copy) -> Option<Holding> {
        self.runtime.block_on(mirror.bucket.get_holding()).unwrap()
    }

    /// What a copy has not got, or got wrong.
    pub(super) fn lacking(
        &mut self,
        copy: &Copy,
        objects: &BTreeMap<Digest, u64>,
    ) -> BTreeSet<Digest> {
        let Self { runtime, right, .. } = self;
        let mut lacking = BTreeSet::new();
        for (digest, size) in objects {
            if right.contains(&(copy.name, *digest)) {
                continue;
            }
            if runtime.block_on(has(&copy.bucket, digest, *size)) {
                right.insert((copy.name, *digest));
            } else {
                lacking.insert(*digest);
            }
        }
        lacking
    }

    /// Whatever lies under the name of a digest has it.
    fn check_names(&mut self, world: &World, copy: &Copy) -> Result<()> {
        for file in object_files(world, copy) {
            // It may be a draft that was renamed meanwhile.
            let Ok(meta) = fs::metadata(&file) else { continue };
            let mark = (meta.ino(), meta.mtime_nsec());
            if self.files.get(&file) == Some(&mark) {
                continue;
            }
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let hash = name.rsplit(':').next().unwrap_or_default();
            let found = digest(landbridge_testkit::image::Algorithm::Sha256, &fs::read(&file)?);
            // Of what is in S3 the file's name has the first half of the hash.
            let is_right = found.strip_prefix("sha256:").is_some_and(|it| it.starts_with(hash));
            ensure!(is_right, "{} has {found}", file.display());
            self.files.insert(file.clone(), mark);
        }
        Ok(())
    }
}

/// The next pointer is the one after the last, and the same as it ever was.
fn follow(
    last: &mut Option<Verified<Pointer>>,
    next: Verified<Pointer>,
    known: &mut BTreeMap<u64, Digest>,
) -> Result<()> {
    let sequence = next.content().sequence;
    let envelope = *next.envelope();
    let before = *known.entry(sequence).or_insert(envelope);
    ensure!(before == envelope, "pointer {sequence} became another one");
    let previous = last.as_ref().map(|last| *last.envelope());
    ensure!(next.content().previous == previous, "pointer {sequence} does not follow the last");
    *last = Some(next);
    Ok(())
}

async fn has(bucket: &Bucket, digest: &Digest, size: u64) -> bool {
    match bucket.get(digest, size).await {
        Ok(bytes) => bytes.len() as u64 == size && Digest::sha256_of(&bytes) == *digest,
        Err(_) => false,
    }
}

/// The files in which a copy keeps its objects.
pub(super) fn object_files(world: &World, copy: &Copy) -> Vec<PathBuf> {
    let base = match copy.kind {
        Kind::S3 => world.s3.file(copy.name, ""),
        Kind::Directory => world.dir.path().join(copy.name),
    };
    let mut files = Vec::new();
    for directory in ["blobs/sha256", "containers/images"] {
        let Ok(entries) = fs::read_dir(base.join(directory)) else { continue };
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| is_object(path)));
    }
    files
}

fn is_object(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hash = name.strip_prefix("sha256:").unwrap_or(&name);
    [32, 64].contains(&hash.len()) && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Pulls what a tag means through a front, all of it, as a client does; `None` if there is no such
/// tag.
pub(super) fn pull(front: &Front, reference: &str) -> Result<Option<Digest>> {
    let (name, tag) = reference.split_once(':').context("a tag")?;
    let manifest = front.get(&format!("/v2/{name}/manifests/{tag}"))?;
    if manifest.status == 404 {
        return Ok(None);
    }
    ensure!(manifest.status == 200, "{reference}: {manifest}");
    let found = Digest::sha256_of(&manifest.body);
    ensure!(manifest.header("docker-content-digest") == Some(&found.to_string()), "{manifest}");
    let content = manifest.json()?;
    let layers = content["layers"].as_array().context("layers")?;
    for descriptor in layers.iter().chain([&content["config"]]) {
        let digest = descriptor["digest"].as_str().context("a digest")?;
        let blob = front.follow("GET", &format!("/v2/{name}/blobs/{digest}"), &[])?;
        let bytes = Digest::sha256_of(&blob.body).to_string();
        ensure!((blob.status, &*bytes) == (200, digest), "{reference}: {digest}: {blob}");
    }
    Ok(Some(found))
}
