//! Health: whether clients may be sent to a copy, from how its probes went.
//!
//! A copy is *in* until `fall` of its last `2 × fall` probes failed; so both a copy that is gone and
//! one that fails half of the time go *out*. It comes back when `rise` probes in a row went well,
//! and then slowly: it is *returning*, with a share of its clients that grows from a sixteenth to
//! all of them. One failing probe sends a returning copy out again, and each time that happens soon
//! it must be good for longer and returns more slowly, up to a limit: who flaps stays out.
//!
//! Time is an argument: how long it is since some moment that does not change.

use std::time::Duration;

/// The most failing probes that `fall` may ask for.
pub const MOST_FALL: u16 = 32;
/// How often in a row the return is made slower: 2⁵ times at most.
const MOST_DOUBLINGS: u32 = 5;
/// The share with which a return begins, of 65,536.
const FIRST_SHARE: u16 = 4_096;

/// When a copy goes out and how it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthSettings {
    /// Failing probes, of the last twice as many, that send it out; 1 to [`MOST_FALL`].
    pub fall: u16,
    /// Good probes in a row that bring it back; above zero.
    pub rise: u16,
    /// How long it takes to get all of its clients back, the first time.
    pub return_over: Duration,
}

/// Whether clients may be sent to a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// All of them.
    In,
    /// None of them, since then.
    Out {
        /// When it went out.
        since: Duration,
    },
    /// A share of them, which grows since then.
    Returning {
        /// When it began to come back.
        since: Duration,
    },
}

/// One copy's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyHealth {
    settings: HealthSettings,
    state: State,
    /// The last probes, the newest in the lowest bit; a failing one is set.
    failing: u64,
    /// Good ones in a row.
    good: u32,
    /// How often it went out again soon after it had come back.
    relapses: u32,
    /// Since when it has been in.
    settled: Duration,
}

impl CopyHealth {
    /// A copy that is in: nothing bad is known of it.
    pub const fn new(settings: HealthSettings) -> Self {
        Self {
            settings,
            state: State::In,
            failing: 0,
            good: 0,
            relapses: 0,
            settled: Duration::ZERO,
        }
    }

