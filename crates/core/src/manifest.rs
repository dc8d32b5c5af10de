//! Manifests: what an object says of other objects.
//!
//! The stored bytes are the truth and are never written again from these types; parsing only reads
//! out what else must be there (config, layers, children) and what it is about (subject).
//! Limits keep a stranger's manifest from costing more than its size.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md>,
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-index.md>

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::media_type;

/// The largest manifest that is read, in bytes (distribution-spec: registries should accept 4 MiB).
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// A pointer from one object to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Type of the target.
    pub media_type: String,
    /// Name of the target.
    pub digest: Digest,
    /// Length of the target in bytes.
    pub size: u64,
    /// For an artifact or a referrer: what kind of thing it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free text by key.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub annotations: BTreeMap<String, String>,
    /// Where else the bytes may be had: set on foreign ("non-distributable") layers.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub urls: Vec<String>,
    /// In an index: what the target runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// True for a layer that registries do not hand out: its type says so, or it brings its own
    /// addresses.
    pub fn is_foreign(&self) -> bool {
        !self.urls.is_empty()
            || self.media_type.contains(".foreign.")
            || self.media_type.contains(".nondistributable.")
    }
}

/// Operating system and processor of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, as Go spells it.
    pub os: String,
    /// Processor, as Go spells it.
    pub architecture: String,
    /// Variant of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One image or artifact: a config and layers.
    Image,
    /// A list of manifests.
    Index,
    /// Docker's first format, passed through: its layers are found, nothing else is understood.
    Schema1,
}

/// What a manifest refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What it is.
    pub kind: Kind,
    /// The type under which it is stored and served.
    pub media_type: String,
    /// Configuration and layers, in order; foreign layers are included.
    pub blobs: Vec<Descriptor>,
    /// Manifests of an index, in order.
    pub children: Vec<Descriptor>,
    /// The manifest that this one is about.
    pub subject: Option<Descriptor>,
    /// The kind of artifact: `artifactType`, else the configuration's media type.
    pub artifact_type: Option<String>,
    /// The manifest's own annotations, which the referrers API repeats.
    pub annotations: BTreeMap<String, String>,
}

/// Why bytes are not a manifest that can be served.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Too large to read.
    #[error("manifest of {size} bytes is larger than the limit of {MAX_MANIFEST_BYTES} bytes")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Not JSON of the expected shape.
    #[error("manifest is malformed")]
    Malformed(#[from] serde_json::Error),
    /// Neither declared nor recognisable as any known type.
    #[error("manifest has the type `{0}`, which is neither an OCI nor a Docker manifest")]
    UnknownType(String),
    /// `mediaType` inside contradicts the type outside.
    #[error("manifest says it is `{inside}` but is stored as `{outside}`")]
    TypeMismatch {
        /// What the bytes say.
        inside: String,
        /// What the store or the registry says.
        outside: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    media_type: Option<String>,
    schema_version: Option<u32>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<Vec<FsLayer>>,
    signatures: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FsLayer {
    blob_sum: Digest,
}

/// Go programs write an absent list or map as `null`.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Manifest {
    /// Reads a manifest. `declared` is the type that came with it (a `Content-Type` or a
    /// descriptor's), if any; without it the bytes' own `mediaType`, then their shape, decide.
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Self, ManifestError> {
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { size: bytes.len() });
        }
        let raw: Raw = serde_json::from_slice(bytes)?;
        if let (Some(inside), Some(outside)) = (&raw.media_type, declared)
            && inside != outside
        {
            return Err(ManifestError::TypeMismatch {
                inside: inside.clone(),
                outside: outside.to_owned(),
            });
        }
        let media_type = match declared.or(raw.media_type.as_deref()) {
            Some(media_type) => media_type.to_owned(),
            None => raw.guess_type()?.to_owned(),
        };
        let kind = match media_type.as_str() {
            media_type::OCI_INDEX | media_type::DOCKER_LIST => Kind::Index,
            media_type::OCI_MANIFEST | media_type::DOCKER_MANIFEST => Kind::Image,
            media_type::DOCKER_SCHEMA1 | media_type::DOCKER_SCHEMA1_SIGNED => Kind::Schema1,
            _ => return Err(ManifestError::UnknownType(media_type)),
        };
        Ok(raw.into_manifest(kind, media_type))
    }

    /// Everything that must be in a copy for this manifest to be pulled from it: blobs that
    /// registries hand out, and children.
    pub fn references(&self) -> impl Iterator<Item = &Descriptor> {
        self.blobs.iter().filter(|blob| !blob.is_foreign()).chain(&self.children)
    }
}

