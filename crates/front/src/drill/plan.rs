//! What is to fail and when, what that makes of the copies' health, and who is sent where.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use landbridge_core::health::{CopyHealth, HealthSettings, State};
use landbridge_core::place::{PlaceId, Places};
use landbridge_core::route::StickyKey;
use landbridge_core::topology::{CopyId, CopySet};
use serde::Serialize;

use super::traffic::{Group, Traffic};
use crate::health::SHARE_SALT;
use crate::settings::{ProbeSettings, Settings};
use crate::snapshot::{Snapshot, SnapshotError};

/// Networks that a place has, as far as records tell: they tell nothing.
const CLIENTS: u64 = 64;
/// In how many steps a share grows.
const STEPS: u32 = 32;

/// What fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// One copy, by its name.
    Copy(String),
    /// All copies in a region.
    Region {
        /// The provider.
        provider: String,
        /// Its region.
        region: String,
    },
    /// All copies of a provider.
    Provider(String),
}

/// What is written is no failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is nothing that can fail: write `copy=NAME`, `region=PROVIDER/REGION` or `provider=NAME`"
)]
pub struct FailureError(String);

impl FromStr for Failure {
    type Err = FailureError;

    fn from_str(text: &str) -> Result<Self, FailureError> {
        let wrong = || FailureError(text.to_owned());
        let (what, name) = text.split_once('=').ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        match what {
            "copy" => Ok(Self::Copy(name.to_owned())),
            "provider" => Ok(Self::Provider(name.to_owned())),
            "region" => {
                let (provider, region) = name.split_once('/').ok_or_else(wrong)?;
                Ok(Self::Region { provider: provider.to_owned(), region: region.to_owned() })
            }
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Copy(name) => write!(f, "copy={name}"),
            Self::Region { provider, region } => write!(f, "region={provider}/{region}"),
            Self::Provider(name) => write!(f, "provider={name}"),
        }
    }
}

/// What is played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scenario {
    /// What fails.
    pub failures: Vec<Failure>,
    /// From when, in seconds since 1970.
    pub from: u64,
    /// Until when.
    pub until: u64,
    /// What clients are drawn from.
    pub seed: u64,
}

/// Why there is nothing to play.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// A failure of something that is not configured.
    #[error("`{failure}` names no copy of `{configuration}`; its copies are {known}")]
    Unknown {
        /// What is to fail.
        failure: String,
        /// In which configuration.
        configuration: String,
        /// What might.
        known: String,
    },
    /// The window has no length.
    #[error("the outage ends before it begins: --until must be later than --from")]
    Window,
    /// Nothing was recorded then.
    #[error("nothing was recorded in the outage's window: the records are from {from} to {until}")]
    Outside {
        /// When records begin.
        from: String,
        /// When they end.
        until: String,
    },
    /// No site of the records is configured.
    #[error(
        "no record is of a site of `{configuration}`; the records' sites are {sites}: give the configuration that wrote them"
    )]
    NoSite {
        /// The configuration.
        configuration: String,
        /// What the records say.
        sites: String,
    },
    /// The configuration cannot be compiled.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// A configuration, ready to be played.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) snapshot: Snapshot,
    /// By group.
    pub(super) routes: Vec<Option<Route>>,
    pub(super) failed: CopySet,
}

/// How a group is routed in normal times.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) site: usize,
    pub(super) place: PlaceId,
    /// By client.
    pub(super) clients: Box<[(StickyKey, Option<CopyId>)]>,
    /// The copy that serves all of them, if it is one.
    pub(super) only: Option<CopyId>,
}

