//! Why a source gives no image, in words that name the file, the blob and the way out.

use std::io;
use std::path::PathBuf;

use landbridge_core::Digest;
use landbridge_core::manifest::ManifestError;

use super::tar::TarError;
use super::unpack::UnpackError;

/// Why a layout or an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file or directory itself cannot be opened.
    #[error("`{path}` cannot be opened: check the path and the permissions")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is there, but it is something else.
    #[error("`{path}` is {what}: {hint}")]
    NotASource {
        /// The file or directory.
        path: PathBuf,
        /// What it is, or lacks.
        what: String,
        /// What to do.
        hint: String,
    },
    /// The tar archive cannot be indexed.
    #[error("archive `{path}` is damaged or truncated: {source}; make or download it again")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What is wrong in it.
        #[source]
        source: ArchiveError,
    },
    /// A document that says what the source holds is not understood.
    #[error("`{file}` is malformed: {what}; make the source again")]
    Malformed {
        /// The file, with the source's path before it.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// A document that says what the source holds is larger than is read.
    #[error("`{file}` has {size} bytes, more than the limit of {limit}: such a source is not read")]
    TooLarge {
        /// The file, with the source's path before it.
        file: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file that ought to be there is not.
    #[error("`{file}` is missing: the source is incomplete, make or download it again")]
    Missing {
        /// The file, with the source's path before it.
        file: String,
    },
    /// Something that is not a regular file inside the source stands where a file should be.
    #[error("`{file}` is {what}, expected a regular file inside `{root}`")]
    NotAFile {
        /// The file, with the source's path before it.
        file: String,
        /// What it is.
        what: String,
        /// The source.
        root: String,
    },
    /// A file is not what its name promises.
    #[error("blob {digest} in `{file}` is corrupt: {what}; make or download the source again")]
    Corrupt {
        /// The blob.
        digest: Digest,
        /// The file, with the source's path before it.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// A manifest whose bytes are right is not understood.
    #[error("manifest {digest} in `{file}` cannot be used")]
    Manifest {
        /// The manifest.
        digest: Digest,
        /// The file, with the source's path before it.
        file: String,
        /// What is wrong with it.
        source: Box<ManifestError>,
    },
    /// No image has the name that was asked for.
    #[error("`{path}` holds no image `{wanted}`: it holds {held}")]
    NoSuchImage {
        /// The source.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What there is.
        held: String,
    },
    /// Reading stopped in the middle.
    #[error("`{file}` cannot be read to its end")]
    Read {
        /// The file, with the source's path before it.
        file: String,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong in an archive; part of [`SourceError::Archive`].
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ArchiveError(#[from] Wrong);

#[derive(Debug, thiserror::Error)]
pub(super) enum Wrong {
    #[error(transparent)]
    Tar(#[from] TarError),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

impl From<TarError> for ArchiveError {
    fn from(error: TarError) -> Self {
        Self(error.into())
    }
}

impl From<UnpackError> for ArchiveError {
    fn from(error: UnpackError) -> Self {
        Self(error.into())
    }
}
