//! OCI image layouts on disk, written file by file.
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md>
//!
//! Why: tests also need layouts that are wrong, so what is put in is not checked.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::image::{Artifact, Blob, Image};

/// A layout's directory. Dropping this leaves the files; their lifetime is the caller's.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes an empty layout in `dir`, which is created if it is missing.
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self> {
        let layout = Self { dir: dir.into() };
        layout
            .write("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string().as_bytes())?;
        layout.write_index(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [],
        }))?;
        Ok(layout)
    }

    /// The layout's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the blob of a digest `algorithm:hex` is, or would be.
    pub fn blob_path(&self, digest: &str) -> PathBuf {
        self.dir.join("blobs").join(digest.replacen(':', "/", 1))
    }

    /// Writes a blob, or a manifest that no name of this layout needs.
    pub fn put(&self, blob: &Blob) -> Result<()> {
        self.write(self.blob_path(&blob.digest), &blob.bytes)
    }

    /// Writes an image's blobs and manifest; [`Layout::tag`] makes it visible.
    pub fn put_image(&self, image: &Image) -> Result<()> {
        image.blobs().try_for_each(|blob| self.put(blob))
    }

    /// Writes an artifact and lists it in the layout's index, without a name, where importers look for referrers.
    pub fn put_referrer(&self, artifact: &Artifact) -> Result<()> {
        for blob in [&artifact.config, &artifact.payload, &artifact.manifest] {
            self.put(blob)?;
        }
        self.list(artifact.manifest.descriptor())
    }

    /// Writes a manifest or an index and gives it a tag.
    pub fn tag(&self, tag: &str, manifest: &Blob) -> Result<()> {
        self.put(manifest)?;
        let mut descriptor = manifest.descriptor();
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        self.list(descriptor)
    }

    fn list(&self, descriptor: Value) -> Result<()> {
        let mut index: Value = serde_json::from_slice(&fs::read(self.dir.join("index.json"))?)?;
        index["manifests"]
            .as_array_mut()
            .context("`index.json` has no list of manifests")?
            .push(descriptor);
        self.write_index(&index)
    }

    fn write_index(&self, index: &Value) -> Result<()> {
        self.write("index.json", index.to_string().as_bytes())
    }

    fn write(&self, path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(path);
        let folder = path.parent().context("a file of a layout has a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&path, bytes).with_context(|| format!("{} cannot be written", path.display()))
    }
}
