//! Limits of client networks: who has asked for too much, and when to come again.
//!
//! A network, and a network's use of one repository, each have a budget of requests and of bytes
//! handed out. Both are token buckets, kept as one number: the moment at which the bucket will be
//! full again. The debt at a moment is what lies between. A request is let through while its debt
//! and its own cost fit into the burst; bytes are charged once they are handed out, and may go
//! beyond it, since what has begun is not broken off.
//!
//! Memory is bounded: two tables of a fixed size, in which each entry has eight places to be. Who
//! finds all of them taken takes the place of the one with the least debt in proportion to its
//! burst. What that forgets is that debt and what was counted for the report: the one that had to
//! go begins anew, which errs in the client's favour and never against it. One that is over its
//! limit goes only where seven others in its places are so too, so that a million networks that
//! ask for little do not free one that asked for much.
//!
//! Invariant: a debt never lasts longer than the burst and a day, whatever was charged.

mod network;
mod rate;
mod table;

use std::time::Duration;

pub use self::network::{Exempt, Network, PrefixLengths};
pub use self::rate::{Allowance, Per, Rate};
use self::table::Table;
use crate::route::mix;

/// What there may be too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Manifests that are asked for.
    Requests,
    /// Bytes that are handed out.
    Bytes,
}

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A network's, over all repositories.
    Network,
    /// A network's, for one repository.
    Repository,
}

/// A limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// Whose budget.
    pub scope: Scope,
    /// Of what.
    pub measure: Measure,
}

/// How a manifest is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// By a tag, with which a pull begins.
    ByTag,
    /// By its digest, with which a pull may begin or go on. An eighth of every burst is kept for
    /// these, so that who got an index by its tag gets a platform's manifest too.
    ByDigest,
}

/// Whether a request is within the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is, and was charged.
    Allowed,
    /// It is not, and was not charged.
    Limited {
        /// The limit that will bind the longest.
        by: Limit,
        /// After how long a request would be let through, if nothing else is asked for.
        retry_after: Duration,
    },
}

/// What one budget allows; what is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Manifests asked for.
    pub requests: Option<Allowance>,
    /// Bytes handed out.
    pub bytes: Option<Allowance>,
}

/// All limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    /// Of each network.
    pub network: Budget,
    /// Of each network for each repository.
    pub repository: Budget,
}

/// Bytes that one network takes of a limiter's memory: its name, two moments and five counters.
pub const NETWORK_BYTES: u64 = 8 * 8;
/// Bytes that one network's use of one repository takes.
pub const REPOSITORY_BYTES: u64 = 3 * 8;

/// What networks have asked for.
#[derive(Debug)]
pub struct Limiter {
    seed: u64,
    networks: Table,
    /// By place in `networks`.
    counted: Vec<[u64; 5]>,
    repositories: Table,
}

/// What a network had lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Usage {
    /// Who.
    pub network: Network,
    /// Manifests asked for in the last hour, refused ones too.
    pub requests: u64,
    /// Bytes handed out in the last hour.
    pub bytes: u64,
    /// Whether a limit of the network binds it now.
    pub is_limited: bool,
}

impl Limiter {
    /// One that remembers at most so many networks and uses of repositories; both are rounded up
    /// to a multiple of eight. `seed` decides who shares places with whom, and nobody else should
    /// be able to guess it.
    pub fn new(networks: usize, repositories: usize, seed: u64) -> Self {
        let networks = Table::new(networks);
        let counted = vec![[0; 5]; networks.len()];
        Self { seed, networks, counted, repositories: Table::new(repositories) }
    }

    /// Whether a manifest may be handed out to `network` at `now`, which is counted from any
    /// moment that stays the same. If it may, a request is charged.
    pub fn decide(
        &mut self,
        budgets: &Budgets,
        network: Network,
        repository: &str,
        named: Named,
        now: Duration,
    ) -> Verdict {
        let now = nanos(now);
        let own = self.network(&budgets.network, network, now);
        Counted(&mut self.counted[own]).add(1, 0, now);
        let use_of = self.repository(&budgets.repository, network, repository, now);
        let mut binding: Option<(u64, Limit)> = None;
        let mut look = |scope, budget: &Budget, full_at: [u64; 2]| {
            for (measure, allowance) in budget.both() {
                let Some(allowance) = allowance else { continue };
                let debt = full_at[measure as usize].saturating_sub(now);
                let wait = allowance.wait(debt, named);
                if wait > binding.map_or(0, |(longest, _)| longest) {
                    binding = Some((wait, Limit { scope, measure }));
                }
            }
        };
        look(Scope::Network, &budgets.network, self.networks.full_at(own));
        if let Some(at) = use_of {
            look(Scope::Repository, &budgets.repository, self.repositories.full_at(at));
        }
        if let Some((wait, by)) = binding {
            return Verdict::Limited { by, retry_after: Duration::from_nanos(wait) };
        }
        if let Some(allowance) = &budgets.network.requests {
            self.networks.charge(own, Measure::Requests, allowance, 1, now);
        }
        if let (Some(allowance), Some(at)) = (&budgets.repository.requests, use_of) {
            self.repositories.charge(at, Measure::Requests, allowance, 1, now);
        }
        Verdict::Allowed
    }

