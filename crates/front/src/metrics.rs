//! Metrics: counters whose labels come from closed sets or from the configuration.
//!
//! Every counter that the hot path touches is made before the first request; counting is one
//! addition to one number.

mod exported;
mod migration;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::migration::Phase;
use landbridge_core::topology::CopyId;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use self::exported::Exported;
use self::migration::MigrationMetrics;
pub(crate) use self::migration::{MigrationAction, MigrationCounters};
use crate::failover::Failover;
use crate::health::{CopyState, CopyStatus, Probed};
use crate::snapshot::Snapshot;

/// What was asked for, in records and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label's text is the variant's name")]
pub(crate) enum Kind {
    ping,
    manifest,
    blob,
    tags,
    referrers,
    catalog,
    page,
    mirror,
    invalid,
}

const KINDS: [Kind; 9] = [
    Kind::ping,
    Kind::manifest,
    Kind::blob,
    Kind::tags,
    Kind::referrers,
    Kind::catalog,
    Kind::page,
    Kind::mirror,
    Kind::invalid,
];

impl Kind {
    /// The label's text.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ping => "ping",
            Self::manifest => "manifest",
            Self::blob => "blob",
            Self::tags => "tags",
            Self::referrers => "referrers",
            Self::catalog => "catalog",
            Self::page => "page",
            Self::mirror => "mirror",
            Self::invalid => "invalid",
        }
    }
}

/// The statuses that are counted one by one; any other is counted as `other`.
const STATUSES: [u16; 14] = [200, 206, 304, 307, 400, 403, 404, 405, 410, 413, 416, 429, 500, 503];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    kind: Kind,
    status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CopyLabels {
    copy: String,
}

/// One copy's counters.
#[derive(Debug, Clone)]
pub(crate) struct CopyCounters {
    pub(crate) answers: Counter,
    pub(crate) bytes: Counter,
    pub(crate) wrong_bytes: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EdgeLabels {
    site: String,
    edge: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SpentLabels {
    site: String,
    edge: String,
    window: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the label's text is the variant's name")]
enum Span {
    hour,
    day,
}

/// How a probe went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProbeOutcome {
    Good,
    Absent,
    Wrong,
    Failing,
}

const PROBE_OUTCOMES: [ProbeOutcome; 4] =
    [ProbeOutcome::Good, ProbeOutcome::Absent, ProbeOutcome::Wrong, ProbeOutcome::Failing];

impl ProbeOutcome {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Absent => "absent",
            Self::Wrong => "wrong",
            Self::Failing => "failing",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProbeLabels {
    copy: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

/// The counters of one copy's probes.
#[derive(Debug, Clone)]
pub(crate) struct ProbeCounters {
    outcomes: [Counter; PROBE_OUTCOMES.len()],
    bytes: Counter,
    seconds: Histogram,
}

impl ProbeCounters {
    /// Counts a probe.
    pub(crate) fn tell(&self, outcome: ProbeOutcome, bytes: u64, latency: Duration) {
        self.outcomes[outcome as usize].inc();
        self.bytes.inc_by(bytes);
        self.seconds.observe(latency.as_secs_f64());
    }
}

/// From a millisecond to four seconds.
fn probe_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 4.0, 7))
}

/// One overflow edge's counters.
#[derive(Debug, Clone)]
pub(crate) struct EdgeCounters {
    pub(crate) bytes: Counter,
    pub(crate) micros: Counter,
}

/// Why a client is not served that could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RefusalReason {
    /// A cap is spent.
    CapSpent,
    /// A cap is near.
    CapSlow,
    /// Its network has asked for too many manifests.
    LimitRequests,
    /// Its network has taken too many bytes.
    LimitBytes,
}

const REFUSAL_REASONS: [RefusalReason; 4] = [
    RefusalReason::CapSpent,
    RefusalReason::CapSlow,
    RefusalReason::LimitRequests,
    RefusalReason::LimitBytes,
];

impl RefusalReason {
    const fn name(self) -> &'static str {
        match self {
            Self::CapSpent => "cap-spent",
            Self::CapSlow => "cap-slow",
            Self::LimitRequests => "limit-requests",
            Self::LimitBytes => "limit-bytes",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    site: String,
    reason: &'static str,
}

/// One site's refusals, by reason.
#[derive(Debug, Clone)]
pub(crate) struct Refusals {
    enforced: [Counter; REFUSAL_REASONS.len()],
    observed: [Counter; REFUSAL_REASONS.len()],
}

impl Refusals {
    /// Those that clients met.
    pub(crate) fn enforced(&self, reason: RefusalReason) -> &Counter {
        &self.enforced[reason as usize]
    }

