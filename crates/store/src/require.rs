//! Which mirrors must hold a release in full before it is published.
//!
//! The authority always must. A release that no mirror of a provider has would have all of that
//! provider's users sent elsewhere, at somebody's cost, from one moment to the next.

use std::collections::BTreeSet;
use std::fmt;

use crate::mirrors::{MirrorState, MirrorWork};

/// Which mirrors must hold a release in full before it is published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Require {
    /// One of each provider that has any. A mirror without a provider is not waited for.
    #[default]
    OneOfEachProvider,
    /// Those with these names; none of them, and the authority is enough.
    These(Vec<String>),
}

/// A mirror for want of which nothing is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Its name.
    pub mirror: String,
    /// How far it came.
    pub state: MirrorState,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mirror `{}` {}", self.mirror, self.state)
    }
}

/// Gaps as a sentence has them.
pub(crate) fn listed(gaps: &[Gap]) -> String {
    gaps.iter().map(Gap::to_string).collect::<Vec<_>>().join("; ")
}

impl Require {
    /// The mirrors that do not hold enough.
    pub(crate) fn unmet(&self, mirrors: &[MirrorWork]) -> Vec<Gap> {
        let is_complete = |work: &MirrorWork| work.state() == MirrorState::Complete;
        let served: BTreeSet<&str> = mirrors
            .iter()
            .filter(|work| is_complete(work))
            .filter_map(|work| work.mirror().provider.as_deref())
            .collect();
        let is_wanted = |work: &&MirrorWork| match self {
            Self::OneOfEachProvider => {
                let provider = work.mirror().provider.as_deref();
                provider.is_some_and(|provider| !served.contains(provider))
            }
            Self::These(names) => names.contains(&work.mirror().name) && !is_complete(work),
        };
        let gap =
            |work: &MirrorWork| Gap { mirror: work.mirror().name.clone(), state: work.state() };
        mirrors.iter().filter(is_wanted).map(gap).collect()
    }
}
