//! What a project promises: how long users know before something is taken from them.

use jiff::Timestamp;
use landbridge_core::migration::{Phase, Step};
use landbridge_core::pointer::Keys;
use serde::{Deserialize, Serialize};

use crate::dates::{DAY, days};
use crate::ledger::Head;

/// A project's promises, and who may bend them.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The promises.
    pub rules: Vec<Rule>,
    /// When the project released, or will, in order: for rules that count releases.
    pub releases: Vec<Timestamp>,
    /// Whose signatures make an exception, and how many of them are needed. Without any, nothing
    /// can be bent.
    pub approvers: Option<Keys>,
    /// What the ledger ended with when somebody last looked: entries that are missing at its end
    /// are noticed by it.
    pub head: Option<Head>,
}

/// One promise. Where it names days and releases, the longer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, which exceptions refer to.
    pub name: String,
    /// For what it holds: `stable`, `beta`, or as moves say.
    pub stability: String,
    /// For which phases; none is all that take something away.
    pub phases: Vec<Phase>,
    /// Days of notice.
    pub days: Option<u32>,
    /// Releases of notice.
    pub releases: Option<u32>,
}

/// Why a rule is bent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReasonClass {
    /// The money runs out before the notice does.
    Budget,
    /// Users would be in danger.
    Security,
    /// The law says so.
    Legal,
    /// Somebody else ends what it stands on.
    UpstreamShutdown,
}

/// What is bent, why, and what is done for those whom it hits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exception {
    /// The rule that is bent.
    pub rule: String,
    /// The move that bends it.
    #[serde(rename = "move")]
    pub of: String,
    /// The phase that comes too early.
    pub phase: String,
    /// When that begins: another start needs another exception.
    pub start: Timestamp,
    /// By how many days at most.
    pub days_short: u32,
    /// Why.
    pub reason: ReasonClass,
    /// Where that can be seen: a forecast's or an issue's identifier.
    pub evidence: String,
    /// What is done for those whom it hits.
    pub mitigation: String,
    /// A plan that still needs it later is refused again.
    pub expires: Timestamp,
}

impl Rule {
    /// Whether it holds for a step of a move of this stability.
    pub fn holds_for(&self, stability: &str, step: &Step) -> bool {
        self.stability == stability
            && step.phase.takes_away()
            && (self.phases.is_empty() || self.phases.contains(&step.phase))
    }

    /// How long it asks for, for something that was announced at `announced`.
    pub fn required(&self, announced: Timestamp, releases: &[Timestamp]) -> Required {
        let day = i64::from(self.days.unwrap_or(0));
        let by_days = Timestamp::from_second(announced.as_second().saturating_add(day * DAY));
        let by_days = by_days.unwrap_or(Timestamp::MAX);
        let Some(wanted) = self.releases.filter(|&wanted| wanted > 0) else {
            return Required::From(by_days);
        };
        let mut after = releases.iter().copied().filter(|&release| release > announced);
        match after.nth(wanted as usize - 1) {
            Some(release) => Required::From(by_days.max(release)),
            None => Required::FromRelease { not_before: by_days },
        }
    }
}

/// From when on a rule allows a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Required {
    /// From this moment.
    From(Timestamp),
    /// From a release whose date nobody knows yet, and not before this moment.
    FromRelease {
        /// What the days alone ask for.
        not_before: Timestamp,
    },
}

impl Required {
    /// By how many days a start at `start` is too early; `None` if nobody knows yet.
    pub fn short(self, start: Timestamp) -> Option<i64> {
        match self {
            Self::From(from) => Some(days(start, from).max(0)),
            Self::FromRelease { .. } => None,
        }
    }
}

impl ReasonClass {
    /// As it stands in a ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Budget => "budget",
            Self::Security => "security",
            Self::Legal => "legal",
            Self::UpstreamShutdown => "upstream-shutdown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: &str) -> Timestamp {
        format!("{day}T00:00:00Z").parse().unwrap()
    }

    #[test]
    fn of_days_and_releases_the_longer_counts() {
        let rule = |days, releases| Rule {
            name: "r".into(),
            stability: "stable".into(),
            phases: Vec::new(),
            days,
            releases,
        };
        let releases = ["2023-01-01", "2023-04-01", "2023-08-01", "2024-06-01"].map(at);
        let told = at("2023-02-01");
        for (days, count, expected) in [
            (Some(365), None, Required::From(at("2024-02-01"))),
            (None, Some(1), Required::From(at("2023-04-01"))),
            (Some(365), Some(2), Required::From(at("2024-02-01"))),
            (Some(365), Some(3), Required::From(at("2024-06-01"))),
            (Some(10), Some(4), Required::FromRelease { not_before: at("2023-02-11") }),
            (None, Some(0), Required::From(told)),
        ] {
            assert_eq!(rule(days, count).required(told, &releases), expected, "{days:?} {count:?}");
        }
        let required = rule(Some(365), None).required(told, &releases);
        assert_eq!(required.short(at("2024-01-31")), Some(1));
        assert_eq!(required.short(at("2025-01-31")), Some(0));
    }
}
