//! Which copies work: a breaker for each, and all of them as one set that is read without a lock.
//!
//! Whoever reads a copy reports how it went; routing reads one set of bits for each request. Only
//! a report takes a lock, and only the copy's own. Invariant: a copy that is not in `closed` has
//! its due time in `due`, so that it comes back by itself when a trial is due.

mod probed;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use landbridge_core::breaker::{Breaker, BreakerSettings};
use landbridge_core::route::StickyKey;
use landbridge_core::topology::{CopyId, CopySet, MAX_COPIES};

pub(crate) use self::probed::{Change, CopyState, CopyStatus, LastProbe, Probed, SHARE_SALT};

use crate::settings::Mode;

/// The health of all copies of one configuration.
#[derive(Debug)]
pub(crate) struct Health {
    settings: BreakerSettings,
    /// What the moments in `due` are counted from.
    start: Instant,
    copies: Box<[Copy]>,
    /// Copies whose breaker is closed, as bits.
    closed: AtomicU32,
    /// What probes and operators say.
    probed: Probed,
}

#[derive(Debug)]
struct Copy {
    state: Mutex<State>,
    /// While the breaker is open: nanoseconds from the start until a trial is due.
    due: AtomicU64,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    /// While somebody tries the copy out: until when the others leave it alone.
    trial_until: Option<Instant>,
}

impl Health {
    /// `copies` copies that all work as far as readers know; at most [`MAX_COPIES`] are kept.
    pub(crate) fn new(copies: usize, settings: BreakerSettings, probed: Probed) -> Self {
        let copy = || Copy {
            state: Mutex::new(State { breaker: Breaker::new(settings), trial_until: None }),
            due: AtomicU64::new(0),
        };
        Self {
            settings,
            start: Instant::now(),
            copies: (0..copies.min(MAX_COPIES)).map(|_| copy()).collect(),
            closed: AtomicU32::new(CopySet::ALL.bits()),
            probed,
        }
    }

    /// The copies to which a client may be sent: those that work, as far as probes and operators
    /// let it. Takes no lock.
    pub(crate) fn usable(
        &self,
        now: impl FnOnce() -> Instant,
        key: impl FnOnce() -> StickyKey,
    ) -> CopySet {
        self.probed.usable(self.working(now), key)
    }

    /// What probes and operators say.
    pub(crate) fn probed(&self) -> &Probed {
        &self.probed
    }

    /// Notes how a probe went. Returns what is new.
    pub(crate) fn note(&self, copy: CopyId, probe: LastProbe, now: Instant) -> Option<Change> {
        self.probed.note(copy, probe, now)
    }

    /// Whether what probes find moves clients.
    pub(crate) fn mode(&self) -> Mode {
        self.probed.mode()
    }

    /// The copies that work or are due for a trial. Takes no lock.
    pub(crate) fn working(&self, now: impl FnOnce() -> Instant) -> CopySet {
        let closed = CopySet::from_bits(self.closed.load(Ordering::Acquire));
        if closed == CopySet::ALL {
            return closed;
        }
        let now = self.since_start(now());
        let is_due = |copy: &CopyId| {
            self.copies.get(copy.index()).is_none_or(|c| c.due.load(Ordering::Acquire) <= now)
        };
        CopySet::ALL.minus(closed).iter().filter(is_due).fold(closed, CopySet::with)
    }

    /// True if a request that somebody waits for may be sent to `copy` at `now`.
    ///
    /// Of those who ask while a trial is due only the first may; the others would wait on a store
    /// that is probably dead. They may again when the trial went well, or is long overdue.
    pub(crate) fn allows(&self, copy: CopyId, now: Instant) -> bool {
        let Some(mut state) = self.state(copy) else { return true };
        if state.breaker.trial_due().is_none() {
            return true;
        }
        if !state.breaker.allows(now) || state.trial_until.is_some_and(|until| now < until) {
            return false;
        }
        state.trial_until = Some(now + self.settings.open_first);
        true
    }

    /// `copy` answered as a working one does; absence counts as working.
    pub(crate) fn succeed(&self, copy: CopyId) {
        let is_closed = CopySet::from_bits(self.closed.load(Ordering::Acquire)).contains(copy);
        let Some(mut state) = self.state(copy) else { return };
        self.probed.witness(copy, true);
        state.breaker.succeed();
        state.trial_until = None;
        if !is_closed {
            self.closed.fetch_or(CopySet::EMPTY.with(copy).bits(), Ordering::AcqRel);
        }
    }

    /// `copy` failed at `now`. Returns true if it is left alone from now on, so that each outage
    /// is told once for each time that it is found to last.
    pub(crate) fn fail(&self, copy: CopyId, now: Instant) -> bool {
        let Some(mut state) = self.state(copy) else { return false };
        self.probed.witness(copy, false);
        let opened = state.breaker.fail(now);
        if opened && let Some(due) = state.breaker.trial_due() {
            state.trial_until = None;
            self.copies[copy.index()].due.store(self.since_start(due), Ordering::Release);
            self.closed.fetch_and(!CopySet::EMPTY.with(copy).bits(), Ordering::AcqRel);
        }
        opened
    }

    fn state(&self, copy: CopyId) -> Option<MutexGuard<'_, State>> {
        let state = &self.copies.get(copy.index())?.state;
        Some(state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn since_start(&self, moment: Instant) -> u64 {
        let nanoseconds = moment.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanoseconds).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn copy(index: usize) -> CopyId {
        CopyId::new(index).unwrap()
    }

    #[test]
    fn a_copy_that_fails_is_left_alone_until_a_trial_is_due() {
        let health = Health::new(3, BreakerSettings::default(), Probed::none());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!health.fail(copy(1), start) && !health.fail(copy(1), start));
        assert_eq!(health.working(|| start), CopySet::ALL);
        assert!(health.fail(copy(1), start), "the third time opens it");
        assert_eq!(health.working(|| at(4)), CopySet::ALL.without(copy(1)));
        assert!(!health.allows(copy(1), at(4)));
        assert!(health.allows(copy(0), at(4)) && health.allows(copy(2), at(4)));
        assert_eq!(health.working(|| at(5)), CopySet::ALL, "a trial is due");
        health.succeed(copy(1));
        assert_eq!(health.working(|| at(4)), CopySet::ALL);
        assert!(health.allows(copy(1), at(4)));
    }

    #[test]
    fn only_one_waits_for_a_trial() {
        let health =
            Health::new(1, BreakerSettings { failures: 1, ..Default::default() }, Probed::none());
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(health.fail(copy(0), start));
        assert!(health.allows(copy(0), at(5)));
        assert!(!health.allows(copy(0), at(5)), "somebody is trying");
        assert!(health.allows(copy(0), at(10)), "who never came back with an answer");
        assert!(health.fail(copy(0), at(11)));
        assert!(!health.allows(copy(0), at(20)), "ten seconds the second time");
        assert_eq!(health.working(|| at(20)), CopySet::ALL.without(copy(0)));
        assert!(health.allows(copy(0), at(21)));
        health.succeed(copy(0));
        assert!(health.allows(copy(0), at(21)) && health.allows(copy(0), at(21)));
    }

    #[test]
    fn a_copy_that_nobody_knows_works() {
        let health = Health::new(0, BreakerSettings::default(), Probed::none());
        assert!(!health.fail(copy(31), Instant::now()));
        assert!(health.allows(copy(31), Instant::now()));
        assert_eq!(health.working(Instant::now), CopySet::ALL);
    }
}
