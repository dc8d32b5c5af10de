//! Collections in processes of their own, beside clients that push what is about to go.
//!
//! Nothing here is quick enough to grow old: blobs are made to look as if they had been pushed
//! three days ago and condemned two days ago, between two pushes that rely on them. So each
//! collection finds some that are due, with the grace that users have, while clients ask for the
//! same ones and push manifests that need them.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use landbridge_testkit::image::{Algorithm, digest};
use landbridge_testkit::{Tmpfs, run};
use serde_json::{Value, json};

use super::bucket::Directory;
use crate::client::{BYTES, Client};
use crate::random::Random;
use crate::running::{LIMIT, OwnOrigin, landbridge};

const ROUNDS: u64 = 1_000;
const PUSHERS: u64 = 3;
/// Blobs of each client, of which a manifest takes three.
const POOL: u64 = 16;
/// Fewer collections beside the pushes prove little.
const COLLECTIONS: u64 = 50;
const DAY: Duration = Duration::from_hours(24);

/// What happened, so that a test in which nothing did fails.
#[derive(Debug, Default)]
struct Seen {
    rounds: AtomicU64,
    collections: AtomicU64,
    condemned: AtomicU64,
    deleted: AtomicU64,
    /// Due objects that stayed since somebody relied on them, by the collections' word.
    reprieved: AtomicU64,
    /// Blobs that were reported present although they were condemned.
    relied_on: AtomicU64,
    /// Blobs that were there once and had to be pushed again.
    pushed_again: AtomicU64,
}

#[test]
fn nothing_that_was_acknowledged_is_lost_to_collections_of_other_processes() {
    let disk = Tmpfs::mount(256 << 20).unwrap();
    let store = disk.path().join("store");
    let origin = OwnOrigin::over(&store).unwrap();
    let directory = Directory::new(&store);
    let (seen, is_done) = (Seen::default(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _waiting = Waiting(&seen);
            while !is_done.load(Ordering::Relaxed) {
                collect(&store, &seen);
            }
        });
        let pushing: Vec<_> = (0..PUSHERS)
            .map(|number| {
                let (address, directory, seen) = (&origin.address, &directory, &seen);
                scope.spawn(move || Pusher::new(address, number).push(directory, seen))
            })
            .collect();
        let ended: Vec<_> = pushing.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_done.store(true, Ordering::Relaxed);
        for ended in ended {
            ended.unwrap();
        }
    });
    let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
    tell(&seen);
    assert!(number(&seen.deleted) > ROUNDS / 20, "the collections did nothing: {seen:?}");
    assert!(number(&seen.reprieved) > 0, "no due object was relied on: {seen:?}");
    assert!(number(&seen.relied_on) > 0, "no condemned blob was asked for: {seen:?}");
    assert!(number(&seen.pushed_again) > 0, "no deleted blob was asked for: {seen:?}");
    origin.stop().unwrap();
}

/// Nobody waits for collections that have failed.
struct Waiting<'a>(&'a Seen);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.collections.store(u64::MAX / 2, Ordering::Relaxed);
        }
    }
}

fn collect(store: &Path, seen: &Seen) {
    let mut gc: Command = landbridge();
    let report = run(gc.args(["gc", "--apply", "--json", "--store"]).arg(store), LIMIT).unwrap();
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let add = |to: &AtomicU64, number: &Value| {
        to.fetch_add(number.as_u64().unwrap(), Ordering::Relaxed);
    };
    add(&seen.condemned, &report["condemned"]["objects"]);
    add(&seen.deleted, &report["deleted"]["objects"]);
    add(&seen.reprieved, &report["reprieved"]);
    seen.collections.fetch_add(1, Ordering::Relaxed);
}

/// A client, alone in its repository and with its blobs.
struct Pusher {
    client: Client,
    random: Random,
    repository: String,
    number: u64,
}

