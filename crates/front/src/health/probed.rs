//! What probes say of copies, and what an operator says: sets of bits that every request reads.
//!
//! Probes and the passing of time change a copy's state under its own lock; what routing needs of
//! all of them is put into a few atomic numbers by [`Probed::publish`]. While every copy is in and
//! nobody overrides anything, a request reads one of them.

use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use landbridge_core::health::{CopyHealth, State};
use landbridge_core::route::StickyKey;
use landbridge_core::topology::{CopyId, CopySet, MAX_COPIES};

use crate::settings::{CopySettings, Face, Mode, Override, OverrideState, ProbeSettings, Settings};

/// Who is among a returning copy's share has nothing to do with who is slowed at an edge.
pub(crate) const SHARE_SALT: u64 = 1 << 32;

/// Copies that go out within this time may have gone for one reason.
const TOGETHER: Duration = Duration::from_mins(1);

/// All copies of one configuration.
#[derive(Debug)]
pub(crate) struct Probed {
    mode: Mode,
    /// What durations are counted from.
    start: Instant,
    copies: Box<[Mutex<Copy>]>,
    /// Copies to which every client may be sent.
    whole: AtomicU32,
    /// Copies to which a share of clients may be sent.
    part: AtomicU32,
    shares: [AtomicU16; MAX_COPIES],
    /// How the front's own reads and streams went since somebody looked.
    reads: [Reads; MAX_COPIES],
    /// Copies that an operator wants used whatever anybody finds.
    forced: AtomicU32,
}

/// Reads that went well and that failed.
#[derive(Debug, Default)]
struct Reads {
    good: AtomicU32,
    failed: AtomicU32,
}

#[derive(Debug)]
struct Copy {
    name: String,
    provider: Option<String>,
    face: Face,
    operator: Option<Override>,
    health: CopyHealth,
    /// When it came to be as it is.
    since: Option<Timestamp>,
    last: Option<LastProbe>,
}

/// How a copy's last probe went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastProbe {
    pub(crate) at: Timestamp,
    pub(crate) latency: Duration,
    /// What was wrong, if something was.
    pub(crate) error: Option<String>,
}

/// How a copy is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CopyStatus {
    pub(crate) name: String,
    pub(crate) provider: Option<String>,
    pub(crate) state: CopyState,
    /// When that began; nobody knows of a copy that was always in.
    pub(crate) since: Option<Timestamp>,
    /// Which part of its clients it may have, from 0 to 1.
    pub(crate) share: f64,
    pub(crate) last: Option<LastProbe>,
    /// What an operator said, if it holds now.
    pub(crate) operator: Option<Override>,
}

impl CopyStatus {
    /// What an operator says of it now, as a sentence.
    pub(crate) fn operator_says(&self) -> Option<String> {
        let Override { state, until, reason } = self.operator.as_ref()?;
        let state = match state {
            OverrideState::Drain => "drained",
            OverrideState::Force => "forced",
        };
        Some(format!("{state} until {until}: {reason}"))
    }

    /// What somebody must know who wonders about it; nothing of one that is simply in.
    pub(crate) fn in_words(&self) -> Option<String> {
        if let Some(says) = self.operator_says() {
            return Some(says);
        }
        let since = self.since.map(|since| format!(" since {since}")).unwrap_or_default();
        match self.state {
            CopyState::In => None,
            CopyState::Returning => {
                Some(format!("returning{since}, with {:.0} % of its clients", self.share * 100.0))
            }
            CopyState::Out => {
                let error = self.last.as_ref().and_then(|last| last.error.as_deref());
                let why = error.map(|error| format!(": {error}")).unwrap_or_default();
                Some(format!("out by its probes{since}{why}"))
            }
        }
    }
}

/// What probes say of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CopyState {
    In,
    Returning,
    Out,
}

impl CopyState {
    /// As a word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Returning => "returning",
            Self::Out => "out",
        }
    }
}

impl From<State> for CopyState {
    fn from(state: State) -> Self {
        match state {
            State::In => Self::In,
            State::Returning { .. } => Self::Returning,
            State::Out { .. } => Self::Out,
        }
    }
}

