//! Routing: which copy a client is sent to, and why.
//!
//! For each place there is an ordered list of tiers: copies of the same provider and region, then
//! configured neighbours, then the weighted default, then the origin. A copy is a candidate only
//! if it is known to hold the object; one that fails is kept for when nothing else is left, since
//! a download that may fail is better than none. Inside a tier a client keeps to one copy for a
//! repository (weighted rendezvous hashing), so that a pull does not wander between caches.
//!
//! [`Candidates`] is lazy: a redirect takes the first and pays for no more; `explain` walks them
//! all. It is one implementation.

use crate::place::PlaceId;
use crate::topology::{CopyId, CopySet, MAX_COPIES};

/// Why a copy is a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It is in the client's own provider and region.
    SameRegion,
    /// It is configured as a neighbour of the client's region or provider.
    Neighbour,
    /// It is one of the site's defaults.
    Default,
    /// It is the origin, which serves what no mirror does.
    Origin,
}

impl Reason {
    /// The reason as a word for records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameRegion => "same-region",
            Self::Neighbour => "neighbour",
            Self::Default => "default",
            Self::Origin => "origin",
        }
    }
}

/// Copies that are equally good for a place, but for their weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// The copies.
    pub copies: CopySet,
    /// Why they are candidates.
    pub reason: Reason,
}

/// What clients stick by: a hash of their network and the repository, so that one pull stays with
/// one copy and neighbours in a network share its cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StickyKey(u64);

impl StickyKey {
    /// The key of a client's network (`ClientNetwork`'s number) and a repository.
    pub fn new(network: u64, repository: &str) -> Self {
        // FNV-1a over the name: short, stable between versions and machines, and only has to spread.
        let mut hash = 0xcbf2_9ce4_8422_2325 ^ mix(network);
        for byte in repository.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Self(mix(hash))
    }
}

/// The tiers of every place. Immutable; made once for each configuration.
#[derive(Debug, Clone)]
pub struct RoutingTable {
    /// Which plan each place has, by the place's number; places beyond the end have the last.
    plan_of: Vec<u16>,
    plans: Vec<Box<[Tier]>>,
    weights: [u16; MAX_COPIES],
}

impl RoutingTable {
    /// A table in which places without a plan of their own (the unknown one among them) have
    /// `fallback`. Weights are by copy; one of zero takes a copy out of every tier that has more.
    pub fn new(fallback: Vec<Tier>, weights: [u16; MAX_COPIES]) -> Self {
        Self { plan_of: Vec::new(), plans: vec![fallback.into_boxed_slice()], weights }
    }

    /// Gives `place` its own tiers, best first. At most 65,535 different plans.
    pub fn set(&mut self, place: PlaceId, tiers: Vec<Tier>) {
        let tiers = tiers.into_boxed_slice();
        let at = self.plans.iter().position(|plan| *plan == tiers).unwrap_or_else(|| {
            self.plans.push(tiers);
            self.plans.len() - 1
        });
        let place = place.index();
        if self.plan_of.len() <= place {
            self.plan_of.resize(place + 1, 0);
        }
        // Places are numbered with 16 bits, so plans are too few to overflow.
        self.plan_of[place] = u16::try_from(at).unwrap_or(0);
    }

    /// The tiers of `place`, best first.
    pub fn tiers(&self, place: PlaceId) -> &[Tier] {
        let plan = self.plan_of.get(place.index()).copied().unwrap_or(0);
        self.plans.get(usize::from(plan)).map(|plan| &**plan).unwrap_or_default()
    }

    /// The candidates for a client at `place`, best first: of the copies that hold the object
    /// those that work, then, marked as failing, the rest. Does not allocate.
    pub fn candidates(
        &self,
        place: PlaceId,
        key: StickyKey,
        holders: CopySet,
        working: CopySet,
    ) -> Candidates<'_> {
        Candidates {
            table: self,
            tiers: self.tiers(place),
            key,
            now: holders.and(working),
            later: holders.minus(working),
            at: 0,
            is_failing: false,
        }
    }

    /// Weighted rendezvous: each copy draws a number from the key, the best draw wins, and taking
    /// a copy away moves only its own clients.
    fn pick(&self, copies: CopySet, key: StickyKey) -> Option<CopyId> {
        let first = copies.first()?;
        if copies.len() == 1 {
            return Some(first);
        }
        let mut best = (f64::INFINITY, first);
        for copy in copies.iter() {
            let draw = mix(key.0 ^ mix(copy.index() as u64 + 1));
            // In (0, 1]: the top 53 bits, never zero.
            let unit = ((draw >> 11) + 1) as f64 / (1_u64 << 53) as f64;
            let weight = f64::from(self.weights[copy.index()]);
            // -ln(u) is never below 1 - u: most draws have lost before it costs a logarithm.
            if (1.0 - unit) / weight >= best.0 {
                continue;
            }
            let score = -unit.ln() / weight;
            if score < best.0 {
                best = (score, copy);
            }
        }
        Some(best.1)
    }
}

