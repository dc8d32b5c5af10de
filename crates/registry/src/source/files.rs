//! The files of a source: a directory's or an archive's, by path, read by position.
//!
//! Owns every opening and reading of a file. A path is looked up each time it is read, and checked
//! again: a directory may change under our hands. Nothing outside a layout's directory is opened,
//! whatever its links say, and only regular files are, since opening a FIFO would wait for ever.
//!
//! Invariant: what is read of a [`Piece`] is exactly its size, or an error.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{Stream, stream};
use landbridge_core::manifest::MAX_MANIFEST_BYTES;

use super::error::SourceError;
use super::tar::{Extent, NoFile, TarIndex};
use super::unpack::{Compression, unpack};
use super::{SourceLimits, blocking};

/// How much of a blob is in memory at once.
const CHUNK_BYTES: u64 = 256 << 10;

/// Where a source's files are.
#[derive(Debug)]
pub(crate) enum Files {
    Directory { path: PathBuf, canonical: PathBuf },
    Archive { path: PathBuf, file: Arc<File>, index: TarIndex },
}

/// A file, or a part of one, that was found.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) name: String,
    file: Arc<File>,
    extent: Extent,
}

impl Files {
    pub(crate) fn directory(path: &Path) -> Result<Self, SourceError> {
        let open = |source| SourceError::Open { path: path.to_owned(), source };
        let canonical = path.canonicalize().map_err(open)?;
        if !canonical.is_dir() {
            return Err(SourceError::NotASource {
                path: path.to_owned(),
                what: "no directory".to_owned(),
                hint: "an archive is read as `oci-archive:FILE` or `docker-archive:FILE`"
                    .to_owned(),
            });
        }
        Ok(Self::Directory { path: path.to_owned(), canonical })
    }

    /// Opens and indexes an archive, after unpacking it to a temporary file if it is compressed.
    pub(crate) fn archive(path: &Path, limits: &SourceLimits) -> Result<Self, SourceError> {
        let open = |source| SourceError::Open { path: path.to_owned(), source };
        let wrong = |what: &str, hint: String| SourceError::NotASource {
            path: path.to_owned(),
            what: what.to_owned(),
            hint,
        };
        let metadata = fs::metadata(path).map_err(open)?;
        if metadata.is_dir() {
            let hint = format!("a directory is read as `oci:{}`", path.display());
            return Err(wrong("a directory", hint));
        }
        if !metadata.is_file() {
            return Err(wrong("no regular file", "save it to a file first".to_owned()));
        }
        let mut file = File::open(path).map_err(open)?;
        let mut start = [0; 6];
        let read = file.read_at(&mut start, 0).map_err(open)?;
        let damaged = |source| SourceError::Archive { path: path.to_owned(), source };
        match Compression::of(&start[..read]) {
            Compression::None => {}
            Compression::Other(program) => {
                let hint = format!("run `{program}` first; gzip and zstd are read as they are");
                return Err(wrong("compressed in a way that is not read here", hint));
            }
            known => {
                file = unpack(&file, known, limits.unpacked_bytes)
                    .map_err(|error| damaged(error.into()))?;
            }
        }
        let size = file.metadata().map_err(open)?.len();
        let index = TarIndex::read(&mut file, size, limits.entries)
            .map_err(|error| damaged(error.into()))?;
        Ok(Self::Archive { path: path.to_owned(), file: Arc::new(file), index })
    }

    /// The directory or the archive.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Directory { path, .. } | Self::Archive { path, .. } => path,
        }
    }

    /// How messages name the file at `path`.
    pub(crate) fn name(&self, path: &str) -> String {
        format!("{}/{path}", self.path().display())
    }

    /// True if there is anything at `path`.
    pub(crate) fn has(&self, path: &str) -> bool {
        !matches!(self.find(path), Err(SourceError::Missing { .. }))
    }

    /// The file at `path`, opened.
    pub(crate) fn find(&self, path: &str) -> Result<Piece, SourceError> {
        let name = self.name(path);
        let not_a_file = |what: String| SourceError::NotAFile {
            file: name.clone(),
            what,
            root: self.path().display().to_string(),
        };
        match self {
            Self::Archive { file, index, .. } => match index.find(path) {
                Ok(extent) => Ok(Piece { name, file: Arc::clone(file), extent }),
                Err(NoFile::Absent) => Err(SourceError::Missing { file: name }),
                Err(NoFile::Other(what)) => Err(not_a_file(what.to_owned())),
            },
            Self::Directory { canonical, .. } => {
                let real = match canonical.join(path).canonicalize() {
                    Ok(real) => real,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        return Err(SourceError::Missing { file: name });
                    }
                    Err(source) => return Err(SourceError::Read { file: name, source }),
                };
                if !real.starts_with(canonical) {
                    return Err(not_a_file(format!("a link to `{}`", real.display())));
                }
                let read = |source| SourceError::Read { file: name.clone(), source };
                if !fs::metadata(&real).map_err(read)?.is_file() {
                    return Err(not_a_file("a directory or a special file".to_owned()));
                }
                let file = File::open(&real).map_err(read)?;
                let size = file.metadata().map_err(read)?.len();
                Ok(Piece { name, file: Arc::new(file), extent: Extent { offset: 0, size } })
            }
        }
    }
}

impl Piece {
    pub(crate) const fn size(&self) -> u64 {
        self.extent.size
    }

    /// All of a document, which is read only up to the size of a manifest.
    pub(crate) fn read_document(&self) -> Result<Vec<u8>, SourceError> {
        let (size, limit) = (self.size(), MAX_MANIFEST_BYTES as u64);
        if size > limit {
            return Err(SourceError::TooLarge { file: self.name.clone(), size, limit });
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            bytes.extend_from_slice(&self.chunk(bytes.len() as u64)?);
        }
        Ok(bytes)
    }

    /// The bytes from `at`, never none before the end.
    pub(crate) fn chunk(&self, at: u64) -> Result<Bytes, SourceError> {
        let error = |source| SourceError::Read { file: self.name.clone(), source };
        let want = CHUNK_BYTES.min(self.size().saturating_sub(at));
        // At most `CHUNK_BYTES`, so the cast is exact.
        #[allow(clippy::cast_possible_truncation, reason = "at most CHUNK_BYTES")]
        let mut buffer = BytesMut::zeroed(want as usize);
        self.file.read_exact_at(&mut buffer, self.extent.offset + at).map_err(error)?;
        Ok(buffer.freeze())
    }

    /// Fills `buffer` from `at` as far as one read goes; nothing at the end.
    pub(crate) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size().saturating_sub(at)).unwrap_or(usize::MAX);
        let most = buffer.len().min(left);
        self.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.extent.offset + at)
    }

    /// All of it, a chunk at a time.
    pub(crate) fn stream(self) -> impl Stream<Item = Result<Bytes, SourceError>> + Send + 'static {
        let piece = Arc::new(self);
        stream::try_unfold(0, move |at| {
            let piece = Arc::clone(&piece);
            async move {
                if at >= piece.size() {
                    return Ok(None);
                }
                let chunk = blocking(move || piece.chunk(at)).await?;
                let next = at + chunk.len() as u64;
                Ok(Some((chunk, next)))
            }
        })
    }
}