impl Stage {
    /// Compiles a configuration for the places that the records name.
    pub(super) fn new(
        name: &str,
        settings: Settings,
        traffic: &Traffic,
        scenario: &Scenario,
    ) -> Result<Self, DrillError> {
        let Scenario { from, until, .. } = *scenario;
        if until <= from {
            return Err(DrillError::Window);
        }
        let recording = &traffic.recording;
        if until <= recording.from || from >= recording.until {
            let [from, until] = [recording.from, recording.until].map(moment);
            return Err(DrillError::Outside { from, until });
        }
        let mut places = Places::default();
        for Group { provider, region, .. } in &traffic.groups {
            // What is no name of a place is one that nobody knows.
            if !provider.is_empty() && places.find(provider, region).is_none() {
                let _ = places.intern(provider, region);
            }
        }
        let catalogs = vec![None; settings.channels().len()];
        let snapshot = Snapshot::build_with(places, Arc::new(settings), Vec::new(), catalogs)?;
        let mut failed = CopySet::EMPTY;
        for failure in &scenario.failures {
            let copies = copies_of(failure, &snapshot.settings);
            if copies.is_empty() {
                let known = snapshot.settings.copies.iter().map(|copy| {
                    let place = copy.provider.iter().chain(&copy.region).map(String::as_str);
                    let place = place.collect::<Vec<_>>().join("/");
                    if place.is_empty() {
                        copy.name.clone()
                    } else {
                        format!("{} ({place})", copy.name)
                    }
                });
                let known = known.collect::<Vec<_>>().join(", ");
                let (failure, configuration) = (failure.to_string(), name.to_owned());
                return Err(DrillError::Unknown { failure, configuration, known });
            }
            failed = failed.or(copies);
        }
        let routes: Vec<_> =
            traffic.groups.iter().map(|group| route(&snapshot, group, scenario.seed)).collect();
        if routes.iter().all(Option::is_none) {
            let mut sites: Vec<_> =
                traffic.groups.iter().map(|group| format!("`{}`", group.site)).collect();
            sites.dedup();
            let configuration = name.to_owned();
            return Err(DrillError::NoSite { configuration, sites: sites.join(", ") });
        }
        Ok(Self { snapshot, routes, failed })
    }
}

fn copies_of(failure: &Failure, settings: &Settings) -> CopySet {
    let is = |name: &Option<String>, wanted: &str| {
        name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    };
    let fails = settings.copies.iter().map(|copy| match failure {
        Failure::Copy(name) => copy.name == *name,
        Failure::Region { provider, region } => {
            is(&copy.provider, provider) && is(&copy.region, region)
        }
        Failure::Provider(provider) => is(&copy.provider, provider),
    });
    fails.enumerate().filter(|(_, fails)| *fails).filter_map(|(at, _)| CopyId::new(at)).collect()
}

fn route(snapshot: &Snapshot, group: &Group, seed: u64) -> Option<Route> {
    let site = snapshot.sites.iter().find(|it| snapshot.site_settings(it).name == group.site)?;
    let place = snapshot.places.find(&group.provider, &group.region).unwrap_or(PlaceId::UNKNOWN);
    let here = format!("{}/{}", group.provider, group.region);
    let clients = (0..CLIENTS).map(|client| {
        let network = StickyKey::new(seed.wrapping_add(client), &here).number();
        let key = StickyKey::new(network, &group.repository);
        let home = site.routes.candidates(place, key, site.copies, CopySet::ALL).next();
        (key, home.map(|home| home.copy))
    });
    let clients: Box<[_]> = clients.collect();
    let only = clients.first().and_then(|(_, first)| *first);
    let only = only.filter(|only| clients.iter().all(|(_, home)| *home == Some(*only)));
    Some(Route { site: site.index, place, clients, only })
}

/// How copies are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Probing {
    pub(super) period: Duration,
    pub(super) timeout: Duration,
    pub(super) health: HealthSettings,
}

impl Probing {
    /// As configured.
    pub(super) const fn of(settings: &Settings) -> Self {
        let ProbeSettings { period, timeout, health, .. } = settings.probes;
        Self { period, timeout, health }
    }
}

/// What fronts believe of the copies that fail, from when to when: they fail together and come
/// back together, so one of them stands for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timeline {
    from: u64,
    until: u64,
    failed: CopySet,
    /// How they are from each moment on.
    states: Vec<(u64, CopyHealth)>,
    /// Where something changes.
    moments: Vec<u64>,
    /// When all is as before.
    over: u64,
}

impl Timeline {
    /// The same while in which nothing fails.
    pub(super) fn undisturbed(&self) -> Self {
        Self { failed: CopySet::EMPTY, states: Vec::new(), ..self.clone() }
    }

