//! The world as one request sees it: a snapshot, and the running things that go with it.
//!
//! A world is replaced whole. What should outlive a new generation or new address ranges (health,
//! caches, connections) is shared between worlds; what belongs to a configuration is made anew
//! with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use landbridge_core::Digest;
use landbridge_core::request::{ManifestReference, Request};
use landbridge_core::topology::CopyId;
use landbridge_registry::Credentials;
use landbridge_registry::client::{ClientSettings, ClientSettingsError, RegistryClient};
use landbridge_store::read::Loaded;
use landbridge_store::{Bucket, BucketLayout, FaceError, FaceTimeouts, PublicFace};
use prometheus_client::metrics::gauge::Gauge;
use tracing::{error, warn};
use url::Url;

use crate::failover::Failover;
use crate::health::{Health, Probed};
use crate::legacy::LegacyStates;
use crate::limits::Limits;
use crate::live::{LiveOrigin, LivePresence};
use crate::manifests::ManifestCache;
use crate::metrics::{CopyCounters, Metrics, OriginLabels};
use crate::newer::Newer;
use crate::reader::{ReadError, Reader};
use crate::settings::{CacheSettings, Face, Follow, LiveRegistry, OriginKind, Settings};
use crate::snapshot::{Site, Snapshot};
use crate::status::StatusPages;

/// Requests that one registry gets from this front at once.
const MAX_INFLIGHT: usize = 256;

/// What a request is answered with.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) running: Arc<Running>,
}

/// What belongs to a configuration: connections to copies and origins, their health and caches.
#[derive(Debug)]
pub(crate) struct Running {
    /// By copy.
    pub(crate) readers: Vec<Reader>,
    /// By copy.
    pub(crate) counters: Vec<CopyCounters>,
    /// By origin: of those that have a registry.
    pub(crate) live: Vec<Option<LiveOrigin>>,
    /// By channel: looking for a newer release.
    pub(crate) newer: Vec<Newer>,
    /// What the mirrors of live origins hold.
    pub(crate) presence: LivePresence,
    pub(crate) health: Arc<Health>,
    pub(crate) manifests: ManifestCache,
    pub(crate) suspects: Suspects,
    pub(crate) failover: Arc<Failover>,
    /// How much a client's network may ask for, if there is any limit to it.
    pub(crate) limits: Option<Limits>,
    /// What is known of old names, by site.
    pub(crate) legacy: Arc<LegacyStates>,
    pub(crate) status: StatusPages,
    /// By origin: 1 while no store says what is published.
    stale: Vec<Gauge>,
}

/// Copies that served wrong bytes for an object: not asked for it again for a while.
#[derive(Debug, Clone)]
pub(crate) struct Suspects(moka::sync::Cache<(CopyId, Digest), ()>);

impl Suspects {
    /// How many are remembered, and for how long.
    const MOST: u64 = 10_000;
    const LIFETIME: Duration = Duration::from_hours(1);

    fn new() -> Self {
        Self(
            moka::sync::Cache::builder()
                .max_capacity(Self::MOST)
                .time_to_live(Self::LIFETIME)
                .build(),
        )
    }

    pub(crate) fn insert(&self, copy: CopyId, digest: Digest) {
        self.0.insert((copy, digest), ());
    }

    pub(crate) fn contains(&self, copy: CopyId, digest: &Digest) -> bool {
        self.0.contains_key(&(copy, *digest))
    }
}

/// Why a copy or an origin cannot be used at all: the configuration is wrong.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The bucket.
    #[error("copy `{copy}` cannot be opened")]
    Bucket {
        /// The copy's name.
        copy: String,
        /// What is wrong.
        source: landbridge_store::OpenError,
    },
    /// The registry.
    #[error("copy `{copy}` cannot be opened")]
    Registry {
        /// The copy's name.
        copy: String,
        /// What is wrong.
        source: ClientSettingsError,
    },
    /// A copy that neither clients nor the front can reach: a fault of who made the settings.
    #[error("copy `{0}` has no address and is no origin")]
    Nowhere(String),
    /// The public address.
    #[error("copy `{copy}` cannot be reached through its public address")]
    Face {
        /// The copy's name.
        copy: String,
        /// What is wrong.
        source: FaceError,
    },
}

