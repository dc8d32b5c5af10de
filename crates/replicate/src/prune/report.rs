//! What a prune did.

use std::fmt;

use serde::Serialize;

use super::plan::PrunePlan;

/// What a prune did. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// The pointer with which it published again what is in force.
    pub sequence: u64,
    /// What it set out to do.
    #[serde(flatten)]
    pub plan: PrunePlan,
    /// What could not be deleted: a sentence for each copy.
    pub failed: Vec<String>,
}

impl fmt::Display for PruneReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.plan)?;
        for why in &self.failed {
            writeln!(f, "warning: {why}")?;
        }
        write!(f, "pruned; published as {}: what was in force before", self.sequence)
    }
}