/// Something that operators are told once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) copy: String,
    pub(crate) state: CopyState,
    /// The provider, if all its copies are out now and were not before.
    pub(crate) provider_out: Option<String>,
}

impl Probed {
    /// The copies of a configuration; what was known of one with the same name and address before
    /// is known still.
    pub(crate) fn new(settings: &Settings, before: Option<&Self>) -> Self {
        let ProbeSettings { mode, health, .. } = settings.probes;
        let start = before.map_or_else(Instant::now, |before| before.start);
        let copy = |copy: &CopySettings| {
            let known = before.and_then(|before| before.find(&copy.name, &copy.face));
            let (known, since, last) = known.unwrap_or((CopyHealth::new(health), None, None));
            Mutex::new(Copy {
                name: copy.name.clone(),
                provider: copy.provider.clone(),
                face: copy.face.clone(),
                operator: copy.operator.clone(),
                health: known.with(health),
                since,
                last,
            })
        };
        let probed = Self {
            mode,
            start,
            copies: settings.copies.iter().take(MAX_COPIES).map(copy).collect(),
            whole: AtomicU32::new(u32::MAX),
            part: AtomicU32::new(0),
            shares: [const { AtomicU16::new(u16::MAX) }; MAX_COPIES],
            reads: Default::default(),
            forced: AtomicU32::new(0),
        };
        probed.publish(Instant::now(), Timestamp::now());
        probed
    }

