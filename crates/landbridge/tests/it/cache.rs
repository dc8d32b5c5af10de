//! A front that keeps what it serves: it starts without any store, and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use landbridge_testkit::{Forwarder, S3, Signal, Tmpfs, http};
use serde_json::{Value, json};

use crate::content::{Content, source};
use crate::running::{Data, Front, LIMIT, landbridge, run_to_end, until};

const UNAVAILABLE: &str = "HTTP/1.1 503 Away\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// What is published in a data directory, as buckets that may be out of reach.
struct Stores {
    data: Data,
    s3: S3,
    are_away: Arc<AtomicBool>,
    /// With signatures, and as clients see it.
    api: Forwarder,
    public: Forwarder,
}

impl Stores {
    fn of(content: &Content) -> Self {
        let data = content.data().unwrap();
        let s3 = S3::start(data.path(), &[]).unwrap();
        let are_away = Arc::new(AtomicBool::new(false));
        let forward = |address: &str| {
            let are_away = Arc::clone(&are_away);
            Forwarder::start_answering(address, move |_| {
                are_away.load(Ordering::SeqCst).then(|| UNAVAILABLE.to_owned())
            })
            .unwrap()
        };
        let public = s3.public("");
        let public = forward(public.strip_prefix("http://").unwrap().trim_end_matches('/'));
        let stores = Self { api: forward(s3.address()), data, s3, are_away, public };
        stores.name_objects();
        stores
    }

    /// Publishes all of the content once more, under another name.
    fn publish(&self, content: &Content, name: &str) {
        let (_dir, layout) = content.layout().unwrap();
        self.data.import(&source(&layout), name).unwrap();
        self.name_objects();
    }

    /// Gives objects the names under which the server looks for them, which are shorter than those
    /// that a directory gives them.
    fn name_objects(&self) {
        for bucket in ["origin", "mirrors"] {
            let root = self.data.path().join(bucket);
            for file in walk(&root) {
                let key = file.strip_prefix(&root).unwrap().to_str().unwrap();
                let named = self.s3.file(bucket, key);
                if !named.exists() {
                    fs::hard_link(&file, named).unwrap();
                }
            }
        }
    }

    fn go_away(&self, away: bool) {
        self.are_away.store(away, Ordering::SeqCst);
    }

    fn configuration(&self, cache: &Path) -> Value {
        let key = self.data.path().join("keys/landbridge.pem.pub");
        json!({
            "records": { "mode": "off" },
            "cache": { "directory": cache },
            "origins": [{ "name": "published", "store": {
                "url": "s3://origin", "catalog": "landbridge-data", "keys": [key], "poll": "1s",
            }}],
            "mirrors": [{
                "name": "near", "provider": "aws", "region": "us-east-2",
                "bucket": {
                    "url": format!("{}/mirrors/aws-us-east-2/", self.public.url()),
                    "store": "s3://mirrors/aws-us-east-2",
                },
            }],
            "sites": [{
                "name": "main", "hosts": ["*"], "origin": "published",
                "default": [{ "copy": "near" }],
            }],
        })
    }

    fn write(&self, configuration: &Value) -> PathBuf {
        let file = self.data.path().join("front.yaml");
        fs::write(&file, configuration.to_string()).unwrap();
        file
    }

    fn command(&self, file: &Path) -> Command {
        let mut command = landbridge();
        command.args(["serve", "--config"]).arg(file);
        command.envs(S3::environment_at(self.api.address()));
        command
    }

    fn front(&self, file: &Path) -> Front {
        Front::start(&mut self.command(file)).unwrap()
    }
}

fn readiness(front: &Front) -> Value {
    http::get(&front.admin, "/readyz").unwrap().json().unwrap()["origins"][0].clone()
}

fn tags(front: &Front) -> String {
    let answer = front.get("/v2/app/tags/list").unwrap();
    assert_eq!(answer.status, 200, "{answer}");
    answer.text()
}