    /// Those that they would have met.
    pub(crate) fn observed(&self, reason: RefusalReason) -> &Counter {
        &self.observed[reason as usize]
    }
}

/// A front's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    answers: Vec<[Counter; STATUSES.len() + 1]>,
    copy_answers: Family<CopyLabels, Counter>,
    copy_bytes: Family<CopyLabels, Counter>,
    copy_wrong_bytes: Family<CopyLabels, Counter>,
    copy_working: Family<CopyLabels, Gauge>,
    copy_healthy: Family<CopyLabels, Gauge>,
    copy_share: Family<CopyLabels, Gauge<f64, AtomicU64>>,
    copy_overridden: Family<CopyLabels, Gauge>,
    provider_out: Family<ProviderLabels, Gauge>,
    probes: Family<ProbeLabels, Counter>,
    probe_bytes: Family<CopyLabels, Counter>,
    probe_seconds: Family<CopyLabels, Histogram, fn() -> Histogram>,
    edge_bytes: Family<EdgeLabels, Counter>,
    edge_micros: Family<EdgeLabels, Counter>,
    edge_spent: Family<SpentLabels, Gauge<f64, AtomicU64>>,
    refusals: Family<RefusalLabels, Counter>,
    observed_refusals: Family<RefusalLabels, Counter>,
    cap_fronts: Gauge,
    resident_memory: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) refused_connections: Counter,
    pub(crate) closed_connections: Counter,
    pub(crate) records_dropped: Gauge<i64>,
    pub(crate) pointer_sequence: Family<OriginLabels, Gauge>,
    pub(crate) pointer_issued: Family<OriginLabels, Gauge>,
    pub(crate) pointer_expires: Family<OriginLabels, Gauge>,
    pointer_age: Family<OriginLabels, Gauge>,
    pointer_expired: Family<OriginLabels, Gauge>,
    pub(crate) pointer_expirations: Family<OriginLabels, Counter>,
    pub(crate) serving_stale: Family<OriginLabels, Gauge>,
    copy_pointer_sequence: Family<HoldingLabels, Gauge>,
    copy_holds: Family<HoldingLabels, Gauge>,
    pub(crate) objects: Family<OriginLabels, Gauge>,
    pub(crate) range_prefixes: Family<SourceLabels, Gauge>,
    pub(crate) range_refusals: Family<SourceLabels, Counter>,
    pub(crate) reloads_refused: Counter<u64, AtomicU64>,
    pub(crate) limited_networks: Gauge,
    migrations: MigrationMetrics,
    exported: Exported,
}

/// The label of an origin's metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OriginLabels {
    pub(crate) origin: String,
}

/// The labels of what a copy holds of an origin.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HoldingLabels {
    origin: String,
    copy: String,
}

/// The label of a range source's metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SourceLabels {
    pub(crate) source: String,
}

