//! What a front knows of an old name beside the plan: which steps it took back by itself, how many
//! pulls a brownout has refused, how the moved fare.
//!
//! Outlives reloads: a step is known by its phase and its start, so that one which the plan changes
//! is a new one.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use landbridge_core::migration::{AbortRule, Client, Fared, Migration, Step, Steps, Verdict};
use landbridge_core::route::StickyKey;

use super::comeback::Comebacks;
use super::kept::{Kept, KeptBrownout, KeptStep, StepName};
use crate::metrics::{Metrics, MigrationAction, MigrationCounters};
use crate::settings::{LegacySettings, Settings};

/// Windows are told apart in so many bits of a counter, pulls in the others.
const WINDOW_SHIFT: u32 = 40;
const PULLS: u64 = (1 << WINDOW_SHIFT) - 1;

/// Of all sites.
#[derive(Debug)]
pub(crate) struct LegacyStates {
    /// By site: of those that answer for an old name.
    states: Vec<Option<Arc<LegacyState>>>,
    /// How many seconds later it is for migrations than by the clock.
    ahead: i64,
}

/// Of one site.
#[derive(Debug)]
pub(crate) struct LegacyState {
    pub(crate) site: String,
    pub(crate) migration: Arc<Migration>,
    aborted: AtomicU64,
    /// By step, why it was taken back here.
    reasons: std::sync::Mutex<Vec<Option<(Timestamp, String)>>>,
    /// By step: the last window in which it refused (its place plus one), and how many pulls there.
    refused: Vec<AtomicU64>,
    /// By step.
    counters: Vec<MigrationCounters>,
    /// Of the steps that may be taken back.
    watched: Vec<Watched>,
    comebacks: Option<Comebacks>,
}

/// A step that may be taken back, and how those in its share and the others fare: in the part of
/// the window that is running, and in the one before.
#[derive(Debug)]
struct Watched {
    step: usize,
    rule: AbortRule,
    running: [Tally; 2],
    before: [Tally; 2],
}

#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    bad: AtomicU64,
}

impl Tally {
    fn read(&self) -> Fared {
        let [requests, bad] =
            [&self.requests, &self.bad].map(|count| count.load(Ordering::Relaxed));
        Fared { requests, bad }
    }

    fn set(&self, fared: Fared) {
        self.requests.store(fared.requests, Ordering::Relaxed);
        self.bad.store(fared.bad, Ordering::Relaxed);
    }
}

impl LegacyStates {
    /// The states of a configuration. What those `before` know is taken over, else what was kept in
    /// the cache's directory. Blocks for a small file for each old name.
    pub(crate) fn open(settings: &Settings, metrics: &Metrics, before: Option<&Self>) -> Self {
        let ahead = match settings.rehearsal {
            Some(moment) => moment.as_second() - Timestamp::now().as_second(),
            None => 0,
        };
        let now = Timestamp::from_second(Timestamp::now().as_second().saturating_add(ahead));
        let now = now.unwrap_or(Timestamp::MAX);
        let open = |site: &crate::settings::SiteSettings| {
            let legacy = site.legacy.as_ref()?;
            let same =
                before.and_then(|before| before.iter().find(|other| other.site == site.name));
            // Where the plan is the same, so is what goes on by it.
            if let Some(same) = same.filter(|same| same.migration == legacy.migration) {
                return Some(Arc::clone(same));
            }
            let state = LegacyState::new(&site.name, legacy, metrics);
            let kept = match (same, &settings.cache_directory) {
                (Some(same), _) => Some(same.kept()),
                (None, Some(directory)) => Kept::read(directory, &site.name),
                (None, None) => None,
            };
            state.restore(kept, now);
            Some(Arc::new(state))
        };
        Self { states: settings.sites.iter().map(open).collect(), ahead }
    }

    /// The state of a site.
    pub(crate) fn of(&self, site: usize) -> Option<&LegacyState> {
        self.states.get(site)?.as_deref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LegacyState>> {
        self.states.iter().flatten()
    }

    /// The moment that migrations go by, to the second: the clock's, or that of a rehearsal.
    pub(crate) fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = i64::try_from(now.as_secs()).unwrap_or(i64::MAX).saturating_add(self.ahead);
        Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
    }
}

