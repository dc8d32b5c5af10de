//! What a front keeps on its disk, to start from when every store is out of reach.
//!
//! It is a bucket like any other, with the pointers and documents of the current and the retained
//! generations, the list of withdrawals, and what each copy said that it holds. Nothing in it is
//! believed for being there: pointers and withdrawals are verified by their signatures and documents
//! by their digests. It is disposable, and there may be none.
//!
//! Invariant: a pointer is written when all that it needs is there, and only then does anything go
//! that the one before needs; whoever dies in between leaves what the next start can use.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt as _;
use jiff::{SignedDuration, Timestamp};
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::holding::{Holding, MAX_HOLDING_BYTES};
use landbridge_core::pointer::{Pointer, Verified};
use landbridge_core::withdrawal::Withdrawals;
use object_store::PutMode;
use serde::{Deserialize, Serialize};

use super::documents::Reach;
use super::load::Loading;
use super::{CatalogReader, CopySource, Loaded, ReadError};
use crate::bucket::Bucket;
use crate::documents::{POINTERS, ReadHolding, pointer_key};
use crate::error::{Malformed, StoreError};
use crate::facts::{Keep, encode};
use crate::generations::document_key;
use crate::holders::CopyHolding;
use crate::withdrawals::{self, DIRECTORY};

pub(super) const HOLDINGS: &str = "holdings";
const GENERATIONS: &str = "generations";
/// All that a cache consists of.
pub(super) const DIRECTORIES: [&str; 4] = [POINTERS, DIRECTORY, HOLDINGS, GENERATIONS];
/// A document that nothing needs stays this much longer than the newest one is old.
const YOUNG: SignedDuration = SignedDuration::from_mins(15);

/// What a copy said that it holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptHolding {
    /// The copy's name.
    copy: String,
    /// Where it was asked: another bucket under the same name holds other things. Whoever exports
    /// does not know how fronts ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    holding: Holding,
    /// Of the bytes as they were read there.
    digest: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
}

impl CatalogReader {
    /// What the cache holds, or what was exported if that is newer, if it is believed, and whole as
    /// far as names go; and why not. The next poll takes it for what was in force, so that a front
    /// does not go back over a restart either.
    pub async fn load_cached(&mut self, now: Timestamp) -> (Option<Loaded>, Vec<String>) {
        let mut notes = Vec::new();
        let mut found = Vec::new();
        let mut withdrawals = None;
        for place in [self.cache.clone(), self.exported.clone()].into_iter().flatten() {
            match self.look_into(&place, &mut withdrawals, &mut notes).await {
                Ok(pointer) => found.extend(pointer.map(|pointer| (pointer, place))),
                Err(error) => {
                    // What is withdrawn would come back, from the other place too.
                    notes.push(chain(&error));
                    return (None, notes);
                }
            }
        }
        let number = |pointer: &Verified<Pointer>| pointer.content().sequence;
        // Stable: of two that are as new the cache comes first.
        found.sort_by_key(|(pointer, _)| std::cmp::Reverse(number(pointer)));
        for (pointer, place) in found {
            if let Some(last) = self.last()
                && number(&last) > number(&pointer)
            {
                notes.push(format!(
                    "{} ends with pointer {}, which is older than what is in force",
                    place.name(),
                    number(&pointer)
                ));
                continue;
            }
            // Whatever else is lost.
            self.last = Some(pointer.clone());
            match self.load_from(&place, pointer, withdrawals.clone(), now, &mut notes).await {
                Ok(loaded) => return (Some(loaded), notes),
                Err(error) => notes.push(chain(&error)),
            }
        }
        (None, notes)
    }