/// A copy that may serve the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The copy.
    pub copy: CopyId,
    /// Why it is one.
    pub reason: Reason,
    /// It is believed to fail, and offered only because nothing better is left.
    pub is_failing: bool,
}

/// The candidates of one decision, best first, each once.
#[derive(Debug, Clone)]
pub struct Candidates<'a> {
    table: &'a RoutingTable,
    tiers: &'a [Tier],
    key: StickyKey,
    now: CopySet,
    later: CopySet,
    at: usize,
    is_failing: bool,
}

impl Iterator for Candidates<'_> {
    type Item = Candidate;

    fn next(&mut self) -> Option<Candidate> {
        loop {
            let Some(tier) = self.tiers.get(self.at) else {
                if self.is_failing {
                    return None;
                }
                (self.at, self.is_failing, self.now) = (0, true, self.later);
                continue;
            };
            if let Some(copy) = self.table.pick(tier.copies.and(self.now), self.key) {
                self.now = self.now.without(copy);
                return Some(Candidate { copy, reason: tier.reason, is_failing: self.is_failing });
            }
            self.at += 1;
        }
    }
}

/// `SplitMix64`'s finaliser: every bit of the input moves half of the output's.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(tiers: &[(u32, Reason)], weights: [u16; MAX_COPIES]) -> RoutingTable {
        let tiers =
            tiers.iter().map(|&(bits, reason)| Tier { copies: CopySet::from_bits(bits), reason });
        RoutingTable::new(tiers.collect(), weights)
    }

    /// The specification, written as plainly as possible: what may follow what.
    fn check(tiers: &[(u32, Reason)], holders: u32, working: u32, got: &[Candidate]) {
        let mut expected: Vec<(bool, usize)> = Vec::new();
        for copy in 0..MAX_COPIES {
            let bit = 1_u32 << copy;
            if holders & bit == 0 {
                continue;
            }
            if let Some(tier) = tiers.iter().position(|(copies, _)| copies & bit != 0) {
                expected.push((working & bit == 0, tier));
                assert_eq!(got.iter().filter(|c| c.copy.index() == copy).count(), 1, "each once");
            } else {
                assert!(got.iter().all(|c| c.copy.index() != copy), "not on any tier");
            }
        }
        expected.sort_unstable();
        let order: Vec<_> = got
            .iter()
            .map(|c| {
                let bit = 1_u32 << c.copy.index();
                let tier = tiers.iter().position(|(copies, _)| copies & bit != 0).unwrap();
                assert_eq!(c.reason, tiers[tier].1);
                (c.is_failing, tier)
            })
            .collect();
        assert_eq!(order, expected, "working before failing, better tiers before worse");
    }

    #[test]
    fn the_weight_decides_how_many_clients_a_copy_gets() {
        let mut weights = [1; MAX_COPIES];
        weights[1] = 3;
        let table = table(&[(0b11, Reason::Default)], weights);
        let second = (0..10_000_u64)
            .filter(|&network| {
                let key = StickyKey::new(network << 8, "a/b");
                let all = CopySet::ALL;
                table.candidates(PlaceId::UNKNOWN, key, all, all).next().unwrap().copy.index() == 1
            })
            .count();
        assert!((7_200..7_800).contains(&second), "{second} of 10000, three quarters expected");
    }

    proptest! {
        #[test]
        fn it_does_what_the_plain_specification_says(
            first: u32, second: u32, third: u32, holders: u32, working: u32, network: u64,
        ) {
            let tiers = [(first, Reason::SameRegion), (second, Reason::Neighbour), (third, Reason::Default)];
            let table = table(&tiers, [1; MAX_COPIES]);
            let key = StickyKey::new(network, "a");
            let got: Vec<_> = table
                .candidates(PlaceId::UNKNOWN, key, CopySet::from_bits(holders), CopySet::from_bits(working))
                .collect();
            check(&tiers, holders, working, &got);
        }

        #[test]
        fn losing_a_copy_moves_only_its_own_clients(network: u64, lost in 0usize..8) {
            let table = table(&[(0xff, Reason::Default)], [1; MAX_COPIES]);
            let key = StickyKey::new(network, "a");
            let lost = CopyId::new(lost).unwrap();
            let all = CopySet::from_bits(0xff);
            let first = |working| table.candidates(PlaceId::UNKNOWN, key, all, working).next().unwrap().copy;
            if first(all) != lost {
                prop_assert_eq!(first(all.without(lost)), first(all));
            }
        }
    }
}
