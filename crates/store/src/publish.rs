//! Publishing a release, in five steps that cannot be skipped.
//!
//! 1. Write the objects: [`Bucket::put_object`].
//! 2. Confirm each: the same call, or [`Bucket::confirm`], gives the [`Confirmed`](crate::Confirmed) that
//!    [`Evidence`] is made of.
//! 3. [`Publication::write`] the generation.
//! 4. [`Publication::check`] what was written, by reading it back.
//! 5. [`Publication::publish`] the pointer, after whoever has the keys signed
//!    [`Publication::draft`].
//!
//! Each step takes what only the step before gives. The one atomic moment is the creation of the
//! pointer in the authority: before it everyone sees the old release, after it the new one. A
//! crash anywhere leaves at most documents and objects that nothing refers to yet.
//!
//! Mirrors stand in the way of a release only as [`Publication::require`] says: any other that cannot
//! be written is reported and, as far as its holding does not name the new generation, not used for
//! it.

use jiff::Timestamp;
use landbridge_core::generation::{Repository, RepositoryEntry, Root};
use landbridge_core::pointer::{Keys, Pointer, Verified, VerifyError};
use landbridge_core::{Digest, RepositoryName};

use crate::ascent::MOST_AHEAD;
use crate::bucket::Bucket;
use crate::documents::PointerSearch;
use crate::error::StoreError;
use crate::evidence::Evidence;
use crate::leases::Collections;
use crate::mirrors::{self, MirrorState, MirrorWork};
use crate::require::{Gap, Require, listed};

/// Where a catalog is published.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The bucket whose pointers count.
    pub authority: Bucket,
    /// Buckets that serve the same objects.
    pub mirrors: Vec<Mirror>,
    /// The catalog's name.
    pub catalog: String,
    /// Whose signatures are believed: a release that they do not cover is not published.
    pub keys: Keys,
    /// Pointers below this number do not count; 0 if all do.
    pub minimum_sequence: u64,
    /// Which mirrors must hold a release in full before it is published.
    pub require: Require,
}

/// A mirror.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Its name in reports.
    pub name: String,
    /// The provider where it is, if that is known.
    pub provider: Option<String>,
    /// Its bucket.
    pub bucket: Bucket,
}

/// What is published now. A release is a change of it.
#[derive(Debug, Clone)]
pub struct Base {
    pointer: Option<Verified<Pointer>>,
    root: Root,
    generation: Option<Digest>,
    next: Option<u64>,
    refused: Vec<String>,
    collections: u64,
}

impl Base {
    /// The pointer in force; none before the first release.
    pub fn pointer(&self) -> Option<&Verified<Pointer>> {
        self.pointer.as_ref()
    }

    /// The root of the generation in force; empty before the first release.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Pointers that lie in the authority and are not believed: a sentence for each.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// How many collections of the authority were begun. If there are more than at another base, what
    /// was confirmed for that may be gone.
    pub fn collections(&self) -> u64 {
        self.collections
    }

    pub(crate) fn generation(&self) -> Option<&Digest> {
        self.generation.as_ref()
    }

    pub(crate) fn entry(&self, name: &RepositoryName) -> Option<&RepositoryEntry> {
        let at = self.root.repositories.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
        self.root.repositories.get(at)
    }
}

/// What a release changes.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Repositories as they shall be, whole. All others stay as they are.
    pub put: Vec<Repository>,
    /// Repositories that shall no longer be.
    pub remove: Vec<RepositoryName>,
}

/// The act itself, before it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// The moment of publication.
    pub now: Timestamp,
    /// When the pointer begins to alarm.
    pub expires: Timestamp,
    /// Why, for people.
    pub reason: &'a str,
    /// Why it is published though mirrors that [`Publication::require`] names lack something. It
    /// becomes part of the reason.
    pub despite_gaps: Option<&'a str>,
}

/// A generation that lies in the authority, unchecked. Nothing refers to it.
#[derive(Debug)]
pub struct Written {
    pub(crate) base: Base,
    pub(crate) generation: Digest,
    pub(crate) evidence: Evidence,
    mirrors: Vec<MirrorWork>,
}

impl Written {
    /// The digest of the generation's root.
    pub fn generation(&self) -> &Digest {
        &self.generation
    }

    /// True if this generation is the one that is published already.
    pub fn is_unchanged(&self) -> bool {
        self.base.generation.as_ref() == Some(&self.generation)
    }
}

/// A generation that was read back, and all of whose objects are confirmed in the authority.
#[derive(Debug)]
pub struct Checked {
    pub(crate) base: Base,
    pub(crate) generation: Digest,
    pub(crate) mirrors: Vec<MirrorWork>,
}

/// A pointer to a checked generation, which nobody has signed yet.
#[derive(Debug)]
pub struct Unsigned {
    pointer: Pointer,
    mirrors: Vec<MirrorWork>,
}

