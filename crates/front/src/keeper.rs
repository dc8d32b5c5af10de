//! The keeper: the one task that makes worlds.
//!
//! Watchers (one for each origin with generations, one for each range source) bring what is new;
//! the keeper puts it beside the rest, builds the next world and swaps it in. Being the only
//! writer it needs no lock, and two changes never race.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::cause::chain;
use landbridge_core::pointer::Pointer;
use landbridge_core::topology::CopyId;
use landbridge_store::read::{
    CatalogReader, CopySource, ExportError, HoldingSource, Loaded, Poll, open_export,
};
use landbridge_store::{Bucket, BucketLayout};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::failover::Failover;
use crate::metrics::{Metrics, OriginLabels, SourceLabels};
use crate::probe::{Prober, probers};
use crate::ranges::{self, RangesError, Source};
use crate::settings::{Channel, Face, Follow, OriginKind, ProbeSettings, Settings};
use crate::shared::Shared;
use crate::snapshot::{Ranges, Snapshot, SnapshotError};
use crate::world::{OpenError, Running, World, open_face};

/// How long a start or a reload waits for an origin's first answer.
const FIRST_POLL: Duration = Duration::from_secs(15);
/// The same if there is something to serve meanwhile.
const FIRST_POLL_WITH_CACHE: Duration = Duration::from_secs(3);

/// Everything that worlds of one configuration are made of.
#[derive(Debug)]
pub(crate) struct Gathered {
    settings: Arc<Settings>,
    running: Arc<Running>,
    /// By source.
    ranges: Vec<Option<Ranges>>,
    /// Releases as sites follow them.
    channels: Vec<Channel>,
    /// By channel.
    catalogs: Vec<Option<Arc<Loaded>>>,
    sources: Vec<Source>,
    /// By channel.
    readers: Vec<Option<CatalogReader>>,
}

/// Why a configuration cannot be put into force.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A copy or an origin cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A range file is missing or refused.
    #[error(transparent)]
    Ranges(#[from] RangesError),
    /// The parts do not go together.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// Whether what is served is kept for the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// In the cache's directory, if there is one.
    InCache,
    /// Not at all: whoever only looks changes nothing.
    Nowhere,
}

/// Something new.
enum News {
    /// Of a channel, found by its poll of this number.
    Catalog(usize, Arc<Loaded>, u64),
    Ranges(usize, Ranges),
}

impl Gathered {
    /// Opens and reads everything once. An origin that does not answer is not an error: the front
    /// starts without it, says so, and goes on asking.
    /// What was in force in the world `before` is not replaced by anything older.
    pub(crate) async fn read(
        settings: Arc<Settings>,
        before: Option<&World>,
        metrics: &Metrics,
        keep: Keep,
    ) -> Result<Self, GatherError> {
        let running = Arc::new(Running::open(&settings, metrics, before)?);
        let mut sources: Vec<_> = settings
            .ranges
            .iter()
            .map(|source| {
                Source::new(source.clone(), settings.suspicion, settings.cache_directory.as_deref())
            })
            .collect();
        let ranges =
            sources.iter_mut().map(super::ranges::Source::read_local).collect::<Result<_, _>>()?;
        let channels = settings.channels();
        let mut readers = channels
            .iter()
            .map(|channel| {
                let mut reader = catalog_reader(&settings, before, *channel)?;
                if let (Some(reader), Keep::InCache) = (&mut reader, keep) {
                    reader.cache = cache_of(&settings, *channel);
                }
                Ok(reader)
            })
            .collect::<Result<Vec<_>, OpenError>>()?;
        for (reader, channel) in readers.iter_mut().zip(&channels) {
            if let Some(reader) = reader {
                reader.exported = exported_of(&settings, *channel).await;
            }
        }
        let names: Vec<_> =
            channels.iter().map(|channel| settings.channel_name(*channel)).collect();
        let catalogs = readers.iter_mut().zip(&names).map(|(reader, name)| async move {
            match reader {
                Some(reader) => first_poll(reader, name).await,
                None => None,
            }
        });
        let catalogs = futures::future::join_all(catalogs).await;
        for reader in readers.iter_mut().flatten() {
            // It is of use at a start only, and takes memory.
            reader.exported = None;
        }
        Ok(Self { settings, running, ranges, channels, catalogs, sources, readers })
    }

