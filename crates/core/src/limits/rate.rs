//! Rates and bursts, counted in time: what something costs is how long it takes to be allowed anew.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use super::Named;

const DAY: u64 = 86_400_000_000_000;

/// A span of time that rates are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// `s`
    Second,
    /// `min`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
}

impl Per {
    /// All of them, shortest first.
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// How it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "s",
            Self::Minute => "min",
            Self::Hour => "h",
            Self::Day => "d",
        }
    }

    const fn nanos(self) -> u64 {
        match self {
            Self::Second => 1_000_000_000,
            Self::Minute => 60_000_000_000,
            Self::Hour => 3_600_000_000_000,
            Self::Day => DAY,
        }
    }
}

/// So much in a time, in the long run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests or bytes.
    pub amount: NonZeroU64,
    /// In which time.
    pub per: Per,
}

impl Rate {
    /// How much that is in `time`, rounded down.
    pub fn within(self, time: Duration) -> u64 {
        let amount = time.as_nanos() * u128::from(self.amount.get()) / u128::from(self.per.nanos());
        u64::try_from(amount).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Rate {
    /// `600/min`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.amount, self.per.name())
    }
}

/// A rate, and how much may come at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    rate: Rate,
    burst: NonZeroU64,
    /// What one costs, in nanoseconds.
    one: u64,
    /// What a burst costs.
    all: u64,
    /// What is kept for manifests by digest.
    kept: u64,
}

impl Allowance {
    /// `burst` at once, then `rate`.
    pub fn new(rate: Rate, burst: NonZeroU64) -> Self {
        let one = cost(rate, 1);
        // Rounding must not make the whole smaller than one.
        let all = cost(rate, burst.get()).max(one);
        Self { rate, burst, one, all, kept: cost_down(rate, burst.get() / 8).min(all - one) }
    }

    /// In the long run.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// At once.
    pub fn burst(&self) -> u64 {
        self.burst.get()
    }

    /// How long it takes until a burst is allowed anew, in whole seconds.
    pub fn recovery_seconds(&self) -> u64 {
        self.all / 1_000_000_000
    }

    /// How long until one more fits, at a debt; 0 if it does now. In nanoseconds, as all here.
    pub(super) fn wait(&self, debt: u64, named: Named) -> u64 {
        let kept = match named {
            Named::ByTag => self.kept,
            Named::ByDigest => 0,
        };
        debt.saturating_add(self.one).saturating_sub(self.all - kept)
    }

    /// When the bucket will be full again, if `amount` more is taken from one that would be so at
    /// `full_at`.
    pub(super) fn charged(&self, full_at: u64, amount: u64, now: u64) -> u64 {
        let full_at = full_at.max(now).saturating_add(cost(self.rate, amount));
        full_at.min(now.saturating_add(self.all).saturating_add(DAY))
    }

    /// How much of the burst a debt is: 65,536 is all.
    pub(super) fn share(&self, debt: u64) -> u64 {
        let share = (u128::from(debt) << 16) / u128::from(self.all);
        u64::try_from(share).unwrap_or(u64::MAX)
    }
}

/// Nothing is free, however high the rate.
fn cost(rate: Rate, amount: u64) -> u64 {
    cost_down(rate, amount).max(u64::from(amount > 0))
}

fn cost_down(rate: Rate, amount: u64) -> u64 {
    let nanos = u128::from(amount) * u128::from(rate.per.nanos()) / u128::from(rate.amount.get());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}
