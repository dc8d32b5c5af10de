//! What an audit found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use landbridge_core::Digest;
use serde::Serialize;

use super::Audit;
use super::check::Way;
use super::copy::CopyResult;
use super::finding::{Finding, FindingKind};
use super::gather::{CopyWorld, World};
use super::plan::AuditPlan;
use super::run::way;
use crate::report::Size;

/// Findings of one copy that are written out for people.
const MOST_LINES: usize = 20;

/// What an audit found. `Display` is for people, `Serialize` for programs,
/// [`AuditReport::prometheus`] for monitoring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// The pointer in force.
    pub sequence: u64,
    /// The generation that it names.
    pub generation: Digest,
    /// How many objects it lists.
    pub objects: u64,
    /// What was asked of each.
    pub depth: &'static str,
    /// How many of a million were to be looked at.
    pub share_ppm: u32,
    /// With which the same objects are looked at again.
    pub seed: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The registry, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryReport>,
    /// The authority, then the mirrors.
    pub copies: Vec<CopyReport>,
}

/// How a registry's tags compare with what is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryReport {
    /// Tags that differ.
    pub findings: Vec<Finding>,
    /// What was left out: a sentence for each.
    pub skipped: Vec<String>,
    /// Why it could not be compared, if so.
    pub failed: Option<String>,
}

impl RegistryReport {
    pub(super) fn failed(why: String) -> Self {
        Self { findings: Vec::new(), skipped: Vec::new(), failed: Some(why) }
    }
}

/// What was found in one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopyReport {
    /// Its name.
    pub name: String,
    /// The address through which it was asked.
    pub through: String,
    /// How many objects were to be looked at.
    pub planned: u64,
    /// How many were.
    pub looked: u64,
    /// Bytes that were read to do so.
    pub bytes: u64,
    /// How many findings there are of each kind.
    pub counts: BTreeMap<FindingKind, u64>,
    /// The first 10,000 of them.
    pub findings: Vec<Finding>,
    /// How many objects its holding says it lacks since this audit.
    pub marked: u64,
    /// It lacks so much that its holding names no generation any more.
    pub disowned: bool,
    /// How many objects were copied again and found good.
    pub repaired: u64,
    /// Why it could not be asked, or not to the end.
    pub failed: Option<String>,
    /// What else there is to say.
    pub notes: Vec<String>,
}

/// What an audit comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is wrong with what was looked at.
    Clean,
    /// Something is, or was until it was repaired.
    Findings,
    /// Something could not be asked at all.
    Failed,
}

impl AuditReport {
    pub(super) fn new(
        audit: &Audit<'_>,
        world: &World,
        plan: &AuditPlan<'_>,
        results: Vec<CopyResult>,
        took: Duration,
    ) -> Self {
        let copies = world.copies.iter().zip(&plan.planned).zip(results);
        let copies = copies.map(|((copy, planned), result)| {
            CopyReport::new(copy, through(audit, copy), *planned, result)
        });
        Self {
            sequence: world.sequence,
            generation: world.generation,
            objects: world.objects.len() as u64,
            depth: audit.depth.name(),
            share_ppm: audit.choice.share_ppm,
            seed: audit.choice.seed,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            registry: world.registry.clone(),
            copies: copies.collect(),
        }
    }

    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let registry = self.registry.as_ref();
        let is_failed = registry.is_some_and(|it| it.failed.is_some())
            || self.copies.iter().any(|copy| copy.failed.is_some());
        let is_clean = registry.is_none_or(|it| it.findings.is_empty())
            && self.copies.iter().all(CopyReport::is_clean);
        match (is_failed, is_clean) {
            (true, _) => Verdict::Failed,
            (false, false) => Verdict::Findings,
            (false, true) => Verdict::Clean,
        }
    }
}

impl CopyReport {
    fn new(copy: &CopyWorld, through: String, planned: u64, result: CopyResult) -> Self {
        let mut notes = result.notes;
        notes.extend(result.marked.failed.map(|why| format!("its holding was not written: {why}")));
        let mut findings = result.findings;
        // Answers come in any order.
        findings.sort_by_key(|it| (it.kind, it.digest));
        Self {
            name: copy.name.clone(),
            through,
            planned,
            looked: result.looked,
            bytes: result.bytes,
            counts: result.counts,
            findings,
            marked: result.marked.added,
            disowned: result.marked.is_disowned,
            repaired: result.repaired,
            failed: result.failed,
            notes,
        }
    }

    fn is_clean(&self) -> bool {
        self.counts.is_empty() && self.notes.is_empty()
    }
}

fn through(audit: &Audit<'_>, copy: &CopyWorld) -> String {
    match way(audit, copy) {
        Way::Face(face) => face.base().to_owned(),
        Way::Bucket(bucket) => bucket.name().to_owned(),
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, generation, objects, depth, seed, .. } = self;
        writeln!(f, "release {sequence}, {generation}: {objects} objects")?;
        let share = f64::from(self.share_ppm) / 10_000.0;
        write!(f, "checked: {depth}, {share}% of them in each copy, seed {seed}")?;
        if let Some(registry) = &self.registry {
            write!(f, "\n{registry}")?;
        }
        for copy in &self.copies {
            write!(f, "\n{copy}")?;
        }
        Ok(())
    }
}

impl fmt::Display for RegistryReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.failed, self.findings.len()) {
            (Some(why), _) => write!(f, "registry: it could not be compared: {why}")?,
            (None, 0) => write!(f, "registry: every tag of it is published as it is there")?,
            (None, count) => write!(f, "registry: {count} tags are not published as they are")?,
        }
        lines(f, &self.findings)?;
        for skipped in &self.skipped {
            write!(f, "\n  left out: {skipped}")?;
        }
        Ok(())
    }
}

impl fmt::Display for CopyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, through, planned, looked, bytes, .. } = self;
        write!(f, "{name}, through {through}: {looked} of {planned} objects looked at")?;
        if *bytes > 0 {
            write!(f, ", {} read", Size(*bytes))?;
        }
        if self.is_clean() && self.failed.is_none() {
            write!(f, ", nothing wrong")?;
        }
        for (number, (kind, count)) in self.counts.iter().enumerate() {
            let before = if number == 0 { ": " } else { ", " };
            write!(f, "{before}{count} {}", kind.name())?;
        }
        lines(f, &self.findings)?;
        if let Some(why) = &self.failed {
            write!(f, "\n  could not be asked to the end: {why}")?;
        }
        if looked < planned {
            write!(f, "\n  not looked at: {} objects", planned - looked)?;
        }
        if self.marked > 0 {
            write!(f, "\n  {} objects are noted as lacking in its holding", self.marked)?;
        }
        if self.disowned {
            write!(f, "\n  it lacks so much that its holding names no generation any more")?;
        }
        if self.repaired > 0 {
            write!(f, "\n  {} objects are good again", self.repaired)?;
        }
        for note in &self.notes {
            write!(f, "\n  {note}")?;
        }
        Ok(())
    }
}

fn lines(f: &mut fmt::Formatter<'_>, findings: &[Finding]) -> fmt::Result {
    for Finding { digest, kind, what, repaired } in findings.iter().take(MOST_LINES) {
        write!(f, "\n  {}", kind.name())?;
        if let Some(digest) = digest {
            write!(f, " {digest}")?;
        }
        write!(f, ": {what}{}", if *repaired { " (repaired)" } else { "" })?;
    }
    match findings.len().saturating_sub(MOST_LINES) {
        0 => Ok(()),
        more => write!(f, "\n  … and {more} more: --json has them"),
    }
}
