//! A project's registry as real ones are: many repositories, each with images for several platforms,
//! some in an index of indexes, with provenance, signatures and attestations, and one base image
//! that all of them share.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use landbridge_testkit::http;
use landbridge_testkit::image::{Algorithm, Blob, Image, Recipe, index, referrer};
use serde_json::{Value, json};

use crate::client::{BYTES, Client};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const PROVENANCE: &str = "application/vnd.in-toto+json";
const PLATFORMS: [&str; 3] = ["amd64", "arm64", "s390x"];
/// Every so many repositories have an index of indexes beside their release.
const NESTED: usize = 4;

/// The digest that each tag means, by repository.
pub(super) type Tags = BTreeMap<String, BTreeMap<String, String>>;

/// What was pushed.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// What tags mean.
    pub(super) tags: Tags,
    /// The same of what skopeo does not copy: an index of indexes, and a list of referrers.
    pub(super) lists: Tags,
    /// Every manifest and blob with one of its repositories, and which of the two it is to a registry.
    pub(super) objects: BTreeMap<String, (String, &'static str)>,
    /// Manifests that only the referrers API leads to, with what they are about.
    pub(super) referrers: Vec<(String, String, String)>,
}

/// Pushes `repositories` repositories to the registry at `address`.
pub(super) fn fill(address: &str, repositories: usize) -> Result<Project> {
    let mut pushing = Pushing { client: Client::new(address), project: Project::default() };
    let base = platform(0, "amd64")?;
    for number in 1..=repositories {
        let repository = format!("team{}/image{number}", number % 5);
        pushing.push_release(&repository, number)?;
        pushing.push_image(&repository, &base)?;
        pushing.push_manifest(&repository, "base", &base.manifest)?;
    }
    Ok(pushing.project)
}

struct Pushing {
    client: Client,
    project: Project,
}

impl Pushing {
    fn push_release(&mut self, repository: &str, number: usize) -> Result<()> {
        let seed = 100 * number as u64;
        let mut images = Vec::new();
        for (architecture, seed) in PLATFORMS.into_iter().zip(seed..) {
            let image = platform(seed, architecture)?;
            self.push_image(repository, &image)?;
            images.push(image);
        }
        let provenance = platform(seed + 10, "unknown")?;
        self.push_image(repository, &provenance)?;
        let release = with_provenance(&images, &provenance);
        self.push_manifest(repository, "v1.0.0", &release)?;
        self.push_manifest(repository, "latest", &release)?;
        if number.is_multiple_of(NESTED) {
            let nested = Blob::new(
                Algorithm::Sha256,
                INDEX,
                json!({
                    "schemaVersion": 2, "mediaType": INDEX, "manifests": [release.descriptor()],
                })
                .to_string()
                .into_bytes(),
            );
            self.push_list(repository, "all", &nested)?;
        }
        // A signature by tag, and an attestation of it by the referrers API.
        let signature = platform(seed + 11, "amd64")?;
        self.push_image(repository, &signature)?;
        let tag = format!("{}.sig", release.digest.replace(':', "-"));
        self.push_manifest(repository, &tag, &signature.manifest)?;
        let attestation = referrer(&release, PROVENANCE, format!("proof {number}").as_bytes());
        for blob in [&attestation.config, &attestation.payload] {
            self.push_blob(repository, blob)?;
        }
        self.push_referrer(repository, &release, &attestation.manifest)
    }

    /// All of an image; its manifest by digest.
    fn push_image(&mut self, repository: &str, image: &Image) -> Result<()> {
        for blob in image.layers.iter().chain([&image.config]) {
            self.push_blob(repository, blob)?;
        }
        self.put_manifest(repository, &image.manifest.digest, &image.manifest)?;
        Ok(())
    }

    fn push_blob(&mut self, repository: &str, blob: &Blob) -> Result<()> {
        self.project.objects.insert(blob.digest.clone(), (repository.to_owned(), "blobs"));
        let target = format!("/v2/{repository}/blobs/uploads/");
        let begun = self.client.ask("POST", &target, &[], b"")?;
        let location = begun.header("location").with_context(|| format!("{begun}"))?;
        let mark = if location.contains('?') { '&' } else { '?' };
        let location = format!("{location}{mark}digest={}", blob.digest);
        let (_, target) = http::resolve("", &location)?;
        let ended = self.client.ask("PUT", target, &[BYTES], &blob.bytes)?;
        ensure!(ended.status == 201, "{target}: {ended}");
        Ok(())
    }

    /// A manifest under a tag.
    fn push_manifest(&mut self, repository: &str, tag: &str, manifest: &Blob) -> Result<()> {
        self.put_manifest(repository, tag, manifest)?;
        let tags = self.project.tags.entry(repository.to_owned()).or_default();
        tags.insert(tag.to_owned(), manifest.digest.clone());
        Ok(())
    }

    fn push_list(&mut self, repository: &str, tag: &str, list: &Blob) -> Result<()> {
        self.put_manifest(repository, tag, list)?;
        let tags = self.project.lists.entry(repository.to_owned()).or_default();
        tags.insert(tag.to_owned(), list.digest.clone());
        Ok(())
    }

    /// A manifest that refers to another; under the fallback tag too where the registry does not
    /// keep such lists itself.
    /// <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests-with-subject>
    fn push_referrer(&mut self, repository: &str, subject: &Blob, manifest: &Blob) -> Result<()> {
        if self.put_manifest(repository, &manifest.digest, manifest)? {
            let names = (repository.to_owned(), subject.digest.clone(), manifest.digest.clone());
            self.project.referrers.push(names);
            return Ok(());
        }
        let mut descriptor = manifest.descriptor();
        descriptor["artifactType"] = Value::from(PROVENANCE);
        let list = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] });
        let list = Blob::new(Algorithm::Sha256, INDEX, list.to_string().into_bytes());
        self.push_list(repository, &subject.digest.replace(':', "-"), &list)
    }

    /// Whether the registry took note of the manifest's subject.
    fn put_manifest(&mut self, repository: &str, name: &str, manifest: &Blob) -> Result<bool> {
        let place = (repository.to_owned(), "manifests");
        self.project.objects.insert(manifest.digest.clone(), place);
        let target = format!("/v2/{repository}/manifests/{name}");
        let headers = [("Content-Type", &*manifest.media_type)];
        let put = self.client.ask("PUT", &target, &headers, &manifest.bytes)?;
        ensure!(put.status == 201, "{target}: {put}");
        Ok(put.header("oci-subject").is_some())
    }
}

fn platform(seed: u64, architecture: &str) -> Result<Image> {
    let architecture = architecture.to_owned();
    Recipe { seed, architecture, layer_bytes: 3_000, ..Recipe::default() }.pack()
}

/// An index as `BuildKit` writes it: the last manifest is about the first one and for no platform.
fn with_provenance(images: &[Image], provenance: &Image) -> Blob {
    let all: Vec<&Image> = images.iter().collect();
    let mut content: Value = serde_json::from_slice(&index(&all).bytes).unwrap();
    let mut descriptor = provenance.manifest.descriptor();
    descriptor["platform"] = json!({ "architecture": "unknown", "os": "unknown" });
    descriptor["annotations"] = json!({
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": images[0].manifest.digest,
    });
    content["manifests"].as_array_mut().unwrap().push(descriptor);
    Blob::new(Algorithm::Sha256, INDEX, content.to_string().into_bytes())
}
