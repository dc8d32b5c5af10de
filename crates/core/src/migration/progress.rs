//! Where a migration stands: what `landbridge migrate status` prints and a site's status shows.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::{Change, ChangeKind, Migration, Mode, Step, Steps};
use crate::digest::Digest;

/// Where a migration stands at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Progress {
    /// The migration's name.
    pub migration: String,
    /// What users are to use.
    pub successor: String,
    /// The moment.
    pub at: Timestamp,
    /// The steps under way, in the order of the phases.
    pub under_way: Vec<UnderWay>,
    /// The steps that should have begun and wait for a gate.
    pub waiting: Vec<Waiting>,
    /// The steps that were taken back.
    pub aborted: Vec<Aborted>,
    /// What changes next, if anything does.
    pub next: Option<Next>,
}

/// A step under way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnderWay {
    /// Its phase.
    pub phase: &'static str,
    /// Since when.
    pub since: Timestamp,
    /// False if it is only observed.
    pub enforced: bool,
    /// Whom it concerns, in words.
    pub scope: String,
    /// Which share of clients, in percent.
    pub share_percent: f64,
    /// The generation that the old name is frozen at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen_at: Option<Digest>,
    /// Of a brownout: when the open window closes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuses_until: Option<Timestamp>,
    /// Days of notice that users had before it, if it takes something away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_days: Option<i64>,
}

/// A step that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Its phase.
    pub phase: &'static str,
    /// When it should have begun.
    pub planned: Timestamp,
    /// The gates that nobody has passed.
    pub gates: Vec<String>,
}

/// A step that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Aborted {
    /// Its phase.
    pub phase: &'static str,
    /// When it began or would have begun.
    pub planned: Timestamp,
    /// True if only one front did so by itself, false if the plan says so.
    pub by_this_front: bool,
}

/// What changes next.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Next {
    /// When.
    pub at: Timestamp,
    /// The step's phase.
    pub phase: &'static str,
    /// What.
    pub what: &'static str,
    /// The share of clients from then on, in percent.
    pub share_percent: f64,
    /// How long users will have known by then, if it takes something away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// For how long users know of a change, in whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// When it comes.
    pub days: i64,
    /// So far.
    pub days_so_far: i64,
}

impl Migration {
    /// Where it stands at `moment`, for a front that has `aborted` some steps itself.
    pub fn progress(&self, moment: Timestamp, aborted: Steps) -> Progress {
        let mut places: Vec<usize> = (0..self.steps.len()).collect();
        places.sort_by_key(|&place| (self.steps[place].phase, self.steps[place].start));
        let mut progress = Progress {
            migration: self.name.clone(),
            successor: self.successor.clone(),
            at: moment,
            under_way: Vec::new(),
            waiting: Vec::new(),
            aborted: Vec::new(),
            next: self
                .changes_after(moment, aborted)
                .first()
                .map(|change| self.next(change, moment)),
        };
        for place in places {
            let step = &self.steps[place];
            let is_taken_back = step.aborted.is_some_and(|at| at <= moment);
            if is_taken_back || aborted.has(place) {
                progress.aborted.push(Aborted {
                    phase: step.phase.name(),
                    planned: step.start,
                    by_this_front: !is_taken_back,
                });
            } else if self.is_under_way(place, moment, aborted) {
                progress.under_way.push(self.under_way(place, moment));
            } else if step.start <= moment && self.begins(place).is_none_or(|at| at > moment) {
                let gates = self.shut_gates(place, moment);
                let (phase, planned) = (step.phase.name(), step.start);
                progress.waiting.push(Waiting { phase, planned, gates });
            }
        }
        progress
    }

    fn under_way(&self, place: usize, moment: Timestamp) -> UnderWay {
        let step = &self.steps[place];
        UnderWay {
            phase: step.phase.name(),
            since: self.begins(place).unwrap_or(step.start),
            // What takes nothing away has nothing to enforce.
            enforced: step.mode == Mode::Enforce || !step.phase.takes_away(),
            scope: step.scope.to_string(),
            share_percent: step.share(moment).percent(),
            frozen_at: step.generation,
            refuses_until: step.window(moment).map(|(_, window)| window.end),
            notice_days: step.phase.takes_away().then(|| step.notice_days()),
        }
    }