impl Unsigned {
    /// What is to be signed; its bytes are [`Pointer::encode`]'s.
    pub fn pointer(&self) -> &Pointer {
        &self.pointer
    }
}

/// A release.
#[derive(Debug, Clone)]
pub struct Published {
    /// The pointer that is now in force.
    pub pointer: Verified<Pointer>,
    /// How far each mirror came with it, in the order of the mirrors.
    pub mirrors: Vec<(String, MirrorState)>,
}

/// Why a release was not published. The one before it is still in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Somebody else was faster: start again from the new base.
    #[error("pointer {sequence} was published by somebody else meanwhile: start again from it")]
    Conflict {
        /// The sequence that was taken.
        sequence: u64,
    },
    /// An object is listed that was not confirmed.
    #[error(
        "repository `{repository}` lists {digest} of {size} bytes, which was not confirmed in {bucket}"
    )]
    Unconfirmed {
        /// The repository.
        repository: RepositoryName,
        /// The object.
        digest: Digest,
        /// The size that is listed.
        size: u64,
        /// The authority.
        bucket: String,
    },
    /// What was read back is not what was written.
    #[error("generation {generation} is wrong in {bucket}: {what}")]
    Inconsistent {
        /// The generation.
        generation: Digest,
        /// The authority.
        bucket: String,
        /// What is wrong.
        what: String,
    },
    /// The signature is none that a front would believe.
    #[error("the new pointer would not be believed: is the signing key one of the trusted ones?")]
    NotBelieved(#[source] VerifyError),
    /// The signer signed something else than it was given.
    #[error("the signer signed another pointer than the one that it was given")]
    OtherPointer,
    /// Mirrors that must have all of it do not.
    #[error(
        "nothing was published, since mirrors that must have all of it (`replicate.require`) have not: {}: run it again, or say with `--despite-gaps` why it cannot wait",
        listed(gaps)
    )]
    Gaps {
        /// What they lack.
        gaps: Vec<Gap>,
    },
    /// What is not believed stands in the way.
    #[error(
        "no number is free in {bucket} within {MOST_AHEAD} above the last pointer: remove those that are not valid"
    )]
    NoSequence {
        /// The authority.
        bucket: String,
    },
    /// Somebody deletes what no kept generation lists.
    #[error("{bucket} is being pruned (it was heard of at {heard}): start again when that is done")]
    BeingPruned {
        /// The authority.
        bucket: String,
        /// When whoever prunes was heard of.
        heard: Timestamp,
    },
    /// The authority failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Publication {
    /// What is published now, for whoever wants to change it: nobody does while the authority is
    /// being pruned.
    pub async fn base(&self) -> Result<Base, PublishError> {
        let base = self.base_of_pruner().await?;
        // Not before the pointers were read: whoever prunes publishes one first of all.
        let Collections { begun, pruning } = self.authority.collections().await?;
        match pruning {
            None => Ok(Base { collections: begun, ..base }),
            Some(heard) => {
                let bucket = self.authority.name().to_owned();
                Err(PublishError::BeingPruned { bucket, heard })
            }
        }
    }

    /// The same for the one that prunes.
    pub async fn base_of_pruner(&self) -> Result<Base, PublishError> {
        let Self { authority, keys, catalog, minimum_sequence, .. } = self;
        let search = authority.latest_pointer_from(keys, catalog, *minimum_sequence).await?;
        let generation = search.latest.as_ref().map(|pointer| pointer.content().generation);
        let root = match &generation {
            Some(generation) => self.authority.get_document(generation).await?,
            None => Root::new(Vec::new()),
        };
        let PointerSearch { latest: pointer, refused, next } = search;
        Ok(Base { pointer, root, generation, next, refused, collections: 0 })
    }

    /// A repository as it is published now.
    pub async fn repository(
        &self,
        base: &Base,
        name: &RepositoryName,
    ) -> Result<Option<Repository>, PublishError> {
        match base.entry(name) {
            Some(entry) => Ok(Some(self.authority.get_document(&entry.digest).await?)),
            None => Ok(None),
        }
    }

    /// Step three: writes the documents of the new generation, those that changed only.
    pub async fn write(
        &self,
        base: Base,
        changes: Changes,
        evidence: Evidence,
    ) -> Result<Written, PublishError> {
        let mut mirrors = mirrors::begin(&self.mirrors);
        let kept = |entry: &&RepositoryEntry| {
            !changes.remove.contains(&entry.name)
                && !changes.put.iter().any(|put| put.name == entry.name)
        };
        let mut entries: Vec<_> = base.root.repositories.iter().filter(kept).cloned().collect();
        for repository in changes.put {
            let repository = repository.sorted();
            self.authority.put_document(&repository).await?;
            mirrors::put_document(&mut mirrors, &repository).await;
            entries.push(repository.entry());
        }
        let root = Root::new(entries);
        let generation = self.authority.put_document(&root).await?;
        mirrors::put_document(&mut mirrors, &root).await;
        Ok(Written { base, generation, evidence, mirrors })
    }

    /// Step four: reads the generation back. Every object that it lists must be confirmed in the
    /// authority, now or by the base; what mirrors lack is noted. At most two repositories'
    /// documents are in memory at a time.
    pub async fn check(&self, written: Written) -> Result<Checked, PublishError> {
        let Written { base, generation, evidence, mut mirrors } = written;
        let root: Root = self.authority.get_document(&generation).await?;
        mirrors::read_holdings(&mut mirrors, &self.catalog, base.generation()).await;
        for entry in &root.repositories {
            let before = base.entry(&entry.name);
            if before.is_some_and(|before| before.digest == entry.digest) {
                mirrors::rely_on_base(&mut mirrors);
                continue;
            }
            let inconsistent = |what| PublishError::Inconsistent {
                generation,
                bucket: self.authority.name().to_owned(),
                what,
            };
            let repository: Repository = self.authority.get_document(&entry.digest).await?;
            if repository.name != entry.name {
                let (is, should) = (&repository.name, &entry.name);
                return Err(inconsistent(format!("the document of `{should}` is that of `{is}`")));
            }
            let before: Option<Repository> = match before {
                Some(before) => Some(self.authority.get_document(&before.digest).await?),
                None => None,
            };
            for (digest, size) in repository.listed() {
                let was_listed = before.as_ref().is_some_and(|b| lists(b, &digest, size));
                if !was_listed && evidence.size(&self.authority, &digest) != Some(size) {
                    return Err(PublishError::Unconfirmed {
                        repository: repository.name.clone(),
                        digest,
                        size,
                        bucket: self.authority.name().to_owned(),
                    });
                }
                mirrors::note(&mut mirrors, &evidence, &digest, size, was_listed);
            }
        }
        Ok(Checked { base, generation, mirrors })
    }

    /// Step five, first half: the pointer that makes the generation the one in force.
    pub fn draft(&self, checked: Checked, act: Act<'_>) -> Result<Unsigned, PublishError> {
        let Checked { base, generation, mirrors } = checked;
        let bucket = || self.authority.name().to_owned();
        let sequence = base.next.ok_or_else(|| PublishError::NoSequence { bucket: bucket() })?;
        // What is in force already sends nobody elsewhere.
        let is_renewal = base.generation == Some(generation);
        let gaps = if is_renewal { Vec::new() } else { self.require.unmet(&mirrors) };
        let reason = match act.despite_gaps {
            None if !gaps.is_empty() => return Err(PublishError::Gaps { gaps }),
            Some(why) if !gaps.is_empty() => format!("{}; despite gaps: {why}", act.reason),
            None | Some(_) => act.reason.to_owned(),
        };
        let pointer = Pointer {
            catalog: self.catalog.clone(),
            expires: act.expires,
            generation,
            issued: act.now,
            previous: base.pointer.as_ref().map(|pointer| *pointer.envelope()),
            reason,
            sequence,
        };
        Ok(Unsigned { pointer, mirrors })
    }

    /// Step five, second half: creates the pointer in its signed envelope, if nobody was faster.
    ///
    /// Mirrors say that they hold the generation before it is in force, so that no download has to
    /// wait for their word; they get their copies of the pointer after it.
    pub async fn publish(
        &self,
        unsigned: Unsigned,
        envelope: &[u8],
    ) -> Result<Published, PublishError> {
        let Unsigned { pointer, mut mirrors } = unsigned;
        let (sequence, generation) = (pointer.sequence, pointer.generation);
        let signed = self.keys.verify(envelope).map_err(PublishError::NotBelieved)?;
        if *signed.content() != pointer {
            return Err(PublishError::OtherPointer);
        }
        self.authority.probe_create().await?;
        mirrors::put_holdings(&mut mirrors, &self.catalog, generation).await;
        match self.authority.create_pointer(sequence, envelope).await {
            Err(StoreError::Taken(_)) => return Err(PublishError::Conflict { sequence }),
            created => created?,
        }
        mirrors::put_pointer(&mut mirrors, &self.catalog, &pointer, envelope).await;
        Ok(Published { pointer: signed, mirrors: mirrors::states(&mirrors) })
    }
}

fn lists(repository: &Repository, digest: &Digest, size: u64) -> bool {
    let objects = &repository.objects;
    let object = objects.binary_search_by_key(digest, |entry| entry.digest);
    repository.manifest(digest).is_some_and(|entry| entry.size == size)
        || object.is_ok_and(|at| objects.get(at).is_some_and(|entry| entry.size == size))
}