    /// The newest pointer in a place, if there is one; and what is withdrawn, if that is news.
    async fn look_into(
        &self,
        place: &Bucket,
        withdrawals: &mut Option<Verified<Withdrawals>>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Verified<Pointer>>, StoreError> {
        let Self { keys, catalog, minimum_sequence, .. } = self;
        let search = place.latest_withdrawals(keys, catalog, 0).await?;
        let number = |list: &Verified<Withdrawals>| list.content().sequence;
        if search.highest_taken != search.latest.as_ref().map(number) {
            let why = search.refused.join("; ");
            let source = Malformed::Contradiction(why);
            return Err(StoreError::Malformed { place: place.place(DIRECTORY), source });
        }
        if search.latest.as_ref().map(number) > withdrawals.as_ref().map(number) {
            *withdrawals = search.latest;
        }
        let search = place.latest_pointer_from(keys, catalog, *minimum_sequence).await?;
        notes.extend(search.refused);
        Ok(search.latest)
    }

    async fn load_from(
        &self,
        place: &Bucket,
        pointer: Verified<Pointer>,
        withdrawals: Option<Verified<Withdrawals>>,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<Loaded, ReadError> {
        let mut holdings = Vec::with_capacity(self.copies.len());
        for copy in &self.copies {
            let read = kept_holding(place, copy, &self.catalog).await.unwrap_or_else(|error| {
                notes.push(chain(&error));
                None
            });
            holdings.push(CopyHolding { copy: copy.copy, read });
        }
        let reader = Self { cache: Some(place.clone()), ..self.clone() };
        let loading = Loading::new(&reader, Reach::Cache, withdrawals.as_ref(), &holdings);
        let (loaded, _) = loading.load(pointer, now, notes).await?;
        // Once it is confirmed all of it is read anew, so that it is in the cache as well.
        let is_exported = self.cache.as_ref().is_none_or(|cache| cache.name() != place.name());
        let mut notes = notes.clone();
        notes.extend(is_exported.then(|| format!("it comes from {}", place.name())));
        Ok(Loaded { withdrawals, holdings, notes, is_unconfirmed: true, ..loaded })
    }

    /// Puts what a catalog was made of into the cache, and takes out what it no longer needs.
    /// Documents are there already.
    pub(super) async fn remember(
        &self,
        loaded: &Loaded,
        documents: &BTreeSet<Digest>,
        notes: &mut Vec<String>,
    ) {
        let Some(cache) = &self.cache else { return };
        // Somebody may have taken over, as at a reload.
        let sequence = |pointer: &Verified<Pointer>| pointer.content().sequence;
        let ours = sequence(&loaded.pointer);
        let there = cache.latest_pointer_from(&self.keys, &self.catalog, ours).await;
        if there.is_ok_and(|search| search.latest.as_ref().is_some_and(|it| sequence(it) > ours)) {
            notes.push(format!("{} holds a newer release, and stays as it is", cache.name()));
            return;
        }
        let kept = Kept::of(self, loaded, documents);
        if let Err(error) = kept.write(cache).await {
            notes.push(format!(
                "what is served is not all in the cache, which stays as it was: {}",
                chain(&error)
            ));
        }
    }
}

/// What a cache is to hold, by key, and nothing else.
struct Kept {
    documents: BTreeSet<String>,
    /// Written before pointers.
    small: BTreeMap<String, Vec<u8>>,
    pointers: BTreeMap<String, Vec<u8>>,
}

impl Kept {
    fn of(reader: &CatalogReader, loaded: &Loaded, documents: &BTreeSet<Digest>) -> Self {
        let mut small = BTreeMap::new();
        for (copy, held) in reader.copies.iter().zip(&loaded.holdings) {
            let Some(read) = &held.read else { continue };
            let kept = KeptHolding {
                copy: copy.name.clone(),
                place: Some(copy.source.name().to_owned()),
                holding: read.holding.clone(),
                digest: read.digest,
                etag: read.etag.clone(),
            };
            small.insert(holding_key(&copy.name), encode(&kept));
        }
        if let Some(list) = &loaded.withdrawals {
            small.insert(withdrawals::key(list.content().sequence), list.bytes().to_vec());
        }
        let pointers = loaded.releases.iter();
        let pointers = pointers
            .map(|pointer| (pointer_key(pointer.content().sequence), pointer.bytes().to_vec()))
            .collect();
        Self { documents: documents.iter().map(document_key).collect(), small, pointers }
    }

    async fn write(self, cache: &Bucket) -> Result<(), StoreError> {
        let there = keys(cache).await?;
        if let Some(missing) = self.documents.iter().find(|key| !there.contains_key(*key)) {
            return Err(StoreError::NotFound(cache.place(missing)));
        }
        // In the order of their numbers: the newest pointer comes last.
        for (key, bytes) in self.small.iter().chain(&self.pointers) {
            let size = bytes.len() as u64;
            let is_there = there.contains_key(key)
                && cache.get_bytes(key, size).await.is_ok_and(|found| found == *bytes);
            if !is_there {
                let bytes = bytes.clone().into();
                cache.put_fact(Keep::Durable, key, PutMode::Overwrite, bytes).await?;
            }
        }
        let newest = there.values().max().copied().unwrap_or_default();
        for (key, written) in there {
            let is_kept = self.documents.contains(&key)
                || self.small.contains_key(&key)
                || self.pointers.contains_key(&key);
            // Whoever takes over, as at a reload, may have written it for a pointer that comes next.
            let is_next = key.starts_with(GENERATIONS) && newest.duration_since(written) < YOUNG;
            if !is_kept && !is_next {
                cache.remove_key(&key).await?;
            }
        }
        Ok(())
    }
}

/// A kept holding without what is true only where it was asked for.
pub(super) fn portable(kept: &[u8]) -> Option<Vec<u8>> {
    let kept: KeptHolding = serde_json::from_slice(kept).ok()?;
    Some(encode(&KeptHolding { place: None, etag: None, ..kept }))
}

/// Everything of ours that lies in a cache, and when it was written.
pub(super) async fn keys(cache: &Bucket) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let mut found = BTreeMap::new();
    for directory in DIRECTORIES {
        let mut listed = cache.list(directory, None);
        while let Some(entry) = listed.try_next().await? {
            found.insert(entry.key, entry.modified);
        }
    }
    Ok(found)
}

async fn kept_holding(
    cache: &Bucket,
    copy: &CopySource,
    catalog: &str,
) -> Result<Option<ReadHolding>, StoreError> {
    // Beside the holding it has a name, an address, a digest and a tag.
    const LIMIT: u64 = MAX_HOLDING_BYTES as u64 + (64 << 10);
    let key = holding_key(&copy.name);
    let Some(kept) = cache.get_json::<KeptHolding>(&key, LIMIT).await? else { return Ok(None) };
    let KeptHolding { copy: name, place, holding, digest, etag } = kept.value;
    let is_elsewhere = place.as_ref().is_some_and(|place| place != copy.source.name());
    if name != copy.name || is_elsewhere || holding.catalog != catalog {
        let place = place.unwrap_or_default();
        let what = format!("it is what `{name}` held of `{}` in {place}", holding.catalog);
        return Err(cache.malformed(&key, Malformed::Contradiction(what)));
    }
    Ok(Some(ReadHolding { holding, etag, digest }))
}

fn holding_key(copy: &str) -> String {
    format!("{HOLDINGS}/{}.json", Digest::sha256_of(copy.as_bytes()).hex())
}
