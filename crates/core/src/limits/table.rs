//! A table of a fixed size: by name, the moments at which two buckets are full again.
//!
//! Columns lie apart, since eight names fill one line of a processor's cache; and they begin as
//! zeros, which cost no memory before they are written.

use super::{Allowance, Measure};

/// Places that one entry may have.
const WAYS: usize = 8;

#[derive(Debug)]
pub(super) struct Table {
    /// Names, each one more than it is; 0 stands for nobody.
    names: Vec<u64>,
    full_at: [Vec<u64>; 2],
}

impl Table {
    /// With room for `entries`, rounded up to full sets.
    pub(super) fn new(entries: usize) -> Self {
        let len = entries.max(1).next_multiple_of(WAYS);
        Self { names: vec![0; len], full_at: [vec![0; len], vec![0; len]] }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// The place of `key`, and whether it was taken for it: an empty one, or the one that ranks
    /// lowest of those that it may have. `rank` is told a place and its moments.
    pub(super) fn find_or_take<R: Ord>(
        &mut self,
        hash: u64,
        key: u64,
        rank: impl Fn(usize, [u64; 2]) -> R,
    ) -> (usize, bool) {
        let name = key.wrapping_add(1).max(1);
        let sets = self.names.len() / WAYS;
        // The upper half of the product is below `sets`.
        let set = usize::try_from((u128::from(hash) * sets as u128) >> 64).unwrap_or(0);
        let first = set * WAYS;
        let ways = &self.names[first..first + WAYS];
        if let Some(way) = ways.iter().position(|known| *known == name) {
            return (first + way, false);
        }
        let lowest = || (first..first + WAYS).min_by_key(|&at| rank(at, self.full_at(at)));
        let empty = ways.iter().position(|known| *known == 0).map(|way| first + way);
        let at = empty.or_else(lowest).unwrap_or(first);
        self.names[at] = name;
        for column in &mut self.full_at {
            column[at] = 0;
        }
        (at, true)
    }

    /// When the buckets at a place are full again.
    pub(super) fn full_at(&self, at: usize) -> [u64; 2] {
        [self.full_at[0][at], self.full_at[1][at]]
    }

    pub(super) fn charge(
        &mut self,
        at: usize,
        measure: Measure,
        allowance: &Allowance,
        amount: u64,
        now: u64,
    ) {
        let full_at = &mut self.full_at[measure as usize][at];
        *full_at = allowance.charged(*full_at, amount, now);
    }

    /// Everybody who is in it: place, key, moments.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, u64, [u64; 2])> {
        let taken = self.names.iter().enumerate().filter(|(_, name)| **name != 0);
        taken.map(|(at, name)| (at, name - 1, self.full_at(at)))
    }
}
