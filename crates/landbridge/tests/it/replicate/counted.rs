//! What it costs to bring one image to many places: requests and bytes, counted at the source and at
//! every destination, beside skopeo's two ways.
//!
//! Prints the table of `bench/RESULTS.md` if it is run with `--nocapture`; the variable gives the
//! numbers of destinations.

#![expect(clippy::print_stdout, reason = "the table is what it is run for")]

use std::fs;
use std::path::Path;
use std::process::Command;

use landbridge_testkit::image::{Blob, Image, Recipe, index};
use landbridge_testkit::{Counted, Counter, DockerRegistry, S3, Skopeo, run};
use serde_json::{Value, json};

use crate::key;
use crate::running::{LIMIT, landbridge};

const DESTINATIONS: [usize; 2] = [1, 5];
const VARIABLE: &str = "LANDBRIDGE_DESTINATIONS";
const PLATFORMS: [&str; 5] = ["amd64", "arm64", "ppc64le", "riscv64", "s390x"];

#[test]
fn the_source_is_read_once_whatever_the_number_of_mirrors_and_nothing_new_costs_next_to_nothing() {
    let given = std::env::var(VARIABLE).ok();
    let numbers = given.map_or(DESTINATIONS.to_vec(), |given| {
        given.split(',').map(|number| number.parse().unwrap()).collect()
    });
    let source = Source::start();
    println!(
        "| | destinations | source: requests | source: MB | each destination: requests | again: source | again: each destination |\n\
         |---|---|---|---|---|---|---|"
    );
    for number in numbers {
        let ours = source.replicate(number);
        ours.print("`landbridge replicate`", number);
        let sync = source.peer(number, &["sync", "--src", "docker", "--dest", "docker"]);
        sync.print("`skopeo sync --all`", number);
        let copy = source.peer(number, &["copy"]);
        copy.print("`skopeo copy --all`", number);

        let (objects, bytes) = source
            .all()
            .fold((0, 0), |(count, sum), blob| (count + 1, sum + blob.bytes.len() as u64));
        // Every object once; beside them the list of tags, what the tag means, and whether there is
        // an interface for referrers: 404 is no object.
        assert_eq!(ours.source.total(), objects + 3, "{:?}", ours.source);
        assert!(ours.source.given - bytes < 200, "{bytes} bytes: {:?}", ours.source);
        assert_eq!(ours.again.total(), 3, "{:?}", ours.again);
        for peer in [&sync, &copy] {
            assert!(number == 1 || ours.source.total() < peer.source.total());
            assert!(ours.again.total() < peer.again.total());
        }
        // An unchanged mirror is asked for its note and nothing else.
        assert!(ours.destinations_again.total() <= number as u64, "{:?}", ours.destinations_again);
    }
}

/// An image for five platforms in Debian's registry, behind a counter.
struct Source {
    images: Vec<Image>,
    index: Blob,
    _registry: DockerRegistry,
    counter: Counter,
}

/// What one way to copy cost.
#[derive(Debug)]
struct Cost {
    source: Counted,
    destinations: Counted,
    again: Counted,
    destinations_again: Counted,
}

impl Cost {
    fn print(&self, name: &str, number: usize) {
        let each = |counted: &Counted| counted.total() as f64 / number as f64;
        println!(
            "| {name} | {number} | {} | {:.1} | {:.1} | {} | {:.1} |",
            self.source.total(),
            self.source.given as f64 / 1e6,
            each(&self.destinations),
            self.again.total(),
            each(&self.destinations_again),
        );
    }
}

