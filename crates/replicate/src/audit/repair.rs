//! Copying again what an audit found missing or bad.
//!
//! The authority or another copy gives the bytes, which every destination hashes: a source that is
//! bad too is noticed and the next one asked. Bad bytes in a mirror are deleted first, since fronts
//! do not send clients there any more; in the authority, which everybody falls back to, they are
//! only ever overwritten by right ones. A holding is put right after the copy was found good from
//! outside, as clients reach it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_store::{Bucket, Confirmed, Evidence};

use super::Audit;
use super::copy::CopyResult;
use super::finding::FindingKind;
use super::gather::{CopyWorld, Object, World};
use super::pace::Pace;
use super::run::way;
use crate::error::ImportError;
use crate::fan_out::copy_object;
use crate::holdings::mend_holding;
use crate::plan::Plan;
use crate::progress::{Listener, Progress};
use crate::supply::Supply;

/// Objects that are copied or confirmed at once.
const AT_ONCE: usize = 4;
/// Failures that are told of one copy; they are all counted as findings.
const MOST_NOTES: usize = 20;

/// An object, and the copies in which it is broken.
struct Broken<'a> {
    object: &'a Object,
    copies: Vec<(usize, FindingKind)>,
}

/// What came of an object in one copy.
type Healed = (usize, Result<Confirmed, String>);

/// Copies again what is broken, and lets mirrors say what they hold now.
pub(super) async fn repair(
    audit: &Audit<'_>,
    world: &World,
    results: &mut [CopyResult],
    listener: Listener<'_>,
) {
    let mut evidence = vec![Evidence::default(); results.len()];
    let broken = broken(world, results);
    if audit.stop.is_asked() {
        return;
    }
    listener(Progress::Planned {
        objects: broken.len() as u64,
        bytes: broken.iter().map(|broken| broken.object.size).sum(),
        copies: Vec::new(),
    });
    let healing = broken.iter().take_while(|_| !audit.stop.is_asked()).map(|broken| {
        let digest = broken.object.digest;
        Box::pin(async move { (digest, heal(audit, world, broken, listener).await) })
    });
    let mut healed = stream::iter(healing).buffer_unordered(AT_ONCE);
    while let Some((digest, copies)) = healed.next().await {
        listener(Progress::Finished { digest });
        for (copy, outcome) in copies {
            match outcome {
                Ok(confirmed) => {
                    evidence[copy].add(&confirmed);
                    results[copy].heal(&digest);
                }
                Err(why) => results[copy].note(format!("{digest} is still bad: {why}")),
            }
        }
    }
    drop(healed);
    for (copy, mut evidence) in world.copies.iter().zip(evidence).skip(1) {
        let result = &mut results[copy.id.index()];
        if result.failed.is_none() {
            let mended = mend(audit, world, copy, result, &mut evidence).await;
            mended.unwrap_or_else(|error| result.note(format!("its holding: {}", chain(&error))));
        }
    }
}

fn broken<'a>(world: &'a World, results: &[CopyResult]) -> Vec<Broken<'a>> {
    let mut all: BTreeMap<Digest, Vec<(usize, FindingKind)>> = BTreeMap::new();
    for (copy, result) in results.iter().enumerate().filter(|(_, it)| it.failed.is_none()) {
        for (digest, kind) in &result.broken {
            all.entry(*digest).or_default().push((copy, *kind));
        }
    }
    let object = |digest: &Digest| {
        let at = world.objects.binary_search_by_key(digest, |object| object.digest).ok()?;
        world.objects.get(at)
    };
    let broken = all.into_iter();
    broken
        .filter_map(|(digest, copies)| Some(Broken { object: object(&digest)?, copies }))
        .collect()
}

async fn heal(
    audit: &Audit<'_>,
    world: &World,
    broken: &Broken<'_>,
    listener: Listener<'_>,
) -> Vec<Healed> {
    let object = broken.object;
    let is_broken = |copy: &&CopyWorld| broken.copies.iter().any(|(at, _)| *at == copy.id.index());
    let sources = world.copies.iter().filter(|it| !is_broken(it) && it.failed.is_none());
    let mut open: Vec<usize> = Vec::new();
    let mut healed = Vec::new();
    for (copy, kind) in &broken.copies {
        let in_the_way = *copy > 0 && kind.is_unusable() && *kind != FindingKind::Absent;
        if in_the_way
            && let Err(error) = world.copies[*copy].bucket.delete_object(&object.digest).await
        {
            healed.push((*copy, Err(chain(&error))));
            continue;
        }
        open.push(*copy);
    }
    let mut why = "no other copy has it".to_owned();
    for source in sources {
        let buckets: Vec<&Bucket> = open.iter().map(|copy| &world.copies[*copy].bucket).collect();
        match copy(&source.bucket, object, &buckets, listener).await {
            Ok(put) => {
                for (copy, put) in open.iter().copied().zip(put) {
                    let put = match put {
                        Ok(confirmed) => look_again(audit, world, copy, object, confirmed).await,
                        Err(error) => Err(chain(&error)),
                    };
                    healed.push((copy, put));
                }
                return healed;
            }
            Err(error) => why = chain(&error),
        }
    }
    healed.extend(open.into_iter().map(|copy| (copy, Err(why.clone()))));
    healed
}