impl World {
    /// What to ask for a newer release that may list a digest which this one does not; `None` if
    /// there is nobody to ask, or it was asked lately.
    pub(crate) fn newer(&self, site: &Site, request: &Request<'_>) -> Option<(&Newer, Digest)> {
        let (Request::Blob { digest, .. }
        | Request::Manifest { reference: ManifestReference::Digest(digest), .. }) = request
        else {
            return None;
        };
        // What a site is pinned to does not change.
        let channel = self.snapshot.channels.get(site.channel)?;
        let is_pinned = matches!(channel.follow, Follow::Pinned(_));
        let may_change = !self.snapshot.is_live(site) && !is_pinned;
        let newer = self.running.newer.get(site.channel).filter(|_| may_change)?;
        newer.may_list(digest).then_some((newer, *digest))
    }

    /// Whether nobody is to get this digest at a site. Generations know it themselves: this is for
    /// what others say.
    pub(crate) fn is_withdrawn(&self, site: &Site, digest: &Digest) -> bool {
        let loaded = self.snapshot.catalog(site);
        loaded.is_some_and(|loaded| withdraws(loaded, digest))
    }

    /// Whether nobody is to get this digest at any site.
    pub(crate) fn is_withdrawn_anywhere(&self, digest: &Digest) -> bool {
        self.snapshot.catalogs.iter().flatten().any(|loaded| withdraws(loaded, digest))
    }
}

fn withdraws(loaded: &Loaded, digest: &Digest) -> bool {
    loaded.withdrawals.as_ref().is_some_and(|list| list.content().contains(digest))
}

impl Running {
    /// Opens every copy and origin. Nothing is asked of them yet. What clients did in the world
    /// `before` is remembered.
    pub(crate) fn open(
        settings: &Settings,
        metrics: &Metrics,
        before: Option<&World>,
    ) -> Result<Self, OpenError> {
        let before = before.map(|before| &*before.running);
        let probed = Probed::new(settings, before.map(|before| before.health.probed()));
        let health = Arc::new(Health::new(settings.copies.len(), settings.breaker, probed));
        let readers = settings
            .copies
            .iter()
            .enumerate()
            .map(|(index, _)| open_reader(settings, index))
            .collect::<Result<Vec<_>, _>>()?;
        let live = settings
            .origins
            .iter()
            .map(|origin| {
                let registry = origin.kind.registry()?;
                let Some(Reader::Registry(client)) = readers.get(registry.copy) else {
                    return None;
                };
                let (client, health) = (Arc::clone(client), Arc::clone(&health));
                let copy = CopyId::new(registry.copy)?;
                Some(LiveOrigin::new(client, copy, health, &settings.caches))
            })
            .collect();
        let counters = settings.copies.iter().map(|copy| metrics.copy(&copy.name)).collect();
        let presence = LivePresence::new(&settings.caches, Arc::clone(&health));
        let manifests = ManifestCache::new(settings.caches.manifest_bytes);
        let newer = settings.channels().iter().map(|_| Newer::new()).collect();
        let suspects = Suspects::new();
        let failover = Failover::open(settings, metrics, before.map(|before| &*before.failover));
        let limits =
            Limits::open(settings, metrics, before.and_then(|before| before.limits.as_ref()));
        let legacy = LegacyStates::open(settings, metrics, before.map(|before| &*before.legacy));
        let stale = (settings.origins.iter())
            .map(|origin| {
                let labels = OriginLabels { origin: origin.name.clone() };
                metrics.serving_stale.get_or_create(&labels).clone()
            })
            .collect();
        Ok(Self {
            readers,
            counters,
            live,
            newer,
            presence,
            health,
            manifests,
            suspects,
            failover: Arc::new(failover),
            limits,
            legacy: Arc::new(legacy),
            status: StatusPages::new(settings.sites.len()),
            stale,
        })
    }

    /// Tells a copy's health, and the operator, how a read went.
    pub(crate) fn note<T>(&self, copy: CopyId, digest: &Digest, read: &Result<T, ReadError>) {
        match read {
            Ok(_) | Err(ReadError::Absent) => self.health.succeed(copy),
            Err(ReadError::WrongBytes(why)) => {
                error!(%digest, copy = copy.index(), why, "a copy served wrong bytes; it is not asked for them again");
                self.counters[copy.index()].wrong_bytes.inc();
                self.suspects.insert(copy, *digest);
            }
            Err(ReadError::Failing(why)) => {
                if self.health.fail(copy, Instant::now()) {
                    warn!(copy = copy.index(), why, "a copy fails and is left alone for a while");
                }
            }
        }
    }