    fn next(&self, change: &Change, moment: Timestamp) -> Next {
        let step = &self.steps[change.step];
        Next {
            at: change.at,
            phase: step.phase.name(),
            what: change.kind.words(),
            share_percent: step.share(change.at).percent(),
            notice: step.phase.takes_away().then(|| Notice {
                days: days(step, change.at),
                days_so_far: days(step, moment).max(0),
            }),
        }
    }

    /// The gates that keep a step from beginning, by their names.
    fn shut_gates(&self, place: usize, moment: Timestamp) -> Vec<String> {
        let gates = super::gates(&self.steps, place);
        let shut = gates.filter(|gate| gate.passed.is_none_or(|passed| passed > moment));
        shut.map(|gate| gate.name.clone()).collect()
    }
}

/// Whole days since users were told of a step.
fn days(step: &Step, moment: Timestamp) -> i64 {
    (moment.as_second() - step.announced.as_second()).div_euclid(86_400)
}

impl ChangeKind {
    /// As the end of a sentence that begins with the phase.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Begins => "begins",
            Self::Share => "concerns more clients",
            Self::WindowOpens => "refuses for a while",
            Self::WindowCloses => "ceases to refuse",
            Self::Ends => "ends",
            Self::Aborted => "is taken back",
        }
    }
}

impl fmt::Display for super::Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.repositories.is_empty() && self.places.is_empty() {
            return f.write_str("everyone");
        }
        let list = |f: &mut fmt::Formatter<'_>, words: &[String]| f.write_str(&words.join(", "));
        let repositories: Vec<_> = self.repositories.iter().map(ToString::to_string).collect();
        let places = self.places.iter().map(|place| {
            match (place.provider.as_str(), place.region.as_deref()) {
                ("", _) => "no known cloud".to_owned(),
                (provider, None) => provider.to_owned(),
                (provider, Some(region)) => format!("{provider} {region}"),
            }
        });
        let places: Vec<_> = places.collect();
        list(f, &repositories)?;
        if !repositories.is_empty() && !places.is_empty() {
            f.write_str(" for ")?;
        }
        if !places.is_empty() {
            f.write_str("clients in ")?;
        }
        list(f, &places)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M UTC");
        writeln!(f, "{}: to {}, as of {}", self.migration, self.successor, day(self.at))?;
        if self.under_way.is_empty() {
            writeln!(f, "  nothing is under way")?;
        }
        for step in &self.under_way {
            write!(f, "  {} since {}, {}", step.phase, day(step.since), step.scope)?;
            if step.share_percent < 100.0 {
                write!(f, ", {:.1} % of clients", step.share_percent)?;
            }
            if let Some(generation) = &step.frozen_at {
                write!(f, ", frozen at {generation}")?;
            }
            if let Some(until) = step.refuses_until {
                write!(f, ", refuses until {}", day(until))?;
            }
            if !step.enforced {
                write!(f, ", observed only")?;
            }
            if let Some(days) = step.notice_days {
                write!(f, "; {} of notice", Days(days))?;
            }
            writeln!(f)?;
        }
        for step in &self.waiting {
            writeln!(
                f,
                "  {} waits since {}: {}",
                step.phase,
                day(step.planned),
                step.gates.join("; ")
            )?;
        }
        for step in &self.aborted {
            let who = if step.by_this_front { "by this front" } else { "by the plan" };
            writeln!(f, "  {} of {} was taken back {who}", step.phase, day(step.planned))?;
        }
        match &self.next {
            None => writeln!(f, "  nothing more is planned"),
            Some(next) => {
                write!(f, "  next: {} {} on {}", next.phase, next.what, day(next.at))?;
                if next.share_percent < 100.0 {
                    write!(f, " ({:.1} % of clients)", next.share_percent)?;
                }
                if let Some(Notice { days, days_so_far }) = next.notice {
                    write!(f, "; {} of notice by then, {} so far", Days(days), Days(days_so_far))?;
                }
                writeln!(f)
            }
        }
    }
}

struct Days(i64);

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} day{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}
