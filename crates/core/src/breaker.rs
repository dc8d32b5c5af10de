//! A circuit breaker: no client waits on a dead store twice.
//!
//! Closed until a number of failures in a row, then open for a while that doubles up to a limit,
//! then half open: one trial decides. It takes the moment as an argument.

use std::time::{Duration, Instant};

/// When a breaker opens and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open the first time.
    pub open_first: Duration,
    /// The longest that it stays open.
    pub open_most: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self { failures: 3, open_first: Duration::from_secs(5), open_most: Duration::from_mins(1) }
    }
}

/// The state of one copy's breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    settings: BreakerSettings,
    failures: u32,
    /// Set while open.
    open_until: Option<Instant>,
    /// How long it will be open the next time.
    open_next: Duration,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, failures: 0, open_until: None, open_next: settings.open_first }
    }

    /// True if a request may be sent at `now`: it is closed, or a trial is due.
    pub fn allows(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| now >= until)
    }

    /// While it is open, and until a trial decides: when that trial is due.
    pub fn trial_due(&self) -> Option<Instant> {
        self.open_until
    }

    /// The store answered as a working one does; absence counts as working.
    pub fn succeed(&mut self) {
        *self = Self::new(self.settings);
    }

    /// The store failed at `now`. Returns true if this opened the breaker.
    pub fn fail(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let was_open = self.open_until.is_some_and(|until| now < until);
        if was_open || self.failures < self.settings.failures {
            return false;
        }
        self.open_until = Some(now + self.open_next);
        self.open_next = (self.open_next * 2).min(self.settings.open_most);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_waits_longer_each_time_and_one_success_closes_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut breaker = Breaker::new(BreakerSettings::default());
        assert!(!breaker.fail(at(0)));
        breaker.succeed();
        assert!(!breaker.fail(at(0)) && !breaker.fail(at(0)));
        assert!(breaker.allows(at(0)));
        assert!(breaker.fail(at(0)), "third failure in a row");
        assert_eq!(breaker.trial_due(), Some(at(5)));
        assert!(!breaker.allows(at(4)));
        assert!(breaker.allows(at(5)), "a trial is due");
        assert!(breaker.fail(at(5)), "the trial failed");
        assert!(!breaker.allows(at(14)), "ten seconds now");
        assert!(breaker.allows(at(15)));
        breaker.succeed();
        assert_eq!(breaker, Breaker::new(BreakerSettings::default()));
    }
}
