//! Following releases: what a front polls.
//!
//! A poll looks for a newer pointer in the authority and asks each copy what it holds. Only if
//! either changed are generations read, and then one repository's document at a time: what is in
//! memory besides the new catalog is that document. Documents that several generations share are
//! read once.
//!
//! Invariant: what is [`Loaded`] was signed, is not older than what was loaded before, and never is
//! another pointer with the same sequence.

mod pointers;
mod withdrawn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use landbridge_core::catalog::{Catalog, CatalogBuilder, CatalogTooLarge};
use landbridge_core::cause::chain;
use landbridge_core::generation::{Repository, RepositoryEntry, Root};
use landbridge_core::pointer::{Keys, Pointer, Verified};
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_core::withdrawal::Withdrawals;
use landbridge_core::{Digest, RepositoryName, Tag};

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::face::PublicFace;
use crate::holders::{self, CopyHolding};

/// In a generation's documents an object takes about this many bytes: enough to reserve memory
/// once instead of growing by doubling.
const BYTES_OF_AN_OBJECT: u64 = 160;

/// Follows the releases of one catalog.
#[derive(Debug, Clone)]
pub struct CatalogReader {
    /// The bucket whose pointers count.
    pub authority: Bucket,
    /// The catalog that its pointers must name.
    pub catalog: String,
    /// Whose signatures are believed.
    pub keys: Keys,
    /// How many releases before the current one keep their digests answerable.
    pub retain: usize,
    /// The mirrors, and where their holdings are read.
    pub copies: Vec<(CopyId, HoldingSource)>,
    /// The copy that holds everything that is published, without a holding.
    pub origin: CopyId,
    /// How long one copy may take to say what it holds, or to give its copy of a pointer.
    pub holding_timeout: Duration,
    /// Pointers below this number do not count; 0 if all do.
    pub minimum_sequence: u64,
    /// The pointer that was in force before this reader was made. It counts as long as `keys`
    /// believe it: removing a key undoes what it signed, and nothing else.
    pub last: Option<Verified<Pointer>>,
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
    /// The pointer in force.
    pub pointer: Verified<Pointer>,
    /// Names and objects of the current and the retained generations.
    pub catalog: Arc<Catalog>,
    /// What nobody is to get any more, if anything was ever withdrawn.
    pub withdrawals: Option<Verified<Withdrawals>>,
    /// Tags of the current generation that mean something which is withdrawn.
    pub hidden_tags: BTreeSet<(RepositoryName, Tag)>,
    /// What each copy says that it holds, in the order of [`CatalogReader::copies`].
    pub holdings: Vec<CopyHolding>,
    /// What was refused, missing or failing: a sentence for each.
    pub notes: Vec<String>,
}

/// What a poll found.
#[derive(Debug)]
pub enum Poll {
    /// Nothing that changes an answer, but perhaps something to warn of: what was refused,
    /// missing or failing, a sentence for each.
    Unchanged(Vec<String>),
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
    /// Looks for a newer pointer and for other holdings than those of `current`.
    ///
    /// Without news that costs one list and one small read in the authority and one conditional
    /// read for each copy; with a new pointer, one small read more for each copy, which must have
    /// the same. A copy that fails keeps the holding that it had; one without a holding holds
    /// nothing. If the authority fails, the newest pointer is sought in the copies.
    pub async fn poll(&self, current: Option<&Loaded>) -> Result<Poll, ReadError> {
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
        let holdings = holders::noted(holdings, &self.catalog, &mut notes);
        let pointer = self.choose(known, searched, before, &holdings, &mut notes).await?;
        if let Some(current) = current
            && current.pointer == pointer
            && current.withdrawals == withdrawals
            && CopyHolding::same(&current.holdings, &holdings)
        {
            return Ok(Poll::Unchanged(notes));
        }
        let withdrawn = withdrawals.as_ref().map(|list| list.content().digests());
        let withdrawn = withdrawn.unwrap_or_default();
        let (catalog, hidden_tags) = self.load(&pointer, &withdrawn, &holdings, &mut notes).await?;
        let catalog = Arc::new(catalog);
        let loaded = Loaded { pointer, catalog, withdrawals, hidden_tags, holdings, notes };
        Ok(Poll::New(Box::new(loaded)))
    }

