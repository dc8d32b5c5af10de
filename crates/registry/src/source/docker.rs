//! What `docker save` writes: `manifest.json`, configurations and layers, without any manifest.
//!
//! Owns the making of the missing manifest: schema 2 over the layers as they lie there, in the form
//! that containers/image gives it, except that a plain layer is called plain (there it is called
//! gzip, since a push will compress it). A plain layer's digest is the one that the configuration promises. A gzip one's (other tools write them)
//! has to be found by reading it, and what it unpacks to is checked on the way.
//!
//! <https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format>
//!
//! Invariant: equal archives give equal manifests.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use landbridge_core::Digest;
use landbridge_core::digest::{Algorithm, Hasher};
use landbridge_core::manifest::Descriptor;
use landbridge_core::media_type::DOCKER_MANIFEST;
use serde::{Deserialize, Serialize};

use super::error::SourceError;
use super::files::{Files, Piece};
use super::unpack::Compression;
use super::{Content, SourceImage, SourceLimits};

const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const GZIP_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// One image of `manifest.json`.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<Digest>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Schema2<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: Target<'a>,
    layers: Vec<Target<'a>>,
}

/// A descriptor with its fields in the order in which containers/image writes them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    media_type: &'a str,
    size: u64,
    digest: Digest,
}

/// The archive's images, and where the bytes lie that their descriptors name.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) images: Vec<SourceImage>,
    pub(crate) contents: BTreeMap<Digest, Content>,
}

/// Reads `manifest.json`.
pub(crate) fn parse_entries(bytes: &[u8]) -> Result<Vec<Entry>, String> {
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// Finds the images, and the digest of every layer.
pub(crate) fn read(files: &Files, limits: &SourceLimits) -> Result<Saved, SourceError> {
    let list = match files.find("manifest.json") {
        Ok(list) => list,
        Err(SourceError::Missing { .. }) => return Err(not_saved(files)),
        Err(other) => return Err(other),
    };
    let entries = parse_entries(&list.read_document()?)
        .map_err(|what| SourceError::Malformed { file: list.name, what })?;
    let mut saved = Saved::default();
    let mut layers = BTreeMap::new();
    for entry in entries {
        saved.add(files, &entry, &mut layers, limits)?;
    }
    Ok(saved)
}

impl Saved {
    /// Adds one entry's image. `layers` has those that earlier entries shared.
    fn add(
        &mut self,
        files: &Files,
        entry: &Entry,
        layers: &mut BTreeMap<(String, Digest), Target<'static>>,
        limits: &SourceLimits,
    ) -> Result<(), SourceError> {
        let config = files.find(&entry.config)?;
        let bytes = config.read_document()?;
        let malformed = |what| SourceError::Malformed { file: config.name.clone(), what };
        let parsed: Config =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        let diff_ids = parsed.rootfs.diff_ids.unwrap_or_default();
        let paths = entry.layers.as_deref().unwrap_or_default();
        if diff_ids.len() != paths.len() {
            return Err(malformed(format!(
                "it lists {} layers (`diff_ids`), `manifest.json` {}",
                diff_ids.len(),
                paths.len()
            )));
        }
        let mut targets = Vec::new();
        for (path, diff_id) in paths.iter().zip(diff_ids) {
            let key = (path.clone(), diff_id);
            let target = if let Some(known) = layers.get(&key) {
                known.clone()
            } else {
                let piece = files.find(path)?;
                let target = layer(&piece, diff_id, files, limits)?;
                self.contents.insert(target.digest, Content::Piece(path.clone()));
                layers.insert(key, target.clone());
                target
            };
            targets.push(target);
        }
        let digest = Digest::sha256_of(&bytes);
        let config = Target { media_type: CONFIG, size: bytes.len() as u64, digest };
        self.contents.insert(digest, Content::Piece(entry.config.clone()));
        let manifest =
            Schema2 { schema_version: 2, media_type: DOCKER_MANIFEST, config, layers: targets };
        // Plain structs: writing them into memory cannot fail.
        let manifest = serde_json::to_vec(&manifest).unwrap_or_default();
        self.name(manifest, entry.repo_tags.as_deref().unwrap_or_default());
        Ok(())
    }

    /// Lists the image under each of its names, or once without.
    fn name(&mut self, manifest: Vec<u8>, names: &[String]) {
        let descriptor = Descriptor {
            media_type: DOCKER_MANIFEST.to_owned(),
            digest: Digest::sha256_of(&manifest),
            size: manifest.len() as u64,
            artifact_type: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            platform: None,
        };
        self.contents.insert(descriptor.digest, Content::Bytes(Bytes::from(manifest)));
        let image = |name| SourceImage { name, descriptor: descriptor.clone() };
        if names.is_empty() {
            self.images.push(image(None));
        }
        self.images.extend(names.iter().cloned().map(Some).map(image));
    }
}

/// The descriptor of a layer whose unpacked bytes should have the digest `diff_id`.
fn layer(
    piece: &Piece,
    diff_id: Digest,
    files: &Files,
    limits: &SourceLimits,
) -> Result<Target<'static>, SourceError> {
    let start = piece.chunk(0)?;
    match Compression::of(&start) {
        Compression::None => Ok(Target { media_type: LAYER, size: piece.size(), digest: diff_id }),
        Compression::Gzip => {
            let corrupt =
                |what| SourceError::Corrupt { digest: diff_id, file: piece.name.clone(), what };
            let mut compressed = Hashing::new(Algorithm::Sha256, Reading { piece, at: 0 });
            let unpacked = MultiGzDecoder::new(&mut compressed).take(limits.unpacked_bytes);
            let mut unpacked = Hashing::new(diff_id.algorithm(), unpacked);
            io::copy(&mut unpacked, &mut io::sink())
                .map_err(|error| corrupt(format!("its gzip data is damaged: {error}")))?;
            let found = unpacked.hasher.finish();
            if found != diff_id {
                return Err(corrupt(format!("it unpacks to {found}")));
            }
            Ok(Target {
                media_type: GZIP_LAYER,
                size: piece.size(),
                digest: compressed.hasher.finish(),
            })
        }
        Compression::Zstd | Compression::Other(_) => Err(SourceError::Malformed {
            file: piece.name.clone(),
            what: format!(
                "Docker's manifest format knows no such compression; if the archive has an `index.json`, read it as `oci-archive:{}`",
                files.path().display()
            ),
        }),
    }
}