    /// What runs with this configuration.
    pub(crate) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// Who probes its copies.
    pub(crate) fn probers(&self) -> Result<Vec<Prober>, OpenError> {
        probers(&self.settings)
    }

    /// How they do.
    pub(crate) fn probes(&self) -> ProbeSettings {
        self.settings.probes
    }

    /// The accounts of this configuration's overflow edges.
    pub(crate) fn failover(&self) -> Arc<Failover> {
        Arc::clone(&self.running.failover)
    }

    /// The world that these parts make.
    pub(crate) fn world(&self) -> Result<World, SnapshotError> {
        let ranges = ranges::in_use(&self.settings.ranges, &self.ranges);
        let snapshot = Snapshot::build(Arc::clone(&self.settings), ranges, self.catalogs.clone())?;
        Ok(World { snapshot, running: Arc::clone(&self.running) })
    }

    /// Watches for what is new and keeps `shared`'s world current, until `stop`.
    pub(crate) async fn keep(
        mut self,
        shared: Arc<Shared>,
        http: reqwest::Client,
        stop: CancellationToken,
    ) {
        let (news, mut inbox) = mpsc::channel(16);
        let mut watchers = tokio::task::JoinSet::new();
        for (at, reader) in std::mem::take(&mut self.readers).into_iter().enumerate() {
            let (Some(reader), channel) = (reader, self.channels[at]) else { continue };
            let origin = &self.settings.origins[channel.origin];
            let OriginKind::Store { poll, .. } = origin.kind else { continue };
            let labels = OriginLabels { origin: origin.name.clone() };
            let watched = Watched {
                channel: at,
                name: self.settings.channel_name(channel),
                reader,
                every: poll,
                running: Arc::clone(&self.running),
                expirations: shared.metrics.pointer_expirations.get_or_create(&labels).clone(),
                stale: shared.metrics.serving_stale.get_or_create(&labels).clone(),
            };
            let current = self.catalogs[at].clone();
            watchers.spawn(watch_catalog(watched, current, news.clone()));
        }
        for (at, source) in std::mem::take(&mut self.sources).into_iter().enumerate() {
            let current = self.ranges[at].clone();
            watchers.spawn(watch_ranges(
                at,
                source,
                current,
                http.clone(),
                Arc::clone(&shared),
                news.clone(),
            ));
        }
        drop(news);
        self.tell(&shared.metrics);
        loop {
            let news = tokio::select! {
                news = inbox.recv() => news,
                () = stop.cancelled() => None,
            };
            let Some(news) = news else { break };
            let polled = match news {
                News::Catalog(channel, loaded, poll) => {
                    self.catalogs[channel] = Some(loaded);
                    Some((channel, poll))
                }
                News::Ranges(at, ranges) => {
                    self.ranges[at] = Some(ranges);
                    None
                }
            };
            // Compiling takes milliseconds; the threads that answer have their own loops.
            match self.world() {
                Ok(world) => shared.world.store(Arc::new(world)),
                Err(error) => {
                    error!(error = chain(&error), "what is new cannot be used; the old stays");
                }
            }
            if let Some((channel, poll)) = polled {
                self.running.newer[channel].end(poll);
            }
            self.tell(&shared.metrics);
        }
        stop.cancelled().await;
        watchers.shutdown().await;
    }

