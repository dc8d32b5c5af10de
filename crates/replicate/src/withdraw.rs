//! `landbridge withdraw`: nobody is to get this digest any more.
//!
//! A new list is signed and put into force, which every front obeys at its next poll; then what it
//! names is deleted from all copies. Each run deletes all that the list names, so that what could
//! not be deleted is tried again.
//!
//! Invariant: nothing is deleted that the list in force does not name.

use std::collections::BTreeSet;
use std::fmt;

use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::pointer::{MAX_ENVELOPE_BYTES, Verified};
use landbridge_core::withdrawal::{
    MAX_REASON_BYTES, PAYLOAD_TYPE, Withdrawal, Withdrawals, verify,
};
use landbridge_sign::sign_envelope;
use landbridge_store::publish::{Mirror, Publication};
use landbridge_store::{Bucket, StoreError, WithdrawalSearch};
use serde::Serialize;

use crate::audit::note_lacking;
use crate::error::ImportError;
use crate::gather::Content;
use crate::naming::Target;
use crate::plan::Current;
use crate::publishing::Publishing;

/// How many times a list is made anew because others were faster.
const MAX_ATTEMPTS: u32 = 64;

/// What is to become of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WithdrawalChange {
    /// This digest goes onto it.
    Withdraw(Digest),
    /// This digest is taken off it. Its bytes do not come back by that: they are imported again.
    Restore(Digest),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WithdrawalReport {
    /// The list that was published; none if it says already what it should.
    pub published: Option<u64>,
    /// All that is withdrawn now.
    pub entries: Vec<Withdrawal>,
    /// What could not be deleted, or told to a mirror: a sentence for each.
    pub failed: Vec<String>,
}

/// What is withdrawn, and what lies among the lists that no trusted key has signed.
pub async fn withdrawals(
    publication: &Publication,
) -> Result<(Vec<Withdrawal>, Vec<String>), ImportError> {
    let WithdrawalSearch { latest, refused, .. } = search(publication).await?;
    Ok((latest.map(|list| list.content().entries.clone()).unwrap_or_default(), refused))
}

/// The digests that are withdrawn. A list that is not believed stands in the way, since what it
/// says is not known.
pub(crate) async fn withdrawn(publication: &Publication) -> Result<BTreeSet<Digest>, ImportError> {
    let latest = believed(publication, search(publication).await?)?;
    Ok(latest.map(|list| list.content().digests()).unwrap_or_default())
}

/// Leaves out of a plan what is withdrawn, and every image that needs something of it: its name
/// would lead to something that nobody can pull.
pub(crate) fn leave_out(
    withdrawn: &BTreeSet<Digest>,
    content: &mut Content,
    targets: &mut Vec<Target>,
) {
    if withdrawn.is_empty() {
        return;
    }
    // From what is withdrawn up to all that needs it; indexes are nested a few levels deep.
    let mut bad = withdrawn.clone();
    loop {
        let needs = |held: &crate::gather::Held| held.references.iter().any(|it| bad.contains(it));
        let more =
            content.manifests.iter().filter(|(digest, held)| !bad.contains(*digest) && needs(held));
        let more: Vec<Digest> = more.map(|(digest, _)| *digest).collect();
        if more.is_empty() {
            break;
        }
        bad.extend(more);
    }
    content.manifests.retain(|digest, _| !bad.contains(digest));
    content.blobs.retain(|digest, _| !bad.contains(digest));
    targets.retain(|target| {
        let Target { repository, tag, digest } = target;
        if !bad.contains(digest) {
            return true;
        }
        let what = if withdrawn.contains(digest) { "is" } else { "needs something that is" };
        let what = format!("`{repository}:{tag}` {what} withdrawn ({digest})");
        if !content.skipped.contains(&what) {
            content.skipped.push(what);
        }
        false
    });
}

impl Current {
    /// The same without what is withdrawn: the next release of these repositories leaves it out.
    pub(crate) fn without(mut self, withdrawn: &BTreeSet<Digest>) -> Self {
        let repositories = self.repositories.into_iter();
        self.repositories =
            repositories.map(|(name, repository)| (name, repository.without(withdrawn))).collect();
        self
    }
}

async fn search(publication: &Publication) -> Result<WithdrawalSearch, StoreError> {
    let Publication { authority, keys, catalog, .. } = publication;
    authority.latest_withdrawals(keys, catalog, 0).await
}

fn believed(
    publication: &Publication,
    search: WithdrawalSearch,
) -> Result<Option<Verified<Withdrawals>>, ImportError> {
    match (search.latest, search.refused.into_iter().next()) {
        (None, Some(why)) => {
            let authority = publication.authority.name().to_owned();
            Err(ImportError::NoTrustedWithdrawals { authority, why })
        }
        (latest, _) => Ok(latest),
    }
}