impl Pusher {
    fn new(address: &str, number: u64) -> Self {
        let repository = format!("client{number}");
        Self { client: Client::new(address), random: Random::new(number), repository, number }
    }

    fn push(&mut self, directory: &Directory, seen: &Seen) {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        while of(&seen.rounds) < ROUNDS || of(&seen.collections) < COLLECTIONS {
            let round = seen.rounds.fetch_add(1, Ordering::Relaxed);
            // Few manifests, so that they too are pushed again when they are about to go.
            let kind = self.random.below(POOL);
            let seeds = [kind, kind + 1, kind + 5].map(|at| self.number * 1_000 + at % POOL);
            let blobs = seeds.map(|seed| Random::new(seed).bytes(500));
            let digests = blobs.each_ref().map(|blob| digest(Algorithm::Sha256, blob));
            for (blob, digest) in blobs.iter().zip(&digests) {
                self.offer(blob, digest, directory, seen);
            }
            let manifest = manifest(&digests);
            let own = digest(Algorithm::Sha256, &manifest);
            let (target, kind) = (self.at("manifests", &format!("r{}", round % 8)), MANIFEST);
            let put = self.ask("PUT", &target, &[("Content-Type", kind)], &manifest);
            // Every blob was acknowledged a moment ago, so nothing may be missing.
            assert_eq!(put.0, 201, "{}", String::from_utf8_lossy(&put.1));
            self.pull(&own, &manifest, &digests, &blobs);
            if round.is_multiple_of(16) {
                // Some stay for a whole collection.
                let before = of(&seen.collections);
                while of(&seen.collections) < before + 2 {
                    self.pull(&own, &manifest, &digests, &blobs);
                }
            }
            assert_eq!(self.ask("DELETE", &self.at("manifests", &own), &[], b"").0, 202);
            for digest in digests.iter().chain([&own]) {
                directory.make_old(digest, 3 * DAY, 2 * DAY);
            }
        }
    }

    /// Makes sure that a blob is there, as clients do: asks, and uploads what is not.
    fn offer(&mut self, blob: &[u8], digest: &str, directory: &Directory, seen: &Seen) {
        let was_condemned = directory.is_condemned(digest);
        if self.ask("HEAD", &self.at("blobs", digest), &[], b"").0 == 200 {
            seen.relied_on.fetch_add(u64::from(was_condemned), Ordering::Relaxed);
            return;
        }
        seen.pushed_again.fetch_add(u64::from(was_condemned), Ordering::Relaxed);
        let target = self.at("blobs", &format!("uploads/?digest={digest}"));
        let answer = self.ask("POST", &target, &[BYTES], blob);
        assert_eq!(answer.0, 201, "{}", String::from_utf8_lossy(&answer.1));
    }

    /// Pulls an acknowledged image, all of it.
    fn pull(&mut self, own: &str, manifest: &[u8], digests: &[String], blobs: &[Vec<u8>]) {
        assert_eq!(self.ask("GET", &self.at("manifests", own), &[], b""), (200, manifest.to_vec()));
        for (digest, blob) in digests.iter().zip(blobs) {
            assert_eq!(self.ask("GET", &self.at("blobs", digest), &[], b""), (200, blob.clone()));
        }
    }

    fn at(&self, kind: &str, name: &str) -> String {
        format!("/v2/{}/{kind}/{name}", self.repository)
    }

    fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let answer = self.client.ask(method, target, headers, body).unwrap();
        (answer.status, answer.body)
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn manifest(digests: &[String; 3]) -> Vec<u8> {
    let describe = |digest: &String| json!({"mediaType": "application/octet-stream", "digest": digest, "size": 500});
    let [config, layers @ ..] = digests.each_ref().map(describe);
    let manifest =
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
    manifest.to_string().into_bytes()
}

#[expect(clippy::print_stdout, reason = "seen if the test fails")]
fn tell(seen: &Seen) {
    println!("{seen:?}");
}
