//! Replication from a real registry, the project's own origin.

use std::collections::BTreeMap;
use std::sync::Mutex;

use landbridge_core::media_type::{OCI_INDEX, OCI_MANIFEST};
use landbridge_core::money::Currency;
use landbridge_core::price::Rates;
use landbridge_registry::client::{ClientSettings, RegistryClient};
use landbridge_replicate::{
    Flow, ImportError, Plan, Priced, Progress, RegistrySource, Replication, Report, Tariff,
    prepare_replication, replicate,
};
use landbridge_store::publish::Mirror;
use landbridge_store::{Bucket, BucketLayout};
use landbridge_testkit::http::Wire;
use landbridge_testkit::image::{Algorithm, Artifact, Blob, Image, Recipe, index, referrer};
use landbridge_testkit::{Forwarder, Origin};
use serde_json::json;
use url::Url;

use crate::world::World;

/// A registry that is pushed to.
pub(crate) struct Registry(pub(crate) Origin);

impl Registry {
    pub(crate) fn start() -> Self {
        // It has an event loop of its own, which cannot be made on another one.
        Self(std::thread::spawn(Origin::start).join().unwrap().unwrap())
    }

    pub(crate) fn send(&self, method: &str, target: &str, media_type: &str, body: &[u8]) -> u16 {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend(body);
        let mut wire = Wire::connect(self.0.address()).unwrap();
        wire.send(&request).unwrap();
        wire.answer(method).unwrap().unwrap().status
    }

    pub(crate) fn push_blob(&self, repository: &str, blob: &Blob) {
        let target = format!("/v2/{repository}/blobs/uploads/?digest={}", blob.digest);
        assert_eq!(self.send("POST", &target, "application/octet-stream", &blob.bytes), 201);
    }

    pub(crate) fn push_manifest(&self, repository: &str, reference: &str, manifest: &Blob) {
        let target = format!("/v2/{repository}/manifests/{reference}");
        assert_eq!(self.send("PUT", &target, &manifest.media_type, &manifest.bytes), 201);
    }

    pub(crate) fn push_image(&self, repository: &str, reference: &str, image: &Image) {
        for blob in image.layers.iter().chain([&image.config]) {
            self.push_blob(repository, blob);
        }
        self.push_manifest(repository, reference, &image.manifest);
    }

    fn push_artifact(&self, repository: &str, artifact: &Artifact) {
        self.push_blob(repository, &artifact.config);
        self.push_blob(repository, &artifact.payload);
        self.push_manifest(repository, &artifact.manifest.digest, &artifact.manifest);
    }

    pub(crate) fn delete(&self, repository: &str, what: &str) {
        let target = format!("/v2/{repository}/{what}");
        assert_eq!(self.send("DELETE", &target, "text/plain", b""), 202);
    }

    pub(crate) fn client(&self) -> RegistryClient {
        client(&self.0.url(), "")
    }
}

fn client(url: &str, prefix: &str) -> RegistryClient {
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let second = std::time::Duration::from_secs(1);
    RegistryClient::new(ClientSettings {
        url: url.parse().unwrap(),
        repository_prefix: prefix.to_owned(),
        credentials: None,
        connect_timeout: 5 * second,
        answer_timeout: 5 * second,
        max_inflight: 16,
    })
    .unwrap()
}

impl World {
    pub(crate) async fn replicate(&self, registry: &Registry) -> Result<Report, ImportError> {
        self.replicate_from(&registry.client()).await
    }

    /// What a run would do.
    pub(crate) async fn prepare_replication(&self, registry: &Registry) -> Plan {
        prepare_replication(&self.replication(&registry.client())).await.unwrap()
    }

    async fn replicate_from(&self, client: &RegistryClient) -> Result<Report, ImportError> {
        replicate(&self.replication(client), &|_| {}).await
    }

    pub(crate) fn replication<'a>(&'a self, client: &'a RegistryClient) -> Replication<'a> {
        Replication {
            source: RegistrySource { client, anonymous: None, repositories: None },
            publishing: self.publishing(),
        }
    }
}

