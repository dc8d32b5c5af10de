//! Following releases: what a front polls.
//!
//! A poll looks for a newer pointer in the authority and asks each copy what it holds. Only if
//! either changed are generations read, and then a few documents at a time: what is in memory besides
//! the new catalog are those. Documents that several generations share are read once, and those that
//! are in the cache are not asked for again.
//!
//! Invariant: what is [`Loaded`] was signed, is not older than what was loaded before, and never is
//! another pointer with the same sequence.

mod cache;
mod documents;
mod exported;
mod load;
mod pointers;
mod withdrawn;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::catalog::{Catalog, CatalogTooLarge};
use landbridge_core::pointer::{Keys, Pointer, Verified};
use landbridge_core::topology::CopyId;
use landbridge_core::withdrawal::Withdrawals;
use landbridge_core::{Digest, RepositoryName, Tag};

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::face::PublicFace;
use crate::holders::{self, CopyHolding};

use self::documents::Reach;
pub use self::exported::{Export, ExportError, open_export};
use self::load::Loading;

/// Follows the releases of one catalog.
#[derive(Debug, Clone)]
pub struct CatalogReader {
    /// The bucket whose pointers count.
    pub authority: Bucket,
    /// The catalog that its pointers must name.
    pub catalog: String,
    /// Whose signatures are believed.
    pub keys: Keys,
    /// How many releases before the current one keep their digests answerable, however old they
    /// are. Those of the last 48 hours do in any case.
    pub retain: usize,
    /// The mirrors, and where their holdings are read.
    pub copies: Vec<CopySource>,
    /// The copy that holds everything that is published, without a holding.
    pub origin: CopyId,
    /// How long one copy may take to say what it holds, or to give its copy of a pointer or of a
    /// document.
    pub holding_timeout: Duration,
    /// Pointers below this number do not count; 0 if all do.
    pub minimum_sequence: u64,
    /// The pointer that was in force before this reader was made. It counts as long as `keys`
    /// believe it: removing a key undoes what it signed, and nothing else.
    pub last: Option<Verified<Pointer>>,
    /// Which release's names are served.
    pub follow: Follow,
    /// A directory in which to keep what is served, for a start without any store.
    pub cache: Option<Bucket>,
    /// What was exported, for a start with neither store nor cache.
    pub exported: Option<Bucket>,
}

/// Which release's names are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The newest one's.
    Newest,
    /// The newest one's whose generation was first published so long ago. Digests of newer ones are
    /// answered. Who goes back to an older generation is followed at once.
    Later(Duration),
    /// This generation's, whatever is published; and no other digests are answered.
    Pinned(Digest),
}

/// A mirror, as it says what it holds.
#[derive(Debug, Clone)]
pub struct CopySource {
    /// The copy.
    pub copy: CopyId,
    /// What the configuration calls it.
    pub name: String,
    /// Where it is asked.
    pub source: HoldingSource,
}

/// Where a copy's holding is read.
#[derive(Debug, Clone)]
pub enum HoldingSource {
    /// In the bucket itself.
    Bucket(Bucket),
    /// As clients see it.
    Face(PublicFace),
}

/// What a front answers from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The newest pointer that is believed.
    pub pointer: Verified<Pointer>,
    /// The generation whose names are served: the pointer's, unless the reader follows another one.
    pub generation: Digest,
    /// The pointers of all releases whose digests are answered, the newest first.
    pub releases: Arc<[Verified<Pointer>]>,
    /// When another generation's turn comes, though nothing new is published.
    pub due: Option<Timestamp>,
    /// Names of that generation, and objects of all that are retained.
    pub catalog: Arc<Catalog>,
    /// What nobody is to get any more, if anything was ever withdrawn.
    pub withdrawals: Option<Verified<Withdrawals>>,
    /// Tags of the current generation that mean something which is withdrawn.
    pub hidden_tags: BTreeSet<(RepositoryName, Tag)>,
    /// What each copy says that it holds, in the order of [`CatalogReader::copies`].
    pub holdings: Vec<CopyHolding>,
    /// What was refused, missing or failing: a sentence for each.
    pub notes: Vec<String>,
    /// Whether it comes from the cache, and the authority has not been heard of since.
    pub is_unconfirmed: bool,
}

