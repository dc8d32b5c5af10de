//! The prober: asks every copy, as clients would, whether it still gives what it holds.
//!
//! Each copy has a task of its own, so that a slow one delays no other. Probes take turns: a `HEAD`
//! of a random object that the copy is known to hold, the whole of a small one, hashed, another
//! `HEAD`, and the last byte of a large one. After a probe that failed the same kind is asked
//! again: whoever only breaks bodies is found as fast as whoever is gone. Connections are made
//! anew each time, for names, routes and certificates are what fails most.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use landbridge_core::record::AccessRecord;
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_core::{Digest, RepositoryName};
use landbridge_registry::client::ClientError;
use landbridge_store::PublicFace;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::health::{CopyState, LastProbe};
use crate::metrics::{ProbeCounters, ProbeOutcome};
use crate::reader::{ReadError, Reader};
use crate::settings::{Face, ProbeSettings, Settings};
use crate::shared::Shared;
use crate::world::{OpenError, Running, World, open_fresh_face};

/// Whole objects that are read have at most this many bytes.
const SMALL: u64 = 4_096;
/// How many objects are looked at to find one that suits a probe.
const LOOKED_AT: usize = 64;
const HOUR: Duration = Duration::from_hours(1);

/// What a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Head,
    Whole,
    Range,
}

/// In which order.
const TURNS: [Kind; 4] = [Kind::Head, Kind::Whole, Kind::Head, Kind::Range];

/// How a probe went.
#[derive(Debug)]
enum Outcome {
    Good {
        bytes: u64,
    },
    /// The copy answered, and lacks what it is known to hold.
    Absent,
    Wrong(String),
    Failing(String),
}

/// One probe, done.
struct Probe {
    kind: Kind,
    digest: Digest,
    is_known: bool,
    outcome: Outcome,
    latency: Duration,
}

/// An object to ask for.
struct Object {
    repository: String,
    digest: Digest,
    size: u64,
    /// Whether the copy is known to hold it.
    is_known: bool,
}

/// Who probes one copy.
pub(crate) struct Prober {
    copy: CopyId,
    name: String,
    /// Its public address, with connections that are made anew; other copies as the front reads
    /// them.
    face: Option<PublicFace>,
}

/// The probers of a configuration: of the copies that its sites' routes can choose.
pub(crate) fn probers(settings: &Settings) -> Result<Vec<Prober>, OpenError> {
    let choosable = settings.sites.iter().flat_map(|site| {
        let origin = settings.origins.get(site.origin).map(|origin| origin.copy);
        site.mirrors.iter().copied().chain(origin)
    });
    let choosable: CopySet = choosable.filter_map(CopyId::new).collect();
    let timeout = settings.probes.timeout;
    choosable
        .iter()
        .filter_map(|copy| Some((copy, settings.copies.get(copy.index())?)))
        .map(|(copy, of)| {
            let face = match &of.face {
                Face::Bucket { url, layout } => {
                    Some(open_fresh_face(&of.name, url, *layout, timeout)?)
                }
                Face::Registry { .. } | Face::Embedded { .. } | Face::Streamed => None,
            };
            Ok(Prober { copy, name: of.name.clone(), face })
        })
        .collect()
}

