//! Lists of withdrawals in a bucket: `withdrawn/<sequence, 20 digits>`.
//!
//! As with pointers they are only ever created in the authority, which decides a race, and mirrors
//! get copies. The highest one that is believed is in force; it is complete.

use landbridge_core::pointer::{Keys, MAX_ENVELOPE_BYTES, Verified};
use landbridge_core::withdrawal::{Withdrawals, verify};

use crate::bucket::Bucket;
use crate::documents::numbered_key;
use crate::error::StoreError;

pub(crate) const DIRECTORY: &str = "withdrawn";
/// Lists that are not believed are read and reported up to this many in one search.
const MOST_REFUSED: usize = 16;

/// What a search for lists of withdrawals found.
#[derive(Debug, Clone, Default)]
pub struct WithdrawalSearch {
    /// The valid list with the highest sequence.
    pub latest: Option<Verified<Withdrawals>>,
    /// What was found above it and not believed: a sentence for each.
    pub refused: Vec<String>,
    /// The highest sequence that is taken, by whatever.
    pub highest_taken: Option<u64>,
}

impl Bucket {
    /// The highest list of `catalog`, among sequences from `lowest` on, that is signed as `keys`
    /// demand and lies under its own sequence.
    pub async fn latest_withdrawals(
        &self,
        keys: &Keys,
        catalog: &str,
        lowest: u64,
    ) -> Result<WithdrawalSearch, StoreError> {
        let mut search = WithdrawalSearch::default();
        let mut sequences = self.sequences(DIRECTORY, lowest).await?;
        sequences.sort_unstable();
        search.highest_taken = sequences.last().copied();
        for sequence in sequences.into_iter().rev().take(MOST_REFUSED) {
            match self.checked_withdrawals(sequence, keys, catalog).await? {
                Ok(list) => {
                    search.latest = Some(list);
                    break;
                }
                Err(why) => search.refused.push(why),
            }
        }
        Ok(search)
    }

    /// Puts a list into force: creates it if, and only if, its sequence is free. Whoever is late
    /// gets [`StoreError::Taken`]. Repeating the same bytes succeeds.
    pub async fn create_withdrawals(
        &self,
        sequence: u64,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        self.create_envelope(&key(sequence), envelope).await
    }

    /// Writes a mirror's copy of a list, whatever lies there.
    pub async fn put_withdrawals_copy(
        &self,
        sequence: u64,
        envelope: &[u8],
    ) -> Result<(), StoreError> {
        self.put_envelope(&key(sequence), envelope).await
    }

    async fn checked_withdrawals(
        &self,
        sequence: u64,
        keys: &Keys,
        catalog: &str,
    ) -> Result<Result<Verified<Withdrawals>, String>, StoreError> {
        let key = key(sequence);
        let bytes = match self.get_bytes(&key, MAX_ENVELOPE_BYTES as u64).await {
            Ok(bytes) => bytes,
            Err(error @ (StoreError::NotFound(_) | StoreError::TooLarge { .. })) => {
                return Ok(Err(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        let place = self.place(&key);
        let list = match verify(keys, &bytes) {
            Ok(list) => list,
            Err(error) => return Ok(Err(format!("{place}: {error}"))),
        };
        let (found, of) = (list.content().sequence, &list.content().catalog);
        if found != sequence {
            return Ok(Err(format!("{place}: it is list {found}, put where it does not belong")));
        }
        if of != catalog {
            return Ok(Err(format!("{place}: it is of catalog `{of}`, not of `{catalog}`")));
        }
        Ok(Ok(list))
    }
}

pub(crate) fn key(sequence: u64) -> String {
    numbered_key(DIRECTORY, sequence)
}
