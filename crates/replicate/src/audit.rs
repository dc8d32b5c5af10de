//! `landbridge audit`: what each copy really gives, asked as clients ask.
//!
//! gather → plan → check → report, and repair if that is wanted. Everything that the generation in
//! force lists is looked at in every copy, through the copy's public address if it has one. What a
//! mirror turns out to lack goes into its holding within seconds, while the audit still runs, so
//! that fronts stop sending clients there before anybody repairs it.
//!
//! Invariant: an audit only takes away trust. What a holding says comes back by a repair alone,
//! after the object was written, confirmed and found good from outside.

mod check;
mod copy;
mod finding;
mod gather;
mod judge;
mod marks;
mod pace;
mod plan;
mod prometheus;
mod repair;
mod report;
mod run;

use std::time::Duration;

use landbridge_store::PublicFace;
use landbridge_store::publish::Publication;

pub use self::finding::{Finding, FindingKind};
use self::gather::gather;
pub(crate) use self::marks::note_lacking;
use self::plan::AuditPlan;
pub use self::plan::Choice;
use self::repair::repair;
pub use self::report::{AuditReport, CopyReport, RegistryReport, Verdict};
use self::run::run;
use crate::error::ImportError;
use crate::gather_registry::RegistrySource;
use crate::progress::{Listener, Stop};

/// What is audited, how closely, and what is done about what is found.
pub struct Audit<'a> {
    /// The catalog, its authority and its mirrors.
    pub publication: &'a Publication,
    /// How clients reach the authority and then each mirror; without one its bucket is read.
    pub faces: Vec<Option<PublicFace>>,
    /// The registry whose tags are compared with what is published.
    pub registry: Option<RegistrySource<'a>>,
    /// What is asked of each object.
    pub depth: Depth,
    /// Which objects are looked at, and in which order.
    pub choice: Choice,
    /// Where it stops.
    pub budget: Budget,
    /// What is done about what is found.
    pub effect: Effect,
    /// How many questions each copy is asked at once.
    pub at_once: usize,
    /// Asks it to end: what is in flight is finished, and the rest is reported as not looked at.
    pub stop: &'a Stop,
}

/// What is asked of each object; each level asks what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Whether it is there, with the right size and headers: one `HEAD`.
    Presence,
    /// Whether its last byte can be had by a range.
    Ranges,
    /// Whether all of its bytes are right.
    Full,
}

impl Depth {
    /// The name that people use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Ranges => "ranges",
            Self::Full => "full",
        }
    }
}

/// Where an audit stops: in order, so that it can say what it did not look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes that are read from all copies together.
    pub bytes: Option<u64>,
    /// After this no more questions are asked.
    pub time: Option<Duration>,
}

/// What is done about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: it is reported.
    Report,
    /// Mirrors' holdings say what was found missing or bad.
    Mark,
    /// That, and it is copied again.
    Repair,
}

/// Looks at every copy. Fails only if it is not known what they should hold; a copy or a registry
/// that cannot be asked is part of the report.
pub async fn audit(
    request: &Audit<'_>,
    listener: Listener<'_>,
) -> Result<AuditReport, ImportError> {
    let began = tokio::time::Instant::now();
    let world = gather(request, listener).await?;
    let plan = AuditPlan::new(&world, &request.choice, request.depth);
    listener(plan.progress(&world));
    let mut results = run(request, &world, &plan, began, listener).await;
    match request.effect {
        Effect::Report | Effect::Mark => {}
        Effect::Repair => repair(request, &world, &mut results, listener).await,
    }
    Ok(AuditReport::new(request, &world, &plan, results, began.elapsed()))
}
