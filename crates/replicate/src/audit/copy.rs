//! One copy from its first question to its last.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use landbridge_core::Digest;
use tokio::sync::mpsc;

use super::Depth;
use super::check::{Found, Way};
use super::finding::{Finding, FindingKind};
use super::gather::{CopyWorld, Object};
use super::marks::Marked;
use super::pace::Pace;
use super::plan::AuditPlan;
use super::run::Meter;
use crate::progress::{Listener, Progress};

/// Findings that are kept for the report; the rest is counted.
const MOST_FINDINGS: usize = 10_000;

/// What was found in a copy.
#[derive(Debug, Default)]
pub(super) struct CopyResult {
    /// How many objects were looked at.
    pub(super) looked: u64,
    /// How many bytes were read to do so.
    pub(super) bytes: u64,
    /// All findings, by kind.
    pub(super) counts: BTreeMap<FindingKind, u64>,
    /// The first ones.
    pub(super) findings: Vec<Finding>,
    /// Objects that clients cannot use, or that the holding wrongly says are not there.
    pub(super) broken: BTreeMap<Digest, FindingKind>,
    pub(super) marked: Marked,
    /// Why it could not be asked, or not to the end.
    pub(super) failed: Option<String>,
    /// How many objects were copied again and found good.
    pub(super) repaired: u64,
    /// What else there is to say.
    pub(super) notes: Vec<String>,
}

impl CopyResult {
    pub(super) fn add(&mut self, digest: Option<Digest>, kind: FindingKind, what: String) {
        *self.counts.entry(kind).or_default() += 1;
        if self.findings.len() < MOST_FINDINGS {
            self.findings.push(Finding { digest, kind, what, repaired: false });
        }
    }
}

/// What all copies share.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) depth: Depth,
    pub(super) at_once: usize,
    pub(super) plan: &'a AuditPlan<'a>,
    pub(super) meter: &'a Meter<'a>,
    pub(super) listener: Listener<'a>,
}

/// Asks a copy about everything that is planned for it, and tells `marks` what it turns out to lack.
pub(super) async fn ask_all(
    copy: &CopyWorld,
    way: &Way,
    run: Run<'_>,
    marks: Option<mpsc::Sender<Digest>>,
) -> CopyResult {
    let Run { depth, at_once, plan, meter, listener } = run;
    let mut result = CopyResult::default();
    if let Some(why) = &copy.failed {
        result.failed = Some(why.clone());
        return result;
    }
    if !copy.names_generation {
        let what = "its holding does not name the generation in force, so nobody is sent there";
        result.add(None, FindingKind::Behind, what.to_owned());
    }
    let pace = Pace::default();
    let questions: Vec<&Object> = plan.of(copy).collect();
    let questions =
        questions.into_iter().take_while(|it| !pace.is_given_up() && meter.take(plan.cost(it)));
    let asked = questions.map(|object| {
        let pace = &pace;
        async move { (object, pace.ask(way, object, depth).await) }
    });
    let mut answers = stream::iter(asked).buffer_unordered(at_once.max(1));
    while let Some((object, found)) = answers.next().await {
        // What is absent was not read.
        let is_read = !found.iter().any(|(kind, _)| *kind == FindingKind::Absent);
        let bytes = if is_read { plan.cost(object) } else { 0 };
        result.take(copy, object, bytes, found);
        if let (Some(marks), Some(kind)) = (&marks, result.broken.get(&object.digest))
            && kind.is_unusable()
        {
            // Whoever writes them listens until this end is dropped.
            let _ = marks.send(object.digest).await;
        }
        listener(Progress::Advanced { digest: object.digest, bytes });
        listener(Progress::Placed { copy: copy.id, size: bytes });
        listener(Progress::Finished { digest: object.digest });
    }
    let failing = result.counts.get(&FindingKind::Failing).copied().unwrap_or_default();
    if pace.is_given_up() || (failing > 0 && failing == result.looked) {
        let last = result.findings.iter().rev().find(|it| it.kind == FindingKind::Failing);
        let why = last.map_or("it does not answer", |finding| &finding.what).to_owned();
        result.failed = Some(why);
    }
    result
}

impl CopyResult {
    fn take(&mut self, copy: &CopyWorld, object: &Object, bytes: u64, found: Found) {
        self.looked += 1;
        self.bytes += bytes;
        let digest = object.digest;
        let unusable = found.iter().map(|(kind, _)| *kind).find(|kind| kind.is_unusable());
        if let Some(kind) = unusable {
            self.broken.insert(digest, kind);
        }
        let is_failing = found.iter().any(|(kind, _)| *kind == FindingKind::Failing);
        for (kind, what) in found {
            self.add(Some(digest), kind, what);
        }
        if copy.lacks.contains(&digest) && unusable.is_none() && !is_failing {
            self.broken.insert(digest, FindingKind::Unclaimed);
            let what = "it is there, and its holding says that it is not".to_owned();
            self.add(Some(digest), FindingKind::Unclaimed, what);
        }
    }
}
