//! Images in files: OCI layouts, archives of them, and what `docker save` writes.
//!
//! Owns the way from [`SourceReference`] to images and bytes. An archive is indexed in one pass over
//! its headers and then read by position: it is never unpacked into files, and only a compressed one
//! is first unpacked into a temporary file. A source is material from a stranger: every size is
//! bounded, every file is regular and inside the source, and nothing panics.
//!
//! Invariant: a manifest that is handed out has the digest and the size of its descriptor. Blobs are
//! handed out as they are; whoever reads one hashes it.

mod docker;
mod error;
mod files;
mod layout;
mod reference;
mod tar;
mod unpack;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use landbridge_core::Digest;
use landbridge_core::manifest::{Descriptor, MAX_MANIFEST_BYTES, Manifest, ManifestError};

pub use self::error::{ArchiveError, SourceError};
use self::files::{Files, Piece};
pub use self::reference::{Selection, SourceReference, SourceReferenceError, Transport};

/// What reading a source may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceLimits {
    /// The most entries that an archive may have.
    pub entries: usize,
    /// The most bytes that a compressed archive, or a compressed layer of `docker save`, may unpack
    /// to.
    pub unpacked_bytes: u64,
}

impl Default for SourceLimits {
    /// A million entries, 256 GiB.
    fn default() -> Self {
        Self { entries: 1_000_000, unpacked_bytes: 256 << 30 }
    }
}

/// An image of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceImage {
    /// Its name there, if it has one: the annotation `org.opencontainers.image.ref.name`, often no
    /// more than a tag, or one of the `RepoTags` of `docker save`.
    pub name: Option<String>,
    /// Its manifest or index.
    pub descriptor: Descriptor,
}

/// An opened layout or archive. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Source(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    files: Files,
    all: Vec<SourceImage>,
    selected: Vec<SourceImage>,
    /// Of a Docker archive, where each object is.
    contents: Option<BTreeMap<Digest, Content>>,
}

/// Where an object's bytes are, if its digest does not tell.
#[derive(Debug)]
enum Content {
    /// The file with this path.
    Piece(String),
    /// Made here.
    Bytes(Bytes),
}

/// An object's bytes, found but not yet read and not verified.
#[derive(Debug)]
pub struct SourceBlob {
    found: Found,
}

#[derive(Debug)]
enum Found {
    Piece(Piece),
    Bytes(Bytes),
}

impl Source {
    /// Opens the layout or archive and finds its images.
    ///
    /// Reads the lists of contents only, except that a compressed archive is unpacked to a temporary
    /// file, and compressed layers of `docker save` are read to find their digests.
    pub async fn open(
        reference: &SourceReference,
        limits: SourceLimits,
    ) -> Result<Self, SourceError> {
        let reference = reference.clone();
        blocking(move || Self::open_now(&reference, &limits)).await
    }

    fn open_now(reference: &SourceReference, limits: &SourceLimits) -> Result<Self, SourceError> {
        let files = match reference.transport() {
            Transport::OciDirectory => Files::directory(reference.path())?,
            Transport::OciArchive | Transport::DockerArchive => {
                Files::archive(reference.path(), limits)?
            }
        };
        let (all, contents) = match reference.transport() {
            Transport::OciDirectory | Transport::OciArchive => (layout::images(&files)?, None),
            Transport::DockerArchive => {
                let saved = docker::read(&files, limits)?;
                (saved.images, Some(saved.contents))
            }
        };
        let selected = select(reference, &all)?;
        Ok(Self(Arc::new(Inner { files, all, selected, contents })))
    }

    /// The images that the reference selects, in the source's order. Empty only if the source is.
    pub fn images(&self) -> &[SourceImage] {
        &self.0.selected
    }

    /// All that the source lists, whatever the reference selects: where to look for referrers.
    pub fn listed(&self) -> &[SourceImage] {
        &self.0.all
    }

    /// How messages name the file that holds the object.
    pub fn file_of(&self, digest: &Digest) -> String {
        match &self.0.contents {
            None => self.0.files.name(&layout::blob_path(digest)),
            Some(contents) => match contents.get(digest) {
                Some(Content::Piece(path)) => self.0.files.name(path),
                Some(Content::Bytes(_)) | None => self.0.files.name("manifest.json"),
            },
        }
    }

    /// The object's size in bytes, as the file is; its bytes may still be wrong.
    pub async fn size(&self, digest: &Digest) -> Result<u64, SourceError> {
        Ok(self.read(digest).await?.size())
    }

    /// Finds an object's bytes. They are **not** verified: hash what [`SourceBlob::into_stream`]
    /// gives.
    pub async fn read(&self, digest: &Digest) -> Result<SourceBlob, SourceError> {
        let (source, digest) = (self.clone(), *digest);
        blocking(move || source.find(&digest)).await
    }

