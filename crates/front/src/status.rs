//! `/status`: what a site's users may know of its copies and releases, as a page and as JSON.
//!
//! [`Status::gather`] reads the world into plain data, once; both forms are written from it. Public,
//! so it says nothing that helps an attacker or that somebody said in confidence: no address, no
//! bucket, no error's text, no operator's reason. Invariant: a site's page is made at most once in
//! [`MADE_FOR`], however often it is asked for.

mod page;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use http::header::ACCEPT;
use jiff::Timestamp;
use landbridge_core::migration::Progress;
use landbridge_core::topology::CopySet;
use serde::Serialize;

use crate::health::{CopyState, CopyStatus};
use crate::legacy::LegacyState;
use crate::settings::OverrideState;
use crate::snapshot::{Copy, Ranges, Site};
use crate::world::World;

/// For how long a page is good.
const MADE_FOR: Duration = Duration::from_secs(1);

/// How the page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Html,
    Json,
}

impl Form {
    /// The form that a path and `Accept` ask for; `None` if it is another path.
    pub(crate) fn wanted(path: &str, headers: &HeaderMap) -> Option<Self> {
        match path {
            "/status.json" => Some(Self::Json),
            "/status" => {
                let accepts = |wanted: &str| {
                    let values = headers.get_all(ACCEPT).iter();
                    let mut types = values
                        .filter_map(|value| value.to_str().ok())
                        .flat_map(|value| value.split(','));
                    types.any(|it| it.split(';').next().is_some_and(|it| it.trim() == wanted))
                };
                let is_json = accepts("application/json") && !accepts("text/html");
                Some(if is_json { Self::Json } else { Self::Html })
            }
            _ => None,
        }
    }
}

/// A site's page in both forms.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    html: Bytes,
    json: Bytes,
}

impl Made {
    pub(crate) fn form(self, form: Form) -> Bytes {
        match form {
            Form::Html => self.html,
            Form::Json => self.json,
        }
    }
}

/// By site: the page that was made last, and when.
#[derive(Debug)]
pub(crate) struct StatusPages(Box<[Mutex<Last>]>);

type Last = Option<(Instant, Made)>;

impl StatusPages {
    /// None is made yet.
    pub(crate) fn new(sites: usize) -> Self {
        Self((0..sites).map(|_| Mutex::new(None)).collect())
    }

    /// The page of a site at `now`, made by `make` if the last one is too old.
    fn get(&self, site: usize, now: Instant, make: impl FnOnce() -> Made) -> Made {
        let Some(last) = self.0.get(site) else { return make() };
        // A page is put there whole, so one that a panic left behind is too.
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, made)) if now.saturating_duration_since(*at) < MADE_FOR => made.clone(),
            _ => last.insert((now, make())).1.clone(),
        }
    }
}

impl World {
    /// A site's page.
    pub(crate) fn status(&self, site: &Site) -> Made {
        let now = Instant::now();
        self.running.status.get(site.index, now, || {
            let status = Status::gather(self, site, now, Timestamp::now());
            Made {
                html: page::html(&status).into(),
                // Plain data with text for keys is always JSON.
                json: serde_json::to_vec_pretty(&status).unwrap_or_default().into(),
            }
        })
    }
}

/// How a site is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Overall {
    /// All is well.
    Ok,
    /// Pulls are answered, and something is wrong.
    Degraded,
    /// Nothing can be pulled.
    Down,
}

/// What may be known of a site.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Status {
    site: String,
    /// When this was found.
    at: Timestamp,
    #[serde(rename = "status")]
    overall: Overall,
    /// What is wrong, a sentence for each.
    problems: Vec<String>,
    copies: Vec<CopyLine>,
    /// Whether names come from a registry, as they are asked for; then there is no release.
    is_live: bool,
    release: Option<Release>,
    ranges: Vec<RangesLine>,
    /// Where things stand, if the site answers for an old name.
    #[serde(skip_serializing_if = "Option::is_none")]
    migration: Option<Progress>,
}

