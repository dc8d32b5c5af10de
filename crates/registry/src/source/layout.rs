//! The OCI image layout, in a directory or an archive.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>

use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::manifest::{Kind, Manifest};

use super::SourceImage;
use super::error::SourceError;
use super::files::Files;

/// Where a descriptor's image has its name.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Where a layout keeps the blob of `digest`.
pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The images that the layout's index lists.
pub(crate) fn images(files: &Files) -> Result<Vec<SourceImage>, SourceError> {
    let index = match files.find("index.json") {
        Ok(index) => index,
        Err(SourceError::Missing { .. }) => return Err(no_layout(files)),
        Err(other) => return Err(other),
    };
    let bytes = index.read_document()?;
    parse_index(&bytes).map_err(|what| SourceError::Malformed { file: index.name, what })
}

/// Reads `index.json`.
pub(crate) fn parse_index(bytes: &[u8]) -> Result<Vec<SourceImage>, String> {
    let index = Manifest::parse(bytes, None).map_err(|error| chain(&error))?;
    if index.kind != Kind::Index {
        return Err(format!("it has the type `{}`, not an image index's", index.media_type));
    }
    let image = |descriptor: landbridge_core::manifest::Descriptor| SourceImage {
        name: descriptor.annotations.get(REF_NAME).cloned(),
        descriptor,
    };
    Ok(index.children.into_iter().map(image).collect())
}

fn no_layout(files: &Files) -> SourceError {
    let path = files.path().to_owned();
    let hint = if files.has("manifest.json") {
        format!("`docker save` wrote it, read it as `docker-archive:{}`", path.display())
    } else {
        "name the directory or the archive that holds `oci-layout` and `index.json`".to_owned()
    };
    SourceError::NotASource { path, what: "no OCI layout, it has no `index.json`".to_owned(), hint }
}
