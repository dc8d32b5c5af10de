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
//!
//! Where failing over has a price, a plan has *own* tiers, which serve a place in normal times, and
//! behind them overflow edges: the copies that were approved for when those fail, each with a cap.
//! [`RoutingTable::decide`] never goes further than that.

use crate::caps::Room;
use crate::place::PlaceId;
use crate::price::VolumePrice;
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
    /// It was approved for when the copies before it fail.
    Overflow,
}

impl Reason {
    /// The reason as a word for records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameRegion => "same-region",
            Self::Neighbour => "neighbour",
            Self::Default => "default",
            Self::Origin => "origin",
            Self::Overflow => "overflow",
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

/// One way over: clients of one rule may be sent to one copy when their own fail. A number for all
/// edges of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EdgeId(pub u16);

/// An edge as the clients of one place see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Which one it is: what is spent over it is counted for all places together.
    pub id: EdgeId,
    /// Where it leads.
    pub copy: CopyId,
    /// What bytes cost from there to this place; `None` if nobody knows.
    pub price: Option<VolumePrice>,
    /// What becomes of clients that are beyond its cap.
    pub over: Over,
}

/// What becomes of clients for whom a cap leaves no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// They take the next edge; after the last one they are refused.
    Next,
    /// As the cap comes near, a growing share of them is asked to come back later.
    Slow,
    /// They are refused, though a later edge might have room.
    Refuse,
}

/// Who serves the clients of one place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Those that serve them in normal times, best first.
    pub own: Vec<Tier>,
    /// Those that serve what none of the former holds; and, without `overflow`, everything.
    pub rest: Vec<Tier>,
    /// In order, those that were approved for when the own ones fail; `None` if nobody said
    /// anything about that.
    pub overflow: Option<Vec<Edge>>,
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

    /// The key as a number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// True for `share` of 65,536 of all keys. A share that grows keeps those that it had; other
    /// `salt`s choose others.
    pub const fn is_among(self, share: u32, salt: u64) -> bool {
        (mix(self.0 ^ mix(salt)) >> 48) < share as u64
    }
}

/// The tiers of every place. Immutable; made once for each configuration.
#[derive(Debug, Clone)]
pub struct RoutingTable {
    /// Which plan each place has, by the place's number; places beyond the end have the last.
    plan_of: Vec<u16>,
    plans: Vec<Compiled>,
    weights: [u16; MAX_COPIES],
}

/// A plan as it is read: one list of tiers, the own ones first.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Compiled {
    tiers: Box<[Tier]>,
    /// The copies of the own tiers.
    own_copies: CopySet,
    overflow: Option<Box<[Edge]>>,
}

impl Compiled {
    fn new(plan: Plan) -> Self {
        let own_copies =
            plan.own.iter().fold(CopySet::EMPTY, |copies, tier| copies.or(tier.copies));
        let tiers = plan.own.into_iter().chain(plan.rest).collect();
        Self { tiers, own_copies, overflow: plan.overflow.map(Vec::into_boxed_slice) }
    }
}

impl RoutingTable {
    /// A table in which places without a plan of their own (the unknown one among them) have
    /// `fallback`. Weights are by copy; one of zero takes a copy out of every tier that has more.
    pub fn new(fallback: Plan, weights: [u16; MAX_COPIES]) -> Self {
        Self { plan_of: Vec::new(), plans: vec![Compiled::new(fallback)], weights }
    }

    /// Gives `place` a plan of its own. At most 65,535 different plans.
    pub fn set(&mut self, place: PlaceId, plan: Plan) {
        let plan = Compiled::new(plan);
        let at = self.plans.iter().position(|other| *other == plan).unwrap_or_else(|| {
            self.plans.push(plan);
            self.plans.len() - 1
        });
        let place = place.index();
        if self.plan_of.len() <= place {
            self.plan_of.resize(place + 1, 0);
        }
        // Places are numbered with 16 bits, so plans are too few to overflow.
        self.plan_of[place] = u16::try_from(at).unwrap_or(0);
    }