/// Publishes a changed list, and deletes what it names from all copies.
///
/// Once the list is in force nothing is an error any more: what could not be deleted is reported,
/// and tried again by the next run.
pub async fn withdraw(
    publishing: &Publishing<'_>,
    change: &WithdrawalChange,
    reason: &str,
) -> Result<WithdrawalReport, ImportError> {
    if reason.len() > MAX_REASON_BYTES {
        return Err(ImportError::LongReason { size: reason.len(), limit: MAX_REASON_BYTES });
    }
    let publication = publishing.publication;
    for _ in 0..MAX_ATTEMPTS {
        let found = search(publication).await?;
        let next = found.highest_taken.unwrap_or(0).checked_add(1);
        let current = believed(publication, found)?;
        let before = current.as_ref().map(|list| &*list.content().entries).unwrap_or_default();
        let Some(entries) = changed(before, change, reason, publishing) else {
            let entries = before.to_vec();
            let failed = obey(publication, &entries).await;
            return Ok(WithdrawalReport { published: None, entries, failed });
        };
        let sequence = next.ok_or_else(|| ImportError::NoTrustedWithdrawals {
            authority: publication.authority.name().to_owned(),
            why: "the highest number that there is is taken".to_owned(),
        })?;
        let list = Withdrawals {
            catalog: publication.catalog.clone(),
            entries,
            issued: publishing.now,
            previous: current.as_ref().map(|list| *list.envelope()),
            reason: reason.to_owned(),
            sequence,
        };
        let Some(envelope) = put_in_force(publishing, &list).await? else { continue };
        let mut failed = Vec::new();
        for Mirror { name, bucket, .. } in &publication.mirrors {
            if let Err(error) = bucket.put_withdrawals_copy(sequence, &envelope).await {
                failed.push(format!("mirror `{name}` has no copy of the list: {}", chain(&error)));
            }
        }
        failed.extend(obey(publication, &list.entries).await);
        return Ok(WithdrawalReport { published: Some(sequence), entries: list.entries, failed });
    }
    Err(ImportError::AlwaysOvertaken { attempts: MAX_ATTEMPTS })
}

/// The list as it shall be; `None` if it is so already.
fn changed(
    before: &[Withdrawal],
    change: &WithdrawalChange,
    reason: &str,
    publishing: &Publishing<'_>,
) -> Option<Vec<Withdrawal>> {
    let mut entries = before.to_vec();
    match change {
        WithdrawalChange::Withdraw(digest) => {
            if before.iter().any(|entry| entry.digest == *digest) {
                return None;
            }
            let (reason, since) = (reason.to_owned(), publishing.now);
            entries.push(Withdrawal { digest: *digest, reason, since });
            entries.sort_by_key(|entry| entry.digest);
        }
        WithdrawalChange::Restore(digest) => {
            entries.retain(|entry| entry.digest != *digest);
            if entries.len() == before.len() {
                return None;
            }
        }
    }
    Some(entries)
}

/// Signs and creates it; `None` if somebody else took its number.
async fn put_in_force(
    publishing: &Publishing<'_>,
    list: &Withdrawals,
) -> Result<Option<Vec<u8>>, ImportError> {
    let Publication { authority, keys, .. } = publishing.publication;
    let envelope = sign_envelope(publishing.signers, keys, PAYLOAD_TYPE, &list.encode()).await?;
    if envelope.len() > MAX_ENVELOPE_BYTES {
        return Err(ImportError::WithdrawalsFull { entries: list.entries.len() });
    }
    verify(keys, &envelope).map_err(ImportError::WithdrawalsNotBelieved)?;
    authority.probe_create().await?;
    match authority.create_withdrawals(list.sequence, &envelope).await {
        Ok(()) => Ok(Some(envelope)),
        Err(StoreError::Taken(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Deletes all that is withdrawn from all copies. Mirrors' holdings say so, for the day on which
/// something is restored.
async fn obey(publication: &Publication, entries: &[Withdrawal]) -> Vec<String> {
    let mirrors = publication.mirrors.iter().map(|mirror| (&*mirror.name, &mirror.bucket));
    let mut failed = Vec::new();
    for (name, bucket) in [("authority", &publication.authority)].into_iter().chain(mirrors) {
        for Withdrawal { digest, .. } in entries {
            if let Err(error) = bucket.delete_object(digest).await {
                failed.push(format!("{name}: {digest} was not deleted: {}", chain(&error)));
            }
        }
        failed.extend(note(publication, name, bucket, entries).await);
    }
    failed
}

async fn note(
    publication: &Publication,
    name: &str,
    bucket: &Bucket,
    entries: &[Withdrawal],
) -> Option<String> {
    let digests = entries.iter().map(|entry| entry.digest).collect();
    let noted = note_lacking(bucket, &publication.catalog, digests).await;
    noted.err().map(|error| format!("{name}: its holding was not written: {}", chain(&error)))
}

impl fmt::Display for WithdrawalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.published {
            Some(sequence) => write!(f, "list {sequence} of withdrawals is in force")?,
            None => write!(f, "the list of withdrawals says so already")?,
        }
        write!(f, ": {} digests are withdrawn", self.entries.len())?;
        for failed in &self.failed {
            write!(f, "\nwarning: {failed}")?;
        }
        Ok(())
    }
}
