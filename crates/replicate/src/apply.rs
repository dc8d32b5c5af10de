//! Carrying out a plan: objects first, every one confirmed, then names.
//!
//! Resumable: an object that a copy has is not sent to it again, so a second run repeats what was
//! under way when the first one was stopped and no more. It is carried out twice: the second time
//! for mirrors that fell behind the first time, from copies that have what they lack.
//!
//! A copy may be an origin's bucket, from which a collection takes what nothing refers to: until the
//! generation is there, an old object is such a thing. So it is leased before it is confirmed. What
//! is written now is too young to go.
//!
//! Invariant: what is in memory has a bound, whatever the number and size of objects and copies.

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_store::{Bucket, Confirmed, Evidence, Object, StoreError, Verify};
use tokio::sync::Semaphore;

use crate::copies::Copies;
use crate::error::ImportError;
use crate::fan_out::copy_object;
use crate::lease::Leased;
use crate::patience::{Pace, Patience, Waits};
use crate::plan::{Plan, PlannedObject};
use crate::progress::{CopyWork, Listener, Progress, Stop};
use crate::report::Tally;
use crate::supply::{Supply, Unread};

/// What objects in flight may take of memory together.
const MEMORY_BYTES: u64 = 64 << 20;
/// What even the smallest takes: its requests.
const LEAST_BYTES: u64 = 64 << 10;

/// What a run works with.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) copies: &'a Copies<'a>,
    pub(crate) verify: Verify,
    pub(crate) pace: Pace,
    pub(crate) patience: &'a Patience,
    pub(crate) listener: Listener<'a>,
    pub(crate) stop: &'a Stop,
}

/// What a run has learned so far.
#[derive(Default)]
pub(crate) struct Learned {
    pub(crate) tally: Tally,
    pub(crate) evidence: Evidence,
}

/// How mirrors are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Nobody waits for one that has trouble.
    First,
    /// They are all that is left to do.
    CatchingUp,
}

/// Puts every object of the plan into every copy that works, and adds what was confirmed to the
/// evidence. Asked to stop, it begins no more objects, and fails with [`ImportError::Stopped`] once
/// those that are in flight are in place.
pub(crate) async fn apply_objects(
    plan: &Plan,
    supply: &Supply<'_>,
    run: Run<'_>,
    learned: &mut Learned,
) -> Result<(), ImportError> {
    let leased = Leased::default();
    for round in [Round::First, Round::CatchingUp] {
        let objects = open_objects(plan, run.copies, &learned.evidence);
        if round == Round::CatchingUp && objects.is_empty() {
            break;
        }
        let work = Work { supply, run, leased: &leased, round };
        work.bring(objects, learned).await?;
        if round == Round::First {
            run.copies.give_another_chance();
        }
    }
    Ok(())
}

/// What is to be done for copies that work. What was confirmed needs no second look.
fn open_objects(plan: &Plan, copies: &Copies<'_>, evidence: &Evidence) -> Vec<PlannedObject> {
    let working = copies.working(CopySet::ALL);
    let open = |object: &PlannedObject| {
        let has = |bucket| evidence.size(bucket, &object.digest) == Some(object.size);
        let open = working.iter().filter(|(_, bucket)| !has(bucket));
        let open = open.fold(CopySet::EMPTY, |open, (id, _)| open.with(*id));
        let (lacking, unconfirmed) = (object.lacking.and(open), object.unconfirmed.and(open));
        let is_open = !lacking.or(unconfirmed).is_empty();
        let placed = working.iter().filter(|(_, bucket)| has(bucket));
        let held = placed.fold(object.held, |held, (id, _)| held.with(*id));
        is_open.then(|| PlannedObject { lacking, unconfirmed, held, ..object.clone() })
    };
    plan.objects.iter().filter_map(open).collect()
}

/// An object that is in all copies that work.
struct Applied {
    size: u64,
    /// In the source.
    was_read: bool,
    written: u64,
    checked: u64,
    confirmed: Vec<Confirmed>,
    /// What copies turned out not to have.
    warnings: Vec<String>,
}

#[derive(Clone, Copy)]
struct Work<'a> {
    supply: &'a Supply<'a>,
    run: Run<'a>,
    leased: &'a Leased,
    round: Round,
}