    fn tell(&self, metrics: &Metrics) {
        for (channel, loaded) in self.channels.iter().zip(&self.catalogs) {
            let Some(loaded) = loaded else { continue };
            let origin = &self.settings.origins[channel.origin];
            let labels = OriginLabels { origin: origin.name.clone() };
            let pointer = loaded.pointer.content();
            let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            metrics.pointer_sequence.get_or_create(&labels).set(number(pointer.sequence));
            metrics.pointer_issued.get_or_create(&labels).set(pointer.issued.as_second());
            metrics.pointer_expires.get_or_create(&labels).set(pointer.expires.as_second());
            for held in &loaded.holdings {
                let Some(copy) = self.settings.copies.get(held.copy.index()) else { continue };
                let newest = loaded.newest_of(held).map_or(0, |it| it.content().sequence);
                let is_current = held.holds(&pointer.generation);
                metrics.set_holding(&origin.name, &copy.name, newest, is_current);
            }
            metrics
                .objects
                .get_or_create(&labels)
                .set(number(loaded.catalog.object_count() as u64));
        }
        for ranges in self.ranges.iter().flatten() {
            let labels = SourceLabels { source: ranges.name.clone() };
            let prefixes = i64::try_from(ranges.set.len()).unwrap_or(i64::MAX);
            metrics.range_prefixes.get_or_create(&labels).set(prefixes);
            // A counter that begins at one has not grown: told at zero, the first refusal is seen.
            drop(metrics.range_refusals.get_or_create(&labels));
        }
    }
}

/// What the origin has published; what the cache holds of it if the origin does not answer. What
/// is in the cache was in force: nothing older takes its place.
async fn first_poll(reader: &mut CatalogReader, name: &str) -> Option<Arc<Loaded>> {
    let now = Timestamp::now();
    let (cached, notes) = reader.load_cached(now).await;
    for note in &notes {
        warn!(origin = name, note, "something in the cache is not believed");
    }
    let patience = if cached.is_some() { FIRST_POLL_WITH_CACHE } else { FIRST_POLL };
    match tokio::time::timeout(patience, reader.poll(cached.as_ref(), now)).await {
        Ok(Ok(Poll::New(loaded))) => {
            announce(name, &loaded);
            return Some(Arc::new(*loaded));
        }
        Ok(Ok(Poll::Unchanged(notes) | Poll::Silent(notes))) => report(name, &notes),
        Ok(Err(error)) => {
            error!(origin = name, error = chain(&error), "the origin cannot be read; asking again");
        }
        Err(_) => error!(origin = name, "the origin does not answer; asking again"),
    }
    let cached = cached?;
    warn!(
        origin = name,
        sequence = cached.pointer.content().sequence,
        issued = %cached.pointer.content().issued,
        notes = cached.notes.join("; "),
        "serving a generation from the cache: the origin has not confirmed it"
    );
    Some(Arc::new(cached))
}

/// Where what is served of an origin is kept, if the cache has a directory that can be used.
fn cache_of(settings: &Settings, channel: Channel) -> Option<Bucket> {
    let origin = &*settings.origins[channel.origin].name;
    let name = match channel.follow {
        Follow::Newest => origin.to_owned(),
        Follow::Later(delay) => format!("{origin}@{}s", delay.as_secs()),
        Follow::Pinned(generation) => format!("{origin}@{}", generation.hex()),
    };
    let directory = settings.cache_directory.as_ref()?.join("generations").join(name);
    let failed = |why: String| {
        let directory = directory.display();
        warn!(origin, %directory, why, "the cache cannot be used; what is served is not kept");
    };
    // It was resolved against the configuration's place, which is absolute.
    let Ok(url) = url::Url::from_directory_path(&directory) else {
        failed("it is no absolute path".to_owned());
        return None;
    };
    Bucket::open(&url, BucketLayout::Blobs).inspect_err(|error| failed(chain(error))).ok()
}

/// What was exported of an origin, if that is configured and can be read.
async fn exported_of(settings: &Settings, channel: Channel) -> Option<Bucket> {
    let origin = &settings.origins[channel.origin];
    let opened = open_export(origin.exported.as_ref()?).await;
    let failed = |error: &ExportError| {
        warn!(origin = origin.name, error = chain(error), "what was exported cannot be used");
    };
    opened.inspect_err(failed).ok()
}

/// Releases that are followed.
struct Watched {
    channel: usize,
    name: String,
    reader: CatalogReader,
    every: Duration,
    running: Arc<Running>,
    expirations: Counter,
    /// 1 while no store says what is published.
    stale: Gauge,
}

