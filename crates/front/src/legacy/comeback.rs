//! Clients that come back for what they were answered already: the sign that it did not help.
//!
//! A table of fixed size with the last time at which each request was seen. Two that fall into one
//! place forget each other, which misses a few and invents none but by a collision of 32 bits.

use std::sync::atomic::{AtomicU64, Ordering};

const SLOTS: usize = 1 << 16;

/// Who asked for what, and when last.
#[derive(Debug)]
pub(super) struct Comebacks(Box<[AtomicU64]>);

impl Comebacks {
    /// Of nobody yet. Half a MiB.
    pub(super) fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes a request, known by a hash of client and object, at `second`; true if the same one was
    /// noted less than `within` seconds before.
    pub(super) fn note(&self, what: u64, second: i64, within: u32) -> bool {
        // 32 bits of seconds last beyond every plan; zero is never.
        let second = u32::try_from(second).unwrap_or(u32::MAX).max(1);
        let tag = what >> 32;
        let slot = usize::try_from(what & (SLOTS as u64 - 1)).unwrap_or(0);
        let before = self.0[slot].swap(tag << 32 | u64::from(second), Ordering::Relaxed);
        let last = u32::try_from(before & u64::from(u32::MAX)).unwrap_or(0);
        last != 0 && before >> 32 == tag && second.saturating_sub(last) < within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_comes_back_in_time_is_noticed() {
        let comebacks = Comebacks::new();
        let (one, other) = (7 << 32 | 1, 8 << 32 | 2);
        assert!(!comebacks.note(one, 100, 60));
        assert!(!comebacks.note(other, 101, 60));
        assert!(comebacks.note(one, 159, 60));
        assert!(!comebacks.note(one, 219, 60), "a minute later");
        assert!(!comebacks.note(9 << 32 | 1, 220, 60), "another one in the same place");
    }
}
