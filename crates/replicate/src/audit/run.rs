//! All copies at once, each at its own pace, within one budget.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::future::{join, join_all};
use landbridge_core::topology::CopyId;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::check::Way;
use super::copy::{CopyResult, Run, ask_all};
use super::gather::{CopyWorld, World};
use super::marks::mark;
use super::plan::AuditPlan;
use super::{Audit, Effect};
use crate::progress::{Listener, Stop};

/// What was found and waits to be written into a holding.
const WAITING_MARKS: usize = 1_024;

/// What is left of a budget. Once it refused, it refuses everybody: nothing is looked at out of
/// order.
pub(super) struct Meter<'a> {
    stop: &'a Stop,
    bytes_left: AtomicU64,
    until: Option<Instant>,
    is_over: AtomicBool,
}

impl<'a> Meter<'a> {
    fn new(audit: &Audit<'a>, began: Instant) -> Self {
        Self {
            stop: audit.stop,
            bytes_left: AtomicU64::new(audit.budget.bytes.unwrap_or(u64::MAX)),
            until: audit.budget.time.map(|time| began + time),
            is_over: AtomicBool::new(false),
        }
    }

    /// Whether this many bytes more may be read.
    pub(super) fn take(&self, bytes: u64) -> bool {
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        if is_late || self.stop.is_asked() || self.is_over.load(Ordering::Relaxed) {
            return false;
        }
        let rest = |left: u64| left.checked_sub(bytes);
        let taken = self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest);
        if taken.is_err() {
            self.is_over.store(true, Ordering::Relaxed);
        }
        taken.is_ok()
    }
}

/// How a copy is asked.
pub(super) fn way(audit: &Audit<'_>, copy: &CopyWorld) -> Way {
    match audit.faces.get(copy.id.index()) {
        Some(Some(face)) => Way::Face(face.clone()),
        _ => Way::Bucket(copy.bucket.clone()),
    }
}

/// Asks every copy. The results are in the order of the copies.
pub(super) async fn run(
    audit: &Audit<'_>,
    world: &World,
    plan: &AuditPlan<'_>,
    began: Instant,
    listener: Listener<'_>,
) -> Vec<CopyResult> {
    let meter = Meter::new(audit, began);
    let Audit { depth, at_once, .. } = *audit;
    let run = Run { depth, at_once, plan, meter: &meter, listener };
    let asked = world.copies.iter().map(|copy| {
        Box::pin(async move {
            let way = way(audit, copy);
            let ask = |marks| ask_all(copy, &way, run, marks);
            if !is_marked(audit.effect, copy.id) {
                return ask(None).await;
            }
            let (sender, receiver) = mpsc::channel(WAITING_MARKS);
            let catalog = &audit.publication.catalog;
            let (mut result, marked) =
                join(ask(Some(sender)), mark(&copy.bucket, catalog, receiver)).await;
            result.marked = marked;
            result
        })
    });
    join_all(asked.collect::<Vec<_>>()).await
}

/// The authority has no holding.
fn is_marked(effect: Effect, copy: CopyId) -> bool {
    match effect {
        Effect::Report => false,
        Effect::Mark | Effect::Repair => copy.index() > 0,
    }
}
