//! What a session's objects are called and what they say.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use jiff::Timestamp;
use landbridge_core::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

use crate::error::Malformed;
use crate::facts;

pub(super) const DIRECTORY: &str = "uploads";

/// Chunks up to this size lie in their record.
pub(super) const INLINE_BYTES: u64 = 64 << 10;
/// The largest record: its line and the bytes of a small chunk.
pub(super) const MAX_RECORD_BYTES: u64 = INLINE_BYTES + (4 << 10);

/// The name of an upload: 128 random bits, 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId([u8; 16]);

/// A text that names no upload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no upload's name: 32 lower-case hex digits are")]
pub struct UnknownUpload;

/// An upload, and how far it had come when it was asked for.
#[derive(Debug, Clone)]
pub struct UploadStatus {
    id: UploadId,
    session: Session,
    /// The last record with its offset.
    last: Option<(u64, Record)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub(super) repository: RepositoryName,
    pub(super) started: Timestamp,
}

/// An object of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Session,
    Record(u64),
    Data(UploadId),
}

/// A chunk that counts.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) sha256: Digest,
    pub(super) size: u64,
    pub(super) bytes: ChunkBytes,
}

/// Where a chunk's bytes are.
#[derive(Debug, Clone)]
pub(super) enum ChunkBytes {
    Inline(Bytes),
    /// In an object of their own, with the store's tag of it.
    Data {
        name: UploadId,
        etag: Option<String>,
    },
}

/// A record's first line. The bytes of a small chunk follow it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sha256: Digest,
    size: u64,
    /// Makes the record unlike any other writer's; names the bytes' object if they have one.
    chunk: UploadId,
    inline: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl UploadId {
    /// A new one.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, UnknownUpload> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(UnknownUpload);
        }
        u128::from_str_radix(text, 16)
            .map(|number| Self(number.to_be_bytes()))
            .map_err(|_| UnknownUpload)
    }

    pub(super) fn directory(&self) -> String {
        format!("{DIRECTORY}/{self}")
    }

    pub(super) fn key(&self, name: &Name) -> String {
        match name {
            Name::Session => format!("{DIRECTORY}/{self}/session"),
            Name::Record(offset) => format!("{DIRECTORY}/{self}/{offset:020}"),
            Name::Data(name) => format!("{DIRECTORY}/{self}/data-{name}"),
        }
    }
}

/// The upload to which a name below `uploads/` belongs.
pub(super) fn parse_owner(name: &str) -> Option<UploadId> {
    let (id, name) = name.split_once('/')?;
    Name::parse(name)?;
    UploadId::parse(id).ok()
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

impl FromStr for UploadId {
    type Err = UnknownUpload;

    fn from_str(text: &str) -> Result<Self, UnknownUpload> {
        Self::parse(text)
    }
}

impl Serialize for UploadId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UploadId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl Name {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "session" {
            return Some(Self::Session);
        }
        if let Some(name) = text.strip_prefix("data-") {
            return UploadId::parse(name).ok().map(Self::Data);
        }
        let is_record = text.len() == 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_record.then(|| text.parse().ok().map(Self::Record)).flatten()
    }
}

impl UploadStatus {
    pub(super) fn new(id: UploadId, session: Session, last: Option<(u64, Record)>) -> Self {
        Self { id, session, last }
    }

    /// The upload.
    pub fn id(&self) -> &UploadId {
        &self.id
    }

    /// The repository into which it goes.
    pub fn repository(&self) -> &RepositoryName {
        &self.session.repository
    }

    /// When it was begun, by the clock of the process that began it.
    pub fn started(&self) -> Timestamp {
        self.session.started
    }

    /// How many bytes have arrived and will not be asked for again: where the next chunk begins.
    pub fn offset(&self) -> u64 {
        self.last.as_ref().map_or(0, |(offset, record)| offset.saturating_add(record.size))
    }

    /// The upload's only chunk; `None` if it has none or several.
    pub(super) fn only_record(&self) -> Option<&Record> {
        self.last.as_ref().filter(|(offset, _)| *offset == 0).map(|(_, record)| record)
    }

