//! What becomes of requests for old names, counted.

use landbridge_core::migration::{Action, Phase};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register_as;

/// What a step of a migration did with a request, or would have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MigrationAction {
    Redirected,
    Refused,
    Gone,
    /// A brownout's cap left no room, so it was served.
    OverCap,
    WouldRedirect,
    WouldRefuse,
    WouldBeGone,
}

const ACTIONS: [MigrationAction; 7] = [
    MigrationAction::Redirected,
    MigrationAction::Refused,
    MigrationAction::Gone,
    MigrationAction::OverCap,
    MigrationAction::WouldRedirect,
    MigrationAction::WouldRefuse,
    MigrationAction::WouldBeGone,
];

impl MigrationAction {
    const fn name(self) -> &'static str {
        match self {
            Self::Redirected => "redirected",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::OverCap => "over-cap",
            Self::WouldRedirect => "would-redirect",
            Self::WouldRefuse => "would-refuse",
            Self::WouldBeGone => "would-be-gone",
        }
    }

    /// What a step in `observe` mode would have done. It is never to serve.
    pub(crate) const fn observed(action: Action) -> Self {
        match action {
            Action::Serve | Action::Redirect => Self::WouldRedirect,
            Action::Refuse { .. } => Self::WouldRefuse,
            Action::Gone => Self::WouldBeGone,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    site: String,
    migration: String,
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    site: String,
    migration: String,
    phase: &'static str,
    action: &'static str,
}

/// Of all migrations.
#[derive(Debug, Default)]
pub(super) struct MigrationMetrics {
    answers: Family<ActionLabels, Counter>,
    aborted: Family<StepLabels, Gauge>,
}

/// One step's counters. Steps of the same phase share them.
#[derive(Debug, Clone)]
pub(crate) struct MigrationCounters {
    answers: [Counter; ACTIONS.len()],
    pub(crate) aborted: Gauge,
}

impl MigrationCounters {
    pub(crate) fn of(&self, action: MigrationAction) -> &Counter {
        &self.answers[action as usize]
    }
}

impl MigrationMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        register_as(
            registry,
            "migration_answers",
            "Requests for an old name that a step of its migration did not let be served, or would not have in enforce mode",
            &metrics.answers,
        );
        register_as(
            registry,
            "migration_aborted",
            "1 if this front took a step of the phase back by itself, else 0",
            &metrics.aborted,
        );
        metrics
    }

    pub(super) fn step(&self, site: &str, migration: &str, phase: Phase) -> MigrationCounters {
        let (site, migration, phase) = (site.to_owned(), migration.to_owned(), phase.name());
        let answers = ACTIONS.map(|action| {
            let labels = ActionLabels {
                site: site.clone(),
                migration: migration.clone(),
                phase,
                action: action.name(),
            };
            self.answers.get_or_create(&labels).clone()
        });
        let labels = StepLabels { site, migration, phase };
        MigrationCounters { answers, aborted: self.aborted.get_or_create(&labels).clone() }
    }
}
