//! Which pointer a front believes.
//!
//! Invariant: the pointer in force is never replaced by an older one, nor by another one with the
//! same sequence.

use landbridge_core::Digest;
use landbridge_core::pointer::{Pointer, Succession, Verified, succession};

use super::{CatalogReader, ReadError};

impl CatalogReader {
    /// The pointer to be in force from now on, and what was refused instead.
    pub(super) async fn find_pointer(
        &self,
        current: Option<&Verified<Pointer>>,
    ) -> Result<(Verified<Pointer>, Vec<String>), ReadError> {
        let lowest = current.map_or(0, |pointer| pointer.content().sequence);
        let search = self.authority.latest_pointer_from(&self.keys, &self.catalog, lowest).await?;
        let mut refused = search.refused;
        let bucket = self.authority.name();
        let Some(found) = search.latest else {
            let Some(current) = current else {
                let (bucket, catalog) = (bucket.to_owned(), self.catalog.clone());
                return Err(ReadError::NoPointer { bucket, catalog, refused });
            };
            refused.push(format!("{bucket} has lost pointer {lowest}, which stays in force here"));
            return Ok((current.clone(), refused));
        };
        let sequence = found.content().sequence;
        match (succession(&self.catalog, current, &found), current) {
            (Succession::Newer | Succession::Same, _) | (_, None) => Ok((found, refused)),
            (Succession::Equivocation, Some(current)) => {
                refused.push(format!(
                    "{bucket} has another pointer {sequence} than before, signed by the same keys: \
                     somebody publishes two histories; the first one stays in force"
                ));
                Ok((current.clone(), refused))
            }
            (Succession::Older | Succession::OtherCatalog, Some(current)) => {
                refused.push(format!("{bucket} offers pointer {sequence}, which is not newer"));
                Ok((current.clone(), refused))
            }
        }
    }

    /// The pointer that `last` names as the one before it. Numbers may have been skipped, where
    /// something invalid lay in the way.
    pub(super) async fn pointer_before(
        &self,
        last: &Verified<Pointer>,
        previous: Digest,
        notes: &mut Vec<String>,
    ) -> Result<Option<Verified<Pointer>>, ReadError> {
        const MOST_SKIPPED: u64 = 64;
        let from = last.content().sequence;
        for sequence in (from.saturating_sub(MOST_SKIPPED)..from).rev() {
            let pointer = self.authority.pointer_at(sequence, &self.keys, &self.catalog).await?;
            if let Some(pointer) = pointer {
                if *pointer.envelope() == previous {
                    return Ok(Some(pointer));
                }
                break;
            }
        }
        notes.push(format!(
            "the pointer before {from} is not to be found: its release is forgotten"
        ));
        Ok(None)
    }
}