    /// With other settings, and what is known so far.
    #[must_use]
    pub const fn with(mut self, settings: HealthSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Whether clients may be sent there.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Notes how a probe went at `now`. Returns the state if it is another one now.
    pub fn observe(&mut self, is_good: bool, now: Duration) -> Option<State> {
        let before = self.state;
        self.failing = self.failing << 1 | u64::from(!is_good);
        self.good = if is_good { self.good.saturating_add(1) } else { 0 };
        self.settle(now);
        self.state = match self.state {
            State::In if self.has_fallen() => {
                // Going out soon after a return is a relapse; after a long good time it is news.
                let is_soon = now.saturating_sub(self.settled) < self.return_over() * 4;
                self.relapses = if self.relapses > 0 && is_soon { self.relapses + 1 } else { 0 };
                State::Out { since: now }
            }
            State::Returning { .. } if !is_good => {
                self.relapses += 1;
                State::Out { since: now }
            }
            State::Out { .. } if self.good >= self.rise() => State::Returning { since: now },
            same => same,
        };
        self.relapses = self.relapses.min(MOST_DOUBLINGS);
        (std::mem::discriminant(&self.state) != std::mem::discriminant(&before))
            .then_some(self.state)
    }

    /// How many of 65,536 clients may be sent there at `now`; `u16::MAX` is all of them.
    pub fn share(&self, now: Duration) -> u16 {
        match self.state {
            State::In => u16::MAX,
            State::Out { .. } => 0,
            State::Returning { since } => {
                let whole = self.return_over().as_millis().max(1);
                let passed = now.saturating_sub(since).as_millis().min(whole);
                let more = u128::from(u16::MAX - FIRST_SHARE) * passed / whole;
                FIRST_SHARE.saturating_add(u16::try_from(more).unwrap_or(u16::MAX))
            }
        }
    }

    /// A return that is over is over, whether or not anybody probes.
    pub fn settle(&mut self, now: Duration) {
        if let State::Returning { since } = self.state
            && now.saturating_sub(since) >= self.return_over()
        {
            (self.state, self.failing, self.settled) = (State::In, 0, now);
            // So that going out again soon counts.
            self.relapses = self.relapses.max(1);
        }
    }

    fn has_fallen(&self) -> bool {
        let fall = u32::from(self.settings.fall.clamp(1, MOST_FALL));
        let last = u64::MAX >> (64 - 2 * fall);
        (self.failing & last).count_ones() >= fall
    }

    fn rise(&self) -> u32 {
        u32::from(self.settings.rise.max(1)) << self.relapses
    }

    fn return_over(&self) -> Duration {
        self.settings.return_over * (1 << self.relapses)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: HealthSettings =
        HealthSettings { fall: 3, rise: 2, return_over: Duration::from_secs(160) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_falls_after_failing_probes_and_returns_slowly() {
        let mut health = CopyHealth::new(SETTINGS);
        let told: Vec<_> = [true, false, true, false]
            .iter()
            .zip(0..)
            .filter_map(|(&good, second)| health.observe(good, at(second)))
            .collect();
        assert_eq!((told, health.share(at(4))), (vec![], u16::MAX), "two of the last six");
        assert_eq!(health.observe(false, at(5)), Some(State::Out { since: at(5) }));
        assert_eq!(health.share(at(5)), 0);
        assert_eq!(health.observe(true, at(10)), None);
        assert_eq!(health.observe(false, at(20)), None);
        assert_eq!(health.observe(true, at(30)), None);
        assert_eq!(health.observe(true, at(40)), Some(State::Returning { since: at(40) }));
        assert_eq!((health.share(at(40)), health.share(at(120))), (4_096, 34_815));
        assert_eq!(health.observe(true, at(199)), None);
        assert_eq!(health.observe(true, at(200)), Some(State::In));
    }

    #[test]
    fn who_flaps_must_be_good_for_longer_each_time() {
        let mut health = CopyHealth::new(SETTINGS);
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..8 {
            while !matches!(health.state(), State::Out { .. }) {
                now += 1;
                health.observe(false, at(now));
            }
            let out = now;
            while !matches!(health.state(), State::Returning { .. }) {
                now += 1;
                health.observe(true, at(now));
            }
            waits.push(now - out);
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 64, 64]);
        // And when it has been good for long, that is forgotten.
        now += 100_000;
        assert_eq!(health.observe(true, at(now)), Some(State::In));
        now += 100_000;
        for _ in 0..3 {
            now += 1;
            health.observe(false, at(now));
        }
        assert_eq!(health.observe(true, at(now + 1)), None);
        assert!(matches!(health.observe(true, at(now + 2)), Some(State::Returning { .. })));
    }

    #[test]
    fn a_copy_that_fails_half_of_the_time_goes_out() {
        let mut health = CopyHealth::new(SETTINGS);
        let out = (0..100).find(|&second| health.observe(second % 2 == 0, at(second)).is_some());
        assert_eq!(out, Some(5));
    }

    proptest! {
        #[test]
        fn hysteresis_holds_whatever_probes_say(
            probes in proptest::collection::vec((any::<bool>(), 0..200_u64), 1..300),
            fall in 1..6_u16, rise in 1..6_u16,
        ) {
            let settings = HealthSettings { fall, rise, ..SETTINGS };
            let mut health = CopyHealth::new(settings);
            let (mut now, mut seen) = (0, Vec::new());
            for (is_good, wait) in probes {
                now += wait;
                let (before, share) = (health.state(), health.share(at(now)));
                let told = health.observe(is_good, at(now));
                seen.push(is_good);
                let after = health.state();
                match (before, after) {
                    (State::In | State::Returning { .. }, State::Out { .. }) => {
                        prop_assert!(!is_good, "a good probe sends nobody out");
                        if before == State::In {
                            let window = &seen[seen.len().saturating_sub(2 * usize::from(fall))..];
                            let failing = window.iter().filter(|good| !**good).count();
                            prop_assert!(failing >= usize::from(fall));
                        }
                    }
                    (State::Out { .. }, State::Returning { .. }) => {
                        let good = seen.iter().rev().take_while(|good| **good).count();
                        prop_assert!(good >= usize::from(rise));
                    }
                    (State::Out { .. }, State::In) => prop_assert!(false, "nobody returns at once"),
                    _ => {}
                }
                prop_assert_eq!(told.is_some(), std::mem::discriminant(&before) != std::mem::discriminant(&after));
                // A share grows unless a probe fails.
                if is_good && !matches!(before, State::Out { .. }) {
                    prop_assert!(health.share(at(now)) >= share);
                }
                prop_assert_eq!(health.share(at(now)) == 0, matches!(after, State::Out { .. }));
            }
        }
    }
}
