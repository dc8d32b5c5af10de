//! The play: every count of the records goes where the front's own decisions send it, under a
//! clock that steps from slot to slot.
//!
//! A slot in which something changes is cut there, its counts in proportion. Each piece is dealt
//! to the clients of its place in turn; what a client gets is one pull: it is let in or not by what
//! it will take, and takes its blobs at once. While all is well routes do not change, so they are
//! looked up.
//!
//! Invariant: what was asked for is served, lost or withheld, to the last byte.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_core::caps::{Ledger, Room, Terms};
use landbridge_core::place::PlaceId;
use landbridge_core::price::Spot;
use landbridge_core::route::{Decision, Edge, StickyKey};
use landbridge_core::topology::CopyId;
use serde::Serialize;

use super::money::Bill;
use super::plan::{Route, Stage, Timeline};
use super::traffic::{Asked, Traffic};
use crate::failover::cost;

const HOUR: u64 = 3_600;

/// Requests and the bytes of their answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Amounts {
    /// Requests.
    pub requests: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Amounts {
    /// Adds `other`, up to the most that can be.
    pub fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn part(self, from: u64, until: u64, whole: u64) -> Self {
        let part = |number| part(number, from, until, whole);
        Self { requests: part(self.requests), bytes: part(self.bytes) }
    }
}

/// Of `number` what falls between `from` and `until` of `whole`; all parts are the number.
fn part(number: u64, from: u64, until: u64, whole: u64) -> u64 {
    let up_to = |at: u64| u128::from(number) * u128::from(at) / u128::from(whole.max(1));
    u64::try_from(up_to(until) - up_to(from)).unwrap_or(u64::MAX)
}

impl Asked {
    fn part(&self, from: u64, until: u64, whole: u64) -> Self {
        Self {
            manifests: self.manifests.part(from, until, whole),
            blobs: self.blobs.part(from, until, whole),
            others: part(self.others, from, until, whole),
        }
    }
}

/// What users saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Seen {
    /// Lists, pages and whatever else carries no blob.
    pub(super) others: u64,
    /// Manifests that were given.
    pub(super) manifests: Amounts,
    /// Blobs that came from a copy that works.
    pub(super) blobs: Amounts,
    /// Pulls that were answered 503 at their manifest.
    pub(super) refused: u64,
    /// Pulls that were answered 429 at their manifest.
    pub(super) slowed: u64,
    /// Blobs that nobody asked for, since their pull was not let in.
    pub(super) withheld: Amounts,
    /// Blobs of pulls that had been let in, and were refused.
    pub(super) broken: Amounts,
    /// Blobs for which clients were sent to a copy that had failed before fronts noticed.
    pub(super) unnoticed: Amounts,
    /// Blobs for which clients were sent to a failed copy, since nothing else was of use.
    pub(super) hopeless: Amounts,
}

impl Seen {
    fn add(&mut self, other: &Self) {
        self.others = self.others.saturating_add(other.others);
        self.refused = self.refused.saturating_add(other.refused);
        self.slowed = self.slowed.saturating_add(other.slowed);
        self.manifests.add(other.manifests);
        self.blobs.add(other.blobs);
        self.withheld.add(other.withheld);
        self.broken.add(other.broken);
        self.unnoticed.add(other.unnoticed);
        self.hopeless.add(other.hopeless);
    }
}

/// One hour, for the plot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hour {
    /// Bytes by copy, by routes and over edges together.
    pub(super) copies: Vec<u64>,
    /// Bytes by edge.
    pub(super) edges: Vec<u64>,
    /// What users saw.
    pub(super) seen: Seen,
}

/// What became of an overflow edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct EdgePlayed {
    pub(super) carried: Amounts,
    pub(super) bill: Bill,
    /// Pulls for which it had no room, whatever became of them.
    pub(super) full: u64,
    /// The first and the last moment at which that was so.
    pub(super) bound: Option<(u64, u64)>,
    /// In how many hours.
    pub(super) hours: BTreeSet<u64>,
    /// The fullest that its hour and its day were, in thousandths.
    pub(super) fullest: (u64, u64),
}

