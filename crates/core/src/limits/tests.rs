//! Tables, and a naive twin: buckets of tokens in a hash table without an end.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn allowance(amount: u64, per: Per, burst: u64) -> Allowance {
    let amount = NonZeroU64::new(amount).unwrap();
    Allowance::new(Rate { amount, per }, NonZeroU64::new(burst).unwrap())
}

fn requests(amount: u64, per: Per, burst: u64) -> Budgets {
    let network = Budget { requests: Some(allowance(amount, per, burst)), bytes: None };
    Budgets { network, repository: Budget::default() }
}

fn network(number: u32) -> Network {
    Network::of(IpAddr::from(number.to_be_bytes()), PrefixLengths { v4: 32, v6: 64 })
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn is_allowed(verdict: Verdict) -> bool {
    verdict == Verdict::Allowed
}

#[test]
fn a_burst_passes_then_the_rate_and_the_wait_is_told() {
    let budgets = requests(60, Per::Minute, 4);
    let mut limiter = Limiter::new(8, 8, 1);
    let mut ask = |seconds| limiter.decide(&budgets, network(1), "a", Named::ByTag, at(seconds));
    assert!((0..4).all(|_| is_allowed(ask(10))));
    let by = Limit { scope: Scope::Network, measure: Measure::Requests };
    assert_eq!(ask(10), Verdict::Limited { by, retry_after: at(1) });
    assert!(is_allowed(ask(11)) && !is_allowed(ask(11)));
    assert!((0..4).all(|_| is_allowed(ask(100))) && !is_allowed(ask(100)));
    assert!(is_allowed(limiter.decide(&budgets, network(2), "a", Named::ByTag, at(100))));
}

#[test]
fn the_end_of_a_burst_is_kept_for_manifests_by_digest() {
    let budgets = requests(1, Per::Second, 16);
    let mut limiter = Limiter::new(8, 8, 1);
    let mut ask = |named| is_allowed(limiter.decide(&budgets, network(1), "a", named, at(0)));
    assert_eq!((0..20).filter(|_| ask(Named::ByTag)).count(), 14);
    assert_eq!((0..20).filter(|_| ask(Named::ByDigest)).count(), 2);
}

#[test]
fn bytes_bind_once_they_are_handed_out_and_are_forgiven_after_a_day() {
    let bytes = allowance(1 << 30, Per::Hour, 1 << 30);
    let repository = Budget { requests: None, bytes: Some(bytes) };
    let budgets = Budgets { network: Budget::default(), repository };
    let mut limiter = Limiter::new(8, 8, 1);
    limiter.charge(&budgets, network(1), "a", 2 << 30, at(0));
    let mut ask = |repository, named, seconds| {
        limiter.decide(&budgets, network(1), repository, named, at(seconds))
    };
    let by = Limit { scope: Scope::Repository, measure: Measure::Bytes };
    let Verdict::Limited { by: told, retry_after } = ask("a", Named::ByDigest, 0) else {
        panic!("twice as much as may be")
    };
    assert_eq!((told, retry_after.as_secs()), (by, 3600));
    assert!(is_allowed(ask("b", Named::ByTag, 0)));
    assert!(
        !is_allowed(ask("a", Named::ByTag, 3601)) && is_allowed(ask("a", Named::ByDigest, 3601))
    );
    limiter.charge(&budgets, network(1), "a", u64::MAX, at(4000));
    let day = 86_400;
    let mut ask = |seconds| limiter.decide(&budgets, network(1), "a", Named::ByDigest, at(seconds));
    assert!(!is_allowed(ask(4000 + day)) && is_allowed(ask(4001 + day)));
}

#[test]
fn the_last_hour_is_told_of_each_network() {
    let budgets = requests(1, Per::Hour, 1);
    let mut limiter = Limiter::new(64, 8, 7);
    for _ in 0..3 {
        limiter.decide(&budgets, network(1), "a", Named::ByTag, at(10));
    }
    limiter.charge(&budgets, network(1), "a", 4_000, at(10));
    let told =
        |limiter: &Limiter, seconds| limiter.usage(&budgets, at(seconds)).collect::<Vec<_>>();
    let usage =
        |requests, bytes, is_limited| Usage { network: network(1), requests, bytes, is_limited };
    assert_eq!(told(&limiter, 20), [usage(3, 4_000, true)]);
    // A quarter into the next hour, three quarters of the last one count.
    assert_eq!(told(&limiter, 3600 + 900), [usage(2, 3_000, false)]);
    assert_eq!(told(&limiter, 7200), [usage(0, 0, false)]);
}

#[test]
fn a_million_networks_do_not_free_one_that_is_over_its_limit() {
    let budgets = requests(60, Per::Hour, 100);
    let mut limiter = Limiter::new(8_192, 8, 99);
    let heavy = network(u32::MAX);
    while is_allowed(limiter.decide(&budgets, heavy, "a", Named::ByDigest, at(0))) {}
    for number in 0..1_000_000 {
        limiter.decide(&budgets, network(number), "a", Named::ByTag, at(1));
    }
    assert!(!is_allowed(limiter.decide(&budgets, heavy, "a", Named::ByDigest, at(2))));
    assert_eq!(limiter.capacity(), (8_192, 8));
    assert_eq!(limiter.usage(&budgets, at(2)).count(), 8_192);
}

#[test]
fn networks_are_told_as_people_write_them() {
    let lengths = PrefixLengths::default();
    for (address, lengths, expected) in [
        ("192.0.2.77", lengths, "192.0.2.0/24"),
        ("::ffff:192.0.2.77", lengths, "192.0.2.0/24"),
        ("2001:db8:1:2ff:3::4", lengths, "2001:db8:1:200::/56"),
        ("::1", lengths, "::/56"),
        ("0.0.0.0", lengths, "0.0.0.0/24"),
        ("255.255.255.255", PrefixLengths { v4: 32, v6: 64 }, "255.255.255.255/32"),
        ("192.0.2.77", PrefixLengths { v4: 0, v6: 0 }, "0.0.0.0/0"),
        ("2001:db8::1", PrefixLengths { v4: 0, v6: 64 }, "2001:db8::/64"),
    ] {
        let network = Network::of(address.parse().unwrap(), lengths);
        assert_eq!(network.cidr(lengths).to_string(), expected, "{address}");
    }
}

/// A network, or its use of a repository, and what is measured.
type Name = (u32, Option<u8>, Measure);

/// A bucket of tokens for each name: what the limiter would be with all the memory in the world.
struct Naive {
    budgets: Budgets,
    buckets: HashMap<Name, (i128, u64)>,
}

impl Naive {
    /// Tokens of a bucket at `now`, in nanoseconds of its rate.
    fn tokens(&mut self, name: Name, all: u64, now: u64) -> &mut i128 {
        let (tokens, then) = self.buckets.entry(name).or_insert((i128::from(all), now));
        *tokens = i128::from(all).min(*tokens + i128::from(now - *then));
        *then = now;
        tokens
    }

    fn names(&self, network: u32, repository: u8) -> Vec<(Name, Allowance)> {
        let of = |budget: &Budget, repository| {
            budget.both().map(|(measure, it)| Some(((network, repository, measure), it?)))
        };
        let both =
            [of(&self.budgets.network, None), of(&self.budgets.repository, Some(repository))];
        both.into_iter().flatten().flatten().collect()
    }

    fn decide(&mut self, network: u32, repository: u8, named: Named, now: u64) -> bool {
        let names = self.names(network, repository);
        let fits = names.iter().all(|&(name, allowance)| {
            let one = cost_of(&allowance, 1);
            let kept = if named == Named::ByTag { allowance.burst() / 8 } else { 0 };
            *self.tokens(name, cost_of(&allowance, allowance.burst()), now)
                >= i128::from(one + cost_of(&allowance, kept))
        });
        for (name, allowance) in names.into_iter().filter(|(name, _)| name.2 == Measure::Requests) {
            let all = cost_of(&allowance, allowance.burst());
            *self.tokens(name, all, now) -=
                if fits { i128::from(cost_of(&allowance, 1)) } else { 0 };
        }
        fits
    }

    fn charge(&mut self, network: u32, repository: u8, bytes: u64, now: u64) {
        for (name, allowance) in self.names(network, repository) {
            if name.2 == Measure::Bytes {
                let all = cost_of(&allowance, allowance.burst());
                let tokens = self.tokens(name, all, now);
                *tokens = (*tokens - i128::from(cost_of(&allowance, bytes)))
                    .max(-i128::from(86_400 * SECOND));
            }
        }
    }
}

/// Rates in these tests divide a second, so that nothing is rounded.
fn cost_of(allowance: &Allowance, amount: u64) -> u64 {
    amount * SECOND / allowance.rate().amount.get()
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Ask(u32, u8, bool),
    Take(u32, u8, u64),
}

fn steps(networks: u32) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..3 * SECOND).prop_map(Step::Wait),
        (0..networks, 0..3_u8, any::<bool>()).prop_map(|(n, r, d)| Step::Ask(n, r, d)),
        (0..networks, 0..3_u8, 0..2_000_u64).prop_map(|(n, r, bytes)| Step::Take(n, r, bytes)),
    ];
    proptest::collection::vec(step, 0..400)
}

