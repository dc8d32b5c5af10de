//! Which pointer a front believes.
//!
//! The authority is listed. A mirror cannot be, when only its public face is known: its holding says
//! which pointer it has a copy of, and that one is read there. So the newest pointer is found as
//! long as the authority or any mirror answers, and all of them are held against each other.
//!
//! Invariant: the pointer in force is never replaced by an older one, nor by another one with the
//! same sequence, nor by one that its keys do not believe any more.

use futures::StreamExt as _;
use landbridge_core::cause::chain;
use landbridge_core::pointer::{Pointer, Succession, Verified, succession};

use super::{CatalogReader, HoldingSource, ReadError};
use crate::ascent::{MOST_AHEAD, too_far};
use crate::documents::{PointerSearch, check_pointer};
use crate::error::StoreError;
use crate::holders::CopyHolding;

/// Mirrors that are asked for their copy of a pointer at once.
const AT_ONCE: usize = 8;

impl HoldingSource {
    async fn pointer_bytes(&self, sequence: u64) -> Result<bytes::Bytes, String> {
        match self {
            Self::Bucket(bucket) => {
                bucket.pointer_bytes(sequence).await.map_err(|error| chain(&error))
            }
            Self::Face(face) => face.pointer_bytes(sequence).await.map_err(|error| chain(&error)),
        }
    }
}

impl CatalogReader {
    /// The pointer that was in force before, if it still counts.
    pub(super) fn last(&self) -> Option<Verified<Pointer>> {
        let last = self.last.as_ref()?;
        let again = self.keys.verify(last.bytes()).ok()?;
        let Pointer { catalog, sequence, .. } = again.content();
        (*catalog == self.catalog && *sequence >= self.minimum_sequence).then_some(again)
    }

    pub(super) async fn search_authority(
        &self,
        known: Option<&Verified<Pointer>>,
    ) -> Result<PointerSearch, StoreError> {
        let Self { authority, keys, catalog, minimum_sequence, .. } = self;
        let lowest = known.map_or(*minimum_sequence, |pointer| pointer.content().sequence);
        authority.latest_pointer_from(keys, catalog, lowest).await
    }

    /// The pointer to be in force from now on. What is refused or contradicts it is noted.
    pub(super) async fn choose(
        &self,
        known: Option<Verified<Pointer>>,
        searched: Result<PointerSearch, StoreError>,
        before: &[CopyHolding],
        holdings: &[CopyHolding],
        notes: &mut Vec<String>,
    ) -> Result<Verified<Pointer>, ReadError> {
        let mut in_force = known.clone();
        let mut failure = None;
        match searched {
            Ok(search) => {
                notes.extend(search.refused);
                match search.latest {
                    Some(found) => self.succeed(&mut in_force, found, self.authority.name(), notes),
                    None => notes.extend(known.as_ref().map(|known| {
                        let (name, number) = (self.authority.name(), known.content().sequence);
                        format!("{name} has lost pointer {number}, which stays in force here")
                    })),
                }
            }
            Err(error) => {
                notes.push(format!("the authority cannot be read: {}", chain(&error)));
                failure = Some(error);
            }
        }
        // What a copy has is looked at when its holding is new, or when it is ahead.
        let number = |pointer: &Verified<Pointer>| pointer.content().sequence;
        let current = in_force.as_ref().map(number);
        let is_of_interest = |held: &&CopyHolding| {
            let has = held.pointer().filter(|has| *has >= self.minimum_sequence);
            has.is_some_and(|has| match current {
                Some(current) => has > current || (has == current && !held.is_among(before)),
                None => true,
            })
        };
        let mut copies = self.read_copies(holdings.iter().filter(is_of_interest)).await;
        // From what is in force, each is a step to the next; from nothing, there is nothing to
        // measure a step by, and the highest counts.
        copies.sort_by_key(|(_, sequence, _)| *sequence);
        if in_force.is_none() {
            copies.reverse();
        }
        for (source, sequence, read) in copies {
            match (read, &in_force) {
                (Err(why), _) => notes.push(format!("{} pointer {sequence}: {why}", source.name())),
                (Ok(_), Some(last)) if sequence > number(last).saturating_add(MOST_AHEAD) => {
                    let place = format!("pointer {sequence} in {}", source.name());
                    notes.push(too_far(&place, Some(last)));
                }
                (Ok(found), _) => self.succeed(&mut in_force, found, source.name(), notes),
            }
        }
        in_force.ok_or_else(|| match failure {
            Some(error) => error.into(),
            None => ReadError::NoPointer {
                bucket: self.authority.name().to_owned(),
                catalog: self.catalog.clone(),
                refused: std::mem::take(notes),
            },
        })
    }

    /// The mirrors' copies of the pointers that they say they have.
    async fn read_copies<'a>(
        &'a self,
        holdings: impl Iterator<Item = &'a CopyHolding>,
    ) -> Vec<(&'a HoldingSource, u64, Result<Verified<Pointer>, String>)> {
        let source = |held: &CopyHolding| {
            let known = self.copies.iter().find(|known| known.copy == held.copy)?;
            Some((&known.source, held.pointer()?))
        };
        let reads: Vec<_> = holdings
            .filter_map(source)
            .map(|(source, sequence)| async move {
                let read =
                    tokio::time::timeout(self.holding_timeout, source.pointer_bytes(sequence));
                let read = match read.await {
                    Ok(Ok(bytes)) => check_pointer(&bytes, sequence, &self.keys, &self.catalog),
                    Ok(Err(why)) => Err(why),
                    Err(_) => Err(format!("no answer within {:?}", self.holding_timeout)),
                };
                (source, sequence, read)
            })
            .collect();
        futures::stream::iter(reads).buffered(AT_ONCE).collect().await
    }

    /// Puts `found` in force if it is newer.
    fn succeed(
        &self,
        in_force: &mut Option<Verified<Pointer>>,
        found: Verified<Pointer>,
        place: &str,
        notes: &mut Vec<String>,
    ) {
        let sequence = found.content().sequence;
        match succession(&self.catalog, in_force.as_ref(), &found) {
            Succession::Newer => *in_force = Some(found),
            Succession::Equivocation => notes.push(format!(
                "{place} has another pointer {sequence} than the one that was seen first, signed by \
                 the same keys: somebody publishes two histories; the first one stays in force"
            )),
            // A copy that lags is no news; nothing older, and no other catalog, is asked for.
            Succession::Same | Succession::Older | Succession::OtherCatalog => {}
        }
    }
}
