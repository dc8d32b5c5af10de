//! How long a client may keep an answer waiting: so long for every so many bytes.
//!
//! Only time in which bytes wait for the client counts, not that in which there are none for it.
//! So a slow copy is never held against the client that waits for it too.

use std::time::Duration;

use tokio::time::Instant;

/// The least that a client must take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Least {
    /// How long it may keep an answer waiting, until it has taken `bytes`.
    pub(crate) stall: Duration,
    /// After so many bytes it may do so again.
    pub(crate) bytes: u64,
}

/// What a client has taken of late.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waiting_since: Option<Instant>,
    /// What it has kept waiting before, since it last had taken enough.
    waited: Duration,
    taken: u64,
}

impl Pace {
    /// Bytes wait for the client from now on, if they did not before.
    pub(super) fn wait(&mut self, now: Instant) {
        self.waiting_since.get_or_insert(now);
    }

    /// The client took some; more may be given to it.
    pub(super) fn take(&mut self, bytes: usize, now: Instant, least: Least) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += now - since;
        }
        if self.waited.is_zero() {
            return;
        }
        self.taken += bytes as u64;
        if self.taken >= least.bytes {
            *self = Self::default();
        }
    }

    /// When it will have kept bytes waiting for too long; `None` if none wait.
    pub(super) fn deadline(&self, least: Least) -> Option<Instant> {
        Some(self.waiting_since? + least.stall.saturating_sub(self.waited))
    }
}
