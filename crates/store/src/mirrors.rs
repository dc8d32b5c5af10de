//! The mirrors' part in a release: documents, holdings and copies of the pointer.
//!
//! A mirror that fails is left out of the rest of the release and reported. What a mirror was not
//! confirmed to hold becomes a `lacks` of its holding, never a guess.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::generation::Document;
use landbridge_core::holding::Holding;
use landbridge_core::pointer::Pointer;

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::evidence::Evidence;
use crate::publish::Mirror;

/// A holding names this many of the latest generations.
const MOST_GENERATIONS: usize = 64;
/// So many mirrors keep the documents of generations beside the authority.
const MIRRORS_WITH_DOCUMENTS: usize = 2;
/// A mirror that lacks more than this does not hold a generation in any useful sense.
const MOST_LACKS: usize = 10_000;

/// How far a mirror came with a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MirrorState {
    /// It holds the whole generation.
    Complete,
    /// It holds the generation but for some objects, which its holding names.
    Lacks {
        /// How many.
        objects: usize,
        /// Their bytes, which it takes to catch it up.
        bytes: u64,
    },
    /// It failed in the middle or has not got the release before, for this reason. Clients are not
    /// sent there for what its holding does not name.
    Behind(String),
}

/// A mirror on its way through a release.
#[derive(Debug)]
pub(crate) struct MirrorWork {
    mirror: Mirror,
    /// Whether it keeps the documents of generations, for when the authority is out of reach.
    keeps_documents: bool,
    /// Why it is left out, if it is.
    failed: Option<String>,
    /// Whether it holds the base's generation.
    has_base: bool,
    /// Objects that it is not known to hold.
    missing: BTreeMap<Digest, u64>,
    /// Objects that it lacked before and holds now.
    found: BTreeSet<Digest>,
    lacked: BTreeSet<Digest>,
}

/// All mirrors at the beginning of a release.
pub(crate) fn begin(mirrors: &[Mirror]) -> Vec<MirrorWork> {
    let keepers = keepers_of_documents(mirrors);
    let begin = |(at, mirror)| MirrorWork::new(mirror, keepers.contains(&at));
    mirrors.iter().enumerate().map(begin).collect()
}

/// The mirrors that keep documents: the first ones, of different providers if there are such. They
/// are the same ones release after release, since what did not change is not written again.
fn keepers_of_documents(mirrors: &[Mirror]) -> Vec<usize> {
    let is_first = |at: usize| {
        let provider = mirrors.get(at).and_then(|mirror| mirror.provider.as_ref());
        provider.is_none_or(|_| mirrors.iter().take(at).all(|m| m.provider.as_ref() != provider))
    };
    let (mut kept, others): (Vec<_>, Vec<_>) = (0..mirrors.len()).partition(|at| is_first(*at));
    kept.extend(others);
    kept.truncate(MIRRORS_WITH_DOCUMENTS);
    kept
}

impl MirrorWork {
    fn new(mirror: &Mirror, keeps_documents: bool) -> Self {
        Self {
            mirror: mirror.clone(),
            keeps_documents,
            failed: None,
            has_base: false,
            missing: BTreeMap::new(),
            found: BTreeSet::new(),
            lacked: BTreeSet::new(),
        }
    }

    fn fail(&mut self, why: impl Into<String>) {
        self.failed.get_or_insert_with(|| why.into());
    }
}

fn working(mirrors: &mut [MirrorWork]) -> impl Iterator<Item = &mut MirrorWork> {
    mirrors.iter_mut().filter(|work| work.failed.is_none())
}

pub(crate) async fn put_document(mirrors: &mut [MirrorWork], document: &(impl Document + Sync)) {
    for work in working(mirrors).filter(|work| work.keeps_documents) {
        if let Err(error) = work.mirror.bucket.put_document(document).await {
            work.fail(chain(&error));
        }
    }
}

pub(crate) async fn read_holdings(
    mirrors: &mut [MirrorWork],
    catalog: &str,
    base: Option<&Digest>,
) {
    for work in working(mirrors) {
        match read_holding(&work.mirror.bucket, catalog).await {
            Ok(holding) => {
                work.has_base = base.is_some_and(|base| holding.generations.contains(base));
                work.lacked = holding.lacks.into_iter().collect();
            }
            Err(error) => work.fail(chain(&error)),
        }
    }
}