impl Work<'_> {
    async fn bring(
        &self,
        objects: Vec<PlannedObject>,
        learned: &mut Learned,
    ) -> Result<(), ImportError> {
        let Run { copies, pace, listener, stop, .. } = self.run;
        let Learned { tally, evidence } = learned;
        let is_read = |object: &&PlannedObject| !object.lacking.is_empty();
        listener(Progress::Planned {
            objects: objects.len() as u64,
            bytes: objects.iter().filter(is_read).map(|object| object.size).sum(),
            copies: copies.all().map(|(id, name, _)| work_of(id, name, &objects)).collect(),
        });
        let (mut placed, all) = (0, objects.len());
        let memory = Semaphore::new(kibibytes(MEMORY_BYTES) as usize);
        let mut done = stream::iter(objects)
            .take_while(|_| future::ready(!stop.is_asked()))
            .map(|object| Box::pin(self.object(object, &memory)))
            .buffer_unordered(pace.parallel.max(1));
        while let Some(object) = done.try_next().await? {
            tally.objects_read += u64::from(object.was_read);
            tally.bytes_read += if object.was_read { object.size } else { 0 };
            tally.bytes_written += object.size * object.written;
            tally.objects_checked += object.checked;
            tally.warnings.extend(object.warnings);
            evidence.extend(object.confirmed);
            placed += 1;
        }
        if placed < all {
            Err(ImportError::Stopped { when: format!("with {placed} of {all} objects in place") })
        } else {
            Ok(())
        }
    }

    async fn object(
        &self,
        object: PlannedObject,
        memory: &Semaphore,
    ) -> Result<Applied, ImportError> {
        let Run { copies, listener, .. } = self.run;
        let PlannedObject { digest, size, .. } = object;
        let needed = copies.working(object.lacking).into_iter();
        let needed = needed.map(|(_, bucket)| bucket.bytes_in_flight(&digest, size)).max();
        let needed = needed.unwrap_or_default().clamp(LEAST_BYTES, MEMORY_BYTES);
        // Never closed.
        let _memory = memory.acquire_many(kibibytes(needed)).await.ok();
        listener(Progress::Started { digest, size });
        let mut applied = Applied {
            size,
            was_read: false,
            written: 0,
            checked: 0,
            confirmed: Vec::new(),
            warnings: Vec::new(),
        };
        let wrong = self.confirm(&object, &mut applied).await?;
        let lacking = object.lacking.or(wrong);
        let held = object.held.minus(wrong);
        self.write(PlannedObject { lacking, held, ..object }, &mut applied).await?;
        listener(Progress::Finished { digest });
        Ok(applied)
    }

    /// Looks whether copies that have something of its size have the object. Gives those that have
    /// not.
    async fn confirm(
        &self,
        object: &PlannedObject,
        applied: &mut Applied,
    ) -> Result<CopySet, ImportError> {
        let PlannedObject { digest, size, .. } = object;
        let mut wrong = CopySet::EMPTY;
        for (id, copy) in self.run.copies.working(object.unconfirmed) {
            match self.confirm_in(id, copy, digest, *size).await {
                Ok(confirmed) => {
                    applied.checked += 1;
                    self.placed(id, confirmed, applied);
                }
                Err(StoreError::WrongBytes { .. } | StoreError::NotFound(_)) => {
                    wrong = wrong.with(id);
                }
                Err(error) => self.trouble(id, error)?,
            }
        }
        Ok(wrong)
    }

    async fn confirm_in(
        &self,
        id: CopyId,
        copy: &Bucket,
        digest: &Digest,
        size: u64,
    ) -> Result<Confirmed, StoreError> {
        self.leased.lease(id, copy, digest).await?;
        copy.verify(digest, size, self.run.verify).await
    }

    /// Writes the object into every copy that lacks it, again where that may help.
    async fn write(
        &self,
        mut object: PlannedObject,
        applied: &mut Applied,
    ) -> Result<(), ImportError> {
        let copies = self.run.copies;
        let mut waits = Waits::new();
        loop {
            let working = copies.working(object.lacking);
            if working.is_empty() {
                return Ok(());
            }
            let mut failed = Vec::new();
            match self.copy(&object, &working).await {
                Ok((from, puts)) => {
                    // What is kept in memory was read in the first round.
                    applied.was_read |= from.is_none() && self.round == Round::First;
                    for ((id, _), put) in working.into_iter().zip(puts) {
                        match put {
                            Ok(confirmed) => {
                                object.lacking = object.lacking.without(id);
                                applied.written += 1;
                                self.placed(id, confirmed, applied);
                            }
                            Err(error) => failed.push((Some(id), ImportError::from(error))),
                        }
                    }
                }
                Err(Unread { copy: Some(id), error }) => {
                    let others = object.held.without(id);
                    let has_others = !others.is_empty() || self.supply.is_elsewhere(&object.digest);
                    let is_wrong = matches!(
                        error,
                        ImportError::Store(StoreError::NotFound(_)) | ImportError::Corrupt { .. }
                    );
                    if has_others && (is_wrong || !authority().contains(id)) {
                        object.held = others;
                        // It cannot give what it was believed to have, and gets it too.
                        if is_wrong {
                            let why = chain(&error);
                            applied.warnings.push(format!("{why}; it is written again there"));
                            object.lacking = object.lacking.with(id);
                        }
                        continue;
                    }
                    failed.push((None, error));
                }
                Err(Unread { copy: None, error }) => failed.push((None, error)),
            }
            object.lacking = self.again(failed, object.lacking, &mut waits).await?;
        }
    }

    /// What is tried again after failures, once it is time to.
    async fn again(
        &self,
        failed: Vec<(Option<CopyId>, ImportError)>,
        mut lacking: CopySet,
        waits: &mut Waits,
    ) -> Result<CopySet, ImportError> {
        let mut has_waited = false;
        for (id, error) in failed {
            let mirror = id.filter(|id| !authority().contains(*id));
            let stood_still = matches!(&error, ImportError::Store(StoreError::Stalled { .. }));
            let is_worth_it = mirror.is_none() || (self.round == Round::CatchingUp && !stood_still);
            // One wait is for all of them.
            if is_worth_it && has_waited && error.may_pass() {
                continue;
            }
            if is_worth_it && self.run.patience.wait(waits, &error).await {
                has_waited = true;
                continue;
            }
            match (mirror, error) {
                (Some(id), ImportError::Store(error)) => {
                    lacking = lacking.without(id);
                    self.trouble(id, error)?;
                }
                (_, error) => return Err(error),
            }
        }
        Ok(lacking)
    }

    /// Reads the object once for all of `copies`, and says in which other copy, if it was one.
    async fn copy(
        &self,
        object: &PlannedObject,
        copies: &[(CopyId, &Bucket)],
    ) -> Result<(Option<CopyId>, Vec<Result<Confirmed, StoreError>>), Unread> {
        let PlannedObject { digest, size, media_type, held, .. } = object;
        let reading = self.supply.read(digest, *held).await?;
        let copy = reading.copy;
        let buckets: Vec<_> = copies.iter().map(|(_, bucket)| *bucket).collect();
        let object = Object { digest, size: *size, media_type };
        let Run { pace, listener, .. } = self.run;
        let copied = copy_object(reading, object, &buckets, pace.stall, listener).await;
        copied.map(|puts| (copy, puts)).map_err(|error| Unread { copy, error })
    }

    fn placed(&self, id: CopyId, confirmed: Confirmed, applied: &mut Applied) {
        self.run.copies.praise(id);
        (self.run.listener)(Progress::Placed { copy: id, size: confirmed.size() });
        applied.confirmed.push(confirmed);
    }

    fn trouble(&self, id: CopyId, error: StoreError) -> Result<(), StoreError> {
        match self.round {
            Round::First => self.run.copies.strike(id, error),
            Round::CatchingUp => self.run.copies.fail(id, error),
        }
    }
}

fn authority() -> CopySet {
    CopyId::new(0).map_or(CopySet::EMPTY, |authority| CopySet::EMPTY.with(authority))
}

fn kibibytes(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX)
}

fn work_of(id: CopyId, name: &str, objects: &[PlannedObject]) -> CopyWork {
    let is_open = |object: &&PlannedObject| object.lacking.or(object.unconfirmed).contains(id);
    let (objects, bytes) = (objects.iter().filter(is_open))
        .fold((0, 0), |(count, bytes), object| (count + 1, bytes + object.size));
    CopyWork { name: name.to_owned(), objects, bytes }
}