pub(crate) fn image(seed: u64, architecture: &str) -> Image {
    Recipe { seed, architecture: architecture.to_owned(), ..Recipe::default() }.pack().unwrap()
}

/// Two platforms, an index of them, an index of that, a signature by tag and one by referrer.
struct Release {
    images: [Image; 2],
    index: Blob,
    outer: Blob,
    signature: Image,
    attestation: Artifact,
}

impl Release {
    fn new(seed: u64) -> Self {
        let images = [image(seed, "amd64"), image(seed + 1, "arm64")];
        let inner = index(&images.each_ref());
        let outer = json!({
            "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner.descriptor()],
        });
        let outer = Blob::new(Algorithm::Sha256, OCI_INDEX, outer.to_string().into_bytes());
        let attestation = referrer(&inner, "application/vnd.in-toto+json", b"proof");
        Self { index: inner, outer, signature: image(seed + 2, "amd64"), attestation, images }
    }

    fn push(&self, registry: &Registry, repository: &str) {
        for image in &self.images {
            registry.push_image(repository, &image.manifest.digest, image);
        }
        registry.push_manifest(repository, "v1-inner", &self.index);
        registry.push_manifest(repository, "v1", &self.outer);
        let tag = format!("{}.sig", self.outer.digest.replace(':', "-"));
        registry.push_image(repository, &tag, &self.signature);
    }

    async fn assert_everywhere(&self, world: &World) {
        let images = self.images.iter().chain([&self.signature]).flat_map(Image::blobs);
        for blob in images.chain([&self.index, &self.outer]) {
            world.assert_everywhere(&blob.digest, &blob.bytes).await;
        }
    }
}

