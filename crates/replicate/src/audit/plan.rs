//! What is looked at, in which order: pure, and the same again for the same seed.
//!
//! The order is a shuffle, so that an audit which stops at its budget has seen a fair part of
//! everything, and another one on the next night another part. A sample takes its share for each
//! copy apart; what a holding says is lacking is always looked at.

use landbridge_core::Digest;
use landbridge_core::topology::CopyId;

use super::Depth;
use super::gather::{CopyWorld, Object, World};
use crate::progress::{CopyWork, Progress};

/// The whole, in the parts by which a share is told.
const WHOLE: u32 = 1_000_000;

/// Which objects are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// How many of a million, for each copy; a million are all.
    pub share_ppm: u32,
    /// What decides which, and in which order. The same seed decides the same.
    pub seed: u64,
}

impl Choice {
    /// All objects, in an order of this seed.
    pub const fn all(seed: u64) -> Self {
        Self { share_ppm: WHOLE, seed }
    }

    /// Where the object stands in the order.
    fn rank(&self, digest: &Digest) -> u64 {
        let first = digest.hash().iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        mix(self.seed ^ mix(first))
    }

    fn takes(&self, copy: CopyId, digest: &Digest) -> bool {
        let drawn = mix(self.rank(digest) ^ mix(copy.index() as u64 + 1));
        drawn % u64::from(WHOLE) < u64::from(self.share_ppm)
    }
}

/// One step of `SplitMix64`: every bit of the result depends on every bit of `x`.
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// What is to be asked.
pub(super) struct AuditPlan<'a> {
    /// All objects, in their order.
    objects: Vec<&'a Object>,
    choice: Choice,
    depth: Depth,
    /// How many each copy is asked for, in the order of the copies.
    pub(super) planned: Vec<u64>,
}

impl<'a> AuditPlan<'a> {
    pub(super) fn new(world: &'a World, choice: &Choice, depth: Depth) -> Self {
        let mut objects: Vec<&Object> = world.objects.iter().collect();
        objects.sort_by_cached_key(|object| (choice.rank(&object.digest), object.digest));
        let mut plan = Self { objects, choice: *choice, depth, planned: Vec::new() };
        let planned = world.copies.iter().map(|copy| plan.of(copy).count() as u64);
        plan.planned = planned.collect();
        plan
    }

    /// What this copy is asked for, in order.
    pub(super) fn of(&self, copy: &CopyWorld) -> impl Iterator<Item = &'a Object> {
        let is_asked = |object: &&'a Object| {
            copy.lacks.contains(&object.digest) || self.choice.takes(copy.id, &object.digest)
        };
        self.objects.iter().copied().filter(is_asked)
    }

    /// Bytes that are read to look at the object.
    pub(super) fn cost(&self, object: &Object) -> u64 {
        match self.depth {
            Depth::Presence => 0,
            Depth::Ranges => 1,
            Depth::Full => object.size + 1,
        }
    }

    /// How much is to be asked.
    pub(super) fn progress(&self, world: &World) -> Progress {
        let work = |copy: &CopyWorld| CopyWork {
            name: copy.name.clone(),
            objects: self.of(copy).count() as u64,
            bytes: self.of(copy).map(|object| self.cost(object)).sum(),
        };
        let copies: Vec<CopyWork> = world.copies.iter().map(work).collect();
        Progress::Planned {
            objects: copies.iter().map(|copy| copy.objects).sum(),
            bytes: copies.iter().map(|copy| copy.bytes).sum(),
            copies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests() -> Vec<Digest> {
        (0..20_000u32).map(|number| Digest::sha256_of(&number.to_be_bytes())).collect()
    }

    fn copy(index: usize) -> CopyId {
        CopyId::new(index).unwrap()
    }

    #[test]
    fn a_sample_has_its_share_is_repeatable_and_differs_between_copies_and_seeds() {
        let sample = |seed, index| {
            let choice = Choice { share_ppm: 50_000, seed };
            let all = digests().into_iter();
            all.filter(|digest| choice.takes(copy(index), digest)).collect::<Vec<_>>()
        };
        let first = sample(7, 1);
        assert!((800..1_200).contains(&first.len()), "{}", first.len());
        assert_eq!(first, sample(7, 1));
        for other in [sample(7, 2), sample(8, 1)] {
            let shared = other.iter().filter(|digest| first.contains(digest)).count();
            assert!(shared < 150, "{shared}");
        }
    }

    #[test]
    fn all_are_taken_and_none_are() {
        for digest in digests() {
            assert!(Choice::all(3).takes(copy(0), &digest));
            assert!(!Choice { share_ppm: 0, seed: 3 }.takes(copy(0), &digest));
        }
    }
}