    /// Builds the catalog of the pointer's generation and the retained ones before it.
    async fn load(
        &self,
        pointer: &Verified<Pointer>,
        withdrawn: &BTreeSet<Digest>,
        holdings: &[CopyHolding],
        notes: &mut Vec<String>,
    ) -> Result<(Catalog, BTreeSet<(RepositoryName, Tag)>), ReadError> {
        let mut hidden = BTreeSet::new();
        let generations = self.generations(pointer, notes).await?;
        let mut documents = Documents::default();
        let mut expected_bytes = 0;
        for (generation, root) in generations {
            let copies = holders::of(&generation, holdings).with(self.origin);
            if documents.current.is_none() {
                documents.current = Some(generation);
                expected_bytes = root.repositories.iter().map(|entry| entry.size).sum::<u64>();
            }
            let is_current = documents.current == Some(generation);
            for entry in &root.repositories {
                documents.add(entry, copies, is_current);
            }
        }
        let expected = usize::try_from(expected_bytes / BYTES_OF_AN_OBJECT).unwrap_or_default();
        let mut builder = CatalogBuilder::with_capacity(expected);
        for (digest, document) in documents.by_digest {
            let repository: Repository = match self.authority.get_document(&digest).await {
                Ok(repository) => repository,
                Err(error) if document.is_current => return Err(error.into()),
                Err(error) => {
                    notes.push(format!("a retained generation is not whole: {}", chain(&error)));
                    continue;
                }
            };
            if document.is_current {
                let tags = repository.tags.iter().filter(|tag| withdrawn.contains(&tag.digest));
                hidden.extend(tags.map(|tag| (repository.name.clone(), tag.name.clone())));
            }
            let repository = repository.without(withdrawn);
            if document.is_current {
                builder.add_current(repository, document.copies)?;
            } else {
                builder.add_retained(repository, document.copies)?;
            }
        }
        for held in holdings {
            for digest in held.lacks() {
                builder.lack(held.copy, *digest);
            }
        }
        Ok((builder.build()?, hidden))
    }

    /// The roots of the current and the retained generations, the current one first, each once.
    async fn generations(
        &self,
        pointer: &Verified<Pointer>,
        notes: &mut Vec<String>,
    ) -> Result<Vec<(Digest, Root)>, ReadError> {
        let current = pointer.content().generation;
        let mut roots = vec![(current, self.authority.get_document::<Root>(&current).await?)];
        let mut last = pointer.clone();
        for _ in 0..self.retain {
            let Some(previous) = last.content().previous else { break };
            let Some(before) = self.pointer_before(&last, previous, notes).await? else { break };
            let generation = before.content().generation;
            last = before;
            if roots.iter().any(|(known, _)| *known == generation) {
                continue;
            }
            match self.authority.get_document::<Root>(&generation).await {
                Ok(root) => roots.push((generation, root)),
                Err(error) => {
                    notes.push(format!("a retained generation is not readable: {}", chain(&error)));
                }
            }
        }
        Ok(roots)
    }
}

/// The repositories' documents of several generations, each once.
#[derive(Default)]
struct Documents {
    current: Option<Digest>,
    by_digest: BTreeMap<Digest, Needed>,
}

struct Needed {
    copies: CopySet,
    is_current: bool,
}

impl Documents {
    fn add(&mut self, entry: &RepositoryEntry, copies: CopySet, is_current: bool) {
        let none = Needed { copies: CopySet::EMPTY, is_current: false };
        let needed = self.by_digest.entry(entry.digest).or_insert(none);
        needed.copies = needed.copies.or(copies);
        needed.is_current |= is_current;
    }
}
