//! How much a client's network may ask for.

use ipnet::IpNet;
use landbridge_core::limits::{Budgets, PrefixLengths};

use super::Mode;

/// Limits of client networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitSettings {
    /// Whether anybody is refused.
    pub mode: Mode,
    /// How much of an address is its network.
    pub lengths: PrefixLengths,
    /// The limits themselves.
    pub budgets: Budgets,
    /// Whom they are not about.
    pub exempt: Vec<IpNet>,
    /// What is remembered of networks takes so much memory, and no more.
    pub memory_bytes: u64,
}
