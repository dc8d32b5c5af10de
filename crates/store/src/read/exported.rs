//! What a front needs to start, in one file: for an image of the front, or for a machine that reaches
//! no store.
//!
//! A tar archive of what its cache would hold: pointers, documents, withdrawals, holdings. Signatures
//! and digests are in it as they are in a store, and nothing in it is believed for being there.
//!
//! Invariant: opening one takes no more memory than 1 GiB, whatever it says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::topology::CopyId;
use object_store::PutMode;

use super::cache::{DIRECTORIES, HOLDINGS, keys, portable};
use super::{CatalogReader, CopySource, Follow, HoldingSource, Poll, ReadError};
use crate::bucket::Bucket;
use crate::error::{OpenError, StoreError};
use crate::facts::Keep;
use crate::publish::Publication;

/// The largest export that is read, in bytes.
const MAX_EXPORT_BYTES: u64 = 1 << 30;
/// How long a copy may take to say what it holds.
const HOLDING_TIMEOUT: Duration = Duration::from_secs(30);
/// How many releases before the newest one are exported at least.
const RETAIN: usize = 3;

/// What a front needs to start.
#[derive(Debug)]
pub struct Export {
    /// The newest pointer's sequence.
    pub sequence: u64,
    /// How many documents there are.
    pub documents: usize,
    /// What was missing or failing: a sentence for each.
    pub notes: Vec<String>,
    entries: BTreeMap<String, Vec<u8>>,
}

/// Why an export cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is nothing to export.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was read cannot be kept in memory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nor can it be made room for.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It would not be enough to start from.
    #[error("what can be read is not enough to start from: {0}")]
    Incomplete(String),
    /// The file cannot be read, or is no archive.
    #[error("`{file}` is no export that can be read")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
}

impl Publication {
    /// Everything that fronts need which follow releases in these ways.
    pub async fn export(&self, follows: &[Follow], now: Timestamp) -> Result<Export, ExportError> {
        let mut entries = BTreeMap::new();
        let (mut notes, mut sequence) = (Vec::new(), 0);
        for follow in follows {
            let kept = Bucket::in_memory("the export")?;
            let mut reader = self.reader(*follow, kept.clone());
            if let Poll::New(loaded) = reader.poll(None, now).await? {
                sequence = loaded.pointer.content().sequence;
                for note in loaded.notes {
                    if !notes.contains(&note) {
                        notes.push(note);
                    }
                }
            }
            let (Some(_), _) = reader.load_cached(now).await else {
                return Err(ExportError::Incomplete(notes.join("; ")));
            };
            for key in keys(&kept).await?.into_keys() {
                let bytes = kept.get_bytes(&key, MAX_EXPORT_BYTES).await?;
                let bytes = if key.starts_with(HOLDINGS) {
                    portable(&bytes).unwrap_or_default()
                } else {
                    bytes.to_vec()
                };
                entries.insert(key, bytes);
            }
        }
        let documents = entries.keys().filter(|key| key.starts_with("generations/")).count();
        Ok(Export { sequence, documents, notes, entries })
    }

    /// A front without a configuration.
    fn reader(&self, follow: Follow, cache: Bucket) -> CatalogReader {
        let copies = self.mirrors.iter().enumerate().filter_map(|(at, mirror)| {
            let source = HoldingSource::Bucket(mirror.bucket.clone());
            Some(CopySource { copy: CopyId::new(at + 1)?, name: mirror.name.clone(), source })
        });
        CatalogReader {
            authority: self.authority.clone(),
            catalog: self.catalog.clone(),
            keys: self.keys.clone(),
            retain: RETAIN,
            copies: copies.collect(),
            origin: CopyId::FIRST,
            holding_timeout: HOLDING_TIMEOUT,
            minimum_sequence: self.minimum_sequence,
            last: None,
            follow,
            cache: Some(cache),
            exported: None,
        }
    }
}

impl Export {
    /// Writes the archive.
    pub fn write(&self, to: impl io::Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(to);
        for directory in DIRECTORIES {
            let below =
                |key: &str| key.strip_prefix(directory).is_some_and(|it| it.starts_with('/'));
            for (key, bytes) in self.entries.iter().filter(|(key, _)| below(key)) {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                archive.append_data(&mut header, key, bytes.as_slice())?;
            }
        }
        archive.into_inner()?.flush()
    }
}

/// Reads an export, as [`CatalogReader::exported`] takes it. What is in it is verified when it is
/// used.
pub async fn open_export(file: &Path) -> Result<Bucket, ExportError> {
    let name = file.display().to_string();
    let failed = |source: io::Error| ExportError::File { file: name.clone(), source };
    let path = file.to_owned();
    let entries = tokio::task::spawn_blocking(move || read_archive(&path)).await;
    let entries = entries.map_err(|error| failed(io::Error::other(error)))?.map_err(failed)?;
    let bucket = Bucket::in_memory(&name)?;
    for (key, bytes) in entries {
        bucket.put_fact(Keep::Scratch, &key, PutMode::Overwrite, bytes.into()).await?;
    }
    Ok(bucket)
}

fn read_archive(file: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let file = File::open(file)?;
    if file.metadata()?.len() > MAX_EXPORT_BYTES {
        return Err(invalid("it is larger than 1 GiB"));
    }
    let mut archive = tar::Archive::new(BufReader::new(file.take(MAX_EXPORT_BYTES)));
    let mut entries = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let key = path.to_str().ok_or_else(|| invalid("a name in it is no text"))?.to_owned();
        let directory = key.split_once('/').map_or("", |(directory, _)| directory);
        if !entry.header().entry_type().is_file() || !DIRECTORIES.contains(&directory) {
            return Err(invalid("there is something in it that no export has"));
        }
        // Not what the header says: what is there.
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if bytes.len() as u64 != entry.size() {
            return Err(invalid("it is cut off"));
        }
        entries.push((key, bytes));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(key: &str, kind: tar::EntryType) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(4);
        header.set_entry_type(kind);
        archive.append_data(&mut header, key, &b"junk"[..]).unwrap();
        archive.into_inner().unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<(String, Vec<u8>)>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read_archive(file.path())
    }

    #[test]
    fn only_what_an_export_has_is_taken() {
        let file = tar::EntryType::Regular;
        let whole = archive("pointers/1", file);
        assert_eq!(read(&whole).unwrap(), [("pointers/1".to_owned(), b"junk".to_vec())]);
        assert!(read(&archive("elsewhere/1", file)).is_err());
        assert!(read(&archive("pointers", file)).is_err());
        assert!(read(&archive("pointers/1", tar::EntryType::Symlink)).is_err());
        assert!(read(&whole[..514]).is_err());
        assert!(read(b"no archive at all").is_err());
        assert!(read(b"").unwrap().is_empty());
    }
}