#[tokio::test]
async fn everything_is_copied_once_and_a_second_run_reads_nothing() {
    let (world, registry, release) = (World::new(), Registry::start(), Release::new(10));
    release.push(&registry, "a/one");
    registry.push_artifact("a/one", &release.attestation);
    // The same images in another repository.
    release.push(&registry, "b");

    let report = world.replicate(&registry).await.unwrap();
    assert_eq!((report.sequence, report.warnings.as_slice()), (Some(1), [].as_slice()));
    release.assert_everywhere(&world).await;
    let attestation = &release.attestation;
    for blob in [&attestation.manifest, &attestation.config, &attestation.payload] {
        world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
    let one = world.repository("a/one").await;
    assert_eq!((one.tags.len(), one.referrers.len()), (3, 1));
    assert_eq!(one.referrers[0].digest.to_string(), attestation.manifest.digest);
    assert_eq!(world.tag("b", "v1").await.unwrap().to_string(), release.outer.digest);
    assert_eq!(report.objects_read, report.objects);

    let again = world.replicate(&registry).await.unwrap();
    assert_eq!((again.sequence, again.objects), (None, 0), "{again}");
    assert_eq!(again.generation, report.generation);
}

#[tokio::test]
async fn what_is_new_is_added_and_what_is_gone_stays_and_is_told() {
    let (world, registry, release) = (World::new(), Registry::start(), Release::new(20));
    release.push(&registry, "a");
    world.replicate(&registry).await.unwrap();

    // A referrer of something old, a tag that moves, one that goes.
    registry.push_artifact("a", &release.attestation);
    let moved = image(90, "amd64");
    registry.push_image("a", "v1-inner", &moved);
    registry.delete("a", "manifests/v1");
    let client = registry.client();
    let plan = prepare_replication(&world.replication(&client)).await.unwrap();
    assert_eq!(plan.replaces, Some(world.pointer().await.unwrap().content().generation));
    let report = world.replicate(&registry).await.unwrap();
    assert_eq!(report.sequence, Some(2));
    assert_eq!((report.warnings.len(), report.kept.len()), (0, 1), "{report}");
    assert!(report.kept[0].contains("`a:v1`"), "{report}");
    assert_eq!(world.tag("a", "v1-inner").await.unwrap().to_string(), moved.manifest.digest);
    assert_eq!(world.tag("a", "v1").await.unwrap().to_string(), release.outer.digest);
    assert_eq!(world.repository("a").await.referrers.len(), 1);
    let payload = &release.attestation.payload;
    world.assert_everywhere(&payload.digest, &payload.bytes).await;
}

#[tokio::test]
async fn a_mirror_that_was_not_there_is_caught_up_from_the_authority() {
    let (mut world, registry, release) = (World::new(), Registry::start(), Release::new(30));
    release.push(&registry, "a");
    release.push(&registry, "b");
    let first = world.replicate(&registry).await.unwrap();
    let url = Url::from_directory_path(world.dir.path().join("late")).unwrap();
    let bucket = Bucket::open(&url, BucketLayout::Blobs).unwrap();
    world.publication.mirrors.push(Mirror {
        name: "late".to_owned(),
        provider: None,
        bucket: bucket.clone(),
    });
    // Its bytes are not asked for again.
    for layer in &release.images[0].layers {
        registry.delete("a", &format!("blobs/{}", layer.digest));
        registry.delete("b", &format!("blobs/{}", layer.digest));
    }
    let report = world.replicate(&registry).await.unwrap();
    assert_eq!((report.sequence, report.warnings.as_slice()), (None, [].as_slice()), "{report}");
    release.assert_everywhere(&world).await;
    for blob in release.images.iter().flat_map(Image::blobs) {
        let size = bucket.size_of(&blob.digest.parse().unwrap()).await.unwrap();
        assert_eq!(size, Some(blob.bytes.len() as u64));
    }
    let holding = bucket.get_holding().await.unwrap().unwrap();
    assert_eq!((holding.generations, holding.lacks.len()), (vec![first.generation], 0));
    let again = world.replicate(&registry).await.unwrap();
    assert_eq!(again.objects, 0, "{again}");
}

#[tokio::test]
async fn a_plan_that_is_too_dear_is_refused_and_nothing_is_written() {
    let (mut world, registry, release) = (World::new(), Registry::start(), Release::new(35));
    release.push(&registry, "a");
    let free = Priced { rates: Rates::free(Currency::USD), ..Priced::default() };
    let dear = Rates { internet: Some("1000 USD/GB".parse().unwrap()), ..free.rates.clone() };
    let dear = Priced { rates: dear, ..Priced::default() };
    let most = "0.001 USD".parse().ok();
    let copies = vec![free.clone(), free.clone()];
    let (currency, here) = (Currency::USD, free);
    world.tariff = Some(Tariff { currency, here, source: dear, copies, most });
    let error = world.replicate(&registry).await.unwrap_err();
    let ImportError::TooDear { total, most, dearest } = &error else { panic!("{error}") };
    assert!(dearest.starts_with("the registry -> here: read"), "{dearest}");
    assert!(total > most, "{error}");
    assert!(world.pointer().await.is_none());
    for blob in release.images.iter().flat_map(Image::blobs) {
        world.assert_nowhere(&blob.digest).await;
    }

    world.tariff.as_mut().unwrap().most = Some(*total);
    let planned = Mutex::new(None);
    let listener = |progress| {
        if let Progress::Priced { costs } = progress {
            planned.lock().unwrap().replace(costs);
        }
    };
    let client = registry.client();
    let report = replicate(&world.replication(&client), &listener).await.unwrap();
    let costs = planned.into_inner().unwrap().unwrap();
    let bytes = |flow| {
        let edges = costs.edges.iter().filter(|edge| edge.flow == flow);
        edges.map(|edge| edge.bytes).sum::<u64>()
    };
    // Manifests are read while the plan is made.
    assert!((1..report.bytes_read).contains(&bytes(Flow::Read)), "{costs}");
    assert_eq!(bytes(Flow::Write), report.bytes_written, "{costs}");
}

#[tokio::test]
async fn a_repository_that_was_asked_for_and_is_not_there_is_a_warning() {
    let registry = Registry::start();
    registry.push_image("team/app", "v1", &image(1, "amd64"));
    let world = World::new();
    let names = ["team/app", "team/ap"].map(|name| name.parse().unwrap());
    let client = registry.client();
    let mut replication = world.replication(&client);
    replication.source.repositories = Some(&names);
    let report = replicate(&replication, &|_| {}).await.unwrap();
    assert_eq!(report.warnings, ["`team/ap`: the registry has no such repository"]);
    assert_eq!(report.sequence, Some(1), "the other one is published");
    let plan = prepare_replication(&replication).await.unwrap();
    assert_eq!(plan.warnings, report.warnings);
}

#[tokio::test]
async fn what_the_registry_lacks_is_named_and_nothing_is_published() {
    let (world, registry) = (World::new(), Registry::start());
    let image = image(40, "amd64");
    registry.push_image("a", "v1", &image);
    registry.delete("a", &format!("blobs/{}", image.layers[1].digest));
    let error = world.replicate(&registry).await.unwrap_err();
    assert!(error.to_string().contains(&image.layers[1].digest), "{error}");
    assert!(error.to_string().contains("`a`"), "{error}");
    assert!(world.pointer().await.is_none());
    registry.push_blob("a", &image.layers[1]);
    assert_eq!(world.replicate(&registry).await.unwrap().sequence, Some(1));
    assert_eq!(image.manifest.media_type, OCI_MANIFEST);
}

/// A registry that shows no catalog, tells what is below a place and what every tag means, and
/// answers no question for a tag.
fn googles(registry: &Registry, lists: BTreeMap<String, serde_json::Value>) -> Forwarder {
    let answer = move |target: &str| {
        let path = target.split('?').next().unwrap_or_default();
        let list = path.strip_prefix("/v2/").and_then(|path| path.strip_suffix("tags/list"));
        let (status, body) = if let Some(list) = list.and_then(|place| lists.get(place)) {
            ("200 OK", list.to_string())
        } else if path.ends_with("/_catalog") {
            ("401 Unauthorized", String::new())
        } else if list.is_some() || path.contains("/manifests/v") {
            ("404 Not Found", String::new())
        } else {
            return None;
        };
        let length = body.len();
        Some(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        ))
    };
    Forwarder::start_answering(registry.0.address(), answer).unwrap()
}

