//! The ledger in its file: read whole, added to in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use landbridge_core::pointer::Keys;

use super::{Draft, Head, Ledger, LedgerError, MAX_LEDGER_BYTES};

/// Why a ledger cannot be read or added to.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's answer.
    #[error("the ledger cannot be read or written")]
    Io(#[from] io::Error),
    /// It is too large.
    #[error("the ledger has {0} bytes, more than the limit of {MAX_LEDGER_BYTES}")]
    TooLarge(u64),
    /// It is not whole.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Reads a ledger's text; none is there before the first exception. Blocks.
pub fn read(path: &Path) -> Result<String, FileError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > MAX_LEDGER_BYTES => {
            Err(FileError::TooLarge(metadata.len()))
        }
        Ok(_) => Ok(fs::read_to_string(path)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

/// Adds a draft that enough approvers have signed, and says how the ledger ends then. A ledger that
/// is not whole is not added to; a crash leaves the old one or the new one. Blocks.
pub fn append(
    path: &Path,
    draft: &Draft,
    keys: &Keys,
    head: Option<&Head>,
) -> Result<Head, FileError> {
    let mut text = read(path)?;
    let mut ledger = Ledger::verify(&text, keys, head)?;
    let line = ledger.append(draft, keys)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&line);
    text.push('\n');
    let directory = path.parent().filter(|it| !it.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    if let Ok(metadata) = fs::metadata(path) {
        file.as_file().set_permissions(metadata.permissions())?;
    }
    file.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()?;
    // Something was just added.
    ledger.head().ok_or_else(|| io::Error::other("the ledger is empty").into())
}
