//! Small real images: what tests push, import, pull and run.
//!
//! Why: an image of a few kilobytes that is made from a seed needs no network and no client, has known bytes, and two
//! seeds never share a layer. The JSON is written here by hand and not with the types of the code under test.
//!
//! Invariant: equal recipes give equal bytes.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};

use crate::hello;

/// Which of the two families of media types an image uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `application/vnd.oci.image.*`
    Oci,
    /// `application/vnd.docker.distribution.*`, schema 2
    Docker,
}

/// What names the blobs and manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The one that every client knows.
    Sha256,
    /// The specification's other registered algorithm.
    Sha512,
}

/// How layers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// A gzip file without name or time.
    Gzip,
    /// The tar archive itself.
    Plain,
}

/// Bytes with the digest and media type by which a descriptor points to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// `algorithm:hex`
    pub digest: String,
    /// The descriptor's `mediaType`.
    pub media_type: String,
    /// The content.
    pub bytes: Vec<u8>,
}

impl Blob {
    /// Bytes, named by `algorithm`.
    pub fn new(algorithm: Algorithm, media_type: &str, bytes: Vec<u8>) -> Self {
        let digest = digest(algorithm, &bytes);
        Self { digest, media_type: media_type.to_owned(), bytes }
    }

    /// The descriptor that points to these bytes.
    /// <https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md>
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// The digest of some bytes, `algorithm:hex`.
pub fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
    match algorithm {
        Algorithm::Sha256 => format!("sha256:{}", hex(&Sha256::digest(bytes))),
        Algorithm::Sha512 => format!("sha512:{}", hex(&Sha512::digest(bytes))),
    }
}

/// What an image is made from. Change what a test is about and take the rest from [`Recipe::default`].
#[derive(Debug, Clone)]
pub struct Recipe {
    /// Decides the content; two seeds share no layer.
    pub seed: u64,
    /// How many layers.
    pub layers: usize,
    /// Incompressible bytes in each layer.
    pub layer_bytes: usize,
    /// How layers are stored.
    pub packing: Packing,
    /// The family of media types.
    pub kind: Kind,
    /// What names the blobs and the manifest.
    pub algorithm: Algorithm,
    /// The configuration's `architecture`; the operating system is always `linux`.
    pub architecture: String,
}

impl Default for Recipe {
    /// Two gzip layers of 10 kB for linux/amd64 with OCI media types and sha256.
    fn default() -> Self {
        Self {
            seed: 1,
            layers: 2,
            layer_bytes: 10_000,
            packing: Packing::Gzip,
            kind: Kind::Oci,
            algorithm: Algorithm::Sha256,
            architecture: "amd64".to_owned(),
        }
    }
}

/// An image for one platform. Run on linux/amd64, it prints [`Image::greeting`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The image manifest.
    pub manifest: Blob,
    /// The image configuration.
    pub config: Blob,
    /// The layers as they are stored.
    pub layers: Vec<Blob>,
    /// The layers' digests after decompression, as the configuration lists them; always sha256.
    pub diff_ids: Vec<String>,
    /// What the image prints when it is run, without the line's end.
    pub greeting: String,
    platform: Value,
    kind: Kind,
    algorithm: Algorithm,
}

impl Recipe {
    /// Makes the image.
    pub fn pack(&self) -> Result<Image> {
        let greeting = format!("testkit image {}", self.seed);
        let types = Types::of(self.kind);
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for number in 0..self.layers {
            let archive = self.archive(number, &greeting)?;
            diff_ids.push(digest(Algorithm::Sha256, &archive));
            let (media_type, bytes) = match self.packing {
                Packing::Plain => (types.layer, archive),
                Packing::Gzip => (types.gzip_layer, gzip(&archive)?),
            };
            layers.push(Blob::new(self.algorithm, media_type, bytes));
        }
        let config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": { "Entrypoint": ["/hello"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        let config = Blob::new(self.algorithm, types.config, config.to_string().into_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": types.manifest,
            "config": config.descriptor(),
            "layers": layers.iter().map(Blob::descriptor).collect::<Vec<_>>(),
        });
        Ok(Image {
            manifest: Blob::new(self.algorithm, types.manifest, manifest.to_string().into_bytes()),
            config,
            layers,
            diff_ids,
            greeting,
            platform: json!({ "architecture": self.architecture, "os": "linux" }),
            kind: self.kind,
            algorithm: self.algorithm,
        })
    }

    /// The tar archive of one layer: the program in the first, random bytes in each.
    fn archive(&self, number: usize, greeting: &str) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        if number == 0 {
            append(&mut archive, "hello", 0o755, &hello::executable(&format!("{greeting}\n")))?;
        }
        let noise =
            noise(self.seed.wrapping_mul(1000).wrapping_add(number as u64), self.layer_bytes);
        append(&mut archive, &format!("layer-{number}"), 0o644, &noise)?;
        Ok(archive.into_inner()?)
    }
}

