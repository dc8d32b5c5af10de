//! What a client has after a pull, and whether it is the image that was sent.
//!
//! Why: "the pull succeeded" is the client's word. The digests here are computed from the files that the client keeps,
//! or gives back, so that equal digests mean identical bytes.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::image::{Algorithm, Image, digest};

/// Whether a client pulls what it can run or everything that an index lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platforms {
    /// linux/amd64 only, so that tests do not depend on the machine.
    One,
    /// All of them.
    All,
}

/// The form in which a client keeps layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// As they were sent.
    AsSent,
    /// Decompressed: what can be compared are the configuration's `diff_ids`.
    Unpacked,
}

/// What a client has after a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The digest of the manifest or index that the reference led to, by the client's own account.
    pub digest: String,
    /// The digests of all that the client stored.
    pub stored: BTreeSet<String>,
    /// The form in which it stored the layers.
    pub layers: Layers,
}

impl Pulled {
    /// What of an image the client does not have, digest by digest; empty when its configuration and layers arrived
    /// identical, and also its manifest if the client keeps the layers as sent. Compare [`Pulled::digest`] as well.
    pub fn lacks(&self, image: &Image) -> Vec<String> {
        let wanted: Vec<&String> = match self.layers {
            Layers::AsSent => image.blobs().map(|blob| &blob.digest).collect(),
            Layers::Unpacked => [&image.config.digest].into_iter().chain(&image.diff_ids).collect(),
        };
        wanted.into_iter().filter(|digest| !self.stored.contains(*digest)).cloned().collect()
    }
}

/// The digests, by both algorithms, of all files in a folder and below.
pub(crate) fn digests_of_files(folder: &Path) -> Result<BTreeSet<String>> {
    let mut digests = BTreeSet::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            digests.extend(digests_of_files(&path)?);
        } else {
            digests.extend(both_digests(&fs::read(&path)?));
        }
    }
    Ok(digests)
}

/// The digests, by both algorithms, of all files in a tar archive.
pub(crate) fn digests_of_archive(archive: impl Read) -> Result<BTreeSet<String>> {
    let mut digests = BTreeSet::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut bytes = Vec::new();
        entry?.read_to_end(&mut bytes)?;
        digests.extend(both_digests(&bytes));
    }
    Ok(digests)
}

fn both_digests(bytes: &[u8]) -> [String; 2] {
    [digest(Algorithm::Sha256, bytes), digest(Algorithm::Sha512, bytes)]
}
