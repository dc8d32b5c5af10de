//! What it may cost when copies fail, as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalar::{Name, Period, PlaceName, Size, Sum};

/// Whether something that refuses or moves clients does so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// It counts what it would have done, and does nothing.
    #[default]
    Observe,
    /// It does it.
    Enforce,
}

/// What it may cost when copies fail: how the caps of all sites' `overflow` are applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Failover {
    /// `observe` sends clients on as if there were no caps, and counts what would have gone over
    /// each edge and who would have been refused.
    pub(crate) mode: Mode,
    /// How many fronts share each cap: each may spend its part. If it is too high, less is spent
    /// than was approved; it must not be too low.
    #[schemars(range(min = 1, max = 10_000))]
    pub(crate) fronts: u32,
    /// A program and its arguments, which no shell reads, that prints how many fronts there are
    /// now. The highest number of a day counts, never less than `fronts`; while it fails, the last
    /// one stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fronts_command: Option<Vec<String>>,
    /// How often it is run.
    pub(crate) fronts_every: Period,
    /// How far beyond a cap pulls may go that were let in under it, in thousandths of the cap. No
    /// more than that is ever spent.
    #[schemars(range(max = 1000))]
    pub(crate) reserve_permille: u16,
    /// For how long a pull that was let in may take what its manifest names.
    pub(crate) pull: Period,
    /// How many pulls under way are remembered for each edge. More are let in without a promise.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub(crate) pulls: u32,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            fronts: 1,
            fronts_command: None,
            fronts_every: Period::seconds(60),
            reserve_permille: 50,
            pull: Period::seconds(15 * 60),
            pulls: 65_536,
        }
    }
}

/// Where clients may be sent whose own copies fail. Their own are those of their region and of
/// the first rule of `routes` for them, else the `default`, else the origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overflow {
    /// The clients' provider. Without it, everyone whom no other rule names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// The clients' region. Without it, every region of the provider that no earlier rule names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// The ways over, in order. None, if these clients may go nowhere else.
    #[serde(default)]
    pub(crate) edges: Vec<Edge>,
}

/// A way over, and what may be spent on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edge {
    /// The origin or mirror that serves these clients instead.
    #[schemars(required)]
    pub(crate) copy: Option<Name>,
    /// What all fronts together may spend in each hour, as the clock of UTC cuts them. `hour`,
    /// `day` or both; without one there is no limit for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hour: Option<Cap>,
    /// What all fronts together may spend in each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) day: Option<Cap>,
    /// What becomes of pulls for which the cap leaves no room.
    #[serde(default)]
    pub(crate) over: Over,
}

/// What may be spent: `bytes`, `money` or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cap {
    /// How many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<Size>,
    /// How much money, as the `prices` say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) money: Option<Sum>,
}

/// What becomes of pulls for which a cap leaves no room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Over {
    /// They take the next edge; after the last one they are refused with 503.
    #[default]
    Next,
    /// From 80 % of the cap on, a share that grows to all of them is answered 429 with
    /// `Retry-After`; who was let in is not slowed.
    Slow,
    /// They are refused with 503, though a later edge might have room.
    Refuse,
}
