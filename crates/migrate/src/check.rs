//! A plan held against the policy: who has how much notice, what is too little, what excuses it.

use std::fmt;

use jiff::Timestamp;
use landbridge_core::migration::Step;
use serde::Serialize;

use crate::Move;
use crate::dates::{date, days};
use crate::ledger::Ledger;
use crate::policy::{Exception, Policy, Required, Rule};

/// What a check says of every change that takes something away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// One for each change and rule, in the order of the plan.
    pub changes: Vec<ChangeCheck>,
}

/// One change held against one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeCheck {
    /// The move.
    #[serde(rename = "move")]
    pub of: String,
    /// The phase.
    pub phase: &'static str,
    /// When users were told.
    pub announced: Timestamp,
    /// When it begins.
    pub start: Timestamp,
    /// Whole days in between.
    pub notice_days: i64,
    /// The rule, if any holds.
    pub rule: Option<String>,
    /// From when on the rule allows it, if that is known.
    pub allowed_from: Option<Timestamp>,
    /// How it stands.
    pub verdict: Verdict,
}

/// How a change stands with a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    /// As promised.
    Kept,
    /// No rule holds for it: nothing was promised.
    NoRule,
    /// Taken back: nothing happens.
    Aborted,
    /// Too early, and an exception says so.
    Excused {
        /// By how many days.
        days_short: i64,
        /// The exception's number in the ledger.
        entry: u64,
    },
    /// Too early.
    Short {
        /// By how many days.
        days_short: i64,
        /// What is wrong with the exceptions that there are, a sentence each.
        exceptions: Vec<String>,
    },
    /// It waits for a release whose date nobody knows.
    Unknown,
}

impl Verdict {
    /// Whether a plan is refused for it.
    pub const fn is_finding(&self) -> bool {
        matches!(self, Self::Short { .. } | Self::Unknown)
    }
}

impl Check {
    /// The changes for which a plan is refused.
    pub fn findings(&self) -> impl Iterator<Item = &ChangeCheck> {
        self.changes.iter().filter(|change| change.verdict.is_finding())
    }
}

/// Holds `moves` against `policy` as of `at`, with the exceptions of a verified `ledger`.
pub fn check(policy: &Policy, moves: &[Move], ledger: &Ledger, at: Timestamp) -> Check {
    let mut changes = Vec::new();
    for it in moves {
        for step in it.migration.steps().iter().filter(|step| step.phase.takes_away()) {
            let rules = policy.rules.iter().filter(|rule| rule.holds_for(&it.stability, step));
            let held: Vec<_> = rules.map(|rule| held(policy, it, step, rule, ledger, at)).collect();
            if held.is_empty() {
                changes.push(change(it, step, None, None, Verdict::NoRule));
            }
            changes.extend(held);
        }
    }
    Check { changes }
}

fn change(
    it: &Move,
    step: &Step,
    rule: Option<&Rule>,
    allowed_from: Option<Timestamp>,
    verdict: Verdict,
) -> ChangeCheck {
    ChangeCheck {
        of: it.migration.name().to_owned(),
        phase: step.phase.name(),
        announced: step.announced,
        start: step.start,
        notice_days: days(step.announced, step.start),
        rule: rule.map(|rule| rule.name.clone()),
        allowed_from,
        verdict,
    }
}

fn held(
    policy: &Policy,
    it: &Move,
    step: &Step,
    rule: &Rule,
    ledger: &Ledger,
    at: Timestamp,
) -> ChangeCheck {
    let required = rule.required(step.announced, &policy.releases);
    let allowed_from = match required {
        Required::From(from) => Some(from),
        Required::FromRelease { .. } => None,
    };
    let verdict = match required.short(step.start) {
        _ if step.aborted.is_some_and(|aborted| aborted <= step.start) => Verdict::Aborted,
        None => Verdict::Unknown,
        Some(0) => Verdict::Kept,
        Some(days_short) => {
            let about = ledger.entries().iter().filter(|entry| {
                let exception = &entry.content().exception;
                exception.of == it.migration.name()
                    && exception.phase == step.phase.name()
                    && exception.rule == rule.name
            });
            let mut exceptions = Vec::new();
            let mut excused = None;
            for entry in about {
                let (number, exception) = (entry.content().sequence, &entry.content().exception);
                match refusal(exception, step, days_short, at) {
                    None => excused = Some(number),
                    Some(why) => exceptions.push(format!("exception {number} {why}")),
                }
            }
            match excused {
                Some(entry) => Verdict::Excused { days_short, entry },
                None => Verdict::Short { days_short, exceptions },
            }
        }
    };
    change(it, step, Some(rule), allowed_from, verdict)
}

/// Why an exception does not excuse a step, if it does not.
fn refusal(exception: &Exception, step: &Step, days_short: i64, at: Timestamp) -> Option<String> {
    if exception.start != step.start {
        return Some(format!(
            "is for a start on {}, not on {}",
            date(exception.start),
            date(step.start)
        ));
    }
    if i64::from(exception.days_short) < days_short {
        return Some(format!("excuses {} days, not {days_short}", exception.days_short));
    }
    // What was begun with it in time is not undone by its end.
    if exception.expires <= at.min(step.start) {
        return Some(format!("has expired on {}", date(exception.expires)));
    }
    None
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: fn(&ChangeCheck) -> &str, least: usize| {
            self.changes.iter().map(|it| text(it).len()).max().unwrap_or(0).max(least)
        };
        let moves = width(|it| &it.of, 4);
        let rules = width(|it| it.rule.as_deref().unwrap_or("none"), 4);
        writeln!(
            f,
            "{:<moves$}  {:<9}  {:<10}  {:<10}  {:>6}  {:<rules$}  verdict",
            "move", "phase", "announced", "start", "notice", "rule"
        )?;
        for it in &self.changes {
            write!(
                f,
                "{:<moves$}  {:<9}  {:<10}  {:<10}  {:>6}  {:<rules$}  ",
                it.of,
                it.phase,
                date(it.announced).to_string(),
                date(it.start).to_string(),
                it.notice_days,
                it.rule.as_deref().unwrap_or("none"),
            )?;
            match &it.verdict {
                Verdict::Kept => writeln!(f, "kept")?,
                Verdict::NoRule => writeln!(f, "nothing was promised")?,
                Verdict::Aborted => writeln!(f, "taken back")?,
                Verdict::Excused { days_short, entry } => {
                    writeln!(f, "{days_short} days short, excused by exception {entry}")?;
                }
                Verdict::Short { days_short, exceptions } => {
                    writeln!(f, "{days_short} days short")?;
                    for why in exceptions {
                        writeln!(f, "{:moves$}  {why}", "")?;
                    }
                }
                Verdict::Unknown => writeln!(
                    f,
                    "waits for a release whose date is not known: add it to the plan's `releases`"
                )?,
            }
        }
        let findings: Vec<_> = self.findings().collect();
        match findings.len() {
            0 => writeln!(f, "\nThe plan keeps what was promised, but for what is excused."),
            count => writeln!(
                f,
                "\n{count} of {} changes break{} the policy without a valid exception: give more \
                 notice, or have one signed (`landbridge migrate ledger propose`).",
                self.changes.len(),
                if count == 1 { "s" } else { "" }
            ),
        }
    }
}

#[cfg(test)]
mod tests;