async fn watch_catalog(
    watched: Watched,
    mut current: Option<Arc<Loaded>>,
    news: mpsc::Sender<News>,
) {
    let Watched { channel, name, reader, every, running, expirations, stale } = watched;
    // What the first poll found is told before the second one.
    let is_unconfirmed = current.as_ref().is_none_or(|loaded| loaded.is_unconfirmed);
    stale.set(i64::from(is_unconfirmed));
    let newer = &running.newer[channel];
    let mut expiry = Expiry::default();
    let mut is_failing = false;
    let mut told = Vec::new();
    let mut last = Instant::now();
    loop {
        let now = Timestamp::now();
        if let Some(loaded) = &current
            && expiry.is_new(loaded.pointer.content(), now)
        {
            expirations.inc();
            let pointer = loaded.pointer.content();
            warn!(
                origin = name,
                sequence = pointer.sequence,
                expires = %pointer.expires,
                "the release in force has expired and is served on: publish, or renew it with \
                 `landbridge replicate --renew`"
            );
        }
        let poll = newer.due(every, last).await;
        last = Instant::now();
        match reader.poll(current.as_deref(), Timestamp::now()).await {
            Ok(found @ (Poll::Unchanged(_) | Poll::Silent(_))) => {
                is_failing = false;
                let (notes, is_stale) = match found {
                    Poll::Silent(notes) => (notes, true),
                    Poll::Unchanged(notes) => (notes, false),
                    Poll::New(_) => (Vec::new(), false),
                };
                if is_stale && stale.set(1) == 0 {
                    warn!(origin = name, "no store answers; the last generation is served on");
                } else if !is_stale && stale.set(0) == 1 {
                    info!(origin = name, "a store answers again");
                }
                if notes != told {
                    report(&name, &notes);
                    told = notes;
                }
            }
            Ok(Poll::New(loaded)) => {
                is_failing = false;
                stale.set(0);
                announce(&name, &loaded);
                let loaded = Arc::new(*loaded);
                // Not held here as well: the old catalog must be free to go while the new one comes.
                current = Some(Arc::clone(&loaded));
                if news.send(News::Catalog(channel, loaded, poll)).await.is_err() {
                    return;
                }
                // The keeper says when it is in force.
                continue;
            }
            Err(error) if is_failing => {
                tracing::debug!(origin = name, %error, "the origin still cannot be read");
            }
            Err(error) => {
                is_failing = true;
                stale.set(1);
                warn!(
                    origin = name,
                    error = chain(&error),
                    "the origin cannot be read; the last generation is served on"
                );
            }
        }
        newer.end(poll);
    }
}

fn announce(name: &str, loaded: &Loaded) {
    let pointer = loaded.pointer.content();
    info!(
        origin = name,
        sequence = pointer.sequence,
        generation = %loaded.generation,
        objects = loaded.catalog.object_count(),
        reason = pointer.reason,
        "serving a generation"
    );
    report(name, &loaded.notes);
}

/// What was refused while reading: the last good generation is served all the same.
fn report(name: &str, notes: &[String]) {
    for note in notes {
        warn!(origin = name, note, "something about the origin needs a look");
    }
}

