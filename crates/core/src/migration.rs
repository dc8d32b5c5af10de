//! Leaving an old name: what becomes of a request for it, at which moment.
//!
//! A [`Migration`] is one old name's way to its successor, as steps: each is a [`Phase`] with a
//! start, a scope and what users are told. [`Migration::standing`] is the whole rule, a pure
//! function of plan, moment, client and repository. The front answers by it and `landbridge
//! migrate status` prints it, so that they cannot disagree.
//!
//! Of what applies to a request the strongest wins: sunset, tombstone, a window of a brownout,
//! redirect, and else it is served. A freeze lies beside that: who is served from the old name is
//! served from the frozen generation.
//!
//! Invariant: a migration does not contradict itself; [`Migration::new`] lets none through that
//! does. A client and repository that a step's share has taken in stay in it while the step lasts,
//! since shares only grow and the order of clients depends on nothing but the old name and the
//! phase.

mod abort;
mod contradiction;
mod interval;
mod notice;
mod outlook;
mod progress;
mod share;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::digest::Digest;
use crate::pattern::RepositoryPattern;
use crate::route::StickyKey;

pub use self::abort::{Fared, Verdict};
pub use self::contradiction::{Contradiction, Field};
use self::interval::{Deciding, Interval};
pub use self::notice::{Deprecation, MAX_MESSAGE_BYTES};
pub use self::outlook::{Change, ChangeKind};
pub use self::progress::{Aborted, Next, Notice, Progress, UnderWay, Waiting};
pub use self::share::{Share, ShareError, SharePoint};

/// More steps than this no migration has; a set of them fits a word.
pub const MAX_STEPS: usize = 64;

/// The phases, in the order in which a migration goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Users are told.
    Announce,
    /// Both names work; users of the old one are told at each pull.
    Dual,
    /// What is promoted from now on appears under the new name only.
    Freeze,
    /// The old name sends a share of its clients to the new one.
    Redirect,
    /// In published windows the old name refuses, so that those notice who read nothing.
    Brownout,
    /// Some repositories are gone from the old name.
    Tombstone,
    /// The old name is gone.
    Sunset,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Announce,
        Self::Dual,
        Self::Freeze,
        Self::Redirect,
        Self::Brownout,
        Self::Tombstone,
        Self::Sunset,
    ];

    /// The phase as a word for plans, records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::Dual => "dual",
            Self::Freeze => "freeze",
            Self::Redirect => "redirect",
            Self::Brownout => "brownout",
            Self::Tombstone => "tombstone",
            Self::Sunset => "sunset",
        }
    }

    /// True if users lose something by it, so that a policy asks for notice.
    pub const fn takes_away(self) -> bool {
        match self {
            Self::Announce | Self::Dual => false,
            Self::Freeze | Self::Redirect | Self::Brownout | Self::Tombstone | Self::Sunset => true,
        }
    }
}

/// Whether a step does what it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is only counted what it would have done.
    #[default]
    Observe,
    /// It is done.
    Enforce,
}

/// Whom a step concerns; an empty list is everyone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Repositories, by their names under the successor.
    pub repositories: Vec<RepositoryPattern>,
    /// Where clients are.
    pub places: Vec<ClientPlace>,
}

/// A provider's clients, or those of one of its regions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPlace {
    /// The provider; empty for clients in no known cloud.
    pub provider: String,
    /// The region; `None` is every one.
    pub region: Option<String>,
}

impl Scope {
    /// True if a request for `repository` by `client` is meant. A request for no repository (`/v2/`)
    /// is of every one.
    pub fn has(&self, client: &Client<'_>, repository: &str) -> bool {
        (self.repositories.is_empty()
            || repository.is_empty()
            || self.repositories.iter().any(|pattern| pattern.matches(repository)))
            && (self.places.is_empty()
                || self.places.iter().any(|place| {
                    place.provider == client.provider
                        && place.region.as_ref().is_none_or(|region| *region == client.region)
                }))
    }

    /// True if the two may have a request in common. Of two patterns only a plain name and a
    /// pattern that does not match it are known to have none.
    fn may_overlap(&self, other: &Self) -> bool {
        let apart = |one: &RepositoryPattern, two: &RepositoryPattern| {
            let (a, b) = (one.to_string(), two.to_string());
            (one.is_name() && !two.matches(&a)) || (two.is_name() && !one.matches(&b))
        };
        let repositories = self.repositories.is_empty()
            || other.repositories.is_empty()
            || (self.repositories.iter())
                .any(|one| other.repositories.iter().any(|two| !apart(one, two)));
        let places = self.places.is_empty()
            || other.places.is_empty()
            || self.places.iter().any(|one| {
                other.places.iter().any(|two| {
                    one.provider == two.provider
                        && (one.region.is_none()
                            || two.region.is_none()
                            || one.region == two.region)
                })
            });
        repositories && places
    }
}

/// What must be so before a step begins, or before what follows it does. Somebody looks and writes
/// down when it was so: a gate that nobody has passed stays shut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// What must be so.
    pub name: String,
    /// Since when it is.
    pub passed: Option<Timestamp>,
    /// Where that can be seen: a report's or an issue's identifier.
    pub evidence: String,
}

