//! Which list of withdrawals a front obeys.
//!
//! The authority's, and while it cannot be read those of the mirrors whose buckets are at hand.
//!
//! Invariant: the list in force is never replaced by an older one, nor by another one with the same
//! sequence. One that is lost stays in force.

use landbridge_core::cause::chain;
use landbridge_core::pointer::{Succession, Verified};
use landbridge_core::withdrawal::{Withdrawals, succession};

use super::{CatalogReader, HoldingSource};
use crate::bucket::Bucket;
use crate::error::StoreError;

impl CatalogReader {
    /// The list to obey from now on, and what was refused instead or failed.
    pub(super) async fn find_withdrawn(
        &self,
        mut obeyed: Option<Verified<Withdrawals>>,
    ) -> (Option<Verified<Withdrawals>>, Vec<String>) {
        let mut notes = Vec::new();
        let Err(error) = self.look_for_withdrawn(&self.authority, &mut obeyed, &mut notes).await
        else {
            return (obeyed, notes);
        };
        notes.push(format!("withdrawals are not known anew: {}", chain(&error)));
        for copy in &self.copies {
            match &copy.source {
                HoldingSource::Bucket(bucket) => {
                    let look = self.look_for_withdrawn(bucket, &mut obeyed, &mut notes);
                    // Who fails as well has nothing to say; one that hangs is not waited for.
                    let _ = tokio::time::timeout(self.holding_timeout, look).await;
                }
                HoldingSource::Face(_) => {}
            }
        }
        (obeyed, notes)
    }

    async fn look_for_withdrawn(
        &self,
        bucket: &Bucket,
        obeyed: &mut Option<Verified<Withdrawals>>,
        notes: &mut Vec<String>,
    ) -> Result<(), StoreError> {
        let lowest = obeyed.as_ref().map_or(0, |list| list.content().sequence);
        let search = bucket.latest_withdrawals(&self.keys, &self.catalog, lowest).await?;
        notes.extend(search.refused);
        let name = bucket.name();
        let Some(found) = search.latest else {
            if obeyed.is_some() {
                notes.push(format!(
                    "{name} has lost list {lowest} of withdrawals, which is obeyed on here"
                ));
            }
            return Ok(());
        };
        let sequence = found.content().sequence;
        match succession(&self.catalog, obeyed.as_ref(), &found) {
            Succession::Newer => *obeyed = Some(found),
            Succession::Same => {}
            Succession::Equivocation => notes.push(format!(
                "{name} has another list {sequence} of withdrawals than before, signed by the \
                 same keys: the first one is obeyed on"
            )),
            Succession::Older | Succession::OtherCatalog => notes
                .push(format!("{name} offers list {sequence} of withdrawals, which is not newer")),
        }
        Ok(())
    }
}