    /// Whether an origin's releases are served though no store says what is published.
    pub(crate) fn is_stale(&self, origin: usize) -> bool {
        self.stale.get(origin).is_some_and(|stale| stale.get() == 1)
    }

    /// How the front reads a copy.
    pub(crate) fn reader(&self, copy: CopyId) -> &Reader {
        &self.readers[copy.index()]
    }
}

fn open_reader(settings: &Settings, index: usize) -> Result<Reader, OpenError> {
    let copy = &settings.copies[index];
    let live = settings.origins.iter().filter_map(|origin| origin.kind.registry());
    let live = live.into_iter().find(|registry| registry.copy == index);
    match &copy.face {
        Face::Embedded { store, layout } => open_bucket(&copy.name, store, *layout),
        // As clients reach it, so that what the front sees of it is what they would.
        Face::Bucket { url, layout } => {
            open_face(&copy.name, url, *layout, settings).map(Reader::Public)
        }
        Face::Registry { url, repository_prefix } => {
            let credentials = live.and_then(|registry| registry.credentials.clone());
            open_registry(settings, &copy.name, url, repository_prefix, credentials)
        }
        Face::Streamed => streamed_reader(settings, index, live),
    }
}

/// A copy that clients cannot reach is an origin's: read as what it is.
fn streamed_reader(
    settings: &Settings,
    index: usize,
    live: Option<&LiveRegistry>,
) -> Result<Reader, OpenError> {
    let copy = &settings.copies[index].name;
    if let Some(LiveRegistry { url, repository_prefix, credentials, .. }) = live {
        return open_registry(settings, copy, url, repository_prefix, credentials.clone());
    }
    let origin = settings.origins.iter().find(|origin| origin.copy == index);
    match origin.map(|origin| &origin.kind) {
        Some(OriginKind::Store { url, layout, .. }) => open_bucket(copy, url, *layout),
        Some(OriginKind::Registry(_)) | None => Err(OpenError::Nowhere(copy.clone())),
    }
}

fn open_bucket(copy: &str, url: &Url, layout: BucketLayout) -> Result<Reader, OpenError> {
    let opened = Bucket::open(url, layout);
    opened.map(Reader::Bucket).map_err(|source| OpenError::Bucket { copy: copy.to_owned(), source })
}

fn open_registry(
    settings: &Settings,
    copy: &str,
    url: &Url,
    repository_prefix: &str,
    credentials: Option<Credentials>,
) -> Result<Reader, OpenError> {
    let client = RegistryClient::new(ClientSettings {
        url: url.clone(),
        repository_prefix: repository_prefix.to_owned(),
        credentials,
        connect_timeout: settings.caches.fetch_timeout,
        answer_timeout: settings.caches.fetch_timeout,
        max_inflight: MAX_INFLIGHT,
    });
    client
        .map(|client| Reader::Registry(Arc::new(client)))
        .map_err(|source| OpenError::Registry { copy: copy.to_owned(), source })
}

/// A copy's public address, asked over connections that are made anew each time.
pub(crate) fn open_fresh_face(
    copy: &str,
    url: &Url,
    layout: BucketLayout,
    timeout: Duration,
) -> Result<PublicFace, OpenError> {
    let timeouts = FaceTimeouts { connect: timeout, head: timeout, idle: timeout };
    let opened = PublicFace::fresh(url, layout, timeouts);
    opened.map_err(|source| OpenError::Face { copy: copy.to_owned(), source })
}

/// A copy's public address, as this front reads it.
pub(crate) fn open_face(
    copy: &str,
    url: &Url,
    layout: BucketLayout,
    settings: &Settings,
) -> Result<PublicFace, OpenError> {
    let CacheSettings { presence_timeout, fetch_timeout, .. } = settings.caches;
    let timeouts =
        FaceTimeouts { connect: presence_timeout, head: presence_timeout, idle: fetch_timeout };
    let opened = PublicFace::new(url, layout, timeouts);
    opened.map_err(|source| OpenError::Face { copy: copy.to_owned(), source })
}
