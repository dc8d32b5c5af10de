//! A release appears whole: two fronts, one of which is late, and readers who ask now the one and now
//! the other, while releases come, go back and come again.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use landbridge_core::Digest;
use landbridge_testkit::image::{Image, Recipe};
use landbridge_testkit::{http, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{BYTES, Client};
use crate::key;
use crate::running::{Front, LIMIT, OwnOrigin, landbridge};

/// What is pushed.
#[derive(Debug, Clone, Copy)]
enum Release {
    Old,
    /// Other images under the same names.
    New,
    /// As many images under names that only the new release has.
    Added,
}

/// Images of each.
const IMAGES: usize = 30;
const MIRRORS: [&str; 4] = ["one", "two", "three", "four"];
const READERS: usize = 4;
/// How much later the second front learns of a release, unless somebody asks it for what it lacks.
const LATE: Duration = Duration::from_secs(10);

#[test]
fn readers_between_two_fronts_never_miss_anything_while_releases_come_and_go() {
    let world = World::new();
    world.push(Release::Old);
    assert!(world.publish(&["replicate"]).contains("published as 1:"));
    let fronts = [world.front("1s"), world.front("10s")];
    let (stop, pulls) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|seed| {
                let addresses = fronts.each_ref().map(|front| front.address.clone());
                let (stop, pulls) = (&stop, &pulls);
                scope.spawn(move || read(&addresses, seed, stop, pulls))
            })
            .collect();
        world.push(Release::New);
        world.push(Release::Added);
        for (publish, release) in [
            (["replicate"].as_slice(), Release::New),
            (&["generation", "rollback", "1", "--reason", "a test"], Release::Old),
            (&["replicate"], Release::New),
        ] {
            world.publish(publish);
            let published = Instant::now();
            for front in &fronts {
                World::wait_for(front, release);
            }
            assert!(published.elapsed() < LATE + LIMIT);
        }
        stop.store(true, Ordering::SeqCst);
        let flips: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        for [early, late] in flips {
            // Old, new, old, new: were two generations mixed, there would be more.
            assert!(early <= 3 && late <= 3, "{early} and {late} changes were seen");
        }
    });
    let pulls = pulls.load(Ordering::SeqCst);
    assert!(pulls > 100, "only {pulls} pulls were made");
    for front in fronts {
        let log = front.stop().unwrap();
        assert!(!log.contains("ERROR"), "{log}");
    }
}

struct World {
    dir: TempDir,
    origin: OwnOrigin,
    signers: Value,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let signers = key::make(dir.path());
        for name in MIRRORS.iter().chain(&["authority", "registry"]) {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let origin = OwnOrigin::over(&dir.path().join("registry")).unwrap();
        let world = Self { dir, origin, signers };
        for poll in ["1s", "10s"] {
            fs::write(world.file(poll), world.configuration(poll).to_string()).unwrap();
        }
        world
    }

    fn file(&self, poll: &str) -> std::path::PathBuf {
        self.dir.path().join(format!("{poll}.yaml"))
    }

    fn configuration(&self, poll: &str) -> Value {
        let mirror = |name| json!({ "name": name, "provider": name, "region": name, "embedded": { "store": name } });
        let copies = MIRRORS.map(|name| json!({ "copy": name }));
        let registry = json!({ "url": format!("http://{}", self.origin.address) });
        json!({
            "records": { "mode": "off" },
            "origins": [
                { "name": "source", "registry": registry, "store": {
                    "url": "authority", "catalog": "a", "keys": ["key.pub"], "poll": poll,
                }},
                { "name": "published", "store": {
                    "url": "authority", "catalog": "a", "keys": ["key.pub"], "poll": poll,
                }},
            ],
            "mirrors": MIRRORS.map(mirror),
            "sites": [{ "name": "main", "hosts": ["*"], "origin": "published", "default": copies }],
            "replicate": { "signers": self.signers, "origin": "source" },
        })
    }

    fn front(&self, poll: &str) -> Front {
        Front::configured(&self.file(poll)).unwrap()
    }

