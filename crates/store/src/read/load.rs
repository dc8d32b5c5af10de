//! From a pointer to a catalog: which generations a front answers from, and reading them.
//!
//! Names are the current generation's. Digests are those of the generations before it as well: of so
//! many releases, and of all that were in force within the last two days, so that a pull ends well
//! which began before a release or asks another front.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use landbridge_core::catalog::{Catalog, CatalogBuilder};
use landbridge_core::cause::chain;
use landbridge_core::generation::{Document as _, Repository, Root};
use landbridge_core::pointer::{Pointer, Verified};
use landbridge_core::withdrawal::Withdrawals;
use landbridge_core::{Digest, RepositoryName, Tag};

use super::documents::{Decode, Listing, Reach, Read, Wanted, read_listing, read_repository};
use super::{CatalogReader, Follow, Loaded, ReadError};
use crate::error::StoreError;
use crate::holders::{self, CopyHolding};

/// How long a generation stays answerable after another one took its place, counted to the moment at
/// which the current one was published.
const RETAINED_FOR: SignedDuration = SignedDuration::from_hours(48);
/// So many releases at most stay answerable, however fast they follow on one another.
const MOST_RETAINED: usize = 64;
/// So many releases are looked through for one that is old enough.
const MOST_WAITING: usize = 1_000;
/// In a generation's documents an object takes about this many bytes: enough to reserve memory
/// once instead of growing by doubling.
const BYTES_OF_AN_OBJECT: u64 = 160;
/// Memory is not reserved for more objects than this, whatever a root says.
const MOST_EXPECTED: usize = 1 << 20;
/// Of what a cache lacks, so much is told one by one.
const MOST_TOLD: usize = 4;

/// Names of the current generation that mean something which is withdrawn.
pub(super) type HiddenTags = BTreeSet<(RepositoryName, Tag)>;

/// Catalogs in the making.
pub(super) struct Loading<'a> {
    reader: &'a CatalogReader,
    reach: Reach,
    withdrawn: BTreeSet<Digest>,
    holdings: &'a [CopyHolding],
    /// All documents that were read.
    documents: BTreeSet<Digest>,
    /// What is lost for good, as far as can be said.
    notes: Vec<String>,
    /// What is wrong with the cache alone.
    of_cache: Vec<String>,
}

impl<'a> Loading<'a> {
    pub(super) fn new(
        reader: &'a CatalogReader,
        reach: Reach,
        withdrawals: Option<&Verified<Withdrawals>>,
        holdings: &'a [CopyHolding],
    ) -> Self {
        let withdrawn = withdrawals.map(|list| list.content().digests()).unwrap_or_default();
        let (notes, of_cache) = (Vec::new(), Vec::new());
        Self { reader, reach, withdrawn, holdings, documents: BTreeSet::new(), notes, of_cache }
    }

    /// What is to be served when `pointer` is the newest one, without what is known beside it; and
    /// the documents that it was made of.
    pub(super) async fn load(
        mut self,
        pointer: Verified<Pointer>,
        now: Timestamp,
        notes: &mut Vec<String>,
    ) -> Result<(Loaded, BTreeSet<Digest>), ReadError> {
        let releases = self.releases(&pointer, now).await;
        let Followed { generation, due } = followed(self.reader.follow, &releases, now);
        let all = match self.reader.follow {
            Follow::Pinned(_) => BTreeSet::from([generation]),
            Follow::Newest | Follow::Later(_) => {
                releases.iter().map(|pointer| pointer.content().generation).collect()
            }
        };
        let (catalog, hidden_tags) = self.catalog(&generation, &all).await?;
        let more = self.of_cache.len().saturating_sub(MOST_TOLD);
        notes.extend(self.of_cache.into_iter().take(MOST_TOLD));
        if more > 0 {
            notes.push(format!("and {more} more documents like that"));
        }
        notes.extend(self.notes);
        let loaded = Loaded {
            pointer,
            generation,
            releases: releases.into(),
            due,
            catalog: catalog.into(),
            withdrawals: None,
            hidden_tags,
            holdings: Vec::new(),
            notes: Vec::new(),
            is_unconfirmed: false,
        };
        Ok((loaded, self.documents))
    }