    /// No copies, which all are in.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            mode: Mode::Observe,
            start: Instant::now(),
            copies: Box::new([]),
            whole: AtomicU32::new(u32::MAX),
            part: AtomicU32::new(0),
            shares: [const { AtomicU16::new(u16::MAX) }; MAX_COPIES],
            reads: Default::default(),
            forced: AtomicU32::new(0),
        }
    }

    /// Of `working` copies those to which this client may be sent. Takes no lock.
    pub(crate) fn usable(&self, working: CopySet, key: impl FnOnce() -> StickyKey) -> CopySet {
        let whole = CopySet::from_bits(self.whole.load(Ordering::Relaxed));
        if whole == CopySet::ALL && working == CopySet::ALL {
            return CopySet::ALL;
        }
        let mut usable = working.and(whole);
        let part = CopySet::from_bits(self.part.load(Ordering::Relaxed)).and(working);
        if !part.is_empty() {
            let key = key();
            for copy in part.iter() {
                let share = self.shares[copy.index()].load(Ordering::Relaxed);
                if key.is_among(share.into(), SHARE_SALT | copy.index() as u64) {
                    usable = usable.with(copy);
                }
            }
        }
        usable.or(CopySet::from_bits(self.forced.load(Ordering::Relaxed)))
    }

    /// Counts a read or a stream of the front's own.
    pub(crate) fn witness(&self, copy: CopyId, is_good: bool) {
        let reads = &self.reads[copy.index()];
        let count = if is_good { &reads.good } else { &reads.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the front's own reads and streams say that the copy fails: at least half of those
    /// since this was last asked.
    pub(crate) fn reads_fail(&self, copy: CopyId) -> bool {
        let reads = &self.reads[copy.index()];
        let failed = reads.failed.swap(0, Ordering::Relaxed);
        let good = reads.good.swap(0, Ordering::Relaxed);
        failed > 0 && failed >= good
    }

    /// Notes how a probe of a copy went. Returns what is new.
    pub(crate) fn note(&self, copy: CopyId, probe: LastProbe, now: Instant) -> Option<Change> {
        let change = {
            let mut state = self.lock(copy)?;
            let changed = state.health.observe(probe.error.is_none(), self.since_start(now));
            let at = probe.at;
            state.last = Some(probe);
            changed.map(|changed| {
                state.since = Some(at);
                let (name, provider) = (state.name.clone(), state.provider.clone());
                (CopyState::from(changed), name, provider)
            })
        };
        self.publish(now, Timestamp::now());
        let (state, copy, provider) = change?;
        let provider_out = provider
            .filter(|_| state == CopyState::Out)
            .filter(|provider| self.is_provider_out(provider));
        Some(Change { copy, state, provider_out })
    }

    /// Puts what is so now into the numbers that requests read: time alone changes it too.
    pub(crate) fn publish(&self, now: Instant, clock: Timestamp) {
        let now = self.since_start(now);
        let (mut whole, mut part, mut forced) = (CopySet::ALL, CopySet::EMPTY, CopySet::EMPTY);
        let fell_together = self.fell_together();
        for (at, copy) in self.copies.iter().enumerate() {
            let Some(id) = CopyId::new(at) else { continue };
            let mut copy = lock(copy);
            copy.health.settle(now);
            match copy.operator.as_ref().filter(|it| it.holds(clock)).map(|it| it.state) {
                Some(OverrideState::Drain) => whole = whole.without(id),
                Some(OverrideState::Force) => forced = forced.with(id),
                None if self.mode == Mode::Observe => {}
                None => match copy.health.state() {
                    State::In => {}
                    State::Out { .. } if fell_together.contains(id) => {}
                    State::Out { .. } => whole = whole.without(id),
                    State::Returning { .. } => {
                        (whole, part) = (whole.without(id), part.with(id));
                        self.shares[at].store(copy.health.share(now), Ordering::Relaxed);
                    }
                },
            }
        }
        self.part.store(part.bits(), Ordering::Relaxed);
        self.forced.store(forced.bits(), Ordering::Relaxed);
        self.whole.store(whole.bits(), Ordering::Relaxed);
    }

    /// If every copy that is probed is out: those that went out at about the same time as the last
    /// one. More likely it is this front that reaches nobody, so clients are sent by what was
    /// known before; a copy that had been out for long is still not among them.
    fn fell_together(&self) -> CopySet {
        let mut out = Vec::new();
        for (at, copy) in self.copies.iter().enumerate() {
            let copy = lock(copy);
            match (copy.health.state(), CopyId::new(at)) {
                (State::Out { since }, Some(id)) => out.push((since, id)),
                (State::In | State::Returning { .. }, _) if copy.last.is_some() => {
                    return CopySet::EMPTY;
                }
                _ => {}
            }
        }
        let last = out.iter().map(|(since, _)| *since).max().unwrap_or_default();
        let at_once = out.iter().filter(|(since, _)| last.saturating_sub(*since) <= TOGETHER);
        at_once.map(|(_, id)| *id).collect()
    }

    /// How every copy is, in the configuration's order.
    pub(crate) fn statuses(&self, now: Instant, clock: Timestamp) -> Vec<CopyStatus> {
        let now = self.since_start(now);
        let status = |copy: &Mutex<Copy>| {
            let copy = lock(copy);
            CopyStatus {
                name: copy.name.clone(),
                provider: copy.provider.clone(),
                state: copy.health.state().into(),
                since: copy.since,
                share: f64::from(copy.health.share(now)) / f64::from(u16::MAX),
                last: copy.last.clone(),
                operator: copy.operator.clone().filter(|it| it.holds(clock)),
            }
        };
        self.copies.iter().map(status).collect()
    }

    /// Whether probes' verdicts move clients.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether every copy of a provider that is probed is out.
    pub(crate) fn is_provider_out(&self, provider: &str) -> bool {
        let mut copies = 0;
        self.copies.iter().all(|copy| {
            let copy = lock(copy);
            let is_its = copy.provider.as_deref() == Some(provider) && copy.last.is_some();
            copies += usize::from(is_its);
            !is_its || matches!(copy.health.state(), State::Out { .. })
        }) && copies > 0
    }

    fn find(
        &self,
        name: &str,
        face: &Face,
    ) -> Option<(CopyHealth, Option<Timestamp>, Option<LastProbe>)> {
        self.copies.iter().map(lock).find_map(|copy| {
            let is_same = copy.name == name && copy.face == *face;
            is_same.then(|| (copy.health, copy.since, copy.last.clone()))
        })
    }

    fn lock(&self, copy: CopyId) -> Option<MutexGuard<'_, Copy>> {
        self.copies.get(copy.index()).map(lock)
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }
}

/// A state is whole after each of its steps, so one that a panic left behind is too.
fn lock(copy: &Mutex<Copy>) -> MutexGuard<'_, Copy> {
    copy.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Override {
    /// Whether it holds at that moment.
    fn holds(&self, clock: Timestamp) -> bool {
        clock < self.until
    }
}

#[cfg(test)]
mod tests;