    fn publish(&self, arguments: &[&str]) -> String {
        let mut command = landbridge();
        run(command.args(arguments).arg("--config").arg(self.file("1s")), LIMIT).unwrap().text()
    }

    fn push(&self, release: Release) {
        let mut client = Client::new(&self.origin.address);
        for at in 0..IMAGES {
            let image = image(release, at);
            for blob in image.layers.iter().chain([&image.config]) {
                let target = format!("/v2/app/blobs/uploads/?digest={}", blob.digest);
                let put = client.ask("POST", &target, &[BYTES], &blob.bytes).unwrap();
                assert_eq!(put.status, 201, "{put}");
            }
            let tag = match release {
                Release::Old | Release::New => format!("v{at}"),
                Release::Added => format!("added{at}"),
            };
            let headers = [("Content-Type", &*image.manifest.media_type)];
            let target = format!("/v2/app/manifests/{tag}");
            let put = client.ask("PUT", &target, &headers, &image.manifest.bytes).unwrap();
            assert_eq!(put.status, 201, "{put}");
        }
    }

    /// Waits until a front shows a release under every name.
    fn wait_for(front: &Front, release: Release) {
        let wanted = image(release, 0).manifest.digest;
        let end = Instant::now() + LATE + LIMIT;
        let mut client = Client::new(&front.address);
        while client.get("/v2/app/manifests/v0").unwrap().header("docker-content-digest")
            != Some(&*wanted)
        {
            assert!(Instant::now() < end, "{release:?} does not come");
            std::thread::yield_now();
        }
    }
}

/// Pulls, now from the one and now from the other; returns how often each front's names changed.
fn read(fronts: &[String; 2], seed: usize, stop: &AtomicBool, pulls: &AtomicU64) -> [usize; 2] {
    let old: BTreeSet<_> = (0..IMAGES).map(|at| image(Release::Old, at).manifest.digest).collect();
    let mut clients = [0, 1].map(|at: usize| Client::new(&fronts[at]));
    let (mut shown, mut flips) = ([None, None], [0, 0]);
    let mut round = seed;
    while !stop.load(Ordering::SeqCst) {
        round += 1;
        let at = round % IMAGES;
        let tag = if round.is_multiple_of(3) { format!("added{at}") } else { format!("v{at}") };
        let first = round / 2 % 2;
        let named = clients[first].get(&format!("/v2/app/manifests/{tag}")).unwrap();
        // Names that only the new release has come and go with it.
        let is_old = if tag.starts_with("added") {
            named.status == 404
        } else {
            old.contains(named.header("docker-content-digest").unwrap_or_default())
        };
        if shown[first].replace(is_old).is_some_and(|before| before != is_old) {
            flips[first] += 1;
        }
        if named.status == 404 && tag.starts_with("added") {
            continue;
        }
        assert_eq!(named.status, 200, "{tag}: {named}");
        let digest = Digest::sha256_of(&named.body);
        let manifest: Value = named.json().unwrap();
        let mut front = first;
        let mut ask = |target: String| {
            front = 1 - front;
            let answer = clients[front].get(&target).unwrap();
            let Some(location) = answer.header("location") else { return answer };
            let (address, target) = http::resolve(&fronts[front], location).unwrap();
            http::get(address, target).unwrap()
        };
        let again = ask(format!("/v2/app/manifests/{digest}"));
        assert_eq!((again.status, &again.body), (200, &named.body), "{tag}: {again}");
        let layers = manifest["layers"].as_array().unwrap();
        for descriptor in layers.iter().chain([&manifest["config"]]) {
            let digest = descriptor["digest"].as_str().unwrap();
            let blob = ask(format!("/v2/app/blobs/{digest}"));
            let found = Digest::sha256_of(&blob.body).to_string();
            assert_eq!((blob.status, &*found), (200, digest), "{tag}: {blob}");
        }
        pulls.fetch_add(1, Ordering::SeqCst);
    }
    flips
}

fn image(release: Release, at: usize) -> Image {
    let seed = 1_000 * (release as u64 + 1) + at as u64;
    Recipe { seed, layer_bytes: 500, ..Recipe::default() }.pack().unwrap()
}