impl Loaded {
    /// The newest release of the generation whose names are served; none if it is pinned.
    pub fn release(&self) -> Option<&Verified<Pointer>> {
        self.releases.iter().find(|release| release.content().generation == self.generation)
    }

    /// The newest release that a copy says it holds, among those whose digests are answered.
    pub fn newest_of(&self, held: &CopyHolding) -> Option<&Verified<Pointer>> {
        self.releases.iter().find(|release| held.holds(&release.content().generation))
    }
}

/// What a poll found.
#[derive(Debug)]
pub enum Poll {
    /// Nothing that changes an answer, but perhaps something to warn of: what was refused,
    /// missing or failing, a sentence for each.
    Unchanged(Vec<String>),
    /// The same, and neither the authority nor any copy was heard of.
    Silent(Vec<String>),
    /// Another pointer, or other holdings.
    New(Box<Loaded>),
}

/// Why nothing was loaded. What was loaded before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Nothing was published yet, or nothing that is believed.
    #[error("{bucket} has no valid pointer of catalog `{catalog}`{}", listed(refused))]
    NoPointer {
        /// The authority.
        bucket: String,
        /// The catalog.
        catalog: String,
        /// What was found and refused: a sentence for each.
        refused: Vec<String>,
    },
    /// The authority fails, or the current generation is damaged in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// More than a front can hold.
    #[error(transparent)]
    TooLarge(#[from] CatalogTooLarge),
}

fn listed(refused: &[String]) -> String {
    refused.iter().flat_map(|why| ["; ", why]).collect()
}

impl HoldingSource {
    /// The bucket or the address, for people.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Bucket(bucket) => bucket.name(),
            Self::Face(face) => face.base(),
        }
    }
}

impl CatalogReader {
    /// Looks for a newer pointer and for other holdings than those of `current`, and for what is due
    /// at `now`.
    ///
    /// Without news that costs one list and one small read in the authority and one conditional
    /// read for each copy; with a new pointer, one small read more for each copy, which must have
    /// the same. A copy that fails keeps the holding that it had; one without a holding holds
    /// nothing. If the authority fails, the newest pointer is sought in the copies.
    pub async fn poll(&self, current: Option<&Loaded>, now: Timestamp) -> Result<Poll, ReadError> {
        let mut notes = Vec::new();
        let (before, known) = match current {
            Some(current) => (&*current.holdings, Some(current.pointer.clone())),
            None => (&[][..], self.last()),
        };
        let obeyed = current.and_then(|loaded| loaded.withdrawals.clone());
        let (searched, (withdrawals, refused), holdings) = futures::future::join3(
            self.search_authority(known.as_ref()),
            self.find_withdrawn(obeyed),
            holders::ask(&self.copies, Some(before), self.holding_timeout),
        )
        .await;
        notes.extend(refused);
        let is_heard = matches!(&searched, Ok(search) if search.latest.is_some());
        let is_silent = !is_heard && !holdings.iter().any(|answer| answer.is_heard);
        let holdings = holders::noted(holdings, &self.catalog, &mut notes);
        let pointer = self.choose(known, searched, before, &holdings, &mut notes).await?;
        let same = current.filter(|current| current.pointer == pointer);
        let is_unconfirmed = !is_heard && same.is_some_and(|current| current.is_unconfirmed);
        if let Some(same) = same
            && same.withdrawals == withdrawals
            && same.due.is_none_or(|due| now < due)
            && CopyHolding::same(&same.holdings, &holdings)
        {
            if same.is_unconfirmed == is_unconfirmed {
                let poll = if is_silent { Poll::Silent } else { Poll::Unchanged };
                return Ok(poll(notes));
            }
            // What the cache lacks is in the stores.
            if same.notes.is_empty() {
                return Ok(Poll::New(Box::new(Loaded { notes, is_unconfirmed, ..same.clone() })));
            }
        }
        let loading = Loading::new(self, Reach::Stores, withdrawals.as_ref(), &holdings);
        let (loaded, documents) = loading.load(pointer, now, &mut notes).await?;
        let mut loaded = Loaded { withdrawals, holdings, is_unconfirmed, ..loaded };
        self.remember(&loaded, &documents, &mut notes).await;
        loaded.notes = notes;
        Ok(Poll::New(Box::new(loaded)))
    }
}