/// The release keeps a repository of the base as it is: only who holds the base holds it.
pub(crate) fn rely_on_base(mirrors: &mut [MirrorWork]) {
    for work in working(mirrors).filter(|work| !work.has_base) {
        work.fail("it does not hold the generation before this one");
    }
}

/// The release lists an object.
pub(crate) fn note(
    mirrors: &mut [MirrorWork],
    evidence: &Evidence,
    digest: &Digest,
    size: u64,
    was_listed: bool,
) {
    for work in working(mirrors) {
        let lacked = work.lacked.contains(digest);
        if evidence.size(&work.mirror.bucket, digest) == Some(size) {
            if lacked {
                work.found.insert(*digest);
            }
        } else if lacked || !was_listed || !work.has_base {
            work.missing.insert(*digest, size);
            if work.missing.len() > MOST_LACKS {
                work.fail(format!("it lacks more than {MOST_LACKS} objects"));
            }
        }
    }
}

/// Lets the mirrors say that they hold `generation`. Holdings are read again, since another
/// publisher may have changed them meanwhile.
pub(crate) async fn put_holdings(mirrors: &mut [MirrorWork], catalog: &str, generation: Digest) {
    for work in working(mirrors) {
        if let Err(error) = put_holding(work, catalog, generation, None).await {
            work.fail(chain(&error));
        }
    }
}

/// Gives every mirror its copy of the pointer, those too that fell behind: names do not depend on
/// what a mirror holds. Their holdings say where it is, and once more what they hold: a slower
/// publisher may have replaced them by what it knew before this release.
pub(crate) async fn put_pointer(
    mirrors: &mut [MirrorWork],
    catalog: &str,
    pointer: &Pointer,
    envelope: &[u8],
) {
    for work in mirrors {
        let sequence = pointer.sequence;
        let put = async {
            work.mirror.bucket.put_pointer_copy(sequence, envelope).await?;
            put_holding(work, catalog, pointer.generation, Some(sequence)).await
        };
        if let Err(error) = put.await {
            work.fail(chain(&error));
        }
    }
}

async fn put_holding(
    work: &MirrorWork,
    catalog: &str,
    generation: Digest,
    pointer: Option<u64>,
) -> Result<(), StoreError> {
    let bucket = &work.mirror.bucket;
    let before = read_holding(bucket, catalog).await?;
    let mut after = before.clone();
    if work.failed.is_none() {
        if !after.generations.contains(&generation) {
            after.generations.push(generation);
        }
        let too_many = after.generations.len().saturating_sub(MOST_GENERATIONS);
        after.generations.drain(..too_many);
        let lacks: BTreeSet<Digest> =
            after.lacks.into_iter().chain(work.missing.keys().copied()).collect();
        after.lacks = lacks.difference(&work.found).copied().collect();
    }
    // A mirror that says nothing of itself is not made to begin with this.
    if after != Holding::empty(catalog) {
        after.pointer = pointer.or(after.pointer);
    }
    if after == before { Ok(()) } else { bucket.put_holding(&after).await }
}

/// The mirror's holding; an empty one if it has none, or that of another catalog.
async fn read_holding(bucket: &Bucket, catalog: &str) -> Result<Holding, StoreError> {
    let found = bucket.get_holding().await?.filter(|holding| holding.catalog == catalog);
    Ok(found.unwrap_or_else(|| Holding::empty(catalog)))
}

/// How far each came, in the order of the mirrors.
pub(crate) fn states(mirrors: &[MirrorWork]) -> Vec<(String, MirrorState)> {
    mirrors.iter().map(|work| (work.mirror.name.clone(), work.state())).collect()
}

impl MirrorWork {
    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub(crate) fn state(&self) -> MirrorState {
        match (&self.failed, self.missing.len()) {
            (Some(why), _) => MirrorState::Behind(why.clone()),
            (None, 0) => MirrorState::Complete,
            (None, objects) => MirrorState::Lacks { objects, bytes: self.missing.values().sum() },
        }
    }
}

impl fmt::Display for MirrorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("has all of it"),
            Self::Lacks { objects, bytes } => write!(f, "lacks {objects} objects ({bytes} bytes)"),
            Self::Behind(why) => write!(f, "is behind: {why}"),
        }
    }
}