/// What came of a play.
#[derive(Debug, Clone, Default)]
pub(super) struct Played {
    pub(super) seen: Seen,
    /// From the outage's begin until all is as before.
    pub(super) during: Seen,
    /// By copy: by routes and over edges, in that while.
    pub(super) copies: Vec<Amounts>,
    pub(super) bills: Vec<Bill>,
    pub(super) edges: Vec<EdgePlayed>,
    pub(super) hours: BTreeMap<u64, Hour>,
}

/// Plays records against a configuration, copies failing as `timeline` says.
pub(super) fn play(stage: &Stage, traffic: &Traffic, timeline: &Timeline) -> Played {
    let mut player = Player::new(stage, timeline);
    let length = traffic.recording.slot_seconds.max(1);
    for rows in traffic.rows.chunk_by(|a, b| a.slot == b.slot) {
        let Some(first) = rows.first() else { continue };
        let begin = u64::from(first.slot) * length;
        for (from, until) in timeline.pieces(begin, begin + length) {
            player.now = from;
            player.middle = from.midpoint(until);
            let is_all_well = timeline.is_all_well(player.middle);
            for row in rows {
                let Some(Some(route)) = stage.routes.get(row.group as usize) else { continue };
                let asked = row.asked.part(from - begin, until - begin, length);
                if is_all_well {
                    player.as_always(route, &asked);
                } else {
                    player.decide(route, &asked, u64::from(row.group) ^ u64::from(row.slot));
                }
            }
            player.keep(from);
        }
    }
    player.finish()
}

struct Player<'a> {
    stage: &'a Stage,
    timeline: &'a Timeline,
    window: (u64, u64),
    accounts: Vec<(Ledger, Terms)>,
    /// During the outage: what went to whom, by copy and place.
    ways: BTreeMap<(CopyId, PlaceId), Amounts>,
    edge_ways: BTreeMap<(usize, CopyId, PlaceId), Amounts>,
    /// What happened since the last piece was kept.
    seen: Seen,
    copies: Vec<u64>,
    edges: Vec<u64>,
    played: Played,
    /// The piece's begin and its middle.
    now: u64,
    middle: u64,
}

/// One client's part of what was asked.
struct Pull {
    key: StickyKey,
    manifests: Amounts,
    blobs: Amounts,
}

impl<'a> Player<'a> {
    fn new(stage: &'a Stage, timeline: &'a Timeline) -> Self {
        let settings = &stage.snapshot.settings;
        // The fleet is played as one front: its parts of a cap are the cap.
        let accounts: Vec<_> = settings
            .edges()
            .map(|it| (Ledger::default(), settings.failover.terms(it.edge.cap)))
            .collect();
        let copies = settings.copies.len();
        Self {
            stage,
            timeline,
            window: timeline.window(),
            ways: BTreeMap::new(),
            edge_ways: BTreeMap::new(),
            seen: Seen::default(),
            copies: vec![0; copies],
            edges: vec![0; accounts.len()],
            played: Played {
                edges: vec![EdgePlayed::default(); accounts.len()],
                copies: vec![Amounts::default(); copies],
                bills: vec![Bill::default(); copies],
                ..Played::default()
            },
            accounts,
            now: 0,
            middle: 0,
        }
    }

    fn is_during(&self) -> bool {
        (self.window.0..self.window.1).contains(&self.now)
    }

    /// While all copies work, everyone is sent where they always are.
    fn as_always(&mut self, route: &Route, asked: &Asked) {
        self.seen.others = self.seen.others.saturating_add(asked.others);
        self.seen.manifests.add(asked.manifests);
        if asked.blobs == Amounts::default() {
            return;
        }
        if let Some(only) = route.only {
            self.carry(only, route.place, asked.blobs);
            return;
        }
        let begin = self.first_client(route, 0);
        for (client, pull) in deal(route, asked, begin) {
            match route.clients.get(client).and_then(|(_, home)| *home) {
                Some(home) => self.carry(home, route.place, pull.blobs),
                None => self.seen.hopeless.add(pull.blobs),
            }
        }
    }