/// From when to when a brownout refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

/// How a brownout refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// 503: come back later. Clients try again.
    Unavailable,
    /// 410: gone. Clients give up and say so.
    Gone,
}

/// What a brownout does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brownout {
    /// When.
    pub windows: Vec<Window>,
    /// How.
    pub refusal: Refusal,
    /// How many pulls a front refuses in one window at most; the others are served.
    pub cap_pulls: u64,
}

/// When a front takes a step back by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AbortRule {
    /// By how many thousandths of requests the moved may fare worse than the others.
    pub margin: u32,
    /// How many requests of each are needed to judge.
    pub minimum_requests: u64,
    /// Over how many seconds they are counted.
    pub window_seconds: u32,
    /// A program that says so by another exit code than 0.
    pub command: Vec<String>,
}

/// One phase of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which one.
    pub phase: Phase,
    /// When users were told of it.
    pub announced: Timestamp,
    /// When it is to begin.
    pub start: Timestamp,
    /// When it ends by itself.
    pub end: Option<Timestamp>,
    /// Since when it is taken back for good.
    pub aborted: Option<Timestamp>,
    /// Whom it concerns.
    pub scope: Scope,
    /// Whether it does what it says.
    pub mode: Mode,
    /// What users are told; may be empty.
    pub message: String,
    /// Which share of clients it concerns, and since when; empty for all. Of a brownout and a
    /// redirect only.
    pub shares: Vec<SharePoint>,
    /// Of a freeze: what the old name shows from now on.
    pub generation: Option<Digest>,
    /// Of a brownout.
    pub brownout: Option<Brownout>,
    /// What must be so before it begins.
    pub entry: Vec<Gate>,
    /// What must be so before a later phase of the same scope begins.
    pub exit: Vec<Gate>,
    /// When a front takes it back by itself.
    pub abort: Option<AbortRule>,
}

impl Step {
    /// A step that concerns everyone and is observed.
    pub fn new(phase: Phase, announced: Timestamp, start: Timestamp) -> Self {
        Self {
            phase,
            announced,
            start,
            end: None,
            aborted: None,
            scope: Scope::default(),
            mode: Mode::Observe,
            message: String::new(),
            shares: Vec::new(),
            generation: None,
            brownout: None,
            entry: Vec::new(),
            exit: Vec::new(),
            abort: None,
        }
    }

    /// Whole days between the moment when users were told and the start.
    pub fn notice_days(&self) -> i64 {
        (self.start.as_second() - self.announced.as_second()).div_euclid(86_400)
    }

    /// The share of clients that it concerns at `moment`.
    pub fn share(&self, moment: Timestamp) -> Share {
        if self.shares.is_empty() {
            return Share::ALL;
        }
        let begun = self.shares.partition_point(|point| point.from <= moment);
        begun.checked_sub(1).map_or(Share::NONE, |last| self.shares[last].share)
    }

    /// The window of a brownout that `moment` lies in, by its place in the list.
    pub fn window(&self, moment: Timestamp) -> Option<(usize, Window)> {
        let windows = self.brownout.as_ref().map(|it| &*it.windows).unwrap_or_default();
        let has = |(_, window): &(usize, Window)| window.start <= moment && moment < window.end;
        windows.iter().copied().enumerate().find(has)
    }
}

/// A set of steps, by their places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Steps(u64);

impl Steps {
    /// None.
    pub const NONE: Self = Self(0);

    /// The set with one more; a place beyond [`MAX_STEPS`] is none.
    #[must_use]
    pub const fn with(self, step: usize) -> Self {
        if step < MAX_STEPS { Self(self.0 | 1 << step) } else { self }
    }

    /// True if the step is in it.
    pub const fn has(self, step: usize) -> bool {
        step < MAX_STEPS && self.0 >> step & 1 == 1
    }

    /// True if it has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The steps, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..MAX_STEPS).filter(move |&step| self.has(step))
    }

    /// The set as bits, for whoever keeps it in an atomic.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The set with these bits.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// The number of its network ([`crate::client_address::ClientNetwork`]).
    pub network: u64,
    /// Its provider; empty if unknown.
    pub provider: &'a str,
    /// Its region; empty if unknown.
    pub region: &'a str,
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is served from the old name.
    Serve,
    /// It is sent to the successor.
    Redirect,
    /// If it begins a pull, it is refused until this moment, as long as the cap lasts.
    Refuse {
        /// How.
        refusal: Refusal,
        /// When the window ends.
        until: Timestamp,
        /// The window, by its place in the step's list.
        window: usize,
    },
    /// It is gone for ever.
    Gone,
}

/// How a request stands: what becomes of it, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What is done.
    pub action: Action,
    /// The step that says so; none if it is served because no step says otherwise.
    pub by: Option<usize>,
    /// What would be done if steps in `observe` mode were enforced, and the step, if that differs.
    pub observed: Option<(Action, usize)>,
    /// The step whose frozen generation answers what is served.
    pub frozen: Option<usize>,
}