    fn plan(&self, place: PlaceId) -> &Compiled {
        let plan = self.plan_of.get(place.index()).copied().unwrap_or(0);
        // The first one is the fallback, which every table has.
        self.plans.get(usize::from(plan)).unwrap_or(&self.plans[0])
    }

    /// The tiers of `place`, best first.
    pub fn tiers(&self, place: PlaceId) -> &[Tier] {
        &self.plan(place).tiers
    }

    /// The edges that were approved for `place`, in order; `None` if nobody said anything.
    pub fn overflow(&self, place: PlaceId) -> Option<&[Edge]> {
        self.plan(place).overflow.as_deref()
    }

    /// The copies that serve `place` in normal times.
    pub fn own_copies(&self, place: PlaceId) -> CopySet {
        self.plan(place).own_copies
    }

    /// Where a client may be sent when failing over has a price: to its own copies while one of
    /// those that hold the object works, then over the approved edges as far as `room` lets it.
    ///
    /// What none of the own copies holds is nobody's failure: it comes from whoever has it, as
    /// with [`RoutingTable::candidates`], which also serves places for which no overflow is
    /// configured. If no edge is of use and none of them was closed by its cap, the client is sent
    /// to its own copy though that is failing: it costs what it always cost, and may work from
    /// where the client is. Does not allocate.
    pub fn decide(
        &self,
        place: PlaceId,
        key: StickyKey,
        holders: CopySet,
        usable: CopySet,
        mut room: impl FnMut(&Edge) -> Room,
    ) -> Decision {
        let plan = self.plan(place);
        let mut candidates = self.candidates(place, key, holders, usable);
        let Some(first) = candidates.next() else { return Decision::Nobody };
        let is_own = plan.own_copies.contains(first.copy);
        let own_holders = holders.and(plan.own_copies);
        let Some(overflow) = plan.overflow.as_deref() else { return Decision::To(first, None) };
        if (is_own && !first.is_failing) || own_holders.is_empty() {
            return Decision::To(first, None);
        }
        let mut closed = None;
        for edge in overflow {
            if !holders.and(usable).contains(edge.copy) {
                continue;
            }
            let to = Candidate { copy: edge.copy, reason: Reason::Overflow, is_failing: false };
            let room = room(edge);
            let is_slowed = match room {
                Room::Free => false,
                Room::Slowing(share) => key.is_among(share.into(), edge.id.0.into()),
                Room::Spent => true,
            };
            match (room, edge.over) {
                (_, Over::Slow) if is_slowed => return Decision::Slow(edge.id),
                (Room::Free | Room::Slowing(_), _) => return Decision::To(to, Some(edge.id)),
                (Room::Spent, Over::Next) => closed = closed.or(Some(edge.id)),
                (Room::Spent, Over::Slow | Over::Refuse) => return Decision::Refuse(edge.id),
            }
        }
        if let Some(edge) = closed {
            return Decision::Refuse(edge);
        }
        let own = self.candidates(place, key, own_holders, CopySet::EMPTY).next();
        own.map_or(Decision::Nobody, |own| Decision::To(own, None))
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
            tiers: &self.plan(place).tiers,
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

/// What becomes of a client where failing over has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is sent there: over an edge, or as always.
    To(Candidate, Option<EdgeId>),
    /// It is to come back later: this edge's cap is near, or spent.
    Slow(EdgeId),
    /// It is refused: this edge's cap is spent.
    Refuse(EdgeId),
    /// No copy that may serve it is known to hold the object.
    Nobody,
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
pub(crate) const fn mix(mut x: u64) -> u64 {
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
        RoutingTable::new(Plan { own: tiers.collect(), ..Plan::default() }, weights)
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

    /// A table for one place: its own copy, others for what that lacks, and approved edges.
    fn priced(own: u32, rest: u32, edges: &[(usize, Over)]) -> RoutingTable {
        let tier = |bits, reason| Tier { copies: CopySet::from_bits(bits), reason };
        let edge = |(at, &(copy, over)): (usize, &(usize, Over))| Edge {
            id: EdgeId(u16::try_from(at).unwrap()),
            copy: CopyId::new(copy).unwrap(),
            price: None,
            over,
        };
        let plan = Plan {
            own: vec![tier(own, Reason::SameRegion)],
            rest: vec![tier(rest, Reason::Default)],
            overflow: Some(edges.iter().enumerate().map(edge).collect()),
        };
        RoutingTable::new(plan, [1; MAX_COPIES])
    }

    #[test]
    fn beyond_the_own_copies_only_approved_edges_are_taken_and_only_as_far_as_their_caps_go() {
        let table = priced(0b0001, 0b1111, &[(1, Over::Next), (2, Over::Slow)]);
        let key = StickyKey::new(7 << 8, "a");
        let decide = |holders, usable, rooms: [Room; 2]| {
            let (holders, usable) = (CopySet::from_bits(holders), CopySet::from_bits(usable));
            let room = |edge: &Edge| rooms[usize::from(edge.id.0)];
            match table.decide(PlaceId::UNKNOWN, key, holders, usable, room) {
                Decision::To(to, edge) => {
                    let edge = edge.map_or(String::new(), |edge| format!(" by {}", edge.0));
                    let failing = if to.is_failing { " failing" } else { "" };
                    format!("{} {}{failing}{edge}", to.copy.index(), to.reason.name())
                }
                Decision::Slow(edge) => format!("slow {}", edge.0),
                Decision::Refuse(edge) => format!("refuse {}", edge.0),
                Decision::Nobody => "nobody".to_owned(),
            }
        };
        let (free, spent, all) = (Room::Free, Room::Spent, Room::Slowing(u16::MAX));
        let table = [
            ((0b1111, 0b1111, [free, free]), "0 same-region"),
            ((0b0010, 0b1110, [spent, spent]), "1 default"),
            ((0b1111, 0b1110, [free, free]), "1 overflow by 0"),
            ((0b1111, 0b1110, [all, free]), "1 overflow by 0"),
            ((0b1111, 0b1110, [spent, free]), "2 overflow by 1"),
            ((0b1111, 0b1100, [free, all]), "slow 1"),
            ((0b1111, 0b1110, [spent, spent]), "slow 1"),
            ((0b1111, 0b1010, [spent, spent]), "refuse 0"),
            ((0b1011, 0b1110, [free, free]), "1 overflow by 0"),
            ((0b1001, 0b1110, [free, free]), "0 same-region failing"),
            ((0b1111, 0b1000, [free, free]), "0 same-region failing"),
            ((0b1111, 0b0000, [free, free]), "0 same-region failing"),
            ((0b0000, 0b1111, [free, free]), "nobody"),
        ];
        for ((holders, usable, rooms), expected) in table {
            assert_eq!(
                decide(holders, usable, rooms),
                expected,
                "{holders:b} {usable:b} {rooms:?}"
            );
        }
    }

    #[test]
    fn a_share_that_grows_keeps_whom_it_had() {
        let keys: Vec<_> = (0..10_000_u64).map(|n| StickyKey::new(n << 8, "a/b")).collect();
        let among = |share| keys.iter().filter(|key| key.is_among(share, 3)).count();
        assert!((2_300..2_700).contains(&among(16_384)), "{}", among(16_384));
        assert_eq!(among(0), 0);
        for key in &keys {
            let shares: Vec<_> = (0..=65_u32).map(|at| key.is_among(at * 1_000, 3)).collect();
            assert!(shares.is_sorted(), "once in, always in");
        }
    }

    proptest! {
        #[test]
        fn without_approved_edges_a_decision_is_the_first_candidate(
            first: u32, second: u32, holders: u32, usable: u32, network: u64,
        ) {
            let table = table(&[(first, Reason::SameRegion), (second, Reason::Default)], [1; MAX_COPIES]);
            let key = StickyKey::new(network, "a");
            let (holders, usable) = (CopySet::from_bits(holders), CopySet::from_bits(usable));
            let decision = table.decide(PlaceId::UNKNOWN, key, holders, usable, |_| Room::Spent);
            let candidate = table.candidates(PlaceId::UNKNOWN, key, holders, usable).next();
            prop_assert_eq!(decision, candidate.map_or(Decision::Nobody, |to| Decision::To(to, None)));
        }

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