impl Image {
    /// All blobs and the manifest, the manifest last.
    pub fn blobs(&self) -> impl Iterator<Item = &Blob> {
        [&self.config].into_iter().chain(&self.layers).chain([&self.manifest])
    }
}

/// An index (Docker: a manifest list) of images for several platforms, in the order given.
///
/// Kind and algorithm are the first image's; without images it is an empty OCI index.
pub fn index(images: &[&Image]) -> Blob {
    let (kind, algorithm) = images
        .first()
        .map_or((Kind::Oci, Algorithm::Sha256), |image| (image.kind, image.algorithm));
    let types = Types::of(kind);
    let manifests: Vec<Value> = images
        .iter()
        .map(|image| {
            let mut descriptor = image.manifest.descriptor();
            descriptor["platform"].clone_from(&image.platform);
            descriptor
        })
        .collect();
    let index = json!({ "schemaVersion": 2, "mediaType": types.index, "manifests": manifests });
    Blob::new(algorithm, types.index, index.to_string().into_bytes())
}

/// An artifact that refers to another manifest: what `referrers` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The image manifest with `artifactType` and `subject`.
    pub manifest: Blob,
    /// The specification's empty descriptor's content, `{}`.
    pub config: Blob,
    /// The artifact's only layer.
    pub payload: Blob,
}

/// An artifact of `artifact_type` with `payload` as its only layer, about `subject`.
/// <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage>
pub fn referrer(subject: &Blob, artifact_type: &str, payload: &[u8]) -> Artifact {
    let algorithm =
        if subject.digest.starts_with("sha512:") { Algorithm::Sha512 } else { Algorithm::Sha256 };
    let config = Blob::new(algorithm, "application/vnd.oci.empty.v1+json", b"{}".to_vec());
    let payload = Blob::new(algorithm, "application/octet-stream", payload.to_vec());
    let types = Types::of(Kind::Oci);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": types.manifest,
        "artifactType": artifact_type,
        "config": config.descriptor(),
        "layers": [payload.descriptor()],
        "subject": subject.descriptor(),
    });
    let manifest = Blob::new(algorithm, types.manifest, manifest.to_string().into_bytes());
    Artifact { manifest, config, payload }
}

struct Types {
    manifest: &'static str,
    index: &'static str,
    config: &'static str,
    layer: &'static str,
    gzip_layer: &'static str,
}

impl Types {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Oci => Self {
                manifest: "application/vnd.oci.image.manifest.v1+json",
                index: "application/vnd.oci.image.index.v1+json",
                config: "application/vnd.oci.image.config.v1+json",
                layer: "application/vnd.oci.image.layer.v1.tar",
                gzip_layer: "application/vnd.oci.image.layer.v1.tar+gzip",
            },
            Kind::Docker => Self {
                manifest: "application/vnd.docker.distribution.manifest.v2+json",
                index: "application/vnd.docker.distribution.manifest.list.v2+json",
                config: "application/vnd.docker.container.image.v1+json",
                layer: "application/vnd.docker.image.rootfs.diff.tar",
                gzip_layer: "application/vnd.docker.image.rootfs.diff.tar.gzip",
            },
        }
    }
}

fn append(archive: &mut tar::Builder<Vec<u8>>, path: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    Ok(archive.append_data(&mut header, path, bytes)?)
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Bytes that nothing compresses: the generator `SplitMix64`.
fn noise(mut state: u64, length: usize) -> Vec<u8> {
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    });
    words.flatten().take(length).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}
