//! What refers to a manifest: signatures, provenance, bills of materials.
//!
//! Every push of a manifest with a subject writes an entry. Clients that did not know of that once
//! kept a list of their own, an index under a tag that is made of the subject's digest; what such
//! an index lists belongs to the answer too, if the repository has it and it has this subject.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers>

use futures::FutureExt as _;
use landbridge_core::manifest::{Descriptor, MAX_MANIFEST_BYTES, Manifest};
use landbridge_core::media_type::OCI_INDEX;
use landbridge_core::oci_error::Code;
use landbridge_core::reference::MAX_TAG_BYTES;
use landbridge_core::request::{DEFAULT_PAGE, Page};
use landbridge_core::{Digest, RepositoryName, Tag};
use landbridge_store::StoreError;
use serde::Serialize;

use crate::answer::Answer;
use crate::failure::Failure;
use crate::registry::{Registry, look_up};

/// Entries that are read at once; each may hold as much text as a manifest does.
const BATCH: usize = 32;
/// Bytes of entries after which a page ends.
const PAGE_BYTES: usize = MAX_MANIFEST_BYTES;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

/// `GET /v2/<name>/referrers/<digest>`. A subject that nobody knows has none: that is an answer,
/// not an error.
pub(crate) async fn get(
    registry: &Registry,
    repository: &RepositoryName,
    subject: &Digest,
    artifact_type: Option<&str>,
    page: &Page<'_>,
) -> Result<Answer, Failure> {
    let mut last = match &*page.last {
        "" => None,
        last => Some(Digest::parse(last).map_err(|_| {
            Failure::new(Code::DigestInvalid, "`last` of a list of referrers is a digest")
        })?),
    };
    let adopted = adopted(registry, repository, subject).await?;
    let mut room = Room { entries: page.n.unwrap_or(DEFAULT_PAGE), bytes: PAGE_BYTES };
    let mut manifests = Vec::new();
    let mut has_more = room.entries > 0;
    while has_more && room.is_left() {
        let n = BATCH.min(room.entries);
        let stored =
            registry.repositories.referrers_after(repository, subject, last.as_ref(), n).await?;
        let batch = merge(stored.items, stored.has_more, &adopted, last, n);
        has_more = batch.has_more;
        for referrer in batch.items {
            if !room.is_left() {
                has_more = true;
                break;
            }
            last = Some(referrer.digest);
            if artifact_type.is_none() || referrer.artifact_type.as_deref() == artifact_type {
                room.take(&referrer);
                manifests.push(referrer);
            }
        }
    }
    let next = last.filter(|_| has_more && page.n != Some(0)).map(|last| {
        let filter = artifact_type.map(|wanted| {
            form_urlencoded::Serializer::new(String::new())
                .append_pair("artifactType", wanted)
                .finish()
        });
        let (n, filter) = (page.n.unwrap_or(DEFAULT_PAGE), filter.unwrap_or_default());
        let and = if filter.is_empty() { "" } else { "&" };
        format!("/v2/{repository}/referrers/{subject}?n={n}&last={last}{and}{filter}")
    });
    let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests };
    Ok(Answer::referrers(&index, next, artifact_type.map(|_| "artifactType")))
}

/// What still fits into a page.
struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    fn is_left(&self) -> bool {
        self.entries > 0 && self.bytes > 0
    }

    fn take(&mut self, referrer: &Descriptor) {
        let text = |text: &str| text.len() + 8;
        let annotations = referrer.annotations.iter().map(|(key, value)| text(key) + text(value));
        let size = annotations.sum::<usize>() + text(&referrer.media_type) + 256;
        self.entries -= 1;
        self.bytes = self.bytes.saturating_sub(size);
    }
}

/// A part of a list.
#[derive(Debug, PartialEq)]
struct Batch {
    items: Vec<Descriptor>,
    has_more: bool,
}

/// The next `n` entries after `last` of two lists: one of which a part was read, in order of
/// digests, and one that is there in full. An entry of both is the first's.
fn merge(
    mut stored: Vec<Descriptor>,
    stored_has_more: bool,
    adopted: &[Descriptor],
    last: Option<Digest>,
    n: usize,
) -> Batch {
    // Beyond what was read of the first list there may be entries in between.
    let end = stored.last().filter(|_| stored_has_more).map(|end| end.digest);
    let is_next = |digest: Digest| {
        last.is_none_or(|last| last < digest) && end.is_none_or(|end| digest < end)
    };
    let more: Vec<_> = (adopted.iter())
        .filter(|entry| is_next(entry.digest))
        .filter(|entry| !stored.iter().any(|known| known.digest == entry.digest))
        .cloned()
        .collect();
    stored.extend(more);
    stored.sort_by_key(|entry| entry.digest);
    let has_more = stored_has_more || stored.len() > n;
    stored.truncate(n);
    Batch { items: stored, has_more }
}