impl Raw {
    fn guess_type(&self) -> Result<&'static str, ManifestError> {
        if self.schema_version == Some(1) {
            Ok(if self.signatures.is_some() {
                media_type::DOCKER_SCHEMA1_SIGNED
            } else {
                media_type::DOCKER_SCHEMA1
            })
        } else if self.manifests.is_some() && self.config.is_none() {
            Ok(media_type::OCI_INDEX)
        } else if self.config.is_some() && self.manifests.is_none() {
            Ok(media_type::OCI_MANIFEST)
        } else {
            Err(ManifestError::UnknownType(String::new()))
        }
    }

    fn into_manifest(self, kind: Kind, media_type: String) -> Manifest {
        let artifact_type = self
            .artifact_type
            .filter(|text| !text.is_empty())
            .or_else(|| self.config.as_ref().map(|config| config.media_type.clone()));
        let mut blobs = Vec::new();
        let mut children = Vec::new();
        match kind {
            Kind::Image => {
                blobs.extend(self.config);
                blobs.extend(self.layers.into_iter().flatten());
            }
            Kind::Index => children.extend(self.manifests.into_iter().flatten()),
            Kind::Schema1 => {
                // Schema 1 knows no sizes; zero stands for "not told". A layer may repeat.
                let mut seen = std::collections::BTreeSet::new();
                blobs.extend(
                    self.fs_layers.into_iter().flatten().filter(|l| seen.insert(l.blob_sum)).map(
                        |layer| Descriptor {
                            media_type: media_type::OCTET_STREAM.to_owned(),
                            digest: layer.blob_sum,
                            size: 0,
                            artifact_type: None,
                            annotations: BTreeMap::new(),
                            urls: Vec::new(),
                            platform: None,
                        },
                    ),
                );
            }
        }
        Manifest {
            kind,
            media_type,
            blobs,
            children,
            subject: self.subject,
            artifact_type,
            annotations: self.annotations.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> String {
        Digest::sha256_of(text.as_bytes()).to_string()
    }

    #[test]
    fn an_image_names_its_config_and_layers_but_a_foreign_layer_need_not_be_copied() {
        let json = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":2}},
            "layers":[{{"mediaType":"{}","digest":"{}","size":3}},
            {{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","size":4,"urls":["https://example.org/x"]}}]}}"#,
            media_type::OCI_MANIFEST,
            media_type::OCI_CONFIG,
            digest("c"),
            media_type::OCI_LAYER_GZIP,
            digest("l"),
            digest("f"),
        );
        let manifest = Manifest::parse(json.as_bytes(), None).unwrap();
        assert_eq!(manifest.kind, Kind::Image);
        assert_eq!(manifest.blobs.len(), 3);
        assert_eq!(manifest.references().count(), 2);
        assert_eq!(manifest.artifact_type.as_deref(), Some(media_type::OCI_CONFIG));
        assert!(matches!(
            Manifest::parse(json.as_bytes(), Some(media_type::OCI_INDEX)),
            Err(ManifestError::TypeMismatch { .. })
        ));
    }

    #[test]
    fn without_any_type_the_shape_decides_and_without_a_shape_it_is_refused() {
        let parse = |json: &str| Manifest::parse(json.as_bytes(), None);
        assert_eq!(parse(r#"{"schemaVersion":2,"manifests":[]}"#).unwrap().kind, Kind::Index);
        let schema1 = format!(
            r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{0}"}},{{"blobSum":"{0}"}}]}}"#,
            digest("l")
        );
        assert_eq!(parse(&schema1).unwrap().blobs.len(), 1);
        assert!(matches!(parse("{}"), Err(ManifestError::UnknownType(_))));
        assert!(matches!(parse("[]"), Err(ManifestError::Malformed(_))));
        assert!(matches!(
            parse(r#"{"mediaType":"text/plain"}"#),
            Err(ManifestError::UnknownType(_))
        ));
    }
}