async fn watch_ranges(
    at: usize,
    mut source: Source,
    mut current: Option<Ranges>,
    http: reqwest::Client,
    shared: Arc<Shared>,
    news: mpsc::Sender<News>,
) {
    // What is not there yet is fetched at once, and tried again soon.
    const SOON: Duration = Duration::from_mins(1);
    let mut wait = if current.is_none() { Duration::ZERO } else { source.refresh_every() };
    loop {
        tokio::time::sleep(wait).await;
        match source.refresh(&http, current.as_ref()).await {
            Ok(None) => {}
            Ok(Some(ranges)) => {
                info!(
                    source = ranges.name,
                    prefixes = ranges.set.len(),
                    version = ranges.set.version(),
                    "new address ranges"
                );
                current = Some(ranges.clone());
                if news.send(News::Ranges(at, ranges)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let labels = SourceLabels { source: source.name().to_owned() };
                shared.metrics.range_refusals.get_or_create(&labels).inc();
                warn!(error = chain(&error), "address ranges are not renewed; those in use stay");
            }
        }
        wait = if current.is_none() {
            SOON.min(source.refresh_every())
        } else {
            source.refresh_every()
        };
    }
}

/// Which pointer has expired, as far as somebody was told.
#[derive(Debug, Default)]
struct Expiry {
    told: Option<u64>,
}

impl Expiry {
    /// Whether the pointer has expired and that was not so when it was last asked for it.
    fn is_new(&mut self, pointer: &Pointer, now: Timestamp) -> bool {
        if pointer.expires > now {
            self.told = None;
            return false;
        }
        self.told.replace(pointer.sequence) != Some(pointer.sequence)
    }
}

/// Reads the generations of an origin that has any.
fn catalog_reader(
    settings: &Settings,
    before: Option<&World>,
    channel: Channel,
) -> Result<Option<CatalogReader>, OpenError> {
    let Channel { origin, follow } = channel;
    let origin_settings = &settings.origins[origin];
    let OriginKind::Store { url, layout, catalog, keys, minimum_sequence, retain, .. } =
        &origin_settings.kind
    else {
        return Ok(None);
    };
    let open = |url, layout, copy: &str| {
        Bucket::open(url, layout)
            .map_err(|source| OpenError::Bucket { copy: copy.to_owned(), source })
    };
    let authority = open(url, *layout, &origin_settings.name)?;
    let mut mirrors: Vec<usize> = settings
        .sites
        .iter()
        .filter(|site| site.origin == origin)
        .flat_map(|site| site.mirrors.iter().copied())
        .collect();
    mirrors.sort_unstable();
    mirrors.dedup();
    let mut copies = Vec::new();
    for at in mirrors {
        let copy = &settings.copies[at];
        let Some(id) = CopyId::new(at) else { continue };
        let holding = match (&copy.store, &copy.face) {
            (Some(store), Face::Bucket { layout, .. }) | (_, Face::Embedded { store, layout }) => {
                HoldingSource::Bucket(open(store, *layout, &copy.name)?)
            }
            (None, Face::Bucket { url, layout }) => {
                HoldingSource::Face(open_face(&copy.name, url, *layout, settings)?)
            }
            (_, Face::Registry { .. } | Face::Streamed) => continue,
        };
        copies.push(CopySource { copy: id, name: copy.name.clone(), source: holding });
    }
    let Some(origin_copy) = CopyId::new(origin_settings.copy) else { return Ok(None) };
    Ok(Some(CatalogReader {
        authority,
        catalog: catalog.clone(),
        keys: keys.clone(),
        minimum_sequence: *minimum_sequence,
        last: before.and_then(|world| world.snapshot.pointer(&origin_settings.name)).cloned(),
        retain: *retain,
        origin: origin_copy,
        holding_timeout: settings.caches.fetch_timeout,
        follow,
        cache: None,
        exported: None,
        copies,
    }))
}

#[cfg(test)]
mod tests {
    use landbridge_core::Digest;

    use super::*;

    #[test]
    fn that_a_pointer_has_expired_is_told_once_for_each() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let pointer = |sequence, expires| Pointer {
            catalog: "demo".to_owned(),
            expires: at(expires),
            generation: Digest::sha256_of(b"root"),
            issued: at("2026-01-01T00:00:00Z"),
            previous: None,
            reason: "a test".to_owned(),
            sequence,
        };
        let (one, two) = (pointer(1, "2026-02-01T00:00:00Z"), pointer(2, "2026-02-02T00:00:00Z"));
        let three = pointer(3, "2027-01-01T00:00:00Z");
        let mut expiry = Expiry::default();
        let told: Vec<_> = [
            (&one, "2026-01-31T23:59:59Z"),
            (&one, "2026-02-01T00:00:00Z"),
            (&one, "2026-02-01T00:00:10Z"),
            (&two, "2026-02-01T00:00:20Z"),
            (&two, "2026-02-03T00:00:00Z"),
            (&two, "2026-02-03T00:00:10Z"),
            (&three, "2026-02-03T00:00:20Z"),
            (&three, "2027-02-03T00:00:00Z"),
        ]
        .map(|(pointer, now)| expiry.is_new(pointer, at(now)))
        .into();
        assert_eq!(told, [false, true, false, false, true, false, false, true]);
    }
}