async fn copy(
    source: &Bucket,
    object: &Object,
    buckets: &[&Bucket],
    listener: Listener<'_>,
) -> Result<Vec<Result<Confirmed, landbridge_store::StoreError>>, ImportError> {
    let Object { digest, size, media_type } = object;
    let supply = Supply::Copy(source);
    let reading = supply.read(digest, landbridge_core::topology::CopySet::EMPTY).await;
    let reading = reading.map_err(|unread| unread.error)?;
    let object = landbridge_store::Object { digest, size: *size, media_type };
    let stall = crate::patience::Pace::USUAL.stall;
    copy_object(reading, object, buckets, stall, listener).await
}

/// What was written counts once clients get it.
async fn look_again(
    audit: &Audit<'_>,
    world: &World,
    copy: usize,
    object: &Object,
    confirmed: Confirmed,
) -> Result<Confirmed, String> {
    let found = Pace::default().ask(&way(audit, &world.copies[copy]), object, audit.depth).await;
    let counts = |kind: &FindingKind| kind.is_unusable() || *kind == FindingKind::Failing;
    match found.into_iter().find(|(kind, _)| counts(kind)) {
        Some((_, what)) => Err(format!("it was written and is right in the bucket, but {what}")),
        None => Ok(confirmed),
    }
}

/// Lets a mirror say what it has now. One that did not say that it holds the generation says so
/// once every object of it was confirmed there, or is named as lacking.
async fn mend(
    audit: &Audit<'_>,
    world: &World,
    copy: &CopyWorld,
    result: &mut CopyResult,
    evidence: &mut Evidence,
) -> Result<(), landbridge_store::StoreError> {
    let Some(mirror) = audit.publication.mirrors.get(copy.id.index() - 1) else { return Ok(()) };
    let is_behind = !copy.names_generation || result.marked.is_disowned;
    if is_behind {
        let rest = world.objects.iter().filter(|it| !result.broken.contains_key(&it.digest));
        let rest: Vec<_> =
            rest.map(|it| Box::pin(copy.bucket.confirm(&it.digest, it.size))).collect();
        let mut confirmed = stream::iter(rest).buffer_unordered(AT_ONCE);
        while let Some(confirmed) = confirmed.next().await {
            match confirmed {
                Ok(confirmed) => evidence.add(&confirmed),
                // Its holding will name it as lacking.
                Err(error) => result.note(chain(&error)),
            }
        }
    } else if result.repaired == 0 {
        return Ok(());
    }
    let catalog = &audit.publication.catalog;
    if let Some(sentence) = mend_holding(mirror, catalog, &whole(world), evidence).await? {
        result.note(sentence);
    } else {
        result.heal_behind();
    }
    Ok(())
}

/// The generation in force, as a plan that changes nothing.
fn whole(world: &World) -> Plan {
    Plan {
        tags: Vec::new(),
        repositories: world.current.repositories.values().cloned().collect(),
        root: world.current.root.clone(),
        generation: world.generation,
        replaces: Some(world.generation),
        objects: Vec::new(),
        copies: Vec::new(),
        skipped: Vec::new(),
        kept: Vec::new(),
        warnings: Vec::new(),
        known: BTreeSet::new(),
        costs: None,
    }
}

impl CopyResult {
    fn heal(&mut self, digest: &Digest) {
        self.repaired += 1;
        for finding in self.findings.iter_mut().filter(|it| it.digest.as_ref() == Some(digest)) {
            finding.repaired |=
                finding.kind.is_unusable() || finding.kind == FindingKind::Unclaimed;
        }
    }

    fn heal_behind(&mut self) {
        for finding in self.findings.iter_mut().filter(|it| it.kind == FindingKind::Behind) {
            finding.repaired = true;
        }
    }

    fn note(&mut self, what: String) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(what);
        }
    }
}
