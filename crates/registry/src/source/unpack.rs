//! Compressed archives: unpacked once into a temporary file, so that blobs can be read by position.
//!
//! Owns the recognition of a compression by its first bytes, as `tar` does it; file names lie.
//! The temporary file has no name (it lies in `TMPDIR`, else `/tmp`), so that nothing is left of it
//! after a crash.
//!
//! Invariant: never more bytes are written than the limit says.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
    /// One that is not read here, by the program that undoes it.
    Other(&'static str),
}

impl Compression {
    /// Recognises a compression by a file's first bytes.
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'B', b'Z', b'h', ..] => Self::Other("bunzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Other("unxz"),
            _ => Self::None,
        }
    }
}

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("it holds more than {0} bytes (`unpacked_bytes`)")]
    TooLarge(u64),
    #[error("no temporary file could be made or written: free some space or set TMPDIR")]
    Temporary(#[source] io::Error),
    #[error("its compressed data is damaged or ends early")]
    Damaged(#[source] io::Error),
}

/// The contents of `file`, from its start, in a new temporary file.
pub(crate) fn unpack(
    file: &File,
    compression: Compression,
    limit: u64,
) -> Result<File, UnpackError> {
    let mut whole = file;
    whole.seek(SeekFrom::Start(0)).map_err(UnpackError::Damaged)?;
    let input = BufReader::with_capacity(256 << 10, whole);
    let mut input: Box<dyn Read> = match compression {
        Compression::Zstd => {
            Box::new(zstd::Decoder::with_buffer(input).map_err(UnpackError::Damaged)?)
        }
        Compression::Gzip => Box::new(MultiGzDecoder::new(input)),
        Compression::None | Compression::Other(_) => Box::new(input),
    };
    let mut output = tempfile::tempfile().map_err(UnpackError::Temporary)?;
    let mut buffer = vec![0; 256 << 10];
    let mut left = limit;
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => return Ok(output),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(UnpackError::Damaged(error)),
        };
        left = left.checked_sub(read as u64).ok_or(UnpackError::TooLarge(limit))?;
        output.write_all(&buffer[..read]).map_err(UnpackError::Temporary)?;
    }
}
