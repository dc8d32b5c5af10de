//! Manifests to push.

use landbridge_core::Digest;
use landbridge_core::media_type::{OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use serde_json::{Value, json};

use crate::served::Served;

/// A type that says that there is nothing to say.
pub(crate) const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Bytes that are somebody's.
pub(crate) fn bytes(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_add(1);
    let next = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    next.take(size).collect()
}

pub(crate) fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

/// A manifest as it is sent.
pub(crate) fn encode(manifest: &Value) -> Vec<u8> {
    serde_json::to_vec(manifest).unwrap()
}

/// An image of a configuration and one layer, both of which are pushed.
pub(crate) fn image(served: &Served, repository: &str, seed: u64) -> Value {
    let config = format!(r#"{{"seed":{seed}}}"#);
    let layer = bytes(seed, 1500);
    let config_digest = served.push_blob(repository, config.as_bytes());
    let layer_digest = served.push_blob(repository, &layer);
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, &config_digest, config.len()),
        "layers": [descriptor(OCI_LAYER, &layer_digest, layer.len())],
    })
}

/// An index of these manifests.
pub(crate) fn index(children: &[(&str, &[u8])]) -> Value {
    let entries = children
        .iter()
        .map(|(media_type, bytes)| descriptor(media_type, &Digest::sha256_of(bytes), bytes.len()));
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": entries.collect::<Vec<_>>(),
    })
}

/// An artifact without layers, whose empty configuration is pushed.
pub(crate) fn artifact(served: &Served, repository: &str, artifact_type: Option<&str>) -> Value {
    let config = served.push_blob(repository, b"{}");
    let mut artifact = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(EMPTY, &config, 2),
        "layers": [],
    });
    if let Some(artifact_type) = artifact_type {
        artifact["artifactType"] = artifact_type.into();
    }
    artifact
}

/// The digest of no bytes.
pub(crate) const EMPTY_DIGEST: &str =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