fn budgets() -> impl Strategy<Value = Budgets> {
    let rates = prop_oneof![Just(1_u64), Just(2), Just(10), Just(1_000)];
    let one = || proptest::option::of((rates.clone(), 1..30_u64));
    (one(), one(), one(), one()).prop_map(|(a, b, c, d)| {
        let some = |it: Option<(u64, u64)>, times| {
            it.map(|(rate, burst)| allowance(rate, Per::Second, burst * times))
        };
        Budgets {
            network: Budget { requests: some(a, 1), bytes: some(b, 100) },
            repository: Budget { requests: some(c, 1), bytes: some(d, 100) },
        }
    })
}

proptest! {
    #[test]
    fn while_there_is_room_it_decides_as_the_naive_one(
        budgets in budgets(), steps in steps(8), seed: u64,
    ) {
        let mut naive = Naive { budgets, buckets: HashMap::new() };
        let mut limiter = Limiter::new(4_096, 4_096, seed);
        let mut now = 0;
        for step in steps {
            let moment = Duration::from_nanos(now);
            match step {
                Step::Wait(time) => now += time,
                Step::Ask(n, r, by_digest) => {
                    let named = if by_digest { Named::ByDigest } else { Named::ByTag };
                    let verdict = limiter.decide(&budgets, network(n), &r.to_string(), named, moment);
                    prop_assert_eq!(is_allowed(verdict), naive.decide(n, r, named, now));
                    if let Verdict::Limited { retry_after, .. } = verdict {
                        let again = moment + retry_after;
                        let early = again.saturating_sub(Duration::from_nanos(1));
                        let mut ask = |moment| limiter.decide(&budgets, network(n), &r.to_string(), named, moment);
                        prop_assert!(!is_allowed(ask(early)), "a nanosecond earlier it is too early");
                    }
                }
                Step::Take(n, r, bytes) => {
                    limiter.charge(&budgets, network(n), &r.to_string(), bytes, moment);
                    naive.charge(n, r, bytes, now);
                }
            }
        }
    }

    /// Forgetting only ever gives: whoever asks, over any history, gets at least as much.
    #[test]
    fn without_room_it_allows_no_less_than_the_naive_one(
        rate in prop_oneof![Just(1_u64), Just(10)], burst in 1..20_u64, steps in steps(40), seed: u64,
    ) {
        let budgets = requests(rate, Per::Second, burst);
        let mut naive = Naive { budgets, buckets: HashMap::new() };
        let mut limiter = Limiter::new(8, 8, seed);
        let mut got = HashMap::<u32, (u32, u32)>::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                Step::Ask(n, r, _) | Step::Take(n, r, _) => {
                    let moment = Duration::from_nanos(now);
                    let verdict = limiter.decide(&budgets, network(n), "a", Named::ByDigest, moment);
                    let (ours, theirs) = got.entry(n).or_default();
                    *ours += u32::from(is_allowed(verdict));
                    *theirs += u32::from(naive.decide(n, r, Named::ByDigest, now));
                    prop_assert!(ours >= theirs, "{ours} of {theirs}");
                }
            }
        }
    }

    #[test]
    fn exempt_is_what_any_of_the_networks_contains(
        networks in proptest::collection::vec((any::<[u8; 4]>(), 0..=32_u8), 0..20), address: [u8; 4],
    ) {
        let networks: Vec<ipnet::IpNet> = networks
            .into_iter()
            .map(|(address, length)| ipnet::IpNet::new(address.into(), length).unwrap().trunc())
            .collect();
        let exempt = Exempt::new(&networks);
        let address = IpAddr::from(address);
        prop_assert_eq!(exempt.contains(address), networks.iter().any(|it| it.contains(&address)));
    }
}