impl LegacyState {
    fn new(site: &str, settings: &LegacySettings, metrics: &Metrics) -> Self {
        let migration = Arc::clone(&settings.migration);
        let steps = migration.steps();
        let counters =
            steps.iter().map(|step| metrics.migration(site, migration.name(), step.phase));
        let watched = steps.iter().enumerate().filter_map(|(step, it)| {
            let rule = it.abort.clone()?;
            let empty = || [Tally::default(), Tally::default()];
            Some(Watched { step, rule, running: empty(), before: empty() })
        });
        let watched: Vec<_> = watched.collect();
        Self {
            site: site.to_owned(),
            aborted: AtomicU64::new(0),
            reasons: std::sync::Mutex::new(vec![None; steps.len()]),
            refused: steps.iter().map(|_| AtomicU64::new(0)).collect(),
            counters: counters.collect(),
            comebacks: (!watched.is_empty()).then(Comebacks::new),
            watched,
            migration,
        }
    }

    /// The steps that this front took back.
    pub(crate) fn aborted(&self) -> Steps {
        Steps::from_bits(self.aborted.load(Ordering::Relaxed))
    }

    fn reasons(&self) -> std::sync::MutexGuard<'_, Vec<Option<(Timestamp, String)>>> {
        // An entry is put there whole.
        self.reasons.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Takes a step back. False if it was already.
    pub(crate) fn abort(&self, step: usize, at: Timestamp, why: String) -> bool {
        {
            let mut reasons = self.reasons();
            let Some(reason) = reasons.get_mut(step) else { return false };
            if reason.is_some() {
                return false;
            }
            *reason = Some((at, why));
        }
        self.aborted.fetch_or(Steps::NONE.with(step).bits(), Ordering::Relaxed);
        if let Some(counters) = self.counters.get(step) {
            counters.aborted.set(1);
        }
        true
    }

    /// Counts what became of a request.
    pub(super) fn count(&self, step: usize, action: MigrationAction) {
        if let Some(counters) = self.counters.get(step) {
            counters.of(action).inc();
        }
    }

