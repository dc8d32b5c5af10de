//! Trying again what failed for a reason that passes, without making it worse.
//!
//! Only whole operations are repeated: inside of one there are no retries, but for single requests
//! to a store, which its door repeats within seconds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder, Retryable as _};
use tokio::time::Instant;

use crate::error::ImportError;

/// How often something is tried before its failure counts.
const MOST_RETRIES: usize = 5;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Nobody is waited for longer than this, whatever he says.
const MOST_PATIENCE: Duration = Duration::from_mins(5);

/// How fast, and how patiently, a run works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How many objects are copied at once, at most; large ones are fewer, since what is in memory
    /// has a bound of its own.
    pub parallel: usize,
    /// A copy that takes nothing for this long is left behind.
    pub stall: Duration,
    /// A run waits so long in all for what may pass.
    pub retries: Duration,
}

impl Pace {
    /// What is usual: 32 objects, half a minute, ten minutes.
    pub const USUAL: Self =
        Self { parallel: 32, stall: Duration::from_secs(30), retries: Duration::from_mins(10) };
}

/// Does something; if it fails for a reason that may pass, again after a while, which the other
/// side may name.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, ImportError>>>(
    operation: impl FnMut() -> F,
) -> Result<T, ImportError> {
    operation
        .retry(waits())
        .when(ImportError::may_pass)
        .adjust(|error, wait| wait.map(|wait| wait.max(asked(error))))
        .await
}

/// The waits of one operation.
pub(crate) struct Waits(ExponentialBackoff);

impl Waits {
    pub(crate) fn new() -> Self {
        Self(waits().build())
    }
}

/// What a run may wait in all: time in which anything waits counts once, however much does.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Mutex<Left>,
}

#[derive(Debug)]
struct Left {
    budget: Duration,
    until: Instant,
}

impl Left {
    /// Takes the time from `now` to `until`, but for what was taken before. False if there is less.
    fn take(&mut self, now: Instant, until: Instant) -> bool {
        let more = until.saturating_duration_since(self.until.max(now));
        let Some(budget) = self.budget.checked_sub(more) else { return false };
        *self = Self { budget, until: self.until.max(until) };
        true
    }
}

impl Patience {
    pub(crate) fn new(budget: Duration) -> Self {
        Self { left: Mutex::new(Left { budget, until: Instant::now() }) }
    }

    /// Waits before an operation is tried again. False at once if that is of no use, was done often
    /// enough, or would take more than the run has.
    pub(crate) async fn wait(&self, waits: &mut Waits, error: &ImportError) -> bool {
        if !error.may_pass() {
            return false;
        }
        let Some(wait) = waits.0.next() else { return false };
        let now = Instant::now();
        let until = now + wait.max(asked(error));
        if !self.left.lock().unwrap_or_else(PoisonError::into_inner).take(now, until) {
            return false;
        }
        tokio::time::sleep_until(until).await;
        true
    }
}

fn waits() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(MOST_RETRIES)
        .with_jitter()
}

/// How long the other side wants to be left alone.
fn asked(error: &ImportError) -> Duration {
    error.retry_after().unwrap_or_default().min(MOST_PATIENCE)
}

#[cfg(test)]
mod tests {
    use landbridge_store::{Place, StoreError};

    use super::*;

    #[test]
    fn waits_at_the_same_time_count_once_and_the_budget_ends() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut left = Left { budget: Duration::from_secs(10), until: start };
        for _ in 0..50 {
            assert!(left.take(at(0), at(4)));
        }
        assert!(left.take(at(2), at(6)));
        assert!(!left.take(at(8), at(13)), "four are left");
        assert!(left.take(at(8), at(12)));
        assert!(left.take(at(9), at(12)));
        assert!(!left.take(at(9), at(13)));
    }

    #[tokio::test]
    async fn what_cannot_pass_is_not_waited_for() {
        let patience = Patience::new(Duration::from_hours(1));
        let never = ImportError::AlwaysOvertaken { attempts: 1 };
        assert!(!patience.wait(&mut Waits::new(), &never).await);
        let place = Place { bucket: "it".to_owned(), key: "key".to_owned() };
        let busy = ImportError::from(StoreError::Unavailable { place, source: "busy".into() });
        assert!(patience.wait(&mut Waits::new(), &busy).await);
        assert!(!Patience::new(Duration::ZERO).wait(&mut Waits::new(), &busy).await);
    }
}
