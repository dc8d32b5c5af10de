//! How copies are probed, and what an operator says of one, as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failover::Mode;
use crate::config::scalar::{Moment, Period, Size};

/// How copies are probed, and when one of them gets no clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Health {
    /// `observe` probes, tells what it finds, and moves nobody.
    pub(crate) mode: Mode,
    /// How long between two probes of a copy: by turns a `HEAD` of an object that it is known to
    /// hold, a small object whole, another `HEAD`, and the last byte of a large one. Longer if the
    /// budget is too small for it.
    pub(crate) period: Period,
    /// How long a probe may take.
    pub(crate) timeout: Period,
    /// Failing probes, of the last twice as many, after which clients are sent elsewhere.
    #[schemars(range(min = 1, max = 32))]
    pub(crate) fall: u16,
    /// Good probes in a row after which they begin to come back. Who goes out again soon needs
    /// twice as many each time, up to 32 times.
    #[schemars(range(min = 1, max = 1000))]
    pub(crate) rise: u16,
    /// How long it takes until all clients are back, the first time; then longer, as with `rise`.
    #[serde(rename = "return")]
    pub(crate) return_over: Period,
    /// What probes may cost.
    pub(crate) budget: Budget,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            period: Period::seconds(10),
            timeout: Period::seconds(5),
            fall: 3,
            rise: 3,
            return_over: Period::seconds(5 * 60),
            budget: Budget::default(),
        }
    }
}

/// What the probes of all fronts together (`failover.fronts`) may cost each copy in an hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Budget {
    /// How many requests. Fewer make the period longer.
    #[schemars(range(min = 1))]
    pub(crate) requests: u32,
    /// How many bytes are read. Without any, all probes are `HEAD`.
    pub(crate) bytes: Size,
}

impl Default for Budget {
    fn default() -> Self {
        Self { requests: 3_600, bytes: Size(16 << 20) }
    }
}

/// What an operator says of a copy, whatever probes find.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Override {
    /// What is to be done.
    #[schemars(required)]
    pub(crate) state: Option<OverrideState>,
    /// When it ends by itself, as `2026-12-24T18:00:00Z`.
    #[schemars(required)]
    pub(crate) until: Option<Moment>,
    /// Why, for whoever finds it there.
    #[schemars(required)]
    pub(crate) reason: Option<String>,
}

/// What an operator wants of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum OverrideState {
    /// No client is sent there while another copy that may serve it works.
    Drain,
    /// Clients are sent there, whatever probes and readers find.
    Force,
}