impl Source {
    fn start() -> Self {
        let registry = DockerRegistry::start().unwrap();
        let pack = |(architecture, seed): (&str, u64)| {
            let architecture = architecture.to_owned();
            Recipe { seed, architecture, layer_bytes: 100_000, ..Recipe::default() }.pack().unwrap()
        };
        let images: Vec<Image> = PLATFORMS.into_iter().zip(1..).map(pack).collect();
        let all: Vec<&Image> = images.iter().collect();
        let index = index(&all);
        Skopeo::new().unwrap().push(&index, &all, &registry, "app:v1").unwrap();
        let counter = Counter::start(registry.address()).unwrap();
        Self { images, index, _registry: registry, counter }
    }

    fn all(&self) -> impl Iterator<Item = &Blob> {
        self.images.iter().flat_map(Image::blobs).chain([&self.index])
    }

    /// Into so many buckets.
    fn replicate(&self, number: usize) -> Cost {
        let dir = tempfile::tempdir().unwrap();
        let names: Vec<String> = (1..=number).map(|number| format!("bucket{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let s3 = S3::start(&dir.path().join("s3"), &names).unwrap();
        let stores = Counter::start(s3.address()).unwrap();
        configure(dir.path(), &self.counter.url(), &names);
        let mut command = landbridge();
        command.args(["replicate", "--repository", "app", "--config"]);
        command.arg(dir.path().join("landbridge.yaml"));
        command.envs(S3::environment_at(stores.address()));
        let mut measure = || {
            self.counter.take();
            run(&mut command, LIMIT).unwrap();
            (self.counter.take(), stores.take())
        };
        let ((source, destinations), (again, destinations_again)) = (measure(), measure());
        Cost { source, destinations, again, destinations_again }
    }

    /// Into so many registries, one after the other, as skopeo works.
    fn peer(&self, number: usize, arguments: &[&str]) -> Cost {
        let skopeo = Skopeo::new().unwrap();
        let registries: Vec<_> = (0..number).map(|_| DockerRegistry::start().unwrap()).collect();
        let counters: Vec<_> =
            registries.iter().map(|at| Counter::start(at.address()).unwrap()).collect();
        let measure = || {
            self.counter.take();
            for to in &counters {
                let mut command = skopeo.command().unwrap();
                command.args(arguments).args(["--all", "--preserve-digests"]);
                command.args(["--src-tls-verify=false", "--dest-tls-verify=false"]);
                add_places(&mut command, arguments[0], self.counter.address(), to.address());
                run(&mut command, LIMIT).unwrap();
            }
            let mut sum = Counted::default();
            for counted in counters.iter().map(Counter::take) {
                for (method, count) in counted.requests {
                    *sum.requests.entry(method).or_default() += count;
                }
            }
            (self.counter.take(), sum)
        };
        let ((source, destinations), (again, destinations_again)) = (measure(), measure());
        Cost { source, destinations, again, destinations_again }
    }
}

fn add_places(command: &mut Command, way: &str, from: &str, to: &str) {
    match way {
        "sync" => command.arg(format!("{from}/app")).arg(to),
        _ => command.arg(format!("docker://{from}/app:v1")).arg(format!("docker://{to}/app:v1")),
    };
}

fn configure(dir: &Path, registry: &str, buckets: &[&str]) {
    let signers = key::make(dir);
    fs::create_dir(dir.join("authority")).unwrap();
    let mirror = |name: &&str| {
        let bucket = json!({ "url": "http://127.0.0.1:1/", "store": format!("s3://{name}") });
        json!({ "name": name, "provider": "aws", "region": name, "bucket": bucket })
    };
    let mirrors: Vec<Value> = buckets.iter().map(mirror).collect();
    let config = json!({
        "origins": [{
            "name": "project",
            "registry": { "url": registry },
            "store": { "url": "authority", "catalog": "project", "keys": ["key.pub"] },
        }],
        "mirrors": mirrors,
        "sites": [{
            "name": "main", "hosts": ["*"], "origin": "project", "default": [{ "copy": "project" }],
        }],
        "replicate": { "signers": signers },
    });
    // JSON is YAML.
    fs::write(dir.join("landbridge.yaml"), config.to_string()).unwrap();
}