/// What may be known of a copy.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct CopyLine {
    name: String,
    provider: String,
    region: String,
    state: CopyWord,
    /// Since when. Nobody knows of one that has been healthy since the front began.
    since: Option<Timestamp>,
    /// Which part of its clients it may have, from 0 to 1.
    share: f64,
    holds: Option<Holds>,
    last_probe: Option<Probe>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum CopyWord {
    Healthy,
    /// Nothing bad is known of it, nor anything good.
    Unknown,
    Returning,
    Out,
    /// The front itself cannot read it.
    Failing,
    /// It holds no release, so nobody is sent there, nor asks how it is.
    Empty,
    /// An operator took it out.
    Drained,
    /// An operator keeps it in.
    Forced,
}

/// What a copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Holds {
    /// The newest release that it holds; 0 if it holds none.
    sequence: u64,
    is_newest: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Probe {
    at: Timestamp,
    milliseconds: u64,
    is_good: bool,
}

/// The release whose names are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Release {
    origin: String,
    sequence: u64,
    generation: String,
    issued: Timestamp,
    age_seconds: i64,
    expires: Timestamp,
    is_expired: bool,
    /// False as long as it is known from the cache only.
    is_confirmed: bool,
    /// True while no store says what is published.
    is_stale: bool,
}

/// Address ranges in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct RangesLine {
    name: String,
    /// The provider's own word for this state of them.
    version: Option<String>,
    /// When that was, if the word says it.
    date: Option<Timestamp>,
    prefixes: usize,
}

impl Status {
    fn gather(world: &World, site: &Site, now: Instant, clock: Timestamp) -> Self {
        let (snapshot, running) = (&world.snapshot, &world.running);
        let clock = whole_seconds(clock);
        let release = release(world, site, clock);
        let working = running.health.working(|| now);
        let statuses = running.health.probed().statuses(now, clock);
        let copies: Vec<_> = (site.copies.iter())
            .filter_map(|id| Some((snapshot.copies.get(id.index())?, statuses.get(id.index())?)))
            .map(|(copy, status)| copy_line(world, site, copy, status, working))
            .collect();
        let is_live = snapshot.is_live(site);
        let (overall, problems) = judge(&copies, release.as_ref(), is_live);
        Self {
            site: snapshot.site_settings(site).name.clone(),
            at: clock,
            overall,
            problems,
            copies,
            is_live,
            release,
            ranges: snapshot.ranges.iter().map(ranges_line).collect(),
            migration: progress(world, site),
        }
    }
}

fn progress(world: &World, site: &Site) -> Option<Progress> {
    let legacy = site.legacy.as_ref()?;
    let states = &world.running.legacy;
    let aborted = states.of(site.index).map(LegacyState::aborted).unwrap_or_default();
    Some(legacy.migration.progress(whole_seconds(states.now()), aborted))
}

fn release(world: &World, site: &Site, clock: Timestamp) -> Option<Release> {
    let loaded = world.snapshot.catalog(site)?;
    // Of a pinned site nothing but the generation need be known.
    let shown = loaded.release().unwrap_or(&loaded.pointer).content();
    // What ages is the authority's last word, whichever release is shown.
    let newest = loaded.pointer.content();
    Some(Release {
        origin: world.snapshot.settings.origins[site.origin].name.clone(),
        sequence: shown.sequence,
        generation: loaded.generation.to_string(),
        issued: newest.issued,
        age_seconds: clock.duration_since(newest.issued).as_secs().max(0),
        expires: newest.expires,
        is_expired: newest.expires <= clock,
        is_confirmed: !loaded.is_unconfirmed,
        is_stale: world.running.is_stale(site.origin),
    })
}

