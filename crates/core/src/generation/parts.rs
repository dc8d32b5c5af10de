//! How a large repository is stored: in parts, split by digest prefix.
//!
//! A part is a [`Repository`] of the same name with the manifests and objects whose hashes begin
//! with some bits, and with the tags and referrers that lead to those manifests. So every part is
//! complete in itself, and whoever reads parts one at a time needs nothing else. A list, [`Parts`],
//! names them. Where to split is a pure function of the content, so equal content has equal
//! digests, and a change touches one part in many.
//!
//! Invariant: what [`join`] puts together is what [`documents`] took apart.

use serde::{Deserialize, Serialize};

use super::{
    Document, DocumentError, Repository, TagEntry, canonical, decode, encode, encoded_len,
    expect_type,
};
use crate::digest::Digest;

const PARTS_TYPE: &str = "landbridge.parts.v1";

/// What a document's entries take before it is split, in bytes.
pub const MAX_PART_BYTES: usize = (1 << 20) - (1 << 10);

/// The document in whose place a repository's parts stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// The parts, by the prefix of the digests that they list; two at least.
    pub parts: Vec<PartEntry>,
    r#type: String,
}

/// Where a list finds a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartEntry {
    /// Digest of the document.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

impl Parts {
    /// Whether these bytes claim to be a list of parts. A repository begins with another word.
    pub fn claims(bytes: &[u8]) -> bool {
        bytes.starts_with(b"{\"parts\":")
    }
}

impl Document for Parts {
    fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let list: Self = decode(bytes)?;
        expect_type(&list.r#type, PARTS_TYPE)?;
        if list.parts.len() < 2 {
            return Err(DocumentError::NotCanonical("a list of fewer than two parts"));
        }
        canonical(list, bytes)
    }
}

/// The documents of a repository one after another, each made when it is asked for.
pub(super) fn documents(repository: &Repository) -> impl Iterator<Item = Vec<u8>> + Send + '_ {
    let cuts = cuts(repository);
    let is_split = cuts.len() > 1;
    let mut cuts = cuts.into_iter();
    let mut list = Parts { parts: Vec::new(), r#type: PARTS_TYPE.to_owned() };
    std::iter::from_fn(move || match cuts.next() {
        Some(_) if !is_split => Some(repository.encode()),
        Some(cut) => {
            let bytes = cut.part_of(repository).encode();
            let digest = Digest::sha256_of(&bytes);
            list.parts.push(PartEntry { digest, size: bytes.len() as u64 });
            Some(bytes)
        }
        None if list.parts.is_empty() => None,
        None => {
            let bytes = list.encode();
            list.parts.clear();
            Some(bytes)
        }
    })
}

/// Puts a repository's parts together.
pub(super) fn join(parts: Vec<Repository>) -> Result<Repository, DocumentError> {
    let mut parts = parts.into_iter();
    let none = DocumentError::NotCanonical("a list of no parts");
    let mut whole = parts.next().ok_or(none)?;
    for part in parts {
        if part.name != whole.name {
            return Err(DocumentError::NotCanonical("its parts are of several repositories"));
        }
        whole.manifests.extend(part.manifests);
        whole.objects.extend(part.objects);
        whole.referrers.extend(part.referrers);
        whole.tags.extend(part.tags);
    }
    let count = |of: &Repository| {
        of.manifests.len() + of.objects.len() + of.referrers.len() + of.tags.len()
    };
    let before = count(&whole);
    let whole = whole.sorted();
    if count(&whole) == before {
        Ok(whole)
    } else {
        Err(DocumentError::NotCanonical("two parts list the same"))
    }
}

/// The hashes that begin with these bits.
#[derive(Debug, Clone, Copy)]
struct Cut {
    prefix: u32,
    bits: u32,
}

impl Cut {
    const ALL: Self = Self { prefix: 0, bits: 0 };

    fn contains(self, digest: &Digest) -> bool {
        (prefix(digest) ^ self.prefix).checked_shr(u32::BITS - self.bits).unwrap_or(0) == 0
    }

    fn halves(self) -> [Self; 2] {
        let bits = self.bits + 1;
        let one = 1 << (u32::BITS - bits);
        [self.prefix, self.prefix | one].map(|prefix| Self { prefix, bits })
    }

    fn part_of(self, whole: &Repository) -> Repository {
        let mut part = Repository::empty(whole.name.clone());
        let manifests = whole.manifests.iter().filter(|entry| self.contains(&entry.digest));
        part.manifests.extend(manifests.cloned());
        let objects = whole.objects.iter().filter(|entry| self.contains(&entry.digest));
        part.objects.extend(objects.cloned());
        let referrers = whole.referrers.iter().filter(|entry| self.contains(&entry.digest));
        part.referrers.extend(referrers.cloned());
        let tags = whole.tags.iter().filter(|entry: &&TagEntry| self.contains(&entry.digest));
        part.tags.extend(tags.cloned());
        part
    }
}

