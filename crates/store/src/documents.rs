//! Pointers and holdings in a bucket.
//!
//! - `pointers/<sequence, 20 digits>`: envelopes. In the authority they are only ever created,
//!   which is what makes publication atomic; mirrors get copies.
//! - `holding.json`: a mirror's own note, replaced as a whole.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use landbridge_core::Digest;
use landbridge_core::holding::{Holding, MAX_HOLDING_BYTES};
use landbridge_core::pointer::{Keys, MAX_ENVELOPE_BYTES, Pointer, Verified};
use object_store::{GetOptions, PutMode, PutOptions, PutPayload};

use crate::ascent::{Ascended, ascend, next_sequence, too_far};
use crate::bucket::Bucket;
use crate::error::StoreError;

/// Where a holding lies, in a bucket and below a public face.
pub(crate) const HOLDING_KEY: &str = "holding.json";
pub(crate) const POINTERS: &str = "pointers";
/// More envelopes than anybody publishes; what is more is junk, or a list without end.
const MOST_LISTED: usize = 100_000;
const NO_STORE: &str = "no-store";
const ENVELOPE_TYPE: &str = "application/vnd.dsse.envelope.v1+json";
const JSON: &str = "application/json";

/// What a search for pointers found.
#[derive(Debug, Clone, Default)]
pub struct PointerSearch {
    /// The valid pointer with the highest sequence, as far as it is within reach of the others.
    pub latest: Option<Verified<Pointer>>,
    /// What was found above it and not believed: a sentence for each.
    pub refused: Vec<String>,
    /// The sequence that the next pointer takes; `None` if none is free within reach.
    pub next: Option<u64>,
}

/// A holding as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadHolding {
    /// What the mirror says that it has.
    pub holding: Holding,
    /// The store's tag of it, with which a change is noticed cheaply.
    pub etag: Option<String>,
    /// Digest of its bytes.
    pub digest: Digest,
}

/// What a conditional read of a holding found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldingRead {
    /// The same as the tag that was given.
    Unchanged,
    /// There is none.
    Absent,
    /// This one.
    Found(ReadHolding),
}

impl Bucket {
    /// Publishes a pointer: creates it if, and only if, its sequence is free. Of any number of
    /// writers one wins; the others get [`StoreError::Taken`]. Repeating the same bytes succeeds.
    pub async fn create_pointer(&self, sequence: u64, envelope: &[u8]) -> Result<(), StoreError> {
        self.create_envelope(&pointer_key(sequence), envelope).await
    }

    /// Creates a numbered envelope. Repeating the same bytes succeeds.
    pub(crate) async fn create_envelope(
        &self,
        key: &str,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        match self.create(key, envelope).await {
            // An answer that was lost makes the store's client ask again and meet its own envelope.
            Err(StoreError::Taken(place)) => {
                let found = self.get_bytes(key, MAX_ENVELOPE_BYTES as u64).await?;
                if found == envelope { Ok(()) } else { Err(StoreError::Taken(place)) }
            }
            created => created,
        }
    }

    /// Writes a mirror's copy of a pointer, whatever lies there.
    pub async fn put_pointer_copy(&self, sequence: u64, envelope: &[u8]) -> Result<(), StoreError> {
        self.put_envelope(&pointer_key(sequence), envelope).await
    }

    /// Writes an envelope, whatever lies there.
    pub(crate) async fn put_envelope(&self, key: &str, envelope: &[u8]) -> Result<(), StoreError> {
        let attributes = self.attributes(ENVELOPE_TYPE, NO_STORE);
        let options = PutOptions { attributes, ..PutOptions::default() };
        self.put_bytes(key, envelope.to_vec(), options).await
    }

    /// Fails with [`StoreError::Unsupported`] if the store does not honour create-if-absent, which
    /// an authority needs. Leaves an object `probe`.
    pub async fn probe_create(&self) -> Result<(), StoreError> {
        let first = self.create("probe", b"first").await;
        if !matches!(first, Ok(()) | Err(StoreError::Taken(_))) {
            return first;
        }
        match self.create("probe", b"second").await {
            Err(StoreError::Taken(_)) => Ok(()),
            Ok(()) => Err(StoreError::Unsupported {
                place: self.place("probe"),
                source: "it overwrites what should only be created, so it may be a mirror but \
                         never the authority"
                    .into(),
            }),
            failed => failed,
        }
    }