#[test]
fn a_front_starts_from_its_cache_without_any_store_and_recovers_by_itself() {
    let content = Content::pack().unwrap();
    let stores = Stores::of(&content);
    let file = stores.write(&stores.configuration(&stores.data.path().join("cache-of-front")));
    let front = stores.front(&file);
    let (before, ready) = (tags(&front), readiness(&front));
    assert_eq!(ready["confirmed"], true, "{ready}");
    front.stop().unwrap();

    stores.go_away(true);
    let front = stores.front(&file);
    assert_eq!(tags(&front), before);
    let unconfirmed = readiness(&front);
    assert_eq!(unconfirmed["confirmed"], false, "{unconfirmed}");
    assert_eq!(unconfirmed["sequence"], ready["sequence"]);
    let index = &content.index.digest;
    let head = front.ask("HEAD", "/v2/app/manifests/v1", &[]).unwrap();
    assert_eq!((head.status, head.header("docker-content-digest")), (200, Some(&**index)));
    let blob = format!("/v2/app/blobs/{}", content.docker.layers[0].digest);
    let sent = front.get(&blob).unwrap();
    assert_eq!(sent.status, 307, "{sent}");
    assert!(sent.header("location").unwrap().starts_with(&stores.public.url()), "{sent}");
    let log = front.log();
    assert!(log.contains("serving a generation from the cache"), "{log}");

    // A release that comes meanwhile is seen when the stores are back, and what is served then was
    // confirmed.
    stores.publish(&content, "other");
    stores.go_away(false);
    let ready = until(|| Ok(readiness(&front)), |ready| ready["confirmed"] == true).unwrap();
    assert!(ready["sequence"].as_u64() > unconfirmed["sequence"].as_u64(), "{ready}");
    assert_eq!(front.get("/v2/other/tags/list").unwrap().status, 200);
    let pulled = until(|| front.get("/v2/app/manifests/v1"), |it| it.status == 200).unwrap();
    assert_eq!(pulled.body, content.index.bytes);
    let layer = until(|| front.follow("GET", &blob, &[]), |it| it.status == 200).unwrap();
    assert_eq!(layer.body, content.docker.layers[0].bytes);
    front.stop().unwrap();

    // Nor does the next start go back behind what was served.
    stores.go_away(true);
    let front = stores.front(&file);
    assert_eq!(readiness(&front)["sequence"], ready["sequence"]);
    front.stop().unwrap();
    for pointer in fs::read_dir(stores.data.path().join("origin/pointers")).unwrap() {
        let pointer = pointer.unwrap().path();
        if pointer.to_str().unwrap().ends_with("00000000000000000002") {
            fs::remove_file(pointer).unwrap();
        }
    }
    stores.go_away(false);
    let front = stores.front(&file);
    assert_eq!(readiness(&front)["sequence"], ready["sequence"]);
    front.stop().unwrap();
}

#[test]
fn a_cache_that_was_killed_while_it_was_written_is_whole_or_the_one_before() {
    let content = Content::pack().unwrap();
    let stores = Stores::of(&content);
    let cache = stores.data.path().join("cache-of-front");
    let file = stores.write(&stores.configuration(&cache));
    // A front is killed the later the more it has written, from the first file on.
    for round in 0..12_usize {
        stores.publish(&content, &format!("round-{round}"));
        let mut front = landbridge_testkit::Server::spawn(stores.command(&file).args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
        ]))
        .unwrap();
        let files = || walk(&cache).len();
        let (before, end) = (files(), std::time::Instant::now() + LIMIT);
        while files() < before + round && !front.log().contains("listening on") {
            assert!(std::time::Instant::now() < end, "{}", front.log());
        }
        front.signal(Signal::KILL).unwrap();
        front.wait(LIMIT).unwrap();
        let log = front.log();
        assert!(!log.contains("not believed"), "round {round}: {log}");
    }
    let front = stores.front(&file);
    let ready = readiness(&front);
    let log = front.stop().unwrap();
    assert!(!log.contains("not believed"), "{log}");
    stores.go_away(true);
    let front = stores.front(&file);
    assert_eq!(readiness(&front)["sequence"], ready["sequence"]);
    assert_eq!(front.get("/v2/round-11/tags/list").unwrap().status, 200);
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_full_disk_under_the_cache_costs_a_warning() {
    let content = Content::pack().unwrap();
    let stores = Stores::of(&content);
    let disk = Tmpfs::mount(1 << 20).unwrap();
    let file = stores.write(&stores.configuration(&disk.path().join("cache")));
    stores.front(&file).stop().unwrap();
    fs::write(disk.path().join("filler"), vec![0; 2 << 20]).unwrap_err();
    let front = stores.front(&file);
    stores.publish(&content, "other");
    until(|| front.get("/v2/other/tags/list"), |answer| answer.status == 200).unwrap();
    assert_eq!(front.get("/v2/app/tags/list").unwrap().status, 200);
    let log = front.stop().unwrap();
    assert!(log.contains("no space is left") && log.contains("which stays as it was"), "{log}");
    // What was in the cache before is still good.
    stores.go_away(true);
    let front = stores.front(&file);
    assert_eq!(readiness(&front)["sequence"], 1);
    assert!(tags(&front).contains("v1"));
}

#[test]
fn a_cache_that_is_no_directory_does_not_stop_the_start() {
    let content = Content::pack().unwrap();
    let stores = Stores::of(&content);
    let cache = stores.data.path().join("cache-of-front");
    fs::write(&cache, "a file").unwrap();
    let file = stores.write(&stores.configuration(&cache));
    let front = stores.front(&file);
    assert!(tags(&front).contains("v1"));
    let log = front.stop().unwrap();
    assert!(log.contains("what is served is not kept"), "{log}");
    // With neither cache nor store there is nothing to serve, and that is said.
    stores.go_away(true);
    let ended = run_to_end(landbridge().args(["config", "check"]).arg(&file)).unwrap();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