    /// With which client a piece begins: others have their turn in another.
    fn first_client(&self, route: &Route, salt: u64) -> usize {
        let turn = self.now / 60 + salt;
        usize::try_from(turn % route.clients.len().max(1) as u64).unwrap_or(0)
    }

    fn decide(&mut self, route: &Route, asked: &Asked, salt: u64) {
        self.seen.others = self.seen.others.saturating_add(asked.others);
        let begin = self.first_client(route, salt);
        for (_, pull) in deal(route, asked, begin) {
            self.pull(route, &pull);
        }
    }

    /// One pull: let in or not, as `World::admit` does, and its blobs sent on as `World::overflow`.
    fn pull(&mut self, route: &Route, pull: &Pull) {
        let Some(site) = self.stage.snapshot.sites.get(route.site) else { return };
        let Pull { key, manifests, blobs } = *pull;
        let usable = self.timeline.usable(key, self.middle);
        let (place, holders) = (route.place, site.copies);
        let mut chosen = None;
        let decision = site.routes.decide(place, key, holders, usable, |edge| {
            chosen = Some(*edge);
            self.room(edge, key, blobs.bytes, manifests.requests)
        });
        match decision {
            Decision::To(_, Some(_)) => {
                if let Some(edge) = chosen {
                    self.admit(&edge, key, blobs.bytes);
                }
            }
            Decision::To(_, None) | Decision::Nobody => {}
            Decision::Slow(_) => {
                self.seen.slowed = self.seen.slowed.saturating_add(manifests.requests);
                self.seen.withheld.add(blobs);
                return;
            }
            Decision::Refuse(_) => {
                self.seen.refused = self.seen.refused.saturating_add(manifests.requests);
                self.seen.withheld.add(blobs);
                return;
            }
        }
        self.seen.manifests.add(manifests);
        if blobs == Amounts::default() {
            return;
        }
        let decision = site
            .routes
            .decide(place, key, holders, usable, |edge| self.take(edge, key, blobs.bytes));
        match decision {
            Decision::To(to, Some(edge)) => {
                self.carry(to.copy, place, blobs);
                let edge = usize::from(edge.0);
                if let Some(bytes) = self.edges.get_mut(edge) {
                    *bytes = bytes.saturating_add(blobs.bytes);
                }
                self.edge_ways.entry((edge, to.copy, place)).or_default().add(blobs);
            }
            Decision::To(to, None) => self.carry(to.copy, place, blobs),
            Decision::Slow(_) | Decision::Refuse(_) => self.seen.broken.add(blobs),
            Decision::Nobody => self.seen.hopeless.add(blobs),
        }
    }

    fn room(&mut self, edge: &Edge, key: StickyKey, bytes: u64, pulls: u64) -> Room {
        let now = self.now;
        let Some((ledger, terms)) = self.accounts.get_mut(usize::from(edge.id.0)) else {
            return Room::Spent;
        };
        let room = ledger.room(key.number(), cost(edge, bytes), terms, now);
        if room != Room::Free
            && let Some(played) = self.played.edges.get_mut(usize::from(edge.id.0))
        {
            played.hours.insert(now / HOUR);
            played.bound = Some((played.bound.map_or(now, |(first, _)| first), now));
            if room == Room::Spent {
                played.full = played.full.saturating_add(pulls);
            }
        }
        room
    }

    fn admit(&mut self, edge: &Edge, key: StickyKey, bytes: u64) {
        if let Some((ledger, terms)) = self.accounts.get_mut(usize::from(edge.id.0)) {
            ledger.admit(key.number(), cost(edge, bytes), terms, self.now);
        }
    }