/// The tag under which clients keep a list of referrers of their own: the digest with a dash,
/// both parts cut to what a tag may hold.
fn fallback_tag(subject: &Digest) -> Option<Tag> {
    let text = format!("{}-{}", subject.algorithm().name(), subject.hex());
    Tag::parse(&text[..text.len().min(MAX_TAG_BYTES)]).ok()
}

/// What a client's own list adds: entries whose manifests the repository has, with this subject.
async fn adopted(
    registry: &Registry,
    repository: &RepositoryName,
    subject: &Digest,
) -> Result<Vec<Descriptor>, StoreError> {
    let repositories = &registry.repositories;
    let Some(tag) = fallback_tag(subject) else { return Ok(Vec::new()) };
    let Some(link) = repositories.tag(repository, &tag).await? else { return Ok(Vec::new()) };
    let bytes = match registry.bucket().get(&link.digest, MAX_MANIFEST_BYTES as u64).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // It was understood when it was pushed.
    let listed = Manifest::parse(&bytes, Some(&link.media_type)).map(|index| index.children);
    let looks = listed.unwrap_or_default().into_iter().map(|mut entry| {
        async move {
            let link = repositories.manifest(repository, &entry.digest).await?;
            let link = link.filter(|link| link.subject == Some(*subject));
            Ok(link.map(|link| {
                (entry.media_type, entry.size) = (link.media_type, link.size);
                entry.artifact_type = link.artifact_type;
                (entry.platform, entry.urls) = (None, Vec::new());
                entry
            }))
        }
        .boxed()
    });
    let mut entries: Vec<Descriptor> =
        look_up(looks.collect()).await?.into_iter().flatten().collect();
    entries.sort_by_key(|entry| entry.digest);
    entries.dedup_by_key(|entry| entry.digest);
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn entry(number: u8, text: &str) -> Descriptor {
        Descriptor {
            media_type: OCI_INDEX.into(),
            digest: Digest::sha256_of(&[number]),
            size: 1,
            artifact_type: Some(text.into()),
            annotations: BTreeMap::new(),
            urls: Vec::new(),
            platform: None,
        }
    }

    fn sorted(numbers: &[u8], text: &str) -> Vec<Descriptor> {
        let mut entries: Vec<_> = numbers.iter().map(|number| entry(*number, text)).collect();
        entries.sort_by_key(|entry| entry.digest);
        entries.dedup_by_key(|entry| entry.digest);
        entries
    }

    #[test]
    fn the_fallback_tag_is_the_digest_with_a_dash() {
        let subject = Digest::sha256_of(b"");
        assert_eq!(
            fallback_tag(&subject).unwrap().as_str(),
            "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        let long = Digest::of(landbridge_core::digest::Algorithm::Sha512, b"");
        assert_eq!(fallback_tag(&long).unwrap().as_str().len(), MAX_TAG_BYTES);
    }

    proptest! {
        #[test]
        fn pages_of_two_lists_are_the_whole_of_both(
            stored in proptest::collection::vec(any::<u8>(), 0..20),
            adopted in proptest::collection::vec(any::<u8>(), 0..20),
            n in 1_usize..6,
        ) {
            let (stored, adopted) = (sorted(&stored, "stored"), sorted(&adopted, "adopted"));
            let mut all = stored.clone();
            all.extend(adopted.iter().filter(|entry| stored.iter().all(|s| s.digest != entry.digest)).cloned());
            all.sort_by_key(|entry| entry.digest);
            let (mut seen, mut last, mut has_more) = (Vec::new(), None, true);
            while has_more {
                let rest: Vec<_> = stored.iter().filter(|e| last.is_none_or(|last| last < e.digest)).cloned().collect();
                let page = rest.iter().take(n).cloned().collect();
                let batch = merge(page, rest.len() > n, &adopted, last, n);
                prop_assert!(batch.items.len() <= n && (!batch.has_more || !batch.items.is_empty()));
                last = batch.items.last().map(|entry| entry.digest).or(last);
                has_more = batch.has_more;
                seen.extend(batch.items);
            }
            prop_assert_eq!(seen, all);
        }
    }
}
