//! An authority, four mirrors of two providers and two kinds of store, and whoever publishes there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use landbridge_core::pointer::Keys;
use landbridge_sign::LocalKey;
use landbridge_store::{Bucket, BucketLayout};
use landbridge_testkit::image::{Blob, Image, Recipe};
use landbridge_testkit::{Counter, S3, http};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use crate::client::{BYTES, Client};
use crate::key;
use crate::running::{Failed, Front, landbridge, run_to_end};

/// Where the authority is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    Directory,
}

/// A place for objects.
pub(super) struct Copy {
    pub(super) name: &'static str,
    pub(super) provider: &'static str,
    pub(super) kind: Kind,
    pub(super) layout: BucketLayout,
    pub(super) bucket: Bucket,
}

pub(super) const CATALOG: &str = "project";

/// Everything but a registry.
pub(super) struct World {
    pub(super) dir: TempDir,
    pub(super) s3: S3,
    /// In front of it, for whoever writes there.
    pub(super) stores: Counter,
    pub(super) keys: Keys,
    pub(super) authority: Copy,
    pub(super) mirrors: Vec<Copy>,
    signers: Value,
}

impl World {
    pub(super) fn new(authority: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let s3 = S3::start(&dir.path().join("s3"), &[]).unwrap();
        let stores = Counter::start(s3.address()).unwrap();
        let signers = key::make(dir.path());
        let key = LocalKey::open(&dir.path().join("key.pem")).unwrap();
        let keys = Keys::new(vec![key.public().clone()], 1).unwrap();
        let copy = |name, provider, kind, layout| {
            let bucket = match kind {
                Kind::S3 => s3.bucket(name, layout, "").unwrap(),
                Kind::Directory => {
                    let url = Url::from_directory_path(dir.path().join(name)).unwrap();
                    Bucket::open(&url, layout).unwrap()
                }
            };
            Copy { name, provider, kind, layout, bucket }
        };
        let mirrors = vec![
            copy("east", "aws", Kind::S3, BucketLayout::Blobs),
            copy("west", "aws", Kind::S3, BucketLayout::ContainersImages),
            copy("south", "gcp", Kind::Directory, BucketLayout::Blobs),
            copy("middle", "gcp", Kind::Directory, BucketLayout::ContainersImages),
        ];
        let authority = copy("authority", "", authority, BucketLayout::Blobs);
        Self { dir, s3, stores, keys, authority, mirrors, signers }
    }

    /// Writes a configuration whose source is the registry at this address.
    pub(super) fn configure(&self, file: &str, registry: &str) -> PathBuf {
        self.configure_with(file, registry, |_| {})
    }