/// Where a repository is cut so that no part is too large. What shares its first 32 bits stays
/// together, however much it is.
fn cuts(repository: &Repository) -> Vec<Cut> {
    fn cut(weights: &[(u32, usize)], at: Cut, cuts: &mut Vec<Cut>) {
        let total: usize = weights.iter().map(|(_, bytes)| bytes).sum();
        if total <= MAX_PART_BYTES || at.bits == u32::BITS {
            if !weights.is_empty() {
                cuts.push(at);
            }
            return;
        }
        let [low, high] = at.halves();
        let middle = weights.partition_point(|(prefix, _)| *prefix < high.prefix);
        let (below, above) = weights.split_at(middle);
        cut(below, low, cuts);
        cut(above, high, cuts);
    }
    let Repository { manifests, objects, referrers, tags, .. } = repository;
    let mut weights = Vec::with_capacity(manifests.len() + objects.len());
    weights.extend(manifests.iter().map(|e| (prefix(&e.digest), encoded_len(e) + 1)));
    weights.extend(objects.iter().map(|e| (prefix(&e.digest), encoded_len(e) + 1)));
    weights.extend(referrers.iter().map(|e| (prefix(&e.digest), encoded_len(e) + 1)));
    weights.extend(tags.iter().map(|e| (prefix(&e.digest), encoded_len(e) + 1)));
    weights.sort_unstable();
    let mut cuts = Vec::new();
    cut(&weights, Cut::ALL, &mut cuts);
    if cuts.is_empty() {
        cuts.push(Cut::ALL);
    }
    cuts
}

/// The first 32 bits of a hash.
fn prefix(digest: &Digest) -> u32 {
    digest.hash().first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::generation::{ManifestEntry, ObjectEntry, ReferrerEntry};

    fn repository(objects: u32, seed: u32) -> Repository {
        let mut repository = Repository::empty("a/b".parse().unwrap());
        for number in 0..objects {
            let digest = Digest::sha256_of(&(number ^ seed).to_le_bytes());
            let (media_type, size) = ("application/vnd.oci.image.manifest.v1+json".into(), 7);
            match number % 4 {
                0 => {
                    repository.manifests.push(ManifestEntry { digest, media_type, size });
                    let name = format!("v{number}").parse().unwrap();
                    repository.tags.push(TagEntry { digest, name });
                    let subject = Digest::sha256_of(b"subject");
                    let (annotations, artifact_type) = (std::collections::BTreeMap::new(), None);
                    let referrer = ReferrerEntry { annotations, artifact_type, digest, subject };
                    repository.referrers.push(referrer);
                }
                _ => repository.objects.push(ObjectEntry { digest, media_type, size }),
            }
        }
        repository.sorted()
    }

    /// What is stored, read back.
    fn read(documents: &[Vec<u8>]) -> Repository {
        let (list, parts) = documents.split_last().unwrap();
        if !Parts::claims(list) {
            assert!(parts.is_empty());
            return Repository::decode(list).unwrap();
        }
        let list = Parts::decode(list).unwrap();
        assert_eq!(list.parts.len(), parts.len());
        for (entry, part) in list.parts.iter().zip(parts) {
            assert_eq!(entry.digest, Digest::sha256_of(part));
            assert_eq!(entry.size, part.len() as u64);
            assert!(part.len() <= 1 << 20, "{}", part.len());
        }
        join(parts.iter().map(|part| Repository::decode(part).unwrap()).collect()).unwrap()
    }

    #[test]
    fn a_small_repository_is_one_document() {
        for size in [0, 10] {
            let repository = repository(size, 0);
            let documents: Vec<_> = repository.documents().collect();
            assert_eq!(documents, [repository.encode()]);
            assert_eq!(repository.entry().digest, Digest::sha256_of(&documents[0]));
        }
    }

    #[test]
    fn a_change_of_one_object_changes_one_part_and_the_list() {
        let before = repository(20_000, 0);
        let mut after = before.clone();
        after.objects.remove(4_000);
        let documents: Vec<_> = before.documents().collect();
        assert!(documents.len() > 3);
        let changed = documents.iter().zip(after.documents()).filter(|(old, new)| *old != new);
        assert_eq!(changed.count(), 2);
        assert_eq!(read(&documents), before);
    }

    #[test]
    fn what_cannot_be_split_stays_together() {
        let mut repository = repository(4, 0);
        let digest = repository.manifests[0].digest;
        let name = |number| format!("a-rather-long-name-for-a-tag-{number}").parse().unwrap();
        repository.tags = (0..12_000).map(|n| TagEntry { digest, name: name(n) }).collect();
        let repository = repository.sorted();
        let mut documents: Vec<_> = repository.documents().collect();
        let list = Parts::decode(&documents.pop().unwrap()).unwrap();
        assert!(list.parts.iter().any(|part| part.size > 1 << 20));
        let parts = documents.iter().map(|part| Repository::decode(part).unwrap()).collect();
        assert_eq!(join(parts).unwrap(), repository);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let one = repository(10, 0);
        assert!(join(vec![one.clone(), one.clone()]).is_err());
        let other = Repository { name: "c/d".parse().unwrap(), ..repository(10, 99) };
        assert!(join(vec![one, other]).is_err());
        assert!(join(Vec::new()).is_err());
        let list = Parts { parts: Vec::new(), r#type: PARTS_TYPE.to_owned() };
        assert!(Parts::decode(&list.encode()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn parts_give_the_whole_again(objects in 0..14_000_u32, seed: u32) {
            let repository = repository(objects, seed);
            let documents: Vec<_> = repository.documents().collect();
            let entry = repository.entry();
            prop_assert_eq!(Some(entry.digest), documents.last().map(|last| Digest::sha256_of(last)));
            prop_assert_eq!(entry.size, documents.iter().map(|d| d.len() as u64).sum::<u64>());
            prop_assert_eq!(read(&documents), repository);
        }
    }
}