    /// The highest pointer of `catalog` that is signed as `keys` demand, lies under its own sequence
    /// and is not further ahead of those below than releases are. What is not believed is reported
    /// and does not hide the ones below.
    pub async fn latest_pointer(
        &self,
        keys: &Keys,
        catalog: &str,
    ) -> Result<PointerSearch, StoreError> {
        self.latest_pointer_from(keys, catalog, 0).await
    }

    /// As [`Bucket::latest_pointer`], among sequences from `lowest` on, which is known to be right.
    pub async fn latest_pointer_from(
        &self,
        keys: &Keys,
        catalog: &str,
        lowest: u64,
    ) -> Result<PointerSearch, StoreError> {
        let mut taken = self.sequences(POINTERS, lowest).await?;
        taken.sort_unstable();
        let read = |sequence| self.checked_pointer(sequence, keys, catalog);
        let Ascended { latest, mut refused, beyond } = ascend(&taken, lowest, read).await?;
        if let Some(sequence) = beyond {
            refused.push(too_far(&self.place(&pointer_key(sequence)).to_string(), latest.as_ref()));
        }
        let last = latest.as_ref().map_or(0, |pointer| pointer.content().sequence);
        let next = next_sequence(&taken, last.max(lowest.saturating_sub(1)));
        Ok(PointerSearch { latest, refused, next })
    }

    /// Every pointer that lies here, newest first, each with why it is not believed if it is not.
    pub async fn pointers(
        &self,
        keys: &Keys,
        catalog: &str,
    ) -> Result<Vec<(u64, Result<Verified<Pointer>, String>)>, StoreError> {
        const AT_ONCE: usize = 16;
        let mut sequences = self.sequences(POINTERS, 0).await?;
        sequences.sort_unstable_by(|a, b| b.cmp(a));
        let read = sequences.into_iter().map(|sequence| async move {
            Ok((sequence, self.checked_pointer(sequence, keys, catalog).await?))
        });
        futures::stream::iter(read).buffered(AT_ONCE).try_collect().await
    }

    /// The pointer with this sequence; `None` if there is none that is valid for `catalog`.
    pub async fn pointer_at(
        &self,
        sequence: u64,
        keys: &Keys,
        catalog: &str,
    ) -> Result<Option<Verified<Pointer>>, StoreError> {
        Ok(self.checked_pointer(sequence, keys, catalog).await?.ok())
    }

