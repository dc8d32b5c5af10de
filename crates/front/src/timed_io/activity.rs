//! When a connection last did something useful: told by who serves it, asked by who needs its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What one connection does. Cheap to clone; all clones are of the same connection.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    start: Instant,
    /// Heads that were read whole.
    heads: AtomicU32,
    /// Answers that wait for something.
    busy: AtomicU32,
    /// Whether a head was read in this turn of the event loop.
    had_turn: AtomicBool,
    /// Milliseconds from the start to the last answer.
    answered: AtomicU32,
}

impl Activity {
    /// A connection that has just begun.
    pub(crate) fn new() -> Self {
        Self(Arc::new(State {
            start: Instant::now(),
            heads: AtomicU32::new(0),
            busy: AtomicU32::new(0),
            had_turn: AtomicBool::new(false),
            answered: AtomicU32::new(0),
        }))
    }

    /// One more head was read whole. False if it is not the first one of this turn.
    pub(crate) fn head(&self) -> bool {
        self.0.heads.fetch_add(1, Ordering::Relaxed);
        !self.0.had_turn.swap(true, Ordering::Relaxed)
    }

    /// It is the connection's turn again.
    pub(crate) fn turn(&self) {
        self.0.had_turn.store(false, Ordering::Relaxed);
    }

    /// An answer, or a part of one, went out.
    pub(super) fn answer(&self, now: Instant) {
        let since = now - self.0.start;
        let millis = since.as_secs() * 1000 + u64::from(since.subsec_millis());
        self.0.answered.store(u32::try_from(millis).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    pub(super) fn heads(&self) -> u32 {
        self.0.heads.load(Ordering::Relaxed)
    }

    /// Whether anything was ever asked, and since when nothing was answered. `None` while an
    /// answer waits for something.
    pub(crate) fn idle(&self, now: Instant) -> Option<(bool, Duration)> {
        if self.0.busy.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let answered = Duration::from_millis(self.0.answered.load(Ordering::Relaxed).into());
        Some((self.heads() > 0, now.duration_since(self.0.start).saturating_sub(answered)))
    }

    /// An answer waits for something until what is returned is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

/// An answer that waits for something.
#[derive(Debug)]
pub(crate) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