    /// A manifest's bytes, with the digest and size that `descriptor` gives, and what they say.
    pub async fn manifest(
        &self,
        descriptor: &Descriptor,
    ) -> Result<(Bytes, Manifest), SourceError> {
        let (source, descriptor) = (self.clone(), descriptor.clone());
        blocking(move || source.read_manifest(&descriptor)).await
    }

    fn find(&self, digest: &Digest) -> Result<SourceBlob, SourceError> {
        let path = match &self.0.contents {
            None => layout::blob_path(digest),
            Some(contents) => match contents.get(digest) {
                Some(Content::Bytes(bytes)) => {
                    return Ok(SourceBlob { found: Found::Bytes(bytes.clone()) });
                }
                Some(Content::Piece(path)) => path.clone(),
                None => return Err(SourceError::Missing { file: digest.to_string() }),
            },
        };
        Ok(SourceBlob { found: Found::Piece(self.0.files.find(&path)?) })
    }

    fn read_manifest(&self, descriptor: &Descriptor) -> Result<(Bytes, Manifest), SourceError> {
        let digest = descriptor.digest;
        let file = self.file_of(&digest);
        let corrupt = |what| SourceError::Corrupt { digest, file: file.clone(), what };
        let found = self.find(&digest)?;
        if found.size() != descriptor.size {
            return Err(corrupt(format!(
                "it has {} bytes, its descriptor says {}",
                found.size(),
                descriptor.size
            )));
        }
        let manifest_error =
            |source| SourceError::Manifest { digest, file: file.clone(), source: Box::new(source) };
        if descriptor.size > MAX_MANIFEST_BYTES as u64 {
            let size = usize::try_from(descriptor.size).unwrap_or(usize::MAX);
            return Err(manifest_error(ManifestError::TooLarge { size }));
        }
        let bytes = match found.found {
            Found::Bytes(bytes) => bytes,
            Found::Piece(piece) => Bytes::from(piece.read_document()?),
        };
        let actual = Digest::of(digest.algorithm(), &bytes);
        if actual != digest {
            return Err(corrupt(format!("its digest is {actual}")));
        }
        let manifest =
            Manifest::parse(&bytes, Some(&descriptor.media_type)).map_err(manifest_error)?;
        Ok((bytes, manifest))
    }
}

impl SourceBlob {
    /// The size in bytes, which the stream gives or ends in an error.
    pub fn size(&self) -> u64 {
        match &self.found {
            Found::Piece(piece) => piece.size(),
            Found::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// The bytes, in chunks of at most 256 KiB.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static {
        match self.found {
            Found::Piece(piece) => piece.stream().left_stream(),
            Found::Bytes(bytes) => stream::iter([Ok(bytes)]).right_stream(),
        }
    }
}

fn select(
    reference: &SourceReference,
    all: &[SourceImage],
) -> Result<Vec<SourceImage>, SourceError> {
    let (chosen, wanted): (Vec<SourceImage>, _) = match reference.selection() {
        Selection::All => return Ok(all.to_vec()),
        Selection::At(place) => {
            (all.get(*place).into_iter().cloned().collect(), format!("@{place}"))
        }
        Selection::Name(name) => {
            let is_meant = |found: &str| match reference.transport() {
                Transport::DockerArchive => full_name(found) == full_name(name),
                Transport::OciDirectory | Transport::OciArchive => found == name,
            };
            let named = |image: &&SourceImage| image.name.as_deref().is_some_and(is_meant);
            (all.iter().filter(named).cloned().collect(), name.clone())
        }
    };
    if chosen.is_empty() {
        return Err(SourceError::NoSuchImage {
            path: reference.path().to_owned(),
            wanted,
            held: held(all),
        });
    }
    Ok(chosen)
}

/// A Docker name without what may be left out of it.
fn full_name(name: &str) -> (&str, &str) {
    let short = name.strip_prefix("docker.io/").unwrap_or(name);
    let short = short.strip_prefix("library/").unwrap_or(short);
    match short.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (short, "latest"),
    }
}

/// The first names of a list, for a message.
fn held(all: &[SourceImage]) -> String {
    const MOST: usize = 10;
    if all.is_empty() {
        return "none".to_owned();
    }
    let name = |(place, image): (usize, &SourceImage)| match &image.name {
        Some(name) => format!("`{}`", name.chars().take(160).collect::<String>()),
        None => format!("`@{place}`"),
    };
    let mut text = all.iter().enumerate().take(MOST).map(name).collect::<Vec<_>>().join(", ");
    if all.len() > MOST {
        text.push_str(", …");
    }
    text
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}
