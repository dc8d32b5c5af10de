//! What a collection did, for people and for programs.

use std::fmt;

use landbridge_store::{Reprieve, Swept};
use serde::Serialize;

use super::plan::{Plan, Sum};

/// What a collection did. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Tags that the retention rules let go.
    pub untagged: u64,
    /// Manifests that they let go.
    pub unlinked: u64,
    /// Objects that were condemned.
    pub condemned: Sum,
    /// Objects that were deleted: the bytes won.
    pub deleted: Sum,
    /// Objects that were due and stay: somebody was told that they are there, wrote them again, or
    /// refers to them again.
    pub reprieved: u64,
    /// Objects whose condemnation was taken back.
    pub withdrawn: u64,
    /// Objects whose grace period is not over.
    pub waiting: Sum,
    /// Uploads that were given up.
    pub uploads: u64,
    /// Objects that stay, as the plan saw them.
    pub kept: Sum,
    /// Manifests that a name leads to and that are not there.
    pub missing: u64,
    #[serde(skip)]
    looked_at: usize,
}

impl Report {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut waiting = Sum::default();
        plan.waiting.iter().for_each(|object| waiting.add(object.size));
        Self {
            untagged: plan.untag.len() as u64,
            unlinked: plan.unlink.len() as u64,
            condemned: plan.condemn.iter().collect(),
            withdrawn: plan.withdraw.len() as u64,
            waiting,
            kept: plan.kept,
            missing: plan.missing.len() as u64,
            ..Self::default()
        }
    }

    /// How many due objects have been judged.
    pub(crate) fn looked_at(&self) -> usize {
        self.looked_at
    }

    pub(crate) fn count(&mut self, swept: Swept) {
        self.looked_at += 1;
        match swept {
            Swept::Deleted { size } => self.deleted.add(size),
            Swept::Reprieved(Reprieve::Leased | Reprieve::Written | Reprieve::Reachable) => {
                self.reprieved += 1;
            }
            // Nothing was there, or another collection was faster.
            Swept::Gone | Swept::TooEarly | Swept::NotCondemned => {}
        }
    }
}

/// Numbers that are nothing are left out.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "deleted     {}", self.deleted)?;
        writeln!(f, "condemned   {}", self.condemned)?;
        writeln!(f, "waiting     {}", self.waiting)?;
        writeln!(f, "kept        {}", self.kept)?;
        for (count, name, what) in [
            (self.untagged, "untagged   ", "tags that the retention rules let go"),
            (self.unlinked, "unlinked   ", "manifests that the retention rules let go"),
            (self.reprieved, "reprieved  ", "due objects that somebody relies on again"),
            (self.withdrawn, "withdrawn  ", "condemned objects that are referred to again"),
            (self.uploads, "uploads    ", "given up"),
            (self.missing, "missing    ", "manifests that a name leads to and that are not there"),
        ] {
            if count > 0 {
                writeln!(f, "{name} {count} {what}")?;
            }
        }
        Ok(())
    }
}