impl Prober {
    /// Probes until `stop`: one begins in each period, whether or not those before it have ended, so
    /// that a copy which keeps everybody waiting is found as soon as one that refuses.
    pub(crate) async fn run(
        self,
        shared: Arc<Shared>,
        running: Arc<Running>,
        settings: ProbeSettings,
        stop: CancellationToken,
    ) {
        let counters = shared.metrics.probes(&self.name);
        let mut spent = Budget::new(Instant::now());
        let mut under_way = FuturesUnordered::new();
        let mut turn = 0;
        // What failed last is asked for until it goes well.
        let mut suspicious = None;
        // Not all fronts at once, nor all copies.
        let mut next = tokio::time::Instant::now() + settings.period.mul_f64(jitter());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(probe) = under_way.next(), if !under_way.is_empty() => {
                    let mut probe: Probe = probe;
                    // In proxy delivery clients' own streams are the best evidence there is.
                    if running.health.probed().reads_fail(self.copy)
                        && matches!(probe.outcome, Outcome::Good { .. })
                    {
                        let why = "the front's own reads of it fail".to_owned();
                        probe.outcome = Outcome::Failing(why);
                    }
                    if let Outcome::Good { bytes } = probe.outcome {
                        spent.add(bytes);
                    }
                    let kind = probe.kind;
                    if !self.tell(&shared, &running, &counters, probe) {
                        suspicious = Some(kind);
                    } else if suspicious == Some(kind) {
                        suspicious = None;
                    }
                }
                () = tokio::time::sleep_until(next) => {
                    let fronts = u64::from(running.failover.fronts());
                    let least =
                        HOUR.mul_f64(fronts as f64 / settings.budget_requests.max(1) as f64);
                    let wait = settings.period.max(least).mul_f64(0.9 + jitter() / 5.0);
                    // Who slept over some periods does not make up for them.
                    next = (next + wait).max(tokio::time::Instant::now());
                    let left = spent.bytes_left(settings.budget_bytes / fronts, Instant::now());
                    let kind = suspicious.unwrap_or(TURNS[turn % TURNS.len()]);
                    let kind = if left < SMALL { Kind::Head } else { kind };
                    let object = pick(&shared.world(), self.copy, kind);
                    let kind = if object.is_known { kind } else { Kind::Head };
                    turn += 1;
                    under_way.push(self.probe(&running, kind, object, settings.timeout));
                }
            }
        }
    }

    /// One probe, which ends within `timeout`.
    async fn probe(
        &self,
        running: &Running,
        kind: Kind,
        Object { repository, digest, size, is_known }: Object,
        timeout: Duration,
    ) -> Probe {
        let kind = if size > SMALL && kind == Kind::Whole { Kind::Head } else { kind };
        let begin = Instant::now();
        let asked = async {
            match &self.face {
                Some(face) => ask(face, kind, &digest, size).await,
                None => read(running.reader(self.copy), &repository, &digest, size).await,
            }
        };
        let outcome = match tokio::time::timeout(timeout, asked).await {
            Ok(Ok(bytes)) => Outcome::Good { bytes },
            Ok(Err(ReadError::Absent)) => Outcome::Absent,
            Ok(Err(ReadError::WrongBytes(why))) => Outcome::Wrong(why),
            Ok(Err(ReadError::Failing(why))) => Outcome::Failing(why),
            Err(_) => Outcome::Failing(format!("it took longer than {} ms", timeout.as_millis())),
        };
        Probe { kind, digest, is_known, outcome, latency: begin.elapsed() }
    }

    /// Tells everybody how a probe went; true if it went well.
    fn tell(
        &self,
        shared: &Shared,
        running: &Running,
        counters: &ProbeCounters,
        probe: Probe,
    ) -> bool {
        let Probe { kind, digest, is_known, outcome, latency } = probe;
        let (told, bytes, problem) = match outcome {
            Outcome::Good { bytes } => (ProbeOutcome::Good, bytes, None),
            // Whoever says that it has not got what nobody knows it to have works.
            Outcome::Absent if !is_known => (ProbeOutcome::Good, 0, None),
            Outcome::Absent => {
                let why = format!("{digest} is absent, though the copy is known to hold it");
                (ProbeOutcome::Absent, 0, Some(why))
            }
            Outcome::Wrong(why) => {
                error!(copy = self.name, %digest, why, "a copy serves wrong bytes");
                running.suspects.insert(self.copy, digest);
                (ProbeOutcome::Wrong, 0, Some(why))
            }
            Outcome::Failing(why) => (ProbeOutcome::Failing, 0, Some(why)),
        };
        counters.tell(told, bytes, latency);
        let record = AccessRecord {
            time: "",
            site: "",
            method: if kind == Kind::Head { "HEAD" } else { "GET" },
            kind: "probe",
            repository: "",
            tag: "",
            digest: Some(&digest),
            provider: "",
            region: "",
            copy: &self.name,
            status: if problem.is_none() { 200 } else { 503 },
            bytes,
            agent: "landbridge",
        };
        shared.records.write(self.copy.index(), SystemTime::now(), record);
        let is_good = problem.is_none();
        let last = LastProbe { at: Timestamp::now(), latency, error: problem.clone() };
        if let Some(change) = running.health.note(self.copy, last, Instant::now()) {
            let why = problem.unwrap_or_default();
            let mode = match running.health.mode() {
                crate::settings::Mode::Observe => "observe",
                crate::settings::Mode::Enforce => "enforce",
            };
            match change.state {
                CopyState::Out => warn!(copy = change.copy, mode, why, "a copy is out"),
                CopyState::Returning => info!(copy = change.copy, mode, "a copy is coming back"),
                CopyState::In => info!(copy = change.copy, mode, "a copy is in"),
            }
            if let Some(provider) = change.provider_out {
                error!(provider, mode, "all copies of a provider are out");
            }
        }
        is_good
    }
}