impl Standing {
    /// Where nothing has begun.
    pub const SERVED: Self = Self { action: Action::Serve, by: None, observed: None, frozen: None };
}

/// One old name's way to its successor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    name: String,
    successor: String,
    steps: Vec<Step>,
    /// By step: when it begins in fact, given its gates; `None` while one is shut.
    begins: Vec<Option<Timestamp>>,
    /// By step: what its shares are salted with.
    salts: Vec<u64>,
    /// What decides when.
    intervals: Vec<Interval>,
}

impl Migration {
    /// A migration called `name` to the host `successor`, or everything in which its steps
    /// contradict one another. Steps keep their places.
    pub fn new(
        name: String,
        successor: String,
        steps: Vec<Step>,
    ) -> Result<Self, Vec<Contradiction>> {
        let contradictions = contradiction::find(&steps);
        if !contradictions.is_empty() {
            return Err(contradictions);
        }
        let begins: Vec<_> = (0..steps.len()).map(|at| begins(&steps, at)).collect();
        let salts = steps.iter().map(|step| share::salt(&name, step.phase)).collect();
        let order = |phases: &[Phase]| {
            let mut places: Vec<usize> =
                (0..steps.len()).filter(|&at| phases.contains(&steps[at].phase)).collect();
            places.sort_by_key(|&at| std::cmp::Reverse((steps[at].phase, steps[at].start)));
            places
        };
        // Strongest first; of the same phase the later one first.
        let by_strength =
            order(&[Phase::Redirect, Phase::Brownout, Phase::Tombstone, Phase::Sunset]);
        let freezes = order(&[Phase::Freeze]);
        let intervals = interval::intervals(&steps, &begins, &by_strength, &freezes);
        Ok(Self { name, successor, steps, begins, salts, intervals })
    }

    /// What the plan calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host name that users are to use, with its port if that is not the usual one.
    pub fn successor(&self) -> &str {
        &self.successor
    }

    /// Its steps, as they stand in the plan.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// When a step begins in fact: its start, or later if a gate was passed later. `None` while a
    /// gate is shut.
    pub fn begins(&self, step: usize) -> Option<Timestamp> {
        self.begins.get(step).copied().flatten()
    }

    /// True if a step is under way, whatever its mode: begun, not ended, not aborted.
    pub fn is_under_way(&self, step: usize, moment: Timestamp, aborted: Steps) -> bool {
        let Some(it) = self.steps.get(step) else { return false };
        self.begins(step).is_some_and(|begins| begins <= moment)
            && it.end.is_none_or(|end| moment < end)
            && it.aborted.is_none_or(|aborted| moment < aborted)
            && !aborted.has(step)
    }

    /// True if the share of a step has this client and repository in it.
    pub fn is_in_share(&self, step: usize, moment: Timestamp, key: StickyKey) -> bool {
        let Some(it) = self.steps.get(step) else { return false };
        it.share(moment).has(key, self.salts[step])
    }

    /// What becomes of a request for `repository` (its name under the successor; empty for `/v2/`)
    /// at `moment`, to the second, when a front itself has `aborted` some steps. Does not allocate,
    /// as long as patterns of repositories are names or end in `/**`.
    pub fn standing(
        &self,
        moment: Timestamp,
        client: &Client<'_>,
        repository: &str,
        aborted: Steps,
    ) -> Standing {
        let mut standing = Standing::SERVED;
        let Some(interval) = interval::at(&self.intervals, moment) else { return standing };
        for &Deciding { step, action, mode, share } in &interval.deciding {
            // The share costs a hash, so it comes last.
            let concerns = !aborted.has(step)
                && self.steps[step].scope.has(client, repository)
                && share.is_none_or(|share| {
                    share.has(StickyKey::new(client.network, repository), self.salts[step])
                });
            if !concerns {
                continue;
            }
            match mode {
                Mode::Enforce => {
                    (standing.action, standing.by) = (action, Some(step));
                    break;
                }
                Mode::Observe => {
                    standing.observed = standing.observed.or(Some((action, step)));
                }
            }
        }
        if standing.observed.is_some_and(|(action, _)| action == standing.action) {
            standing.observed = None;
        }
        let is_frozen = |&&step: &&usize| {
            self.steps[step].mode == Mode::Enforce
                && !aborted.has(step)
                && self.steps[step].scope.has(client, repository)
        };
        standing.frozen = interval.freezes.iter().find(is_frozen).copied();
        standing
    }
}

/// When the step at `at` begins, given its own gates and those of what must have ended before it.
fn begins(steps: &[Step], at: usize) -> Option<Timestamp> {
    let mut begins = steps[at].start;
    for gate in gates(steps, at) {
        begins = begins.max(gate.passed?);
    }
    Some(begins)
}

/// What must be so before the step at `at` begins.
fn gates(steps: &[Step], at: usize) -> impl Iterator<Item = &Gate> {
    let it = &steps[at];
    let before = (steps.iter())
        .filter(|step| step.phase < it.phase && step.scope.may_overlap(&it.scope))
        .flat_map(|step| &step.exit);
    it.entry.iter().chain(before)
}
