//! What decides at which time, worked out once: between two moments at which a plan changes anything,
//! the same few steps decide, so a request only looks those up.

use jiff::Timestamp;

use super::{Action, Mode, Phase, Share, Step, Window};

/// A time in which nothing changes, up to the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interval {
    /// Its first second, since 1970.
    from: i64,
    /// The steps that decide, strongest first.
    pub(super) deciding: Box<[Deciding]>,
    /// The freezes, the later one first.
    pub(super) freezes: Box<[usize]>,
}

/// A step that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deciding {
    pub(super) step: usize,
    pub(super) action: Action,
    pub(super) mode: Mode,
    /// Whom of its scope it concerns; `None` if everyone.
    pub(super) share: Option<Share>,
}

/// The interval that has this moment; none before anything begins.
pub(super) fn at(intervals: &[Interval], moment: Timestamp) -> Option<&Interval> {
    let second = moment.as_second();
    let begun = intervals.partition_point(|interval| interval.from <= second);
    intervals.get(begun.checked_sub(1)?)
}

/// The intervals of `steps`, of which each begins when `begins` says; `by_strength` and `freezes` are
/// the orders in which they count.
pub(super) fn intervals(
    steps: &[Step],
    begins: &[Option<Timestamp>],
    by_strength: &[usize],
    freezes: &[usize],
) -> Vec<Interval> {
    let mut moments: Vec<i64> = (steps.iter().zip(begins))
        .flat_map(|(step, begins)| {
            let own = [*begins, step.end, step.aborted].into_iter().flatten();
            let shares = step.shares.iter().map(|point| point.from);
            let windows = step.brownout.iter().flat_map(|brownout| &brownout.windows);
            own.chain(shares).chain(windows.flat_map(|window| [window.start, window.end]))
        })
        .map(whole)
        .collect();
    moments.sort_unstable();
    moments.dedup();
    let interval = |from: i64| {
        let is_under_way = |&&at: &&usize| {
            let step = &steps[at];
            begins[at].is_some_and(|begins| whole(begins) <= from)
                && step.end.is_none_or(|end| from < whole(end))
                && step.aborted.is_none_or(|aborted| from < whole(aborted))
        };
        let deciding = by_strength.iter().filter(is_under_way);
        Interval {
            from,
            deciding: deciding.filter_map(|&at| deciding_at(&steps[at], at, from)).collect(),
            freezes: freezes.iter().filter(is_under_way).copied().collect(),
        }
    };
    moments.into_iter().map(interval).collect()
}

fn deciding_at(step: &Step, at: usize, from: i64) -> Option<Deciding> {
    let moment = Timestamp::from_second(from).ok()?;
    let action = match step.phase {
        Phase::Announce | Phase::Dual | Phase::Freeze => return None,
        Phase::Redirect => Action::Redirect,
        Phase::Brownout => {
            let refusal = step.brownout.as_ref()?.refusal;
            let (window, Window { end: until, .. }) = step.window(moment)?;
            Action::Refuse { refusal, until, window }
        }
        Phase::Tombstone | Phase::Sunset => Action::Gone,
    };
    let share = (!step.shares.is_empty()).then(|| step.share(moment));
    Some(Deciding { step: at, action, mode: step.mode, share })
}

/// The first whole second that is not before a moment: plans are kept to the second.
fn whole(moment: Timestamp) -> i64 {
    moment.as_second() + i64::from(moment.subsec_nanosecond() > 0)
}