    /// Takes one of the pulls that a brownout may refuse in a window; false if there are none left.
    pub(super) fn refuse(&self, step: usize, window: usize, cap: u64) -> bool {
        let Some(refused) = self.refused.get(step) else { return false };
        let window = (window as u64 + 1) << WINDOW_SHIFT;
        let more = |word: u64| {
            let pulls = if word & !PULLS == window { word & PULLS } else { 0 };
            (pulls < cap.min(PULLS)).then_some(window | (pulls + 1))
        };
        refused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// True if anything is to be watched.
    pub(super) fn watches(&self) -> bool {
        self.comebacks.is_some()
    }

    /// Counts a request for `what`, which ended in an error or not, for all steps under way.
    pub(super) fn watch(
        &self,
        migration: &Migration,
        moment: Timestamp,
        client: &Client<'_>,
        repository: &str,
        what: u64,
        is_error: bool,
    ) {
        let Some(comebacks) = &self.comebacks else { return };
        let key = StickyKey::new(client.network, repository);
        let second = moment.as_second();
        for watched in &self.watched {
            let step = &migration.steps()[watched.step];
            let concerns = migration.is_under_way(watched.step, moment, self.aborted())
                && step.scope.has(client, repository);
            if !concerns {
                continue;
            }
            let is_moved = migration.is_in_share(watched.step, moment, key);
            let came_back = comebacks.note(what, second, watched.rule.window_seconds);
            let tally = &watched.running[usize::from(is_moved)];
            tally.requests.fetch_add(1, Ordering::Relaxed);
            tally.bad.fetch_add(u64::from(is_error || came_back), Ordering::Relaxed);
        }
    }

    /// The steps whose half of a window is over at `second`: they are judged, and the next half
    /// begins. `last` is when that was done before, by watched step.
    pub(super) fn judge(&self, second: i64, last: &mut Vec<i64>) -> Vec<(usize, Verdict)> {
        last.resize(self.watched.len(), second);
        let mut judged = Vec::new();
        for (watched, last) in self.watched.iter().zip(last) {
            let half = i64::from(watched.rule.window_seconds / 2).max(1);
            let sum =
                |which: usize| watched.running[which].read().plus(watched.before[which].read());
            judged.push((watched.step, watched.rule.judge(sum(1), sum(0))));
            if second - *last >= half {
                *last = second;
                for which in 0..2 {
                    watched.before[which].set(watched.running[which].read());
                    watched.running[which].set(Fared::default());
                }
            }
        }
        judged
    }

    /// The steps under way that have a program to ask.
    pub(super) fn programs(&self, moment: Timestamp) -> Vec<(usize, Vec<String>)> {
        let asks = |watched: &&Watched| {
            !watched.rule.command.is_empty()
                && self.migration.is_under_way(watched.step, moment, self.aborted())
        };
        let programs = self.watched.iter().filter(asks);
        programs.map(|watched| (watched.step, watched.rule.command.clone())).collect()
    }

    /// What a restart must not forget.
    pub(crate) fn kept(&self) -> Kept {
        let reasons = self.reasons();
        let steps = self.migration.steps().iter().enumerate();
        let kept = steps.map(|(place, step)| {
            let word = self.refused[place].load(Ordering::Relaxed);
            let window = (word >> WINDOW_SHIFT).checked_sub(1);
            KeptStep {
                step: StepName::of(step),
                aborted: reasons[place].clone(),
                brownout: window.map(|window| KeptBrownout { window, pulls: word & PULLS }),
            }
        });
        Kept { migration: self.migration.name().to_owned(), steps: kept.collect() }
    }

    /// Takes over what was kept. Where nothing was, the part of a window that has passed counts as
    /// used: a front that starts anew must not begin a brownout anew.
    fn restore(&self, kept: Option<Kept>, now: Timestamp) {
        let kept = kept.filter(|kept| kept.migration == self.migration.name());
        for (place, step) in self.migration.steps().iter().enumerate() {
            let name = StepName::of(step);
            let known = kept.as_ref().and_then(|it| it.steps.iter().find(|it| it.step == name));
            if let Some((at, why)) = known.and_then(|it| it.aborted.clone()) {
                self.abort(place, at, why);
            }
            let used = match (known, step.window(now)) {
                (Some(KeptStep { brownout: Some(it), .. }), _) => {
                    (it.window + 1) << WINDOW_SHIFT | it.pulls.min(PULLS)
                }
                (Some(_), _) | (None, None) => 0,
                (None, Some((window, _))) => {
                    (window as u64 + 1) << WINDOW_SHIFT | passed(step, now).min(PULLS)
                }
            };
            self.refused[place].store(used, Ordering::Relaxed);
        }
    }
}

/// Of a window's cap the part that belongs to the time that has passed.
fn passed(step: &Step, now: Timestamp) -> u64 {
    let (Some((_, window)), Some(brownout)) = (step.window(now), &step.brownout) else { return 0 };
    let seconds = |from: Timestamp, to: Timestamp| {
        u128::from(to.as_second().saturating_sub(from.as_second()).max(0).unsigned_abs())
    };
    let (gone, all) = (seconds(window.start, now), seconds(window.start, window.end).max(1));
    let part = u128::from(brownout.cap_pulls) * gone / all;
    u64::try_from(part).unwrap_or(u64::MAX)
}

/// Writes what was kept, if it has changed. Blocks.
pub(super) fn write_if_changed(
    directory: &Path,
    site: &str,
    kept: &Kept,
    last: &mut Option<Kept>,
) -> std::io::Result<()> {
    let is_new = last.as_ref() != Some(kept) && !(last.is_none() && kept.is_empty());
    if is_new {
        kept.write(directory, site)?;
        *last = Some(kept.clone());
    }
    Ok(())
}