fn copy_line(
    world: &World,
    site: &Site,
    copy: &Copy,
    status: &CopyStatus,
    working: CopySet,
) -> CopyLine {
    let (provider, region) = world.snapshot.provider_and_region(copy.place);
    let says = status.operator.as_ref().map(|operator| operator.state);
    let holds = holds(world, site, copy);
    let is_empty = holds.is_some_and(|holds| holds.sequence == 0);
    let state = match (says, status.state) {
        (Some(OverrideState::Drain), _) => CopyWord::Drained,
        (Some(OverrideState::Force), _) => CopyWord::Forced,
        (None, _) if is_empty => CopyWord::Empty,
        (None, CopyState::Out) => CopyWord::Out,
        (None, CopyState::Returning) => CopyWord::Returning,
        (None, CopyState::In) if !working.contains(copy.id) => CopyWord::Failing,
        (None, CopyState::In) if status.last.is_none() => CopyWord::Unknown,
        (None, CopyState::In) => CopyWord::Healthy,
    };
    let is_probes = matches!(state, CopyWord::Out | CopyWord::Returning | CopyWord::Healthy);
    CopyLine {
        name: copy.name.to_string(),
        provider: provider.to_owned(),
        region: region.to_owned(),
        state,
        since: status.since.filter(|_| is_probes).map(whole_seconds),
        share: match state {
            CopyWord::Drained | CopyWord::Failing | CopyWord::Empty => 0.0,
            CopyWord::Forced => 1.0,
            _ => status.share,
        },
        holds,
        last_probe: status.last.as_ref().map(|probe| Probe {
            at: whole_seconds(probe.at),
            milliseconds: u64::try_from(probe.latency.as_millis()).unwrap_or(u64::MAX),
            is_good: probe.error.is_none(),
        }),
    }
}

fn holds(world: &World, site: &Site, copy: &Copy) -> Option<Holds> {
    let loaded = world.snapshot.catalog(site)?;
    let newest = loaded.pointer.content();
    if let Some(held) = loaded.holdings.iter().find(|held| held.copy == copy.id) {
        let sequence = loaded.newest_of(held).map_or(0, |held| held.content().sequence);
        return Some(Holds { sequence, is_newest: held.holds(&newest.generation) });
    }
    // The authority has what it published.
    (copy.id == site.origin_copy).then_some(Holds { sequence: newest.sequence, is_newest: true })
}

fn ranges_line(ranges: &Ranges) -> RangesLine {
    let version = ranges.set.version();
    RangesLine {
        name: ranges.name.clone(),
        version: version.map(ToOwned::to_owned),
        date: version.and_then(date_of),
        prefixes: ranges.set.len(),
    }
}

/// The moment that a provider's version is: seconds or milliseconds since 1970, as AWS and Google
/// write it; `None` of any other word.
fn date_of(version: &str) -> Option<Timestamp> {
    let number: i64 = version.parse().ok()?;
    match version.len() {
        10 => Timestamp::from_second(number).ok(),
        13 => Timestamp::from_millisecond(number).ok().map(whole_seconds),
        _ => None,
    }
}

/// The word for all of it, and why.
fn judge(copies: &[CopyLine], release: Option<&Release>, is_live: bool) -> (Overall, Vec<String>) {
    let is_published = is_live || release.is_some();
    let mut problems = Vec::new();
    if !is_published {
        problems.push("No release could be read yet, so nothing can be pulled.".to_owned());
    }
    let is_gone = |copy: &CopyLine| {
        use CopyWord::{Drained, Empty, Failing, Out};
        matches!(copy.state, Out | Failing | Empty | Drained)
    };
    let is_none_left = copies.iter().all(is_gone);
    if is_none_left {
        problems.push("No copy can be used.".to_owned());
    }
    for copy in copies {
        let what = match copy.state {
            CopyWord::Out => "is out: its checks fail",
            CopyWord::Failing => "cannot be read",
            CopyWord::Empty => "holds no release",
            CopyWord::Returning => "is coming back",
            CopyWord::Healthy | CopyWord::Unknown | CopyWord::Drained | CopyWord::Forced => {
                continue;
            }
        };
        problems.push(format!("Copy {} {what}.", copy.name));
    }
    if let Some(release) = release {
        if release.is_expired {
            problems
                .push("The release has expired: nothing has been published for too long.".into());
        }
        if release.is_stale {
            let told = "No store says what is published: the last good release is served.";
            problems.push(told.to_owned());
        } else if !release.is_confirmed {
            problems.push("The release is known from a cache only.".to_owned());
        }
    }
    let overall = match (is_none_left || !is_published, problems.is_empty()) {
        (true, _) => Overall::Down,
        (false, false) => Overall::Degraded,
        (false, true) => Overall::Ok,
    };
    (overall, problems)
}

/// Fractions of a second mean nothing to people.
fn whole_seconds(moment: Timestamp) -> Timestamp {
    Timestamp::from_second(moment.as_second()).unwrap_or(moment)
}

#[cfg(test)]
mod tests;
