//! How fast a copy may be asked: it says so itself, by 429 and 503.
//!
//! Who wants to be left alone is left alone by all questions at once, not only by the one that was
//! told so.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use tokio::time::Instant;

use super::Depth;
use super::check::{Found, Trouble, Way, check};
use super::gather::Object;

/// How often a question is asked before its failure counts.
const MOST_TRIES: usize = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Nobody is waited for longer than this at a time, whatever he says.
const MOST_PATIENCE: Duration = Duration::from_mins(5);
/// So many questions in a row without an answer, and the copy is not asked any more.
const MOST_FAILURES: u32 = 8;

/// One copy's pace, and whether it answers at all.
#[derive(Default)]
pub(super) struct Pace {
    until: Mutex<Option<Instant>>,
    failures: AtomicU32,
}

impl Pace {
    /// Whether it is of no use to ask on.
    pub(super) fn is_given_up(&self) -> bool {
        self.failures.load(Ordering::Relaxed) >= MOST_FAILURES
    }

    /// Asks, and asks again after a while if there is no answer.
    pub(super) async fn ask(&self, way: &Way, object: &Object, depth: Depth) -> Found {
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(MOST_TRIES - 1)
            .with_jitter()
            .build();
        loop {
            self.wait().await;
            let Trouble { kind, what, retry_after } = match check(way, object, depth).await {
                Ok(found) => {
                    self.failures.store(0, Ordering::Relaxed);
                    return found;
                }
                Err(trouble) => trouble,
            };
            match waits.next() {
                Some(_) if self.is_given_up() => return vec![(kind, what)],
                Some(wait) => {
                    if let Some(asked) = retry_after {
                        self.rest(asked.min(MOST_PATIENCE));
                    }
                    tokio::time::sleep(wait).await;
                }
                None => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    return vec![(kind, what)];
                }
            }
        }
    }

    async fn wait(&self) {
        loop {
            let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    fn rest(&self, how_long: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Some(Instant::now() + how_long));
    }
}
