//! A whole registry into five mirrors of two kinds, and pulled from them when it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use landbridge_core::Digest;
use landbridge_testkit::{DockerRegistry, S3, Skopeo, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::project::{Project, fill};
use crate::key;
use crate::running::{Front, LIMIT, OwnOrigin, Records, landbridge};

const REPOSITORIES: usize = 40;
const BUCKETS: [&str; 3] = ["east", "west", "north"];
const DIRECTORIES: [&str; 2] = ["south", "middle"];

#[test]
fn debians_registry_is_pulled_whole_from_five_mirrors_after_it_has_gone() {
    let registry = DockerRegistry::start().unwrap();
    let project = fill(registry.address(), REPOSITORIES).unwrap();
    let world = World::new(&registry.url());
    world.replicate_twice(&project);
    drop(registry);
    world.pull_everything(&project);
}

#[test]
fn the_projects_own_origin_is_pulled_whole_from_five_mirrors_after_it_has_gone() {
    let store = tempfile::tempdir().unwrap();
    let origin = OwnOrigin::over(store.path()).unwrap();
    let project = fill(&origin.address, REPOSITORIES).unwrap();
    assert_eq!(project.referrers.len(), REPOSITORIES);
    let world = World::new(&format!("http://{}", origin.address));
    world.replicate_twice(&project);
    origin.stop().unwrap();
    drop(store);
    world.pull_everything(&project);
}

/// A configuration with an authority and five mirrors.
struct World {
    dir: TempDir,
    s3: S3,
}

impl World {
    fn new(registry: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let s3 = S3::start(&dir.path().join("s3"), &BUCKETS).unwrap();
        for directory in DIRECTORIES {
            fs::create_dir(dir.path().join(directory)).unwrap();
        }
        let buckets = BUCKETS.into_iter().zip(["blobs", "containers-images", "blobs"]);
        let buckets = buckets.map(|(name, layout)| {
            json!({ "name": name, "provider": "aws", "region": name, "bucket": {
                "url": s3.public(name), "layout": layout, "store": format!("s3://{name}"),
            }})
        });
        let directories = DIRECTORIES.into_iter().zip(["blobs", "containers-images"]);
        let directories = directories.map(|(name, layout)| {
            let embedded = json!({ "layout": layout, "store": name });
            json!({ "name": name, "provider": "gcp", "region": name, "embedded": embedded })
        });
        let mirrors: Vec<Value> = buckets.chain(directories).collect();
        let default: Vec<_> =
            mirrors.iter().map(|mirror| json!({ "copy": mirror["name"] })).collect();
        let signers = key::make(dir.path());
        fs::create_dir(dir.path().join("authority")).unwrap();
        let config = json!({
            "records": { "directory": "records" },
            "origins": [{
                "name": "project",
                "registry": { "url": registry },
                "store": { "url": "authority", "catalog": "project", "keys": ["key.pub"] },
            }],
            "mirrors": mirrors,
            "sites": [{ "name": "main", "hosts": ["*"], "origin": "project", "default": default }],
            "replicate": { "signers": signers },
        });
        // JSON is YAML.
        fs::write(dir.path().join("landbridge.yaml"), config.to_string()).unwrap();
        Self { dir, s3 }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = landbridge();
        command.args(arguments).arg("--config").arg(self.dir.path().join("landbridge.yaml"));
        command.envs(self.s3.environment());
        command
    }

    /// Everything once; then nothing.
    fn replicate_twice(&self, project: &Project) {
        let told = run(&mut self.command(&["replicate", "--json"]), LIMIT).unwrap().text();
        let report: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        assert_eq!((&report["event"], &report["sequence"]), (&"report".into(), &1.into()));
        assert_eq!(report["objects_read"], project.objects.len(), "{report}");
        assert_eq!(report["warnings"], json!([]));
        let again = run(&mut self.command(&["replicate"]), LIMIT).unwrap().text();
        assert!(again.starts_with("0 of 0 objects read (0 B)"), "{again}");
        assert!(again.contains("nothing new to publish"), "{again}");
    }

    fn pull_everything(&self, project: &Project) {
        let front = Front::start(&mut self.command(&["serve"])).unwrap();
        let skopeo = Skopeo::new().unwrap();
        let names = |tags: &BTreeMap<String, String>| tags.keys().cloned().collect::<Vec<_>>();
        let wanted = project.tags.iter().map(|(name, tags)| (name.clone(), names(tags))).collect();
        let pulled = skopeo.sync(&front.address, &wanted).unwrap();
        assert_eq!(pulled.tags, project.tags);
        let mut rest = project.objects.clone();
        rest.retain(|digest, _| !pulled.stored.contains(digest));
        for (repository, tags) in &project.lists {
            for (tag, digest) in tags {
                let reference = front.reference(&format!("{repository}:{tag}"));
                let found = Digest::sha256_of(&skopeo.manifest(&reference).unwrap());
                assert_eq!(found.to_string(), *digest, "{reference}");
                rest.remove(digest);
            }
        }
        for (repository, subject, manifest) in &project.referrers {
            let list = front.get(&format!("/v2/{repository}/referrers/{subject}")).unwrap();
            assert_eq!(list.json().unwrap()["manifests"][0]["digest"], **manifest);
        }
        // Attestations, which no tag leads to: manifest and payload of each, and the empty config.
        assert_eq!(rest.len(), 2 * REPOSITORIES + 1);
        for (digest, (repository, kind)) in &rest {
            let target = format!("/v2/{repository}/{kind}/{digest}");
            let answer = front.follow("GET", &target, &[]).unwrap();
            assert_eq!(Digest::sha256_of(&answer.body).to_string(), *digest, "{target}");
        }
        front.stop().unwrap();
        let records = Records::read(&self.dir.path().join("records")).unwrap();
        let redirected = records.all().unwrap().into_iter().filter(|record| record.status == 307);
        let copies: BTreeSet<_> = redirected.map(|record| record.copy.to_string()).collect();
        let mirrors = BUCKETS.into_iter().chain(DIRECTORIES).map(str::to_owned);
        assert_eq!(copies, mirrors.collect());
    }
}
