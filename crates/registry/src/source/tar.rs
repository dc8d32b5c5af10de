//! Where the files of a tar archive lie, found in one pass over the headers and without unpacking.
//!
//! Owns the reading of headers. Nothing is ever written to a path that an archive names; paths that
//! are absolute or lead out by `..` are refused all the same: no honest image archive has them.
//! Extension headers are read only up to a limit, which the `tar` crate's own iterator does not
//! have: its parsers are used, its iterator is not.
//!
//! Format: <https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13_06>.
//!
//! Invariant: an extent that was returned lies within the archive.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use tar::{EntryType, Header, PaxExtensions};

const BLOCK: u64 = 512;
/// The longest extension header: a path or a handful of attributes.
const MAX_EXTENSION_BYTES: u64 = 64 << 10;
/// How many links are followed one after another.
const MAX_LINKS: usize = 8;

/// A run of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    File(Extent),
    /// A symbolic or hard link, by the path of its target.
    Link(String),
    Other(&'static str),
}

/// The files of an archive, by normalised path. Of two entries with one path the later counts, as
/// when unpacking.
#[derive(Debug, Default)]
pub(crate) struct TarIndex {
    nodes: BTreeMap<String, Node>,
}

/// Why bytes are no archive that can be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TarError {
    #[error("reading failed")]
    Read(#[from] io::Error),
    #[error("no tar header at byte {0}")]
    NotTar(u64),
    #[error("{path} should end at byte {end}, but the archive has only {size} bytes")]
    Truncated { path: String, end: u64, size: u64 },
    #[error("`{0}` leads out of the archive")]
    Escapes(String),
    #[error("more than {0} entries (`entries`)")]
    TooMany(usize),
    #[error("the header extension at byte {0} is larger than {MAX_EXTENSION_BYTES} bytes")]
    LongExtension(u64),
}

/// Why a path of an archive gives no bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoFile {
    Absent,
    /// It is something else.
    Other(&'static str),
}

impl TarIndex {
    /// Reads the headers of `archive`, which has `size` bytes.
    pub(crate) fn read(
        archive: &mut (impl Read + Seek),
        size: u64,
        max_entries: usize,
    ) -> Result<Self, TarError> {
        let mut index = Self::default();
        let mut next = Extension::default();
        let (mut at, mut entries) = (0, 0);
        while let Some(header) = read_header(archive, at, size)? {
            let kind = header.entry_type();
            let declared = header.entry_size().map_err(|_| TarError::NotTar(at))?;
            let length = match kind {
                EntryType::XHeader
                | EntryType::XGlobalHeader
                | EntryType::GNULongName
                | EntryType::GNULongLink => declared,
                _ if has_no_data(kind) => 0,
                _ => next.size.unwrap_or(declared),
            };
            let start = at + BLOCK;
            let path = next.path.clone().unwrap_or_else(|| header.path_bytes().into_owned());
            let path = String::from_utf8_lossy(&path).into_owned();
            let end = start.checked_add(length).filter(|&end| end <= size).ok_or_else(|| {
                let end = start.saturating_add(length);
                TarError::Truncated { path: format!("`{path}`"), end, size }
            })?;
            match kind {
                EntryType::XHeader => next.read_pax(&read_extension(archive, start, length)?),
                EntryType::GNULongName => {
                    next.path = Some(until_zero(read_extension(archive, start, length)?));
                }
                EntryType::GNULongLink => {
                    next.link = Some(until_zero(read_extension(archive, start, length)?));
                }
                EntryType::XGlobalHeader => {}
                _ => {
                    let extension = std::mem::take(&mut next);
                    let path = normalise(&path, "").ok_or(TarError::Escapes(path))?;
                    let extent = Extent { offset: start, size: length };
                    let node = node(&header, &path, extension, extent)?;
                    index.nodes.insert(path, node);
                }
            }
            entries += 1;
            if entries > max_entries {
                return Err(TarError::TooMany(max_entries));
            }
            at = end.next_multiple_of(BLOCK);
        }
        Ok(index)
    }

    /// Where the file at `path` lies, links followed.
    pub(crate) fn find(&self, path: &str) -> Result<Extent, NoFile> {
        let mut path = normalise(path, "").ok_or(NoFile::Absent)?;
        for _ in 0..MAX_LINKS {
            match self.nodes.get(&path) {
                None => return Err(NoFile::Absent),
                Some(Node::File(extent)) => return Ok(*extent),
                Some(Node::Other(what)) => return Err(NoFile::Other(what)),
                Some(Node::Link(target)) => path.clone_from(target),
            }
        }
        Err(NoFile::Other("a circle of links"))
    }
}

/// What an extension header says of the entry that follows it.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extension {
    fn read_pax(&mut self, records: &[u8]) {
        // A record that cannot be parsed is some attribute with a line break in it: of no use here.
        for record in PaxExtensions::new(records).flatten() {
            match record.key_bytes() {
                b"path" => self.path = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                b"size" => self.size = record.value().ok().and_then(|text| text.parse().ok()),
                _ => {}
            }
        }
    }
}

fn node(
    header: &Header,
    path: &str,
    extension: Extension,
    extent: Extent,
) -> Result<Node, TarError> {
    let link = || {
        let target = extension.link.or_else(|| header.link_name_bytes().map(Into::into));
        String::from_utf8_lossy(&target.unwrap_or_default()).into_owned()
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let to = |target: String, base| {
        normalise(&target, base).map(Node::Link).ok_or(TarError::Escapes(target))
    };
    match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Ok(Node::File(extent)),
        EntryType::Symlink => to(link(), folder),
        EntryType::Link => to(link(), ""),
        EntryType::Directory => Ok(Node::Other("a directory")),
        EntryType::Fifo => Ok(Node::Other("a FIFO")),
        EntryType::GNUSparse => Ok(Node::Other("a sparse file")),
        _ => Ok(Node::Other("a special file")),
    }
}

const fn has_no_data(kind: EntryType) -> bool {
    matches!(
        kind,
        EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo
    )
}

/// The header at `at`; `None` at the end, which a block of zeros marks: an archive without one was
/// cut, even if the cut lies between two files.
fn read_header(
    archive: &mut (impl Read + Seek),
    at: u64,
    size: u64,
) -> Result<Option<Header>, TarError> {
    if size == 0 {
        return Err(TarError::NotTar(0));
    }
    let end = at.saturating_add(BLOCK);
    if end > size {
        return Err(TarError::Truncated { path: "the end mark".to_owned(), end, size });
    }
    archive.seek(SeekFrom::Start(at))?;
    let mut header = Header::new_old();
    archive.read_exact(header.as_mut_bytes())?;
    let bytes = header.as_bytes();
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    // The sum counts its own field, bytes 148 to 155, as spaces.
    let others = bytes[..148].iter().chain(&bytes[156..]);
    let sum = others.fold(8 * u32::from(b' '), |sum, &byte| sum + u32::from(byte));
    match header.cksum() {
        Ok(expected) if expected == sum => Ok(Some(header)),
        _ => Err(TarError::NotTar(at)),
    }
}

fn read_extension(
    archive: &mut (impl Read + Seek),
    start: u64,
    length: u64,
) -> Result<Vec<u8>, TarError> {
    if length > MAX_EXTENSION_BYTES {
        return Err(TarError::LongExtension(start));
    }
    archive.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    archive.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|&byte| byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// `path` seen from the folder `base`, without `.` and `..`; `None` if it leaves the archive.
fn normalise(path: &str, base: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests;
