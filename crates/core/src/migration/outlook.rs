//! What happens next: every moment at which a plan changes what becomes of requests.

use jiff::Timestamp;

use super::{Migration, Phase, Steps};

/// A moment at which something changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// Which step, by its place.
    pub step: usize,
    /// What.
    pub kind: ChangeKind,
}

/// What changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// The step begins.
    Begins,
    /// It concerns another share of clients.
    Share,
    /// A window of a brownout opens.
    WindowOpens,
    /// It closes.
    WindowCloses,
    /// The step ends.
    Ends,
    /// It is taken back.
    Aborted,
}

impl Migration {
    /// Every change after `moment` that the plan foresees, in order. What a front has `aborted`
    /// changes nothing more, nor does a step whose gate is shut.
    pub fn changes_after(&self, moment: Timestamp, aborted: Steps) -> Vec<Change> {
        let mut changes = Vec::new();
        for (place, step) in self.steps.iter().enumerate() {
            let Some(begins) = self.begins(place).filter(|_| !aborted.has(place)) else { continue };
            let ends = [step.end, step.aborted].into_iter().flatten().min();
            let mut add = |at: Timestamp, kind| {
                if at > moment && at >= begins && ends.is_none_or(|end| at <= end) {
                    changes.push(Change { at, step: place, kind });
                }
            };
            add(begins, ChangeKind::Begins);
            for point in step.shares.iter().filter(|point| point.from > begins) {
                add(point.from, ChangeKind::Share);
            }
            if step.phase == Phase::Brownout {
                for window in step.brownout.iter().flat_map(|it| &it.windows) {
                    add(window.start, ChangeKind::WindowOpens);
                    add(window.end, ChangeKind::WindowCloses);
                }
            }
            if let Some(end) = step.end {
                add(end, ChangeKind::Ends);
            }
            if let Some(at) = step.aborted {
                add(at, ChangeKind::Aborted);
            }
        }
        changes.sort_unstable();
        changes
    }
}
