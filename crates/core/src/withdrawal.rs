//! Withdrawals: digests that nobody is to get any more, whatever generation lists them.
//!
//! A list is complete, numbered, and signed by the same keys as pointers in an envelope of its own
//! type, so that neither can be taken for the other. It hides what it names from every generation,
//! the current one and those that somebody goes back to: a manifest with the tags that mean it, a
//! blob. An index that contains a withdrawn manifest stays; only that child is gone.
//!
//! Invariant: the list in force is never replaced by an older one, nor by another one with the same
//! sequence.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::generation::Repository;
use crate::pointer::{Keys, Succession, Verified, VerifyError};

/// The `payloadType` of a list's envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.landbridge.withdrawals.v1+json";
/// The longest reason, in bytes: the whole list must fit into an envelope.
pub const MAX_REASON_BYTES: usize = 120;

/// All that is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawals {
    /// The catalog that it belongs to.
    pub catalog: String,
    /// What is withdrawn, each digest once.
    pub entries: Vec<Withdrawal>,
    /// When it was signed.
    pub issued: Timestamp,
    /// Digest of the previous list's envelope; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Why it was published, for people.
    pub reason: String,
    /// Its number, from 1.
    pub sequence: u64,
}

/// Something that is withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// A manifest or a blob.
    pub digest: Digest,
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Withdrawals {
    /// The bytes to sign, with [`PAYLOAD_TYPE`].
    pub fn encode(&self) -> Vec<u8> {
        // Plain structs of strings and numbers always have an encoding.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The digests.
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.entries.iter().map(|entry| entry.digest).collect()
    }

    /// Whether it names this digest.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.entries.iter().any(|entry| entry.digest == *digest)
    }
}

/// Checks the signatures over a list's exact bytes, and only then parses them.
pub fn verify(keys: &Keys, envelope: &[u8]) -> Result<Verified<Withdrawals>, VerifyError> {
    keys.open(PAYLOAD_TYPE, envelope)
}

/// Compares a candidate with the list in force for `catalog`.
pub fn succession(
    catalog: &str,
    current: Option<&Verified<Withdrawals>>,
    candidate: &Verified<Withdrawals>,
) -> Succession {
    if candidate.content().catalog != catalog {
        return Succession::OtherCatalog;
    }
    let Some(current) = current else { return Succession::Newer };
    match candidate.content().sequence.cmp(&current.content().sequence) {
        Ordering::Greater => Succession::Newer,
        Ordering::Less => Succession::Older,
        Ordering::Equal if candidate.envelope() == current.envelope() => Succession::Same,
        Ordering::Equal => Succession::Equivocation,
    }
}

impl Repository {
    /// The repository without what is withdrawn: manifests, blobs, the tags that mean them, and
    /// referrers.
    #[must_use]
    pub fn without(mut self, withdrawn: &BTreeSet<Digest>) -> Self {
        if withdrawn.is_empty() {
            return self;
        }
        self.manifests.retain(|entry| !withdrawn.contains(&entry.digest));
        self.objects.retain(|entry| !withdrawn.contains(&entry.digest));
        self.referrers.retain(|entry| !withdrawn.contains(&entry.digest));
        self.tags.retain(|entry| !withdrawn.contains(&entry.digest));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{Document as _, ManifestEntry, ObjectEntry, ReferrerEntry, TagEntry};
    use crate::media_type::OCI_MANIFEST;

    fn digest(text: &str) -> Digest {
        Digest::sha256_of(text.as_bytes())
    }

    #[test]
    fn a_repository_loses_what_is_withdrawn_and_all_names_of_it_and_stays_canonical() {
        let mut repository = Repository::empty("a/b".parse().unwrap());
        for name in ["bad", "good", "about"] {
            let (digest, media_type) = (digest(name), OCI_MANIFEST.to_owned());
            repository.manifests.push(ManifestEntry { digest, media_type, size: 3 });
        }
        for name in ["layer", "worse"] {
            let (digest, media_type) = (digest(name), "a/b".to_owned());
            repository.objects.push(ObjectEntry { digest, media_type, size: 3 });
        }
        for (tag, name) in [("v1", "good"), ("v2", "bad"), ("latest", "bad")] {
            let name = (digest(name), tag.parse().unwrap());
            repository.tags.push(TagEntry { digest: name.0, name: name.1 });
        }
        let (annotations, artifact_type) = (std::collections::BTreeMap::new(), None);
        let (digest_of, subject) = (digest("about"), digest("bad"));
        repository.referrers.push(ReferrerEntry {
            annotations,
            artifact_type,
            digest: digest_of,
            subject,
        });
        let repository = repository.sorted();
        let left = repository.clone().without(&[digest("bad"), digest("worse")].into());
        assert_eq!(left.tags.len(), 1);
        assert_eq!((left.manifests.len(), left.objects.len(), left.referrers.len()), (2, 1, 1));
        assert_eq!(Repository::decode(&left.encode()).unwrap(), left);
        assert_eq!(repository.clone().without(&BTreeSet::new()), repository);
    }
}
