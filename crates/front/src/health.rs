//! Which copies work: a breaker for each, and all of them as one set that is read without a lock.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use landbridge_core::breaker::{Breaker, BreakerSettings};
use landbridge_core::topology::{CopyId, CopySet};

/// The health of every copy.
#[derive(Debug)]
pub(crate) struct Health {
    breakers: Vec<Mutex<Breaker>>,
    /// Copies whose breaker is not closed: the hot path looks closer only if there is one.
    open: AtomicU32,
}

impl Health {
    /// `copies` copies, all believed to work.
    pub(crate) fn new(copies: usize, settings: BreakerSettings) -> Self {
        let breakers = (0..copies).map(|_| Mutex::new(Breaker::new(settings))).collect();
        Self { breakers, open: AtomicU32::new(0) }
    }

    /// The copies that may be asked at `now`: those that work, and those whose trial is due.
    pub(crate) fn working(&self, now: Instant) -> CopySet {
        let open = CopySet::from_bits(self.open.load(Ordering::Relaxed));
        let refused = open.iter().filter(|copy| !self.with(*copy, |breaker| breaker.allows(now)));
        CopySet::ALL.minus(refused.collect())
    }

    /// The copy answered as a working one does.
    pub(crate) fn succeed(&self, copy: CopyId) {
        let bit = CopySet::EMPTY.with(copy).bits();
        if self.open.load(Ordering::Relaxed) & bit != 0 {
            self.open.fetch_and(!bit, Ordering::Relaxed);
        }
        self.with(copy, Breaker::succeed);
    }

    /// The copy failed. Returns true if it is left alone from now on.
    pub(crate) fn fail(&self, copy: CopyId, now: Instant) -> bool {
        let opened = self.with(copy, |breaker| breaker.fail(now));
        if opened {
            self.open.fetch_or(CopySet::EMPTY.with(copy).bits(), Ordering::Relaxed);
        }
        opened
    }

    fn with<T>(&self, copy: CopyId, work: impl FnOnce(&mut Breaker) -> T) -> T {
        let breaker = &self.breakers[copy.index()];
        // A breaker is a few numbers: none of its states is half-written.
        work(&mut breaker.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}