    /// The same upload after a chunk more.
    pub(super) fn with(&self, offset: u64, record: Record) -> Self {
        Self { last: Some((offset, record)), ..self.clone() }
    }
}

impl Record {
    pub(super) fn encode(&self, nonce: UploadId) -> Vec<u8> {
        let (inline, chunk, etag) = match &self.bytes {
            ChunkBytes::Inline(_) => (true, nonce, None),
            ChunkBytes::Data { name, etag } => (false, *name, etag.clone()),
        };
        let line = Line { sha256: self.sha256, size: self.size, chunk, inline, etag };
        let mut encoded = facts::encode(&line);
        encoded.push(b'\n');
        if let ChunkBytes::Inline(bytes) = &self.bytes {
            encoded.extend_from_slice(bytes);
        }
        encoded
    }

    pub(super) fn decode(encoded: &Bytes) -> Result<Self, Malformed> {
        let end = encoded.iter().position(|&byte| byte == b'\n');
        let contradiction = |what: &str| Malformed::Contradiction(what.to_owned());
        let end = end.ok_or_else(|| contradiction("its first line does not end"))?;
        let line: Line = serde_json::from_slice(&encoded[..end])?;
        let rest = encoded.slice(end + 1..);
        let bytes = if line.inline {
            if rest.len() as u64 != line.size || Digest::sha256_of(&rest) != line.sha256 {
                return Err(contradiction("its bytes are not those that its first line promises"));
            }
            ChunkBytes::Inline(rest)
        } else if rest.is_empty() {
            ChunkBytes::Data { name: line.chunk, etag: line.etag }
        } else {
            return Err(contradiction("it has bytes and says that they lie elsewhere"));
        };
        Ok(Self { sha256: line.sha256, size: line.size, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_32_lower_case_hex_digits_and_nothing_else() {
        let id = UploadId::random().unwrap();
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "../../etc/passwd", &"A".repeat(32), &"0".repeat(33), &"+".repeat(32)] {
            assert!(UploadId::parse(bad).is_err(), "{bad}");
        }
        assert!(UploadId::parse(&format!("+{}", "0".repeat(31))).is_err());
    }

    #[test]
    fn names_come_back_and_drafts_are_none() {
        let id = UploadId::random().unwrap();
        for name in [Name::Session, Name::Record(0), Name::Record(u64::MAX), Name::Data(id)] {
            let key = id.key(&name);
            let below = key.strip_prefix("uploads/").unwrap();
            assert_eq!(parse_owner(below), Some(id));
            let text = below.split_once('/').unwrap().1;
            assert_eq!(Name::parse(text), Some(name));
            assert_eq!(Name::parse(&format!("{text}#1")), None);
        }
    }

    #[test]
    fn records_come_back_and_damage_is_found() {
        let id = UploadId::random().unwrap();
        let bytes = Bytes::from_static(b"some\nbytes\0");
        let record = Record {
            sha256: Digest::sha256_of(&bytes),
            size: bytes.len() as u64,
            bytes: ChunkBytes::Inline(bytes.clone()),
        };
        let encoded = Bytes::from(record.encode(id));
        let ChunkBytes::Inline(found) = Record::decode(&encoded).unwrap().bytes else { panic!() };
        assert_eq!(found, bytes);
        for end in 0..encoded.len() {
            assert!(Record::decode(&encoded.slice(..end)).is_err(), "{end}");
        }
        for at in 0..encoded.len() {
            let mut damaged = encoded.to_vec();
            damaged[at] ^= 1;
            if let Ok(read) = Record::decode(&damaged.into()) {
                // What is neither bytes, size nor digest is the name that nobody looks up.
                assert_eq!((read.size, read.sha256), (record.size, record.sha256));
            }
        }
        let data = Record { bytes: ChunkBytes::Data { name: id, etag: None }, ..record };
        let encoded = data.encode(id);
        let ChunkBytes::Data { name, .. } = Record::decode(&encoded.into()).unwrap().bytes else {
            panic!()
        };
        assert_eq!(name, id);
    }
}
