//! Limits of client networks at work: manifests are refused, blobs only counted.
//!
//! A pull begins with a manifest, so that is where it ends if its network has had too much: one
//! that has begun is not broken off. What networks asked for outlives a reload.
//!
//! Each request takes one lock of many, which one is a matter of its network, for as long as it
//! takes to look at two sets of eight entries.

mod report;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use landbridge_core::limits::{
    Allowance, Budget, Exempt, Limit, Limiter, Measure, NETWORK_BYTES, Named, Network,
    PrefixLengths, REPOSITORY_BYTES, Scope, Verdict,
};
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::request::{ManifestReference, Request};

use crate::metrics::{Metrics, RefusalReason, Refusals};
use crate::pull::Asked;
use crate::settings::{LimitSettings, Mode, Settings};

/// Locks. More would be smaller tables, in which chance decides more about who meets whom.
const SHARDS: usize = 64;

/// The limits of a configuration.
#[derive(Debug)]
pub(crate) struct Limits {
    settings: LimitSettings,
    exempt: Exempt,
    book: Arc<Book>,
    /// By site.
    refusals: Vec<Refusals>,
}

/// What networks have asked for; kept over reloads.
#[derive(Debug)]
struct Book {
    lengths: PrefixLengths,
    memory_bytes: u64,
    /// What moments are counted from.
    start: Instant,
    seed: u64,
    shards: Box<[Mutex<Limiter>]>,
}

impl Limits {
    /// The limits that are configured, if any are. What was asked for `before` still counts, as
    /// long as networks are as large as they were.
    pub(crate) fn open(
        settings: &Settings,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Option<Self> {
        let limits = settings.limits.clone()?;
        let same = before.map(|before| &before.book).filter(|book| {
            book.lengths == limits.lengths && book.memory_bytes == limits.memory_bytes
        });
        let book = same.map_or_else(|| Arc::new(Book::new(&limits)), Arc::clone);
        Some(Self {
            exempt: Exempt::new(&limits.exempt),
            book,
            refusals: settings.sites.iter().map(|site| metrics.refusals(&site.name)).collect(),
            settings: limits,
        })
    }

    /// Whether a request may be answered; a manifest's is charged. Called once for each.
    pub(crate) fn admit(&self, asked: &Asked<'_>) -> Result<(), OciError> {
        let Ok(Request::Manifest { repository, reference }) = &asked.request else { return Ok(()) };
        if asked.head.is_head() || self.exempt.contains(asked.address) {
            return Ok(());
        }
        let named = match reference {
            ManifestReference::Tag(_) => Named::ByTag,
            ManifestReference::Digest(_) => Named::ByDigest,
        };
        let (network, now) = (self.network(asked), self.book.now());
        let budgets = &self.settings.budgets;
        let verdict = self.book.shard(network).decide(budgets, network, repository, named, now);
        let Verdict::Limited { by, retry_after } = verdict else { return Ok(()) };
        let reason = match by.measure {
            Measure::Requests => RefusalReason::LimitRequests,
            Measure::Bytes => RefusalReason::LimitBytes,
        };
        let refusals = asked.site.and_then(|site| self.refusals.get(site.index));
        match self.settings.mode {
            Mode::Observe => {
                if let Some(refusals) = refusals {
                    refusals.observed(reason).inc();
                }
                Ok(())
            }
            Mode::Enforce => {
                if let Some(refusals) = refusals {
                    refusals.enforced(reason).inc();
                }
                Err(self.refusal(network, repository, by, retry_after))
            }
        }
    }

    /// Charges what an answer hands out.
    pub(crate) fn charge(&self, asked: &Asked<'_>, bytes: u64) {
        let repository = asked.repository();
        if bytes == 0 || repository.is_empty() || self.exempt.contains(asked.address) {
            return;
        }
        let (network, now) = (self.network(asked), self.book.now());
        self.book.shard(network).charge(&self.settings.budgets, network, repository, bytes, now);
    }

    fn network(&self, asked: &Asked<'_>) -> Network {
        Network::of(asked.address, self.book.lengths)
    }

    fn refusal(&self, network: Network, repository: &str, by: Limit, wait: Duration) -> OciError {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let (budget, name, whose) = match by.scope {
            Scope::Network => (&self.settings.budgets.network, "network", String::new()),
            Scope::Repository => {
                (&self.settings.budgets.repository, "repository", format!(" of `{repository}`"))
            }
        };
        let clients = network.cidr(self.book.lengths);
        let message = match (by.measure, budget) {
            (Measure::Requests, Budget { requests: Some(allowance), .. }) => format!(
                "clients in {clients} have asked for more manifests{whose} than {} with {} at once (`limits.{name}.requests`)",
                allowance.rate(),
                allowance.burst(),
            ),
            (Measure::Bytes, Budget { bytes: Some(allowance), .. }) => format!(
                "clients in {clients} have taken more bytes{whose} than {} with {} at once (`limits.{name}.bytes`)",
                ByteRate(allowance),
                Bytes(allowance.burst()),
            ),
            (Measure::Requests | Measure::Bytes, _) => {
                format!("clients in {clients} have asked for too much")
            }
        };
        OciError::with(Code::TooManyRequests, format!("{message}: try again in {seconds} s"))
            .after(seconds.max(1))
    }
}

impl Book {
    fn new(settings: &LimitSettings) -> Self {
        let seed = || RandomState::new().build_hasher().finish();
        let each = settings.memory_bytes / 2 / SHARDS as u64;
        let entries = |bytes| usize::try_from(each / bytes).unwrap_or(usize::MAX);
        let shard = || {
            let (networks, repositories) = (entries(NETWORK_BYTES), entries(REPOSITORY_BYTES));
            Mutex::new(Limiter::new(networks, repositories, seed()))
        };
        Self {
            lengths: settings.lengths,
            memory_bytes: settings.memory_bytes,
            start: Instant::now(),
            seed: seed() | 1,
            shards: (0..SHARDS).map(|_| shard()).collect(),
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn shard(&self, network: Network) -> MutexGuard<'_, Limiter> {
        // Fibonacci hashing with a factor that nobody knows: its upper bits are good.
        let hash = network.key().wrapping_mul(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let at = usize::try_from(hash >> 32).unwrap_or(0) % SHARDS;
        lock(&self.shards[at])
    }
}

/// A limiter is whole after each of its steps, so one that a panic left behind is too.
fn lock(shard: &Mutex<Limiter>) -> MutexGuard<'_, Limiter> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes, in the largest unit that divides them.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let fits = |bytes: u64| self.0 != 0 && self.0.is_multiple_of(bytes);
        let unit = units.into_iter().find(|(_, bytes)| fits(*bytes));
        let (unit, bytes) = unit.unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / bytes)
    }
}

/// A rate of bytes, as it is written in the configuration.
struct ByteRate<'a>(&'a Allowance);

impl std::fmt::Display for ByteRate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rate = self.0.rate();
        write!(f, "{}/{}", Bytes(rate.amount.get()), rate.per.name())
    }
}