    /// `failed` of `all` copies fail. The first probe comes as late as it can.
    pub(super) fn new(
        scenario: &Scenario,
        failed: CopySet,
        all: CopySet,
        probing: Probing,
    ) -> Self {
        let Scenario { from, until, .. } = *scenario;
        let (states, moments) = (Vec::new(), vec![from, until]);
        let mut timeline = Self { from, until, failed, states, moments, over: until };
        // A front that nobody answers takes it for its own fault, and sends clients on.
        if all.minus(failed).is_empty() {
            return timeline;
        }
        let mut health = CopyHealth::new(probing.health);
        let (period, timeout) = (probing.period.as_secs().max(1), probing.timeout.as_secs());
        let mut at = from + period;
        loop {
            let fails = at < until;
            // A good answer comes at once, a failing one is waited for.
            let told = if fails { at + timeout } else { at };
            let changed = health.observe(!fails, Duration::from_secs(told));
            if changed.is_some() {
                timeline.states.push((told, health));
            }
            let is_over = !fails && matches!(health.state(), State::In);
            if is_over {
                break;
            }
            at += period;
        }
        let return_over = probing.health.return_over.as_secs();
        for (at, health) in &timeline.states {
            timeline.moments.push(*at);
            if matches!(health.state(), State::Returning { .. }) {
                let steps =
                    (1..STEPS).map(|step| at + return_over * u64::from(step) / u64::from(STEPS));
                timeline.moments.extend(steps);
            }
        }
        timeline.over = timeline.whole().unwrap_or(until).max(until);
        timeline.moments.sort_unstable();
        timeline.moments.dedup();
        timeline
    }

    fn health(&self, at: u64) -> Option<&CopyHealth> {
        let after = self.states.partition_point(|(since, _)| *since <= at);
        self.states.get(after.checked_sub(1)?).map(|(_, health)| health)
    }

    /// The copies that nobody can reach.
    pub(super) fn dead(&self, at: u64) -> CopySet {
        if (self.from..self.until).contains(&at) { self.failed } else { CopySet::EMPTY }
    }

    /// Whether fronts have noticed.
    pub(super) fn is_noticed(&self, at: u64) -> bool {
        self.health(at).is_some_and(|health| matches!(health.state(), State::Out { .. }))
    }

    /// Whether every client may be sent everywhere.
    pub(super) fn is_all_well(&self, at: u64) -> bool {
        self.dead(at).is_empty()
            && self.health(at).is_none_or(|health| matches!(health.state(), State::In))
    }

    /// The copies to which a client may be sent.
    pub(super) fn usable(&self, key: StickyKey, at: u64) -> CopySet {
        let Some(health) = self.health(at) else { return CopySet::ALL };
        match health.state() {
            State::In => CopySet::ALL,
            State::Out { .. } => CopySet::ALL.minus(self.failed),
            State::Returning { .. } => {
                let share = health.share(Duration::from_secs(at));
                let is_among =
                    |copy: &CopyId| key.is_among(share.into(), SHARE_SALT | copy.index() as u64);
                self.failed
                    .iter()
                    .filter(is_among)
                    .fold(CopySet::ALL.minus(self.failed), CopySet::with)
            }
        }
    }

    /// What lies between `from` and `until` and is the same all through, as begin and end.
    pub(super) fn pieces(&self, from: u64, until: u64) -> impl Iterator<Item = (u64, u64)> {
        let inside = self.moments.iter().copied().filter(move |at| (from + 1..until).contains(at));
        let mut begin = from;
        inside.chain([until]).map(move |end| (std::mem::replace(&mut begin, end), end))
    }

    /// When fronts noticed.
    pub(super) fn noticed(&self) -> Option<u64> {
        self.first(|state| matches!(state, State::Out { .. }))
    }

    /// When the first client was sent there again.
    pub(super) fn returned(&self) -> Option<u64> {
        self.first(|state| matches!(state, State::Returning { .. }))
    }

    /// When all clients were.
    pub(super) fn whole(&self) -> Option<u64> {
        self.first(|state| matches!(state, State::In))
    }

    /// From the outage's begin to when all is as before.
    pub(super) const fn window(&self) -> (u64, u64) {
        (self.from, self.over)
    }

    fn first(&self, is: impl Fn(State) -> bool) -> Option<u64> {
        self.states.iter().find(|(_, health)| is(health.state())).map(|(at, _)| *at)
    }
}

/// A moment as people write it, to the minute if it is whole.
pub(super) fn moment(second: u64) -> String {
    let at = i64::try_from(second).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    at.map(|at| at.to_string()).unwrap_or_default()
}
