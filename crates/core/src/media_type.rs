//! The media types that decide how bytes are understood.
//!
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/media-types.md>

/// OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// OCI layer, gzip-compressed tar.
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// OCI layer, plain tar.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker image manifest, schema 1, signed.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// Docker image manifest, schema 1.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Any bytes.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// The manifest types that a client of Landbridge asks a registry for.
pub const MANIFESTS: [&str; 6] =
    [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, DOCKER_SCHEMA1_SIGNED, DOCKER_SCHEMA1];

/// True if `text` may stand in a `Content-Type` header as it is: a type and a subtype of RFC 6838
/// characters, at most 255 bytes, without parameters.
pub fn is_media_type(text: &str) -> bool {
    let restricted = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    text.len() <= 255
        && text
            .split_once('/')
            .is_some_and(|(kind, subtype)| restricted(kind) && restricted(subtype))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_cannot_smuggle_a_header() {
        assert!(MANIFESTS.iter().all(|known| is_media_type(known)));
        for bad in ["", "a", "a/", "/b", "a/b;c=d", "a/b\r\nX: y", "a/b c", "a/b/c"] {
            assert!(!is_media_type(bad), "{bad:?}");
        }
    }
}
