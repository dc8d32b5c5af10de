//! A generation: all names and all objects at one moment, as a small Merkle tree.
//!
//! A [`Root`] lists repositories with the digest of each one's [`Repository`] document. Both are
//! canonical: keys and lists sorted, integers only, one encoder. So equal content has equal
//! digests, publishing again costs only what changed, and two generations are compared by their
//! roots. There is no time, sequence or signature in them; those are the pointer's. A repository
//! above 1 MiB is stored in [`Parts`].
//!
//! Invariant: a document that was decoded encodes to the same bytes.

mod parts;

use std::collections::BTreeMap;
use std::io;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::media_type::is_media_type;
use crate::reference::{RepositoryName, Tag};

pub use parts::{MAX_PART_BYTES, PartEntry, Parts};

const ROOT_TYPE: &str = "landbridge.generation.v1";
const REPOSITORY_TYPE: &str = "landbridge.repository.v1";

/// The largest document that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 64 << 20;

/// The root of a generation. Its digest names the generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    // Fields stand in the order of their names: that is the order in which they are written.
    /// The repositories, by name.
    pub repositories: Vec<RepositoryEntry>,
    r#type: String,
}

/// Where a root finds a repository's document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepositoryEntry {
    /// Digest of the document.
    pub digest: Digest,
    /// The repository.
    pub name: RepositoryName,
    /// Size in bytes of the document, with its parts if it has any.
    pub size: u64,
}

/// One repository's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The manifests that it lists, by digest. They may be pulled by digest under this name.
    pub manifests: Vec<ManifestEntry>,
    /// The repository.
    pub name: RepositoryName,
    /// The blobs that its manifests refer to, by digest.
    pub objects: Vec<ObjectEntry>,
    /// Who refers to whom, by subject, then by the referrer's digest.
    pub referrers: Vec<ReferrerEntry>,
    /// The tags, by name.
    pub tags: Vec<TagEntry>,
    r#type: String,
}

/// A manifest as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Its digest.
    pub digest: Digest,
    /// The type with which it is served.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectEntry {
    /// Its digest.
    pub digest: Digest,
    /// The type that a manifest gives it.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A manifest that is about another one. Its type and size are in the list of manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferrerEntry {
    /// The referrer's annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The kind of artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The referrer.
    pub digest: Digest,
    /// What it is about; it need not be in the repository.
    pub subject: Digest,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagEntry {
    /// The manifest that it means.
    pub digest: Digest,
    /// The tag.
    pub name: Tag,
}

