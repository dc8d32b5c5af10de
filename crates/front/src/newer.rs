//! Looking for a newer release because somebody asks for a digest that this one does not list.
//!
//! Fronts poll, so that one of them knows a release some seconds before another. A client that
//! learned a digest from the one and asks the other for it is not wrong: the other one looks for a
//! newer pointer before it says that there is no such thing.
//!
//! Whoever asks waits for the same poll; a digest that was not there then is not looked for again
//! for a while; and polls keep a distance, however many digests somebody makes up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use landbridge_core::Digest;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// Two polls of one origin begin at least this far apart.
const DISTANCE: Duration = Duration::from_secs(1);
/// How many digests are remembered that nobody has, and for how long.
const MOST_UNKNOWN: u64 = 10_000;
const UNKNOWN_FOR: Duration = Duration::from_secs(30);

/// Between those who miss something of an origin and the one who polls it.
#[derive(Debug)]
pub(crate) struct Newer {
    asked: Notify,
    /// How many polls have begun.
    begun: AtomicU64,
    /// The last one whose outcome is in force.
    ended: watch::Sender<u64>,
    unknown: moka::sync::Cache<Digest, ()>,
}

impl Newer {
    pub(crate) fn new() -> Self {
        let unknown = moka::sync::Cache::builder()
            .max_capacity(MOST_UNKNOWN)
            .time_to_live(UNKNOWN_FOR)
            .build();
        let (asked, begun) = (Notify::new(), AtomicU64::new(0));
        Self { asked, begun, ended: watch::Sender::new(0), unknown }
    }

    /// Whether it is worth looking for a release that lists `digest`.
    pub(crate) fn may_list(&self, digest: &Digest) -> bool {
        !self.unknown.contains_key(digest)
    }

    /// The newest release does not list `digest` either: it is not looked for again for a while.
    pub(crate) fn forget(&self, digest: Digest) {
        self.unknown.insert(digest, ());
    }

    /// Waits until a poll that began after this is in force, or failed; or until `limit`.
    pub(crate) async fn look(&self, limit: Duration) {
        let mut ended = self.ended.subscribe();
        let next = self.begun.load(Ordering::SeqCst) + 1;
        self.asked.notify_one();
        // Without an end of its own nobody polls any more, and waiting is of no use.
        let _ = timeout(limit, ended.wait_for(|poll| *poll >= next)).await;
    }

    /// Waits until it is time to poll: after `every`, or when somebody misses something, but not
    /// too soon after the poll that began at `last`. Returns the number of the poll that begins.
    pub(crate) async fn due(&self, every: Duration, last: Instant) -> u64 {
        tokio::select! {
            () = sleep(every) => {}
            () = self.asked.notified() => sleep_until(last + DISTANCE).await,
        }
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The outcome of a poll is in force, or it had none.
    pub(crate) fn end(&self, poll: u64) {
        self.ended.send_replace(poll);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(15);
    const EVERY: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn those_who_miss_something_wait_for_one_poll_and_polls_keep_their_distance() {
        let newer = Arc::new(Newer::new());
        let began = Instant::now();
        let polling = tokio::spawn({
            let newer = Arc::clone(&newer);
            async move {
                let mut polls = Vec::new();
                let mut last = Instant::now();
                for _ in 0..2 {
                    let poll = newer.due(EVERY, last).await;
                    last = Instant::now();
                    polls.push(began.elapsed());
                    // A poll takes a while.
                    sleep(Duration::from_millis(300)).await;
                    newer.end(poll);
                }
                polls
            }
        });
        futures::future::join_all((0..100).map(|_| newer.look(LIMIT))).await;
        assert_eq!(began.elapsed(), Duration::from_millis(1_300));
        newer.look(LIMIT).await;
        assert_eq!(polling.await.unwrap(), [DISTANCE, 2 * DISTANCE]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_poll_that_began_before_the_question_is_no_answer_and_patience_ends() {
        let newer = Newer::new();
        let began = Instant::now();
        let poll = newer.due(EVERY, began).await;
        let looking = newer.look(LIMIT);
        let ending = async { newer.end(poll) };
        futures::future::join(looking, ending).await;
        assert_eq!(began.elapsed(), EVERY + LIMIT);
    }
}