    /// Charges bytes that are handed out to `network` from `repository`.
    pub fn charge(
        &mut self,
        budgets: &Budgets,
        network: Network,
        repository: &str,
        bytes: u64,
        now: Duration,
    ) {
        let now = nanos(now);
        let own = self.network(&budgets.network, network, now);
        Counted(&mut self.counted[own]).add(0, bytes, now);
        if let Some(allowance) = &budgets.network.bytes {
            self.networks.charge(own, Measure::Bytes, allowance, bytes, now);
        }
        if let Some(allowance) = &budgets.repository.bytes
            && let Some(at) = self.repository(&budgets.repository, network, repository, now)
        {
            self.repositories.charge(at, Measure::Bytes, allowance, bytes, now);
        }
    }

    /// All networks that are remembered, with what they had in the last hour: the running hour in
    /// full, and of the one before as much as lies within the last sixty minutes, as if it had
    /// been spread evenly.
    pub fn usage(&self, budgets: &Budgets, now: Duration) -> impl Iterator<Item = Usage> {
        let (now, budget) = (nanos(now), budgets.network);
        self.networks.iter().map(move |(at, key, full_at)| {
            let (requests, bytes) = lately(self.counted[at], now);
            let is_limited = budget.both().into_iter().any(|(measure, allowance)| {
                let debt = full_at[measure as usize].saturating_sub(now);
                allowance.is_some_and(|allowance| allowance.wait(debt, Named::ByDigest) > 0)
            });
            Usage { network: Network::from_key(key), requests, bytes, is_limited }
        })
    }

    /// Networks, and uses of repositories, that could be remembered.
    pub fn capacity(&self) -> (usize, usize) {
        (self.networks.len(), self.repositories.len())
    }

    /// The place of a network, which is taken for it if it has none.
    fn network(&mut self, budget: &Budget, network: Network, now: u64) -> usize {
        let key = network.key();
        let counted = &self.counted;
        let rank = |at: usize, full_at| {
            let (requests, bytes) = lately(counted[at], now);
            // A request weighs as much as a mebibyte, for those that owe the same.
            (budget.share(full_at, now), requests.saturating_add(bytes >> 20))
        };
        let (at, is_new) = self.networks.find_or_take(mix(key ^ self.seed), key, rank);
        if is_new {
            self.counted[at] = [0; 5];
        }
        at
    }

    /// The place of a network's use of a repository, if there is any limit to it.
    fn repository(
        &mut self,
        budget: &Budget,
        network: Network,
        repository: &str,
        now: u64,
    ) -> Option<usize> {
        if *budget == Budget::default() {
            return None;
        }
        // FNV-1a over the name, begun at a number that nobody knows.
        let mut hash = mix(network.key() ^ self.seed);
        for byte in repository.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let hash = mix(hash);
        let rank = |_, full_at| (budget.share(full_at, now), 0);
        Some(self.repositories.find_or_take(hash, hash, rank).0)
    }
}

impl Budget {
    fn both(&self) -> [(Measure, Option<Allowance>); 2] {
        [(Measure::Requests, self.requests), (Measure::Bytes, self.bytes)]
    }

    /// How much of a burst is used up, of the one of which it is more: 65,536 is all.
    fn share(&self, full_at: [u64; 2], now: u64) -> u64 {
        let share = |(measure, allowance): (Measure, Option<Allowance>)| {
            allowance.map(|it| it.share(full_at[measure as usize].saturating_sub(now)))
        };
        self.both().into_iter().filter_map(share).max().unwrap_or(0)
    }
}

const HOUR: u64 = 3_600_000_000_000;

/// The number of an hour, then requests in it and in the one before, then bytes in both.
struct Counted<'a>(&'a mut [u64; 5]);

impl Counted<'_> {
    fn add(&mut self, requests: u64, bytes: u64, now: u64) {
        let [hour, now_requests, last_requests, now_bytes, last_bytes] = *self.0;
        *self.0 = match (now / HOUR).checked_sub(hour) {
            None | Some(0) => [hour, now_requests, last_requests, now_bytes, last_bytes],
            Some(1) => [hour + 1, 0, now_requests, 0, now_bytes],
            Some(_) => [now / HOUR, 0, 0, 0, 0],
        };
        self.0[1] = self.0[1].saturating_add(requests);
        self.0[3] = self.0[3].saturating_add(bytes);
    }
}

/// Requests and bytes of the last hour.
fn lately(mut counted: [u64; 5], now: u64) -> (u64, u64) {
    Counted(&mut counted).add(0, 0, now);
    let left = HOUR - now % HOUR;
    let part = |of: u64| {
        let part = u128::from(of) * u128::from(left) / u128::from(HOUR);
        u64::try_from(part).unwrap_or(u64::MAX)
    };
    let [_, requests, last_requests, bytes, last_bytes] = counted;
    (requests.saturating_add(part(last_requests)), bytes.saturating_add(part(last_bytes)))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
