//! How copies are probed, and what an operator says of one.

use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::health::HealthSettings;

use super::Mode;

/// How copies are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeSettings {
    /// Whether what probes find moves clients.
    pub mode: Mode,
    /// How long between two probes of a copy, but for the budget.
    pub period: Duration,
    /// How long a probe may take.
    pub timeout: Duration,
    /// When a copy goes out and comes back.
    pub health: HealthSettings,
    /// The most requests that all fronts together send to one copy in an hour; above zero.
    pub budget_requests: u64,
    /// The most bytes that they read from it.
    pub budget_bytes: u64,
}

/// What an operator says of a copy, whatever probes find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// What is to be done.
    pub state: OverrideState,
    /// Until when.
    pub until: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// What an operator wants of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverrideState {
    /// No client is sent there while another copy works.
    Drain,
    /// Clients are sent there whatever anybody finds.
    Force,
}