    /// A pointer, or why it is not believed. Fails only if the store does.
    async fn checked_pointer(
        &self,
        sequence: u64,
        keys: &Keys,
        catalog: &str,
    ) -> Result<Result<Verified<Pointer>, String>, StoreError> {
        let key = pointer_key(sequence);
        let bytes = match self.get_bytes(&key, MAX_ENVELOPE_BYTES as u64).await {
            Ok(bytes) => bytes,
            Err(error @ (StoreError::NotFound(_) | StoreError::TooLarge { .. })) => {
                return Ok(Err(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        let checked = check_pointer(&bytes, sequence, keys, catalog);
        Ok(checked.map_err(|why| format!("{}: {why}", self.place(&key))))
    }

    /// The bytes of a pointer's envelope, unchecked.
    pub(crate) async fn pointer_bytes(&self, sequence: u64) -> Result<Bytes, StoreError> {
        self.get_bytes(&pointer_key(sequence), MAX_ENVELOPE_BYTES as u64).await
    }

    /// The numbers in a directory of numbered envelopes, from `lowest` on.
    pub(crate) async fn sequences(
        &self,
        directory: &str,
        lowest: u64,
    ) -> Result<Vec<u64>, StoreError> {
        let prefix = self.path(directory)?;
        let listed = match lowest.checked_sub(1) {
            Some(before) => {
                let before = self.path(&numbered_key(directory, before))?;
                self.store().list_with_offset(Some(&prefix), &before)
            }
            None => self.store().list(Some(&prefix)),
        };
        let sequence = |name: &str| {
            let digits = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
            let sequence = digits.then(|| name.parse::<u64>().ok()).flatten();
            // Some servers take where to begin for a hint, or do not know it.
            sequence.filter(|sequence| *sequence >= lowest)
        };
        let mut sequences = Vec::new();
        let mut listed = std::pin::pin!(listed.enumerate());
        while let Some((number, meta)) = listed.next().await {
            if number == MOST_LISTED {
                return Err(StoreError::TooMany { place: self.place(directory), limit: number });
            }
            let meta = meta.map_err(|error| self.failed(directory, error))?;
            sequences.extend(meta.location.filename().and_then(sequence));
        }
        Ok(sequences)
    }

    /// Replaces the mirror's holding.
    pub async fn put_holding(&self, holding: &Holding) -> Result<(), StoreError> {
        let options =
            PutOptions { attributes: self.attributes(JSON, NO_STORE), ..PutOptions::default() };
        self.put_bytes(HOLDING_KEY, holding.encode(), options).await
    }

    /// The mirror's holding, if it has one.
    pub async fn get_holding(&self) -> Result<Option<Holding>, StoreError> {
        match self.get_holding_unless(None).await? {
            HoldingRead::Found(read) => Ok(Some(read.holding)),
            HoldingRead::Absent | HoldingRead::Unchanged => Ok(None),
        }
    }

    /// The mirror's holding, unless it still has this tag.
    pub async fn get_holding_unless(&self, etag: Option<&str>) -> Result<HoldingRead, StoreError> {
        let options =
            GetOptions { if_none_match: etag.map(str::to_owned), ..GetOptions::default() };
        let result = match self.store().get_opts(&self.path(HOLDING_KEY)?, options).await {
            Ok(result) => result,
            Err(object_store::Error::NotModified { .. }) => return Ok(HoldingRead::Unchanged),
            Err(object_store::Error::NotFound { .. }) => return Ok(HoldingRead::Absent),
            Err(error) => return Err(self.failed(HOLDING_KEY, error)),
        };
        let etag = result.meta.e_tag.clone();
        let bytes = self.collect(HOLDING_KEY, MAX_HOLDING_BYTES as u64, result).await?;
        let holding =
            Holding::decode(&bytes).map_err(|error| self.malformed(HOLDING_KEY, error))?;
        Ok(HoldingRead::Found(ReadHolding { holding, etag, digest: Digest::sha256_of(&bytes) }))
    }

    async fn create(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let attributes = self.attributes(ENVELOPE_TYPE, NO_STORE);
        let options = PutOptions { mode: PutMode::Create, attributes, ..PutOptions::default() };
        self.put_bytes(key, bytes.to_vec(), options).await
    }

    pub(crate) async fn put_bytes(
        &self,
        key: &str,
        bytes: Vec<u8>,
        options: PutOptions,
    ) -> Result<(), StoreError> {
        let payload = PutPayload::from_bytes(Bytes::from(bytes));
        let written = self.store().put_opts(&self.path(key)?, payload, options).await;
        written.map(drop).map_err(|error| self.failed(key, error))
    }
}

/// A pointer that was found as `sequence`, or why it is not believed.
pub(crate) fn check_pointer(
    envelope: &[u8],
    sequence: u64,
    keys: &Keys,
    catalog: &str,
) -> Result<Verified<Pointer>, String> {
    let pointer = keys.verify(envelope).map_err(|error| error.to_string())?;
    let (found, of) = (pointer.content().sequence, &pointer.content().catalog);
    if found != sequence {
        return Err(format!("it is pointer {found}, put where it does not belong"));
    }
    if of != catalog {
        return Err(format!("it is of catalog `{of}`, not of `{catalog}`"));
    }
    Ok(pointer)
}

pub(crate) fn pointer_key(sequence: u64) -> String {
    numbered_key(POINTERS, sequence)
}

/// Where an envelope with this number lies.
pub(crate) fn numbered_key(directory: &str, sequence: u64) -> String {
    format!("{directory}/{sequence:020}")
}
