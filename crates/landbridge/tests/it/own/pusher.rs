//! A client that pushes until its origin is killed, and knows what it was promised.
//!
//! Each has repositories of its own, so that nobody else changes what it is promised; some blobs
//! are everybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use anyhow::{Context as _, Result, ensure};
use landbridge_testkit::http::Answer;
use landbridge_testkit::image::{Algorithm, digest};
use serde_json::{Value, json};

use super::bucket::{Directory, Reference};
use crate::client::{BYTES, Client};
use crate::random::Random;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Blobs that every client pushes, at the same time as others.
const SHARED: u64 = 12;
/// A client that has more manifests deletes some.
const MOST_MANIFESTS: usize = 24;
/// Manifests that indexes list, which are never deleted.
const MOST_LISTED: usize = 6;

/// What a client is about to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Bytes of a blob, or the end of its upload.
    Upload,
    /// A blob that another repository has.
    Mount,
    /// A manifest or an index, under a tag.
    Manifest,
    /// That a tag or a manifest goes.
    Delete,
}

/// How a blob is sent.
#[derive(Debug, Clone, Copy)]
enum Way {
    AtOnce,
    Put,
    Chunks,
    Resumed,
}

/// Repository and name, or repository and digest.
type Key = (String, String);

#[derive(Debug)]
pub(super) struct Pusher {
    random: Random,
    repositories: [String; 2],
    /// What each tag may mean: one thing, unless an answer is missing.
    tags: BTreeMap<Key, BTreeSet<Option<String>>>,
    /// Manifests that were acknowledged, with all that they need.
    manifests: BTreeMap<Key, Vec<Reference>>,
    listed: BTreeSet<Key>,
    /// Blobs that were acknowledged since the last look.
    fresh: BTreeSet<Key>,
    asking: Option<Step>,
}