    fn take(&mut self, edge: &Edge, key: StickyKey, bytes: u64) -> Room {
        let at = usize::from(edge.id.0);
        let Some((ledger, terms)) = self.accounts.get_mut(at) else { return Room::Spent };
        if !ledger.take(key.number(), cost(edge, bytes), terms, self.now) {
            return Room::Spent;
        }
        if let Some(played) = self.played.edges.get_mut(at) {
            let (hour, day) = ledger.permille(terms, self.now);
            played.fullest = (played.fullest.0.max(hour), played.fullest.1.max(day));
        }
        Room::Free
    }

    /// Blobs for which clients are sent to a copy.
    fn carry(&mut self, copy: CopyId, place: PlaceId, blobs: Amounts) {
        if self.timeline.dead(self.middle).contains(copy) {
            let is_noticed = self.timeline.is_noticed(self.middle);
            let seen = &mut self.seen;
            if is_noticed {
                seen.hopeless.add(blobs);
            } else {
                seen.unnoticed.add(blobs);
            }
            return;
        }
        self.seen.blobs.add(blobs);
        if let Some(bytes) = self.copies.get_mut(copy.index()) {
            *bytes = bytes.saturating_add(blobs.bytes);
        }
        if self.is_during() {
            self.ways.entry((copy, place)).or_default().add(blobs);
        }
    }

    /// Puts what happened in a piece to its hour.
    fn keep(&mut self, from: u64) {
        let is_during = self.is_during();
        let seen = std::mem::take(&mut self.seen);
        self.played.seen.add(&seen);
        if is_during {
            self.played.during.add(&seen);
        }
        let hour = self.played.hours.entry(from / HOUR * HOUR).or_default();
        hour.seen.add(&seen);
        add_up(&mut hour.copies, &mut self.copies);
        add_up(&mut hour.edges, &mut self.edges);
    }

    fn finish(mut self) -> Played {
        let snapshot = &self.stage.snapshot;
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let bill = |copy: CopyId, place: PlaceId, amounts: Amounts| {
            let (provider, region) = snapshot.provider_and_region(place);
            let to = Spot { provider: some(provider), region: some(region) };
            let settings = snapshot.settings.copies.get(copy.index());
            settings.map(|settings| Bill::of(settings, &to, amounts)).unwrap_or_default()
        };
        for ((copy, place), amounts) in self.ways {
            if let Some(sum) = self.played.copies.get_mut(copy.index()) {
                sum.add(amounts);
            }
            if let Some(sum) = self.played.bills.get_mut(copy.index()) {
                sum.add(&bill(copy, place, amounts));
            }
        }
        for ((edge, copy, place), amounts) in self.edge_ways {
            if let Some(played) = self.played.edges.get_mut(edge) {
                played.carried.add(amounts);
                played.bill.add(&bill(copy, place, amounts));
            }
        }
        self.played
    }
}

fn add_up(sums: &mut Vec<u64>, more: &mut [u64]) {
    sums.resize(more.len(), 0);
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum = sum.saturating_add(std::mem::take(more));
    }
}

/// Deals what was asked to so many clients as there were pulls, beginning with `begin`.
fn deal<'r>(
    route: &'r Route,
    asked: &Asked,
    begin: usize,
) -> impl Iterator<Item = (usize, Pull)> + use<'r> {
    let Asked { manifests, blobs, .. } = *asked;
    let pulls = if manifests.requests > 0 { manifests.requests } else { blobs.requests };
    let clients = route.clients.len();
    let hands = pulls.clamp(1, clients.max(1) as u64);
    (0..hands).filter_map(move |hand| {
        let client = (begin + usize::try_from(hand).ok()?) % clients.max(1);
        let (key, _) = *route.clients.get(client)?;
        let pull = Pull {
            key,
            manifests: manifests.part(hand, hand + 1, hands),
            blobs: blobs.part(hand, hand + 1, hands),
        };
        Some((client, pull))
    })
}
