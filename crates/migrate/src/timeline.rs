//! A plan as a timeline: one page to look at and to print, a calendar to subscribe to, and JSON.
//!
//! All three say the same, from one [`Timeline`], which is plain data.

mod calendar;
mod page;
mod plot;

use jiff::Timestamp;
use landbridge_core::migration::{Mode, Progress, Step, Steps};
use serde::Serialize;

use crate::Move;
use crate::check::{ChangeCheck, Check};

/// A plan at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// The moment.
    pub at: Timestamp,
    /// The moves, in the order of the plan.
    pub moves: Vec<MoveLine>,
}

/// One move.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MoveLine {
    /// Its name.
    pub name: String,
    /// What users are to use.
    pub successor: String,
    /// Where it stands.
    pub progress: Progress,
    /// Its steps, the earliest first.
    pub steps: Vec<StepLine>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepLine {
    /// What it is known by however its dates move: its phase and its number among those.
    pub id: String,
    /// Its phase.
    pub phase: &'static str,
    /// When users were told.
    pub announced: Timestamp,
    /// When it begins.
    pub start: Timestamp,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Since when it is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aborted: Option<Timestamp>,
    /// False if it is only observed.
    pub enforced: bool,
    /// Whom it concerns.
    pub scope: String,
    /// What users are told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When a brownout refuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Span>,
    /// What shares of clients it concerns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<ShareLine>,
    /// How it stands with each rule of the policy.
    pub checks: Vec<ChangeCheck>,
}

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

/// A share of clients from a moment on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ShareLine {
    /// The moment.
    pub from: Timestamp,
    /// The share.
    pub percent: f64,
}

impl Timeline {
    /// The timeline of `moves` as of `at`, with what a check said of them.
    pub fn new(moves: &[Move], check: &Check, at: Timestamp) -> Self {
        let line = |it: &Move| {
            let steps = it.migration.steps();
            let mut lines: Vec<_> = (steps.iter().enumerate())
                .map(|(place, step)| step_line(it, check, step, &steps[..place]))
                .collect();
            lines.sort_by_key(|line| line.start);
            MoveLine {
                name: it.migration.name().to_owned(),
                successor: it.migration.successor().to_owned(),
                progress: it.migration.progress(at, Steps::NONE),
                steps: lines,
            }
        };
        Self { at, moves: moves.iter().map(line).collect() }
    }

    /// One page: complete without scripts, fonts, images or anything from elsewhere.
    pub fn to_html(&self) -> String {
        page::html(self)
    }

    /// A calendar (RFC 5545) of everything that begins.
    pub fn to_calendar(&self) -> String {
        calendar::calendar(self)
    }

    /// The same for programs.
    pub fn to_json(&self) -> String {
        // Plain data with text for keys is always JSON.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The first and the last moment that it speaks of, and some days around them.
    fn extent(&self) -> (Timestamp, Timestamp) {
        let steps = || self.moves.iter().flat_map(|it| &it.steps);
        let moments = steps().flat_map(|step| {
            let allowed = step.checks.iter().filter_map(|check| check.allowed_from);
            let own = [Some(step.announced), Some(step.start), step.end, step.aborted];
            own.into_iter().flatten().chain(allowed)
        });
        let (first, last) = moments.fold((self.at, self.at), |(first, last), moment| {
            (first.min(moment), last.max(moment))
        });
        let margin = (last.as_second() - first.as_second()) / 40 + 86_400;
        let shifted = |at: Timestamp, by: i64| {
            Timestamp::from_second(at.as_second().saturating_add(by)).unwrap_or(at)
        };
        (shifted(first, -margin), shifted(last, margin))
    }
}

fn step_line(it: &Move, check: &Check, step: &Step, before: &[Step]) -> StepLine {
    let phase = step.phase.name();
    let number = before.iter().filter(|other| other.phase == step.phase).count() + 1;
    let is_its = |change: &&ChangeCheck| {
        change.of == it.migration.name() && change.phase == phase && change.start == step.start
    };
    let windows = step.brownout.iter().flat_map(|brownout| &brownout.windows);
    let shares = step.shares.iter();
    StepLine {
        id: format!("{phase}-{number}"),
        phase,
        announced: step.announced,
        start: step.start,
        end: step.end,
        aborted: step.aborted,
        enforced: step.mode == Mode::Enforce,
        scope: step.scope.to_string(),
        message: step.message.clone(),
        windows: windows.map(|window| Span { start: window.start, end: window.end }).collect(),
        shares: shares
            .map(|point| ShareLine { from: point.from, percent: point.share.percent() })
            .collect(),
        checks: check.changes.iter().filter(is_its).cloned().collect(),
    }
}

#[cfg(test)]
mod tests;
