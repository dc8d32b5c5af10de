//! The notes of mirrors that caught up with a generation that is published already.
//!
//! A release notes by itself what mirrors hold. If an import only brought what a mirror had missed,
//! there is no release, and its note is put right here.

use std::collections::BTreeSet;

use landbridge_core::Digest;
use landbridge_core::holding::Holding;
use landbridge_store::publish::Mirror;
use landbridge_store::{Evidence, StoreError};

use crate::destination::listed;
use crate::plan::Plan;

/// Lets a mirror say what it has now. Gives a sentence if it still cannot be relied on.
pub(crate) async fn mend_holding(
    mirror: &Mirror,
    catalog: &str,
    plan: &Plan,
    evidence: &Evidence,
) -> Result<Option<String>, StoreError> {
    let before = mirror.bucket.get_holding().await?.filter(|holding| holding.catalog == catalog);
    let mut holding = before.clone().unwrap_or_else(|| Holding::empty(catalog));
    let has = |digest: &Digest| evidence.size(&mirror.bucket, digest).is_some();
    let mut lacks: BTreeSet<Digest> = holding.lacks.into_iter().collect();
    if !holding.generations.contains(&plan.generation) {
        if plan.repositories.len() < plan.root.repositories.len() {
            return Ok(Some(format!(
                "mirror `{}` does not hold generation {}, of which this import is a part only: import the rest again too",
                mirror.name, plan.generation
            )));
        }
        holding.generations.push(plan.generation);
        lacks.extend(plan.repositories.iter().flat_map(listed));
    }
    lacks.retain(|digest| !has(digest));
    let sentence =
        match plan.repositories.iter().flat_map(listed).filter(|d| lacks.contains(d)).count() {
            0 => None,
            count => Some(format!("mirror `{}` lacks {count} objects", mirror.name)),
        };
    holding.lacks = lacks.into_iter().collect();
    if before.as_ref() != Some(&holding) {
        mirror.bucket.put_holding(&holding).await?;
    }
    Ok(sentence)
}