impl Pusher {
    pub(super) fn new(number: usize, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            repositories: ["a", "b/c"].map(|name| format!("client{number}/{name}")),
            tags: BTreeMap::new(),
            manifests: BTreeMap::new(),
            listed: BTreeSet::new(),
            fresh: BTreeSet::new(),
            asking: None,
        }
    }

    /// Pushes and deletes until the origin dies, which it must not before it is `dying`. Returns
    /// what was asked for and not answered.
    pub(super) fn push(
        &mut self,
        address: &str,
        dying: &AtomicBool,
        steps: &Sender<Step>,
    ) -> Option<Step> {
        let mut client = Client::new(address);
        loop {
            self.asking = None;
            let Err(error) = self.act(&mut client, steps) else { continue };
            assert!(dying.load(Ordering::SeqCst), "the origin failed by itself: {error:#}");
            return self.asking;
        }
    }

    /// Compares what was promised with what is there, and goes on from there.
    pub(super) fn settle(&mut self, directory: &Directory) -> Result<()> {
        for ((repository, tag), meanings) in &mut self.tags {
            let found = directory.tag(repository, tag);
            ensure!(
                meanings.contains(&found),
                "{repository}:{tag} means {found:?}, not one of {meanings:?}"
            );
            if let Some(digest) = &found {
                let needs = directory
                    .whole(repository, digest)
                    .with_context(|| format!("tag {repository}:{tag}"))?;
                self.manifests.insert((repository.clone(), digest.clone()), needs);
            }
            *meanings = BTreeSet::from([found]);
        }
        for (repository, digest) in self.manifests.keys() {
            directory.whole(repository, digest).context("acknowledged")?;
        }
        for (repository, blob) in std::mem::take(&mut self.fresh) {
            ensure!(
                directory.has_blob(&repository, &blob),
                "blob {blob} of {repository} was acknowledged and is gone"
            );
        }
        Ok(())
    }

    /// Pulls everything that was promised.
    pub(super) fn pull(&self, client: &mut Client) -> Result<()> {
        for ((repository, tag), meanings) in &self.tags {
            let answer = client.get(&format!("/v2/{repository}/manifests/{tag}"))?;
            let found = (answer.status == 200).then(|| digest(Algorithm::Sha256, &answer.body));
            ensure!(meanings.contains(&found), "{repository}:{tag} is {found:?}: {answer}");
        }
        for ((repository, manifest), blobs) in &self.manifests {
            let manifest = ("manifests", manifest);
            let blobs = blobs.iter().map(|(blob, _)| ("blobs", blob));
            for (kind, wanted) in blobs.chain([manifest]) {
                let answer = client.get(&format!("/v2/{repository}/{kind}/{wanted}"))?;
                let found = digest(Algorithm::Sha256, &answer.body);
                ensure!(
                    answer.status == 200 && found == *wanted,
                    "{repository}: {kind} {wanted}: {}",
                    answer.status
                );
            }
        }
        Ok(())
    }

    fn act(&mut self, client: &mut Client, steps: &Sender<Step>) -> Result<()> {
        let choice = self.random.below(100);
        if self.manifests.len() > MOST_MANIFESTS || choice < 15 {
            self.delete(client, steps)
        } else if choice < 25 {
            self.push_index(client, steps)
        } else {
            self.push_image(client, steps)
        }
    }

    fn push_image(&mut self, client: &mut Client, steps: &Sender<Step>) -> Result<()> {
        let at = self.random.index(2);
        let (repository, other) =
            (self.repositories[at].clone(), self.repositories[1 - at].clone());
        // Now and then one that is written in several parts.
        let length = if self.random.percent(3) { 2_500_000 } else { 2_000 };
        let length = length + self.random.index(40_000);
        let own = self.random.bytes(length);
        let mut layers = vec![self.upload(client, steps, &repository, &own)?];
        let shared = Random::new(self.random.below(SHARED)).bytes(5_000);
        let blob = digest(Algorithm::Sha256, &shared);
        let target = format!("/v2/{repository}/blobs/{blob}");
        layers.push(if client.ask("HEAD", &target, &[], b"")?.status == 200 {
            self.fresh.insert((repository.clone(), blob.clone()));
            (blob, 5_000)
        } else {
            self.upload(client, steps, &repository, &shared)?
        });
        if let Some(blob) = self.blob_of(&other) {
            self.tell(steps, Step::Mount);
            let target = format!("/v2/{repository}/blobs/uploads/?mount={}&from={other}", blob.0);
            let answer = client.ask("POST", &target, &[], b"")?;
            // 202 is for one that a collection is about to judge: it must be uploaded instead.
            if answer.status != 202 {
                expect(&answer, 201, "mounted, since a manifest there needs it");
                self.fresh.insert((repository.clone(), blob.0.clone()));
                layers.push(blob);
            }
        }
        let config = self.random.bytes(300);
        let config = self.upload(client, steps, &repository, &config)?;
        let describe = |kind: &str, blob: &Reference| json!({"mediaType": kind, "digest": blob.0, "size": blob.1});
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": describe(CONFIG, &config),
            "layers": layers.iter().map(|layer| describe(LAYER, layer)).collect::<Vec<_>>(),
        });
        if self.random.percent(20)
            && let Some(subject) = self.manifest_of(&repository)
        {
            manifest["subject"] = describe(MANIFEST, &(subject, 1_000));
        }
        layers.push(config);
        let tag = format!("image{}", self.random.below(8));
        self.put(client, steps, (repository, tag), &manifest, layers)
    }

    fn push_index(&mut self, client: &mut Client, steps: &Sender<Step>) -> Result<()> {
        let repository = self.repositories[self.random.index(2)].clone();
        let listed = self.listed.iter().filter(|(of, _)| *of == repository).cloned();
        let mut children: Vec<Key> = listed.collect();
        if children.len() < MOST_LISTED {
            children.extend(self.manifest_of(&repository).map(|it| (repository.clone(), it)));
        }
        let describe =
            |child: &Key| json!({"mediaType": MANIFEST, "digest": child.1, "size": 1_000});
        let number = self.random.next().to_string();
        let index = json!({
            "schemaVersion": 2, "mediaType": INDEX, "annotations": {"number": number},
            "manifests": children.iter().map(describe).collect::<Vec<_>>(),
        });
        self.listed.extend(children);
        let tag = format!("index{}", self.random.below(2));
        self.put(client, steps, (repository, tag), &index, Vec::new())
    }

    fn put(
        &mut self,
        client: &mut Client,
        steps: &Sender<Step>,
        key: Key,
        manifest: &Value,
        needs: Vec<Reference>,
    ) -> Result<()> {
        let body = manifest.to_string().into_bytes();
        let digest = digest(Algorithm::Sha256, &body);
        let kind = manifest["mediaType"].as_str().unwrap();
        let meanings = self.tags.entry(key.clone()).or_insert_with(|| BTreeSet::from([None]));
        meanings.insert(Some(digest.clone()));
        self.tell(steps, Step::Manifest);
        let target = format!("/v2/{}/manifests/{}", key.0, key.1);
        let answer = client.ask("PUT", &target, &[("Content-Type", kind)], &body)?;
        expect(&answer, 201, "stored, since all that it needs was acknowledged");
        self.manifests.insert((key.0.clone(), digest.clone()), needs);
        self.tags.insert(key, BTreeSet::from([Some(digest)]));
        Ok(())
    }

    fn delete(&mut self, client: &mut Client, steps: &Sender<Step>) -> Result<()> {
        if self.random.percent(30) && !self.tags.is_empty() {
            let at = self.random.index(self.tags.len());
            let Some((key, meanings)) = self.tags.iter_mut().nth(at) else { return Ok(()) };
            if meanings.contains(&None) {
                return Ok(());
            }
            meanings.insert(None);
            let (key, target) = (key.clone(), format!("/v2/{}/manifests/{}", key.0, key.1));
            self.tell(steps, Step::Delete);
            let answer = client.ask("DELETE", &target, &[], b"")?;
            expect(&answer, 202, "deleted");
            self.tags.insert(key, BTreeSet::from([None]));
            return Ok(());
        }
        let free = self.manifests.keys().filter(|key| !self.listed.contains(*key));
        let free: Vec<Key> = free.cloned().collect();
        if free.is_empty() {
            return Ok(());
        }
        let (repository, digest) = free[self.random.index(free.len())].clone();
        let meant = Some(digest.clone());
        for ((of, _), meanings) in &mut self.tags {
            if *of == repository && meanings.contains(&meant) {
                meanings.insert(None);
            }
        }
        self.manifests.remove(&(repository.clone(), digest.clone()));
        self.tell(steps, Step::Delete);
        let target = format!("/v2/{repository}/manifests/{digest}");
        let answer = client.ask("DELETE", &target, &[], b"")?;
        expect(&answer, 202, "deleted");
        for ((of, _), meanings) in &mut self.tags {
            if *of == repository {
                meanings.remove(&meant);
            }
        }
        Ok(())
    }

    /// Uploads a blob in one of the ways that there are.
    fn upload(
        &mut self,
        client: &mut Client,
        steps: &Sender<Step>,
        repository: &str,
        bytes: &[u8],
    ) -> Result<Reference> {
        let blob = digest(Algorithm::Sha256, bytes);
        let ways = [Way::AtOnce, Way::Put, Way::Chunks, Way::Resumed];
        let way = ways[self.random.index(ways.len())];
        let begin = format!("/v2/{repository}/blobs/uploads/");
        let answer = if let Way::AtOnce = way {
            self.tell(steps, Step::Upload);
            client.ask("POST", &format!("{begin}?digest={blob}"), &[BYTES], bytes)?
        } else {
            let begun = client.ask("POST", &begin, &[], b"")?;
            expect(&begun, 202, "begun");
            let upload = begun.header("location").unwrap().to_owned();
            let end = format!("{upload}?digest={blob}");
            let last = match way {
                Way::AtOnce | Way::Put => bytes,
                Way::Chunks => {
                    let size = bytes.len().div_ceil(3);
                    for (number, chunk) in bytes.chunks(size).enumerate() {
                        self.tell(steps, Step::Upload);
                        let answer = patch(client, &upload, number * size, chunk)?;
                        expect(&answer, 202, "taken");
                    }
                    &[]
                }
                Way::Resumed => {
                    self.tell(steps, Step::Upload);
                    let range = format!("0-{}", bytes.len() - 1);
                    let headers = [BYTES, ("Content-Range", &*range)];
                    let half = &bytes[..bytes.len() / 2];
                    client.break_off("PATCH", &upload, &headers, bytes.len(), half)?;
                    // What came of it may still be on its way to be kept.
                    loop {
                        let status = client.get(&upload)?;
                        expect(&status, 204, "known");
                        let range = status.header("range").unwrap();
                        let last: usize = range.strip_prefix("0-").unwrap().parse().unwrap();
                        let offset = if last == 0 { 0 } else { last + 1 };
                        self.tell(steps, Step::Upload);
                        let answer = patch(client, &upload, offset, &bytes[offset..])?;
                        if answer.status != 416 {
                            expect(&answer, 202, "taken");
                            break;
                        }
                    }
                    &[]
                }
            };
            self.tell(steps, Step::Upload);
            client.ask("PUT", &end, &[BYTES], last)?
        };
        expect(&answer, 201, "kept");
        self.asking = None;
        self.fresh.insert((repository.to_owned(), blob.clone()));
        Ok((blob, bytes.len() as u64))
    }

    fn tell(&mut self, steps: &Sender<Step>, step: Step) {
        self.asking = Some(step);
        // Once the origin is to die nobody listens any more.
        let _ = steps.send(step);
    }

    /// A blob that some manifest of this repository needs.
    fn blob_of(&mut self, repository: &str) -> Option<Reference> {
        let all = self.manifests.iter().filter(|((of, _), _)| of == repository);
        let all: Vec<&Reference> = all.flat_map(|(_, needs)| needs).collect();
        (!all.is_empty()).then(|| all[self.random.index(all.len())].clone())
    }

    /// A manifest of this repository.
    fn manifest_of(&mut self, repository: &str) -> Option<String> {
        let all =
            self.manifests.iter().filter(|((of, _), needs)| of == repository && !needs.is_empty());
        let all: Vec<&String> = all.map(|((_, digest), _)| digest).collect();
        (!all.is_empty()).then(|| all[self.random.index(all.len())].clone())
    }
}

fn patch(client: &mut Client, upload: &str, offset: usize, chunk: &[u8]) -> Result<Answer> {
    let range = format!("{offset}-{}", (offset + chunk.len()).saturating_sub(1));
    client.ask("PATCH", upload, &[BYTES, ("Content-Range", &range)], chunk)
}

#[track_caller]
fn expect(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "not {what}: {answer}");
}