impl Metrics {
    /// All metrics, at zero.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("landbridge");
        let exported = Exported::default();
        registry.register_collector(Box::new(exported.clone()));
        let answers = Family::<AnswerLabels, Counter>::default();
        registry.register("answers", "Answers by what was asked for and status", answers.clone());
        let counter =
            |kind, status: String| answers.get_or_create(&AnswerLabels { kind, status }).clone();
        let table = KINDS
            .iter()
            .map(|&kind| {
                std::array::from_fn(|at| match STATUSES.get(at) {
                    Some(status) => counter(kind, status.to_string()),
                    None => counter(kind, "other".to_owned()),
                })
            })
            .collect();
        macro_rules! register {
            ($name:literal, $help:literal) => {{
                let metric = Default::default();
                register_as(&mut registry, $name, $help, &metric);
                metric
            }};
        }
        Self {
            answers: table,
            copy_answers: register!(
                "copy_answers",
                "Answers that send a client to the copy or stream from it"
            ),
            copy_bytes: register!(
                "copy_bytes",
                "Bytes that those answers hand out if clients take all of it"
            ),
            copy_wrong_bytes: register!(
                "copy_wrong_bytes",
                "Objects that the copy served with other bytes than their digest's"
            ),
            copy_working: register!(
                "copy_working",
                "1 if the copy is believed to work, 0 if its breaker is open"
            ),
            copy_healthy: register!(
                "copy_healthy",
                "1 if probes find the copy in, 0 if it is out or still returning"
            ),
            copy_share: register!(
                "copy_share",
                "Which part of its clients the copy may have by its probes, from 0 to 1"
            ),
            copy_overridden: register!(
                "copy_overridden",
                "1 if an operator's override holds for the copy, else 0"
            ),
            provider_out: register!(
                "provider_out",
                "1 if all probed copies of the provider are out, else 0"
            ),
            probes: register!("probes", "Probes by copy and how they went"),
            probe_bytes: register!("probe_bytes", "Bytes of objects that probes read"),
            probe_seconds: {
                let family = Family::new_with_constructor(probe_seconds as fn() -> Histogram);
                register_as(&mut registry, "probe_seconds", "How long probes took", &family);
                family
            },
            edge_bytes: register!(
                "edge_bytes",
                "Bytes that were taken from the cap of an overflow edge; in observe mode those that would have been"
            ),
            edge_micros: register!(
                "edge_micros",
                "What these bytes cost, in millionths of a unit of the prices' currency"
            ),
            edge_spent: register!(
                "edge_spent_ratio",
                "How much of this front's part of an overflow edge's cap is spent, from 0 to 1 and the reserve"
            ),
            refusals: register!("refusals", "Pulls and blobs refused or slowed, by reason"),
            observed_refusals: register!(
                "observed_refusals",
                "Pulls and blobs that would have been refused or slowed in enforce mode"
            ),
            cap_fronts: register!("cap_fronts", "Fronts among which each cap is divided"),
            resident_memory: register!(
                "resident_memory_bytes",
                "Memory of the process that is in use, where the system tells it"
            ),
            connections: register!("connections", "Open connections"),
            refused_connections: register!(
                "refused_connections",
                "Connections that were not taken because too many were open"
            ),
            closed_connections: register!(
                "closed_idle_connections",
                "Idle connections closed because too many were open"
            ),
            records_dropped: register!("records_dropped", "Access records lost since the start"),
            pointer_sequence: register!("pointer_sequence", "Sequence of the pointer in force"),
            pointer_issued: register!(
                "pointer_issued_seconds",
                "When the pointer in force was issued, in seconds since 1970"
            ),
            pointer_age: register!(
                "pointer_age_seconds",
                "How long ago the pointer in force was issued"
            ),
            pointer_expired: register!(
                "pointer_expired",
                "1 if the pointer in force has expired, else 0: nobody has published for too long"
            ),
            pointer_expirations: register!(
                "pointer_expirations",
                "Pointers in force that were found to have expired"
            ),
            serving_stale: register!(
                "serving_stale",
                "1 while no store says what is published and the last good generation is served, else 0"
            ),
            copy_pointer_sequence: register!(
                "copy_pointer_sequence",
                "Sequence of the newest release that the copy says it holds, 0 if it holds none"
            ),
            copy_holds: register!(
                "copy_holds_generation",
                "1 if the copy says that it holds the newest generation, else 0"
            ),
            pointer_expires: register!(
                "pointer_expires_seconds",
                "When the pointer in force expires, in seconds since 1970"
            ),
            objects: register!("objects", "Objects of the retained generations"),
            range_prefixes: register!(
                "range_prefixes",
                "Prefixes of a range source that are in use"
            ),
            range_refusals: register!(
                "range_refusals",
                "New contents of a range source that were refused"
            ),
            reloads_refused: register!(
                "reloads_refused",
                "Configurations that were refused while running"
            ),
            limited_networks: register!(
                "limited_networks",
                "Client networks that are beyond a limit of their own now"
            ),
            migrations: MigrationMetrics::register(&mut registry),
            exported,
            registry,
        }
    }

    /// Tells a number that somebody else counts: `landbridge_NAME_total`.
    pub(crate) fn export(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.exported.add(name, help, read);
    }

    /// Counts an answer.
    pub(crate) fn count(&self, kind: Kind, status: u16) {
        let at = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        self.answers[kind as usize][at].inc();
    }

    /// The counters of the copy with this name.
    pub(crate) fn copy(&self, name: &str) -> CopyCounters {
        let labels = CopyLabels { copy: name.to_owned() };
        CopyCounters {
            answers: self.copy_answers.get_or_create(&labels).clone(),
            bytes: self.copy_bytes.get_or_create(&labels).clone(),
            wrong_bytes: self.copy_wrong_bytes.get_or_create(&labels).clone(),
        }
    }

    /// The counters of the probes of the copy with this name.
    pub(crate) fn probes(&self, copy: &str) -> ProbeCounters {
        let labels = CopyLabels { copy: copy.to_owned() };
        ProbeCounters {
            outcomes: PROBE_OUTCOMES.map(|outcome| {
                let labels = ProbeLabels { copy: copy.to_owned(), outcome: outcome.name() };
                self.probes.get_or_create(&labels).clone()
            }),
            bytes: self.probe_bytes.get_or_create(&labels).clone(),
            seconds: self.probe_seconds.get_or_create(&labels).clone(),
        }
    }

    /// How all copies are.
    pub(crate) fn set_statuses(&self, statuses: &[CopyStatus], probed: &Probed) {
        for status in statuses {
            let labels = CopyLabels { copy: status.name.clone() };
            let is_in = status.state == CopyState::In;
            self.copy_healthy.get_or_create(&labels).set(i64::from(is_in));
            self.copy_share.get_or_create(&labels).set(status.share);
            let is_overridden = i64::from(status.operator.is_some());
            self.copy_overridden.get_or_create(&labels).set(is_overridden);
            if let Some(provider) = &status.provider {
                let is_out = i64::from(probed.is_provider_out(provider));
                let labels = ProviderLabels { provider: provider.clone() };
                self.provider_out.get_or_create(&labels).set(is_out);
            }
        }
    }

    /// The counters of a phase of a migration.
    pub(crate) fn migration(&self, site: &str, migration: &str, phase: Phase) -> MigrationCounters {
        self.migrations.step(site, migration, phase)
    }

    /// The counters of an overflow edge.
    pub(crate) fn edge(&self, site: &str, edge: &str) -> EdgeCounters {
        let labels = EdgeLabels { site: site.to_owned(), edge: edge.to_owned() };
        EdgeCounters {
            bytes: self.edge_bytes.get_or_create(&labels).clone(),
            micros: self.edge_micros.get_or_create(&labels).clone(),
        }
    }

    /// The refusals of a site.
    pub(crate) fn refusals(&self, site: &str) -> Refusals {
        let counters = |family: &Family<RefusalLabels, Counter>| {
            REFUSAL_REASONS.map(|reason| {
                let labels = RefusalLabels { site: site.to_owned(), reason: reason.name() };
                family.get_or_create(&labels).clone()
            })
        };
        let (enforced, observed) = (counters(&self.refusals), counters(&self.observed_refusals));
        Refusals { enforced, observed }
    }

    /// How the accounts of all overflow edges stand.
    pub(crate) fn set_spent(&self, failover: &Failover, now: u64) {
        self.cap_fronts.set(failover.fronts().into());
        for standing in failover.standings(now) {
            let (hour, day) = standing.permille;
            for (window, permille) in [(Span::hour, hour), (Span::day, day)] {
                let (site, edge) = (standing.site.to_owned(), standing.name.to_owned());
                let labels = SpentLabels { site, edge, window };
                self.edge_spent.get_or_create(&labels).set(permille as f64 / 1_000.0);
            }
        }
    }

    /// Notes which copies work, as told by `working`.
    pub(crate) fn set_working<'a>(
        &self,
        copies: impl Iterator<Item = (CopyId, &'a str)>,
        working: landbridge_core::topology::CopySet,
    ) {
        for (id, name) in copies {
            let labels = CopyLabels { copy: name.to_owned() };
            self.copy_working.get_or_create(&labels).set(i64::from(working.contains(id)));
        }
    }

    /// What a copy says that it holds of an origin.
    pub(crate) fn set_holding(&self, origin: &str, copy: &str, newest: u64, is_current: bool) {
        let labels = HoldingLabels { origin: origin.to_owned(), copy: copy.to_owned() };
        let newest = i64::try_from(newest).unwrap_or(i64::MAX);
        self.copy_pointer_sequence.get_or_create(&labels).set(newest);
        self.copy_holds.get_or_create(&labels).set(i64::from(is_current));
    }

    /// How much memory the process takes.
    pub(crate) fn set_memory(&self) {
        let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        if let Some(kib) = kib.and_then(|kib| kib.trim().parse::<i64>().ok()) {
            self.resident_memory.set(kib.saturating_mul(1_024));
        }
    }

    /// How old pointers are, which changes though nothing else does.
    pub(crate) fn set_ages(&self, snapshot: &Snapshot, now: Timestamp) {
        for (channel, loaded) in snapshot.channels.iter().zip(&snapshot.catalogs) {
            let Some(loaded) = loaded else { continue };
            let origin = snapshot.settings.origins[channel.origin].name.clone();
            let (labels, pointer) = (OriginLabels { origin }, loaded.pointer.content());
            let age = now.duration_since(pointer.issued).as_secs();
            self.pointer_age.get_or_create(&labels).set(age);
            let is_expired = i64::from(pointer.expires <= now);
            self.pointer_expired.get_or_create(&labels).set(is_expired);
        }
    }

    /// The metrics in the text format of Prometheus.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a string fails only if a label's encoder does; ours are strings.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn register_as<M>(registry: &mut Registry, name: &str, help: &str, metric: &M)
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
}