    /// The pointer and those before it whose digests are answered, the newest first.
    async fn releases(
        &mut self,
        pointer: &Verified<Pointer>,
        now: Timestamp,
    ) -> Vec<Verified<Pointer>> {
        let mut releases = vec![pointer.clone()];
        if let Follow::Pinned(_) = self.reader.follow {
            return releases;
        }
        while let Some(last) = releases.last()
            && self.goes_on(&releases, now)
            && let Some(previous) = last.content().previous
        {
            let sequence = last.content().sequence;
            match self.pointer_before(sequence, &previous).await {
                Ok(Some(before)) => releases.push(before),
                Ok(None) => {
                    self.notes.push(format!(
                        "the pointer before {sequence} is not to be found: its release is forgotten"
                    ));
                    break;
                }
                Err(error) => {
                    self.notes.push(format!(
                        "the pointer before {sequence} is not known, nor its release: {}",
                        chain(&error)
                    ));
                    break;
                }
            }
        }
        releases
    }

    /// Whether the release before these is wanted too.
    fn goes_on(&self, releases: &[Verified<Pointer>], now: Timestamp) -> bool {
        let delay = self.reader.follow.delay();
        let is_old = |pointer: &Verified<Pointer>| is_due(pointer.content().issued, delay, now);
        let Some(served) = releases.iter().position(is_old) else {
            return releases.len() <= MOST_WAITING;
        };
        let (Some(current), Some(last)) = (releases.get(served), releases.last()) else {
            return false;
        };
        let before = releases.len() - 1 - served;
        let age = current.content().issued.duration_since(last.content().issued);
        before < MOST_RETAINED && (before < self.reader.retain || age <= RETAINED_FOR)
    }

    /// The pointer before `sequence` whose envelope is `previous`. Numbers may have been skipped,
    /// where something invalid lay in the way.
    async fn pointer_before(
        &self,
        sequence: u64,
        previous: &Digest,
    ) -> Result<Option<Verified<Pointer>>, StoreError> {
        const MOST_SKIPPED: u64 = 64;
        let CatalogReader { authority, keys, catalog, cache, .. } = self.reader;
        for sequence in (sequence.saturating_sub(MOST_SKIPPED)..sequence).rev() {
            if let Some(cache) = cache
                && let Ok(Some(kept)) = cache.pointer_at(sequence, keys, catalog).await
                && kept.envelope() == previous
            {
                return Ok(Some(kept));
            }
            match self.reach {
                Reach::Cache => {}
                Reach::Stores => match authority.pointer_at(sequence, keys, catalog).await? {
                    Some(found) if found.envelope() == previous => return Ok(Some(found)),
                    Some(_) => return Ok(None),
                    None => {}
                },
            }
        }
        Ok(None)
    }

    /// A catalog of the names of the current generation and the digests of all.
    async fn catalog(
        &mut self,
        current: &Digest,
        all: &BTreeSet<Digest>,
    ) -> Result<(Catalog, HiddenTags), ReadError> {
        let mut expected_bytes = 0;
        let mut wanted = BTreeMap::new();
        for generation in all {
            let is_current = generation == current;
            let copies = holders::of(generation, self.holdings).with(self.reader.origin);
            let Some(root) = self.root(generation, is_current).await? else { continue };
            if is_current {
                expected_bytes = root.repositories.iter().map(|entry| entry.size).sum::<u64>();
            }
            for entry in &root.repositories {
                let document = wanted.entry(entry.digest).or_insert_with(|| Wanted::new(entry));
                document.copies = document.copies.or(copies);
                document.is_current |= is_current;
            }
        }
        let expected = usize::try_from(expected_bytes / BYTES_OF_AN_OBJECT).unwrap_or_default();
        let builder = CatalogBuilder::with_capacity(expected.min(MOST_EXPECTED));
        let mut making = Making { builder, hidden: BTreeSet::new() };
        let parts = self.add(wanted.into_values().collect(), read_listing, &mut making).await?;
        self.add(parts, read_repository, &mut making).await?;
        for held in self.holdings {
            for digest in held.lacks() {
                making.builder.lack(held.copy, *digest);
            }
        }
        Ok((making.builder.build()?, making.hidden))
    }