/// Why bytes are not a document of a generation.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Larger than is read.
    #[error("document of {0} bytes is larger than the limit of {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge(usize),
    /// Not JSON of the expected shape.
    #[error("document is malformed")]
    Malformed(#[from] serde_json::Error),
    /// A document of another type.
    #[error("document has the type `{found}`, expected `{expected}`")]
    WrongType {
        /// What it says.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// Sorted otherwise, duplicated, spaced: not what the one encoder writes.
    #[error("document is not in canonical form: {0}")]
    NotCanonical(&'static str),
    /// It names something that it does not hold.
    #[error("repository `{repository}` is incomplete: {what}")]
    Dangling {
        /// The repository.
        repository: RepositoryName,
        /// Which reference leads nowhere.
        what: String,
    },
}

/// A document with one canonical encoding.
pub trait Document: Sized {
    /// The one encoding. The digest of these bytes names the document.
    fn encode(&self) -> Vec<u8>;

    /// Reads a document, and refuses any bytes that [`Document::encode`] would not have written.
    fn decode(bytes: &[u8]) -> Result<Self, DocumentError>;

    /// What is stored of it, made one at a time: parts, if it is so large that it has any, and
    /// last the document that names them, whose digest names the whole.
    fn documents(&self) -> impl Iterator<Item = Vec<u8>> + Send {
        std::iter::once(self.encode())
    }

    /// Puts parts together again.
    fn join(_parts: Vec<Self>) -> Result<Self, DocumentError> {
        Err(DocumentError::NotCanonical("a document of this type has no parts"))
    }
}

impl Root {
    /// A root over these repositories, in any order.
    pub fn new(mut repositories: Vec<RepositoryEntry>) -> Self {
        repositories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        repositories.dedup_by(|a, b| a.name == b.name);
        Self { repositories, r#type: ROOT_TYPE.to_owned() }
    }
}

impl Repository {
    /// An empty repository.
    pub fn empty(name: RepositoryName) -> Self {
        Self {
            manifests: Vec::new(),
            name,
            objects: Vec::new(),
            referrers: Vec::new(),
            tags: Vec::new(),
            r#type: REPOSITORY_TYPE.to_owned(),
        }
    }

    /// Sorts and deduplicates everything: call it after pushing into the lists in any order.
    /// Of two tags with one name the later one stays.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.manifests.sort_by_key(|a| a.digest);
        self.manifests.dedup_by(|a, b| a.digest == b.digest);
        self.objects.sort_by_key(|a| a.digest);
        self.objects.dedup_by(|a, b| a.digest == b.digest);
        self.referrers.sort_by_key(|a| (a.subject, a.digest));
        self.referrers.dedup_by(|a, b| (a.subject, a.digest) == (b.subject, b.digest));
        self.tags.reverse();
        self.tags.sort_by(|a, b| a.name.cmp(&b.name));
        self.tags.dedup_by(|a, b| a.name == b.name);
        self
    }

    /// How a root lists it.
    pub fn entry(&self) -> RepositoryEntry {
        let mut entry =
            RepositoryEntry { digest: Digest::sha256_of(b""), name: self.name.clone(), size: 0 };
        for document in self.documents() {
            entry.size += document.len() as u64;
            entry.digest = Digest::sha256_of(&document);
        }
        entry
    }

    /// Everything that it lists, manifests first, each with its size in bytes.
    pub fn listed(&self) -> impl Iterator<Item = (Digest, u64)> {
        let manifests = self.manifests.iter().map(|entry| (entry.digest, entry.size));
        manifests.chain(self.objects.iter().map(|entry| (entry.digest, entry.size)))
    }

    /// The manifest with this digest, if the repository lists it.
    pub fn manifest(&self, digest: &Digest) -> Option<&ManifestEntry> {
        let at = self.manifests.binary_search_by(|entry| entry.digest.cmp(digest)).ok()?;
        self.manifests.get(at)
    }

    fn check(&self) -> Result<(), DocumentError> {
        use DocumentError::NotCanonical;
        if !sorted(&self.manifests, |e| e.digest) {
            return Err(NotCanonical("`manifests` is not sorted by digest without duplicates"));
        }
        if !sorted(&self.objects, |e| e.digest) {
            return Err(NotCanonical("`objects` is not sorted by digest without duplicates"));
        }
        if !sorted(&self.referrers, |e| (e.subject, e.digest)) {
            return Err(NotCanonical("`referrers` is not sorted by subject and digest"));
        }
        if !sorted(&self.tags, |e| e.name.clone()) {
            return Err(NotCanonical("`tags` is not sorted by name without duplicates"));
        }
        let types = self.manifests.iter().map(|e| &e.media_type);
        let mut last = None;
        for media_type in types.chain(self.objects.iter().map(|e| &e.media_type)) {
            // Most are the same as the one before.
            if last != Some(media_type) && !is_media_type(media_type) {
                return Err(NotCanonical("a `media_type` is no media type"));
            }
            last = Some(media_type);
        }
        let dangling = |what| DocumentError::Dangling { repository: self.name.clone(), what };
        for tag in &self.tags {
            if self.manifest(&tag.digest).is_none() {
                return Err(dangling(format!(
                    "tag `{}` means {}, which it does not list",
                    tag.name, tag.digest
                )));
            }
        }
        for referrer in &self.referrers {
            if self.manifest(&referrer.digest).is_none() {
                return Err(dangling(format!("referrer {} is not listed", referrer.digest)));
            }
        }
        Ok(())
    }
}

fn sorted<T, K: Ord>(list: &[T], key: impl Fn(&T) -> K) -> bool {
    list.windows(2).all(|pair| key(&pair[0]) < key(&pair[1]))
}

impl Document for Root {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let root: Self = decode(bytes)?;
        expect_type(&root.r#type, ROOT_TYPE)?;
        if !sorted(&root.repositories, |e| e.name.clone()) {
            return Err(DocumentError::NotCanonical("`repositories` is not sorted by name"));
        }
        canonical(root, bytes)
    }
}

impl Document for Repository {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let repository: Self = decode(bytes)?;
        expect_type(&repository.r#type, REPOSITORY_TYPE)?;
        repository.check()?;
        canonical(repository, bytes)
    }

    fn documents(&self) -> impl Iterator<Item = Vec<u8>> + Send {
        parts::documents(self)
    }

    fn join(parts: Vec<Self>) -> Result<Self, DocumentError> {
        parts::join(parts)
    }
}

fn encode(document: &impl Serialize) -> Vec<u8> {
    // Serialising plain structs into memory cannot fail: no map has keys other than strings.
    serde_json::to_vec(document).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    if bytes.len() > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge(bytes.len()));
    }
    Ok(serde_json::from_slice(bytes)?)
}

fn expect_type(found: &str, expected: &'static str) -> Result<(), DocumentError> {
    if found == expected {
        return Ok(());
    }
    Err(DocumentError::WrongType { found: found.chars().take(80).collect(), expected })
}