/// Asks a public address; how many bytes were read.
async fn ask(face: &PublicFace, kind: Kind, digest: &Digest, size: u64) -> Result<u64, ReadError> {
    match kind {
        Kind::Head => match face.head(digest).await? {
            Some(told) if told == size => Ok(0),
            Some(told) => {
                Err(ReadError::WrongBytes(format!("{digest} has {told} bytes instead of {size}")))
            }
            None => Err(ReadError::Absent),
        },
        Kind::Whole => Ok(face.get_verified(digest, size.max(1)).await?.len() as u64),
        Kind::Range => match face.try_range(digest, size).await? {
            Some(landbridge_store::RangeAnswer::Honoured) => Ok(1),
            // An audit's finding: clients that begin at the first byte are served all the same.
            Some(landbridge_store::RangeAnswer::Ignored) => Ok(0),
            Some(landbridge_store::RangeAnswer::Wrong(why)) => Err(ReadError::WrongBytes(why)),
            None => Err(ReadError::Absent),
        },
    }
}

/// Asks a copy that clients do not reach as a bucket.
async fn read(
    reader: &Reader,
    repository: &str,
    digest: &Digest,
    size: u64,
) -> Result<u64, ReadError> {
    if let Reader::Registry(client) = reader {
        let name = RepositoryName::parse(repository).map_err(|_| ReadError::Absent)?;
        return match client.head_blob(&name, digest).await {
            // Of a repository that it may not even have.
            Ok(_) | Err(ClientError::Denied { .. }) => Ok(0),
            Err(error) => Err(error.into()),
        };
    }
    match reader.size(repository, digest).await? {
        Some(told) if told == size => Ok(0),
        Some(told) => {
            Err(ReadError::WrongBytes(format!("{digest} has {told} bytes instead of {size}")))
        }
        None => Err(ReadError::Absent),
    }
}

/// A random object that the copy is known to hold and that suits the probe; one that it need not
/// have, if none is.
fn pick(world: &World, copy: CopyId, kind: Kind) -> Object {
    let snapshot = &world.snapshot;
    let sites = snapshot.sites.iter().filter(|site| site.copies.contains(copy));
    let mut found = None;
    for loaded in sites.filter_map(|site| snapshot.catalog(site)) {
        let catalog = &loaded.catalog;
        let count = catalog.object_count();
        if count == 0 {
            continue;
        }
        let begin = usize::try_from(random() % count as u64).unwrap_or(0);
        for at in 0..count.min(LOOKED_AT) {
            let Some((digest, presence)) = catalog.nth_object((begin + at) % count) else { break };
            if presence.size == 0 || !presence.copies.contains(copy) {
                continue;
            }
            let suits = match kind {
                Kind::Head => true,
                Kind::Whole => presence.size <= SMALL,
                Kind::Range => presence.size > SMALL,
            };
            let repository = catalog.repositories_after("").next().unwrap_or_default();
            let (repository, size) = (repository.to_owned(), presence.size);
            // Of a registry nobody knows which of its repositories has an object.
            let is_known = !matches!(world.running.reader(copy), Reader::Registry(_));
            let object = Object { repository, digest, size, is_known };
            if suits {
                return object;
            }
            found = Some(object);
        }
    }
    // Nothing is known of a registry before it is asked, nor of a copy without a holding: whether
    // they answer at all can be asked of any object.
    found.unwrap_or_else(|| Object {
        repository: "landbridge/probe".to_owned(),
        digest: Digest::sha256_of(b"landbridge"),
        size: 10,
        is_known: false,
    })
}

/// What was read from a copy in this hour.
struct Budget {
    begin: Instant,
    bytes: u64,
}

impl Budget {
    fn new(begin: Instant) -> Self {
        Self { begin, bytes: 0 }
    }

    fn bytes_left(&mut self, limit: u64, now: Instant) -> u64 {
        if now.saturating_duration_since(self.begin) >= HOUR {
            *self = Self::new(now);
        }
        limit.saturating_sub(self.bytes)
    }

    fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

fn random() -> u64 {
    // Without randomness the same object is asked for again, which is no harm.
    getrandom::u64().unwrap_or(0)
}

/// A number in [0, 1).
fn jitter() -> f64 {
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}