    /// The same, changed.
    pub(super) fn configure_with(
        &self,
        file: &str,
        registry: &str,
        change: impl Fn(&mut Value),
    ) -> PathBuf {
        let mirror = |copy: &Copy| {
            let layout = match copy.layout {
                BucketLayout::Blobs => "blobs",
                BucketLayout::ContainersImages => "containers-images",
            };
            let name = copy.name;
            let place = match copy.kind {
                Kind::S3 => json!({ "bucket": {
                    "url": self.s3.public(name), "layout": layout, "store": format!("s3://{name}"),
                }}),
                Kind::Directory => json!({ "embedded": { "layout": layout, "store": name } }),
            };
            let mut mirror = json!({ "name": name, "provider": copy.provider, "region": name });
            mirror.as_object_mut().unwrap().extend(place.as_object().unwrap().clone());
            mirror
        };
        let url = match self.authority.kind {
            Kind::S3 => "s3://authority",
            Kind::Directory => "authority",
        };
        let default: Vec<_> = self.mirrors.iter().map(|it| json!({ "copy": it.name })).collect();
        let mut config = json!({
            "records": { "mode": "off" },
            "origins": [{
                "name": "project",
                "registry": { "url": format!("http://{registry}") },
                "store": { "url": url, "catalog": CATALOG, "keys": ["key.pub"], "poll": "1s" },
            }],
            "mirrors": self.mirrors.iter().map(mirror).collect::<Vec<_>>(),
            "sites": [{ "name": "main", "hosts": ["*"], "origin": "project", "default": default }],
            "replicate": { "signers": self.signers },
        });
        change(&mut config);
        let path = self.dir.path().join(file);
        // JSON is YAML.
        fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// A command whose stores are counted.
    pub(super) fn command(&self, arguments: &[&str], file: &PathBuf) -> Command {
        let mut command = landbridge();
        command.args(arguments).arg("--config").arg(file);
        command.envs(S3::environment_at(self.stores.address()));
        command
    }

    /// `landbridge replicate`, whatever comes of it.
    pub(super) fn replicate(&self, file: &PathBuf) -> Ended {
        ended(run_to_end(&mut self.command(&["replicate", "--json"], file)).unwrap())
    }

    /// A front of what is published, and of nothing else. What it reads itself is not counted.
    pub(super) fn front(&self) -> Front {
        let file = self.configure_with("front.yaml", "127.0.0.1:1", |config| {
            config.as_object_mut().unwrap().remove("replicate");
            config["origins"][0].as_object_mut().unwrap().remove("registry");
        });
        let mut command = landbridge();
        command.args(["serve", "--config"]).arg(file).envs(self.s3.environment());
        Front::start(&mut command).unwrap()
    }

    /// Without some of the mirrors.
    pub(super) fn only(mut self, mirrors: &[&str]) -> Self {
        self.mirrors.retain(|mirror| mirrors.contains(&mirror.name));
        self
    }

    pub(super) fn copies(&self) -> impl Iterator<Item = &Copy> {
        [&self.authority].into_iter().chain(&self.mirrors)
    }
}

/// How a run ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stderr: String,
    /// The event in which it reported; null if it did not.
    pub(super) report: Value,
}

impl Ended {
    /// An answer that never ended is not in what is told of it.
    pub(super) fn assert_brief(&self) {
        assert!(self.stderr.len() < 4_000, "{} bytes: {self:?}", self.stderr.len());
    }
}

pub(super) fn ended(Failed { code, stderr, stdout }: Failed) -> Ended {
    let mut events = stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let report = events.rfind(|event| event["event"] == "report").unwrap_or_default();
    Ended { code, stderr, report }
}

/// An image of this many layers, each of this many bytes or a few more.
pub(super) fn image(seed: u64, layers: usize, layer_bytes: usize) -> Image {
    Recipe { seed, layers, layer_bytes, ..Recipe::default() }.pack().unwrap()
}

/// Pushes an image to a registry.
pub(super) fn push(client: &mut Client, name: &str, tags: &[&str], image: &Image) -> Result<()> {
    for blob in image.layers.iter().chain([&image.config]) {
        push_blob(client, name, blob)?;
    }
    for tag in tags {
        let headers = [("Content-Type", &*image.manifest.media_type)];
        let target = format!("/v2/{name}/manifests/{tag}");
        let put = client.ask("PUT", &target, &headers, &image.manifest.bytes)?;
        ensure!(put.status == 201, "{target}: {put}");
    }
    Ok(())
}

fn push_blob(client: &mut Client, name: &str, blob: &Blob) -> Result<()> {
    let begun = client.ask("POST", &format!("/v2/{name}/blobs/uploads/"), &[], b"")?;
    let location = begun.header("location").unwrap_or_default().to_owned();
    let mark = if location.contains('?') { '&' } else { '?' };
    let location = format!("{location}{mark}digest={}", blob.digest);
    let (_, target) = http::resolve("", &location)?;
    let ended = client.ask("PUT", target, &[BYTES], &blob.bytes)?;
    ensure!(ended.status == 201, "{target}: {ended}");
    Ok(())
}