#[tokio::test]
async fn a_registry_that_lists_as_googles_do_needs_no_catalog_and_no_heads() {
    let (world, registry) = (World::new(), Registry::start());
    let [tagged, untagged] = [image(50, "amd64"), image(51, "amd64")];
    registry.push_image("prod/images/a/one", &tagged.manifest.digest, &tagged);
    registry.push_image("prod/images/a/one", &untagged.manifest.digest, &untagged);
    let place = |child: &[&str]| json!({ "child": child, "manifest": {}, "tags": [] });
    let repository = json!({
        "child": [], "name": "prod/images/a/one", "tags": ["v1"],
        "manifest": {
            &tagged.manifest.digest: { "tag": ["v1"], "mediaType": OCI_MANIFEST },
            &untagged.manifest.digest: { "tag": [], "mediaType": OCI_MANIFEST },
        },
    });
    let lists = [
        ("prod/images/", place(&["a"])),
        ("prod/images/a/", place(&["one"])),
        ("prod/images/a/one/", repository),
    ];
    let lists = lists.into_iter().map(|(path, list)| (path.to_owned(), list)).collect();
    let google = googles(&registry, lists);
    let client = client(&google.url(), "prod/images");

    let report = world.replicate_from(&client).await.unwrap();
    assert_eq!((report.sequence, report.warnings.as_slice()), (Some(1), [].as_slice()));
    assert_eq!(world.tag("a/one", "v1").await.unwrap().to_string(), tagged.manifest.digest);
    assert_eq!(world.repository("a/one").await.manifests.len(), 2);
    for blob in tagged.blobs().chain(untagged.blobs()) {
        world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
    let again = world.replicate_from(&client).await.unwrap();
    assert_eq!((again.sequence, again.objects, again.kept.len()), (None, 0, 0), "{again}");
}
