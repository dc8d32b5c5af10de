//! What is served: one repository with everything that a registry may hold.
//!
//! All bytes follow from constants, so that digests may stand in snapshots.

use anyhow::Result;
use landbridge_testkit::image::{
    Algorithm, Artifact, Blob, Image, Kind, Recipe, digest, index, referrer,
};
use landbridge_testkit::{DockerRegistry, Layout, Skopeo};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::running::Data;

pub(crate) const SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
pub(crate) const SIGNATURE: &str = "application/vnd.example.signature.v1";
pub(crate) const SBOM: &str = "application/vnd.example.sbom+json";
/// The tags of [`Content::layout`], sorted.
pub(crate) const TAGS: [&str; 5] = ["docker", "latest", "schema1", "sha512", "v1"];

/// `app` with an index of two platforms (`v1`, `latest`), a Docker image (`docker`), an image by sha512 (`sha512`), one
/// of Docker's first format (`schema1`), and two referrers to the index.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) amd: Image,
    pub(crate) arm: Image,
    pub(crate) index: Blob,
    pub(crate) docker: Image,
    pub(crate) sha512: Image,
    pub(crate) schema1: Blob,
    pub(crate) signature: Artifact,
    pub(crate) sbom: Artifact,
}

impl Content {
    pub(crate) fn pack() -> Result<Self> {
        let amd = Recipe::default().pack()?;
        let arm =
            Recipe { seed: 2, architecture: "arm64".to_owned(), ..Recipe::default() }.pack()?;
        let docker = Recipe { seed: 3, kind: Kind::Docker, ..Recipe::default() }.pack()?;
        let sha512 =
            Recipe { seed: 4, algorithm: Algorithm::Sha512, ..Recipe::default() }.pack()?;
        let index = index(&[&amd, &arm]);
        let schema1 = json!({
            "schemaVersion": 1,
            "name": "app",
            "tag": "schema1",
            "architecture": "amd64",
            "fsLayers": [{ "blobSum": docker.layers[0].digest }],
            "history": [{ "v1Compatibility": "{\"id\":\"0\"}" }],
            "signatures": [{ "protected": "e30", "signature": "c2lnbmVk" }],
        });
        Ok(Self {
            schema1: Blob::new(Algorithm::Sha256, SCHEMA1, schema1.to_string().into_bytes()),
            signature: referrer(&index, SIGNATURE, b"signed"),
            sbom: referrer(&index, SBOM, b"{\"packages\":[]}"),
            amd,
            arm,
            index,
            docker,
            sha512,
        })
    }

    /// All of it as a layout.
    pub(crate) fn layout(&self) -> Result<(TempDir, Layout)> {
        let dir = tempfile::tempdir()?;
        let layout = Layout::create(dir.path().join("layout"))?;
        for image in [&self.amd, &self.arm, &self.docker, &self.sha512] {
            layout.put_image(image)?;
        }
        for tag in ["v1", "latest"] {
            layout.tag(tag, &self.index)?;
        }
        layout.tag("docker", &self.docker.manifest)?;
        layout.tag("sha512", &self.sha512.manifest)?;
        layout.tag("schema1", &self.schema1)?;
        for artifact in [&self.signature, &self.sbom] {
            layout.put_referrer(artifact)?;
        }
        Ok((dir, layout))
    }

    /// A data directory with all of it as `app`.
    pub(crate) fn data(&self) -> Result<Data> {
        let data = Data::new()?;
        let (_dir, layout) = self.layout()?;
        data.import(&source(&layout), "app")?;
        Ok(data)
    }

    /// What docker-registry can hold of it.
    pub(crate) fn push(&self, skopeo: &Skopeo, registry: &DockerRegistry) -> Result<()> {
        for tag in ["v1", "latest"] {
            skopeo.push(&self.index, &[&self.amd, &self.arm], registry, &format!("app:{tag}"))?;
        }
        skopeo.push(&self.docker.manifest, &[&self.docker], registry, "app:docker")
    }
}

/// A layout as `landbridge import` takes it.
pub(crate) fn source(layout: &Layout) -> String {
    format!("oci:{}", layout.dir().display())
}

/// A layout with one image as `v1`.
pub(crate) fn single(image: &Image) -> Result<(TempDir, Layout)> {
    let dir = tempfile::tempdir()?;
    let layout = Layout::create(dir.path().join("layout"))?;
    layout.put_image(image)?;
    layout.tag("v1", &image.manifest)?;
    Ok((dir, layout))
}

/// A manifest of this type from JSON.
pub(crate) fn manifest(algorithm: Algorithm, media_type: &str, content: &Value) -> Blob {
    Blob::new(algorithm, media_type, content.to_string().into_bytes())
}

/// A digest that nothing has.
pub(crate) fn unknown(algorithm: Algorithm) -> String {
    digest(algorithm, b"nothing has these bytes")
}