/// Reads a piece from its start.
struct Reading<'a> {
    piece: &'a Piece,
    at: u64,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.piece.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    hasher: Hasher,
    inner: R,
}

impl<R> Hashing<R> {
    fn new(algorithm: Algorithm, inner: R) -> Self {
        Self { hasher: Hasher::new(algorithm), inner }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

fn not_saved(files: &Files) -> SourceError {
    let path = files.path().to_owned();
    let hint = if files.has("index.json") {
        format!("read it as `oci-archive:{}`", path.display())
    } else {
        "name an archive that `docker save` wrote".to_owned()
    };
    let what = "no archive of `docker save`, it has no `manifest.json`".to_owned();
    SourceError::NotASource { path, what, hint }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_may_be_null_but_a_configuration_must_be_named() {
        let entries =
            parse_entries(br#"[{"Config":"c.json","RepoTags":null,"Layers":["l"],"Parent":"x"}]"#);
        let layers = Some(vec!["l".to_owned()]);
        let expected = Entry { config: "c.json".into(), repo_tags: None, layers };
        assert_eq!(entries, Ok(vec![expected]));
        assert!(parse_entries(br#"[{"Layers":[]}]"#).unwrap_err().contains("Config"));
    }

    proptest! {
        #[test]
        fn strangers_cannot_make_it_panic(text in "[\\[\\]{}\":,a-zA-Z0-9]{0,60}") {
            let _ = parse_entries(text.as_bytes());
        }
    }
}