    async fn root(
        &mut self,
        generation: &Digest,
        is_current: bool,
    ) -> Result<Option<Root>, ReadError> {
        let wanted = Wanted { is_current, ..Wanted::root(*generation) };
        let (wanted, read) = self.reader.read(wanted, self.reach, Root::decode).await;
        self.taken(wanted, read)
    }

    /// Adds these documents, a few at a time; those of which they are lists are still wanted.
    async fn add(
        &mut self,
        wanted: Vec<Wanted>,
        decode: Decode<Listing>,
        making: &mut Making,
    ) -> Result<Vec<Wanted>, ReadError> {
        let (reader, reach) = (self.reader, self.reach);
        let reads: Vec<_> =
            wanted.into_iter().map(|wanted| reader.read(wanted, reach, decode)).collect();
        let mut reads = futures::stream::iter(reads).buffered(reach.at_once());
        let mut of_parts = Vec::new();
        while let Some((wanted, read)) = reads.next().await {
            match self.taken(wanted, read)? {
                None => {}
                Some(Listing::Whole(repository)) => {
                    making.add(*repository, wanted, &self.withdrawn)?;
                }
                Some(Listing::Parts(list)) => {
                    of_parts.extend(list.parts.iter().map(|part| wanted.part(part)));
                }
            }
        }
        Ok(of_parts)
    }

    /// The document; nothing if it is lost and only a retained generation needs it.
    fn taken<T>(&mut self, wanted: Wanted, read: Read<T>) -> Result<Option<T>, ReadError> {
        self.of_cache.extend(read.of_cache);
        match read.document {
            Ok(document) => {
                self.documents.insert(wanted.digest);
                Ok(Some(document))
            }
            Err(error) if wanted.is_current => Err(error.into()),
            Err(error) => {
                self.notes.push(format!("a retained generation is not whole: {}", chain(&error)));
                Ok(None)
            }
        }
    }
}

impl Follow {
    fn delay(self) -> SignedDuration {
        match self {
            Self::Newest | Self::Pinned(_) => SignedDuration::ZERO,
            // More than time has.
            Self::Later(delay) => SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX),
        }
    }
}

/// Which generation's names are served, and when that changes by itself.
#[derive(Debug, PartialEq, Eq)]
struct Followed {
    generation: Digest,
    due: Option<Timestamp>,
}

/// What is followed of these releases, of which the newest comes first. If none is old enough it is
/// the oldest one: less late than it should be is better than nothing at all.
fn followed(follow: Follow, releases: &[Verified<Pointer>], now: Timestamp) -> Followed {
    let newest = releases.first().map(|pointer| pointer.content().generation);
    let generation = match follow {
        Follow::Pinned(generation) => return Followed { generation, due: None },
        Follow::Newest | Follow::Later(_) => newest.unwrap_or_else(|| Digest::sha256_of(b"")),
    };
    let mut followed = Followed { generation, due: None };
    let Follow::Later(_) = follow else { return followed };
    let delay = follow.delay();
    for pointer in releases {
        let generation = pointer.content().generation;
        // Going back to what was served already is not new.
        let first = releases.iter().rev().find(|first| first.content().generation == generation);
        let since = first.unwrap_or(pointer).content().issued;
        followed.generation = generation;
        if is_due(since, delay, now) {
            break;
        }
        let due = since.checked_add(delay).unwrap_or(Timestamp::MAX);
        followed.due = Some(followed.due.map_or(due, |earlier| earlier.min(due)));
    }
    followed
}

fn is_due(issued: Timestamp, delay: SignedDuration, now: Timestamp) -> bool {
    delay.is_zero() || now.duration_since(issued) >= delay
}

/// One catalog in the making.
struct Making {
    builder: CatalogBuilder,
    hidden: HiddenTags,
}

impl Making {
    fn add(
        &mut self,
        repository: Repository,
        wanted: Wanted,
        withdrawn: &BTreeSet<Digest>,
    ) -> Result<(), ReadError> {
        if wanted.is_current {
            let tags = repository.tags.iter().filter(|tag| withdrawn.contains(&tag.digest));
            self.hidden.extend(tags.map(|tag| (repository.name.clone(), tag.name.clone())));
        }
        let repository = repository.without(withdrawn);
        if wanted.is_current {
            self.builder.add_current(repository, wanted.copies)?;
        } else {
            self.builder.add_retained(repository, wanted.copies)?;
        }
        Ok(())
    }
}
