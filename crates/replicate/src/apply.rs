//! Carrying out a plan: objects first, every one confirmed, then names.
//!
//! Resumable: an object that a copy has is not sent to it again, so a second run repeats what was
//! under way when the first one was stopped and no more.
//!
//! A copy may be an origin's bucket, from which a collection takes what nothing refers to: until the
//! generation is there, an old object is such a thing. So it is leased before it is confirmed. What
//! is written now is too young to go.

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_store::{Confirmed, Evidence, StoreError};

use crate::copies::Copies;
use crate::error::ImportError;
use crate::fan_out::{Object, copy_object};
use crate::lease::Leased;
use crate::patience::patiently;
use crate::plan::{Plan, PlannedObject};
use crate::progress::{CopyWork, Listener, Progress, Stop};
use crate::report::Tally;
use crate::supply::Supply;

/// What a run works with.
#[derive(Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) copies: &'a Copies<'a>,
    /// How many objects at a time.
    pub(crate) parallel: usize,
    pub(crate) listener: Listener<'a>,
    pub(crate) stop: &'a Stop,
}

/// What a run has learned so far.
#[derive(Default)]
pub(crate) struct Learned {
    pub(crate) tally: Tally,
    pub(crate) evidence: Evidence,
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
    let Run { copies, parallel, listener, stop } = run;
    let Learned { tally, evidence } = learned;
    // What an earlier attempt confirmed needs no second look.
    let working = copies.working(CopySet::ALL);
    let is_open = |object: &&PlannedObject| {
        let open = object.lacking.or(object.unconfirmed);
        working.iter().any(|(id, bucket)| {
            open.contains(*id) && evidence.size(bucket, &object.digest) != Some(object.size)
        })
    };
    let objects: Vec<_> = plan.objects.iter().filter(is_open).cloned().collect();
    let is_read = |object: &&PlannedObject| !object.lacking.is_empty();
    listener(Progress::Planned {
        objects: objects.len() as u64,
        bytes: objects.iter().filter(is_read).map(|object| object.size).sum(),
        copies: copies.all().map(|(id, name, _)| work_of(id, name, &objects)).collect(),
    });
    let (mut placed, all) = (0, objects.len());
    let leased = Leased::default();
    let mut done = stream::iter(objects)
        .take_while(|_| future::ready(!stop.is_asked()))
        .map(|object| Box::pin(apply_object(object, supply, copies, &leased, listener)))
        .buffer_unordered(parallel.max(1));
    while let Some(object) = done.try_next().await? {
        tally.objects_read += u64::from(object.was_read);
        tally.bytes_read += if object.was_read { object.size } else { 0 };
        tally.bytes_written += object.size * object.written;
        tally.objects_checked += object.checked;
        evidence.extend(object.confirmed);
        placed += 1;
    }
    if placed < all {
        Err(ImportError::Stopped { when: format!("with {placed} of {all} objects in place") })
    } else {
        Ok(())
    }
}

fn work_of(id: CopyId, name: &str, objects: &[PlannedObject]) -> CopyWork {
    let is_open = |object: &&PlannedObject| object.lacking.or(object.unconfirmed).contains(id);
    let (objects, bytes) = (objects.iter().filter(is_open))
        .fold((0, 0), |(count, bytes), object| (count + 1, bytes + object.size));
    CopyWork { name: name.to_owned(), objects, bytes }
}

/// An object that is in all copies that work.
struct Applied {
    size: u64,
    was_read: bool,
    written: u64,
    checked: u64,
    confirmed: Vec<Confirmed>,
}

async fn apply_object(
    object: PlannedObject,
    supply: &Supply<'_>,
    copies: &Copies<'_>,
    leased: &Leased,
    listener: Listener<'_>,
) -> Result<Applied, ImportError> {
    let PlannedObject { digest, size, .. } = object;
    listener(Progress::Started { digest, size });
    let mut applied =
        Applied { size, was_read: false, written: 0, checked: 0, confirmed: Vec::new() };
    let mut lacking = object.lacking;
    for (id, copy) in copies.working(object.unconfirmed) {
        let confirmed = async {
            leased.lease(id, copy, &digest).await?;
            copy.confirm(&digest, size).await
        };
        match confirmed.await {
            Ok(confirmed) => {
                applied.checked += 1;
                listener(Progress::Placed { copy: id, size });
                applied.confirmed.push(confirmed);
            }
            Err(StoreError::WrongBytes { .. } | StoreError::NotFound(_)) => {
                lacking = lacking.with(id);
            }
            Err(error) => copies.fail(id, error)?,
        }
    }
    let (ids, buckets): (Vec<_>, Vec<_>) = copies.working(lacking).into_iter().unzip();
    if !buckets.is_empty() {
        let object = Object { digest: &digest, size, media_type: &object.media_type };
        applied.was_read = true;
        let copied = patiently(|| async {
            let chunks = supply.read(&digest, lacking).await?;
            copy_object(supply, chunks, object, &buckets, listener).await
        });
        for (id, put) in ids.into_iter().zip(copied.await?) {
            match put {
                Ok(confirmed) => {
                    applied.written += 1;
                    listener(Progress::Placed { copy: id, size });
                    applied.confirmed.push(confirmed);
                }
                Err(error) => copies.fail(id, error)?,
            }
        }
    }
    listener(Progress::Finished { digest });
    Ok(applied)
}