fn canonical<T: Serialize>(document: T, bytes: &[u8]) -> Result<T, DocumentError> {
    let mut rest = Comparing(bytes);
    match serde_json::to_writer(&mut rest, &document) {
        Ok(()) if rest.0.is_empty() => Ok(document),
        Ok(()) | Err(_) => Err(DocumentError::NotCanonical("encoding it again gives other bytes")),
    }
}

/// How many bytes an entry takes in a document.
fn encoded_len(entry: &impl Serialize) -> usize {
    let mut counted = Counting(0);
    // As in `encode`: it cannot fail.
    let _ = serde_json::to_writer(&mut counted, entry);
    counted.0
}

/// Takes only the bytes that it holds.
struct Comparing<'a>(&'a [u8]);

impl io::Write for Comparing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Counting(usize);

impl io::Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repository() -> Repository {
        let mut repository = Repository::empty("a/b".parse().unwrap());
        for content in [b"one".as_slice(), b"two", b"one"] {
            repository.manifests.push(ManifestEntry {
                digest: Digest::sha256_of(content),
                media_type: crate::media_type::OCI_MANIFEST.to_owned(),
                size: 3,
            });
        }
        for (name, content) in [("v2", b"two"), ("v1", b"one"), ("v2", b"one")] {
            let digest = Digest::sha256_of(content);
            repository.tags.push(TagEntry { digest, name: name.parse().unwrap() });
        }
        repository.referrers.push(ReferrerEntry {
            annotations: BTreeMap::from([("b".into(), "2".into()), ("a".into(), "1".into())]),
            artifact_type: Some("text/plain".into()),
            digest: Digest::sha256_of(b"two"),
            subject: Digest::sha256_of(b"absent"),
        });
        repository.sorted()
    }

    #[test]
    fn a_document_is_written_in_one_way_only() {
        insta::assert_snapshot!(String::from_utf8(repository().encode()).unwrap());
        let bytes = repository().encode();
        assert_eq!(Repository::decode(&bytes).unwrap(), repository());
        let spaced = String::from_utf8(bytes).unwrap().replacen(':', ": ", 1);
        assert!(matches!(
            Repository::decode(spaced.as_bytes()),
            Err(DocumentError::NotCanonical(_))
        ));
    }

    #[test]
    fn keys_are_sorted() {
        fn assert_sorted(value: &serde_json::Value, text: &str) {
            match value {
                serde_json::Value::Object(map) => {
                    let at: Vec<_> = map.keys().map(|k| text.find(&format!("\"{k}\":"))).collect();
                    assert!(!map.is_empty() && at.iter().all(Option::is_some));
                    let mut keys: Vec<_> = map.keys().collect();
                    keys.sort();
                    let again: serde_json::Map<_, _> =
                        keys.into_iter().map(|k| (k.clone(), map[k].clone())).collect();
                    assert_eq!(
                        serde_json::to_string(&again).unwrap(),
                        serde_json::to_string(map).unwrap()
                    );
                    map.values().for_each(|v| assert_sorted(v, text));
                }
                serde_json::Value::Array(list) => list.iter().for_each(|v| assert_sorted(v, text)),
                _ => {}
            }
        }
        let text = String::from_utf8(repository().encode()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_sorted(&value, &text);
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
    }

    #[test]
    fn of_two_tags_with_one_name_the_later_stays() {
        let repository = repository();
        assert_eq!(repository.tags.len(), 2);
        assert_eq!(repository.tags[1].digest, Digest::sha256_of(b"one"));
    }

    #[test]
    fn a_tag_that_leads_nowhere_is_refused() {
        let mut broken = repository();
        broken.manifests.remove(0);
        assert!(matches!(
            Repository::decode(&broken.encode()),
            Err(DocumentError::Dangling { .. })
        ));
        assert!(matches!(Root::decode(&repository().encode()), Err(DocumentError::Malformed(_))));
    }

    proptest! {
        #[test]
        fn equal_content_in_any_order_has_equal_digests(mut order in Just((0..8u8).collect::<Vec<_>>()).prop_shuffle()) {
            let entry = |i: &u8| RepositoryEntry {
                digest: Digest::sha256_of(&[*i]),
                name: format!("r{i}").parse().unwrap(),
                size: u64::from(*i),
            };
            let shuffled = Root::new(order.iter().map(entry).collect());
            order.sort_unstable();
            let straight = Root::new(order.iter().map(entry).collect());
            prop_assert_eq!(shuffled.encode(), straight.encode());
            prop_assert_eq!(Root::decode(&straight.encode()).unwrap(), straight);
        }
    }
}
