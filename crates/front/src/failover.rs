//! Failing over with a price: who may go where when their own copies fail, and how far.
//!
//! Nothing here is asked while a client's own copies work. When they do not, the decision is
//! [`RoutingTable::decide`]'s, with the account of each edge: a pull is let in or refused at its
//! manifest, by what its manifest says that it will take; blobs take from the account. In `observe`
//! mode the same accounts are kept and the same refusals counted, and clients go where they would
//! without.
//!
//! [`RoutingTable::decide`]: landbridge_core::route::RoutingTable::decide

mod checkpoint;
mod fronts;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use landbridge_core::caps::{Amount, Cap, Ledger, Room, Terms};
use landbridge_core::manifest::Manifest;
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::route::{Decision, Edge, EdgeId, StickyKey};
use landbridge_core::topology::{CopyId, CopySet};

pub(crate) use self::checkpoint::Checkpoint;
use self::checkpoint::restore;
pub(crate) use self::fronts::ask_for_fronts;

use crate::metrics::{EdgeCounters, Metrics, RefusalReason, Refusals};
use crate::pull::Asked;
use crate::settings::{FailoverSettings, Mode, Settings};
use crate::snapshot::Site;
use crate::world::World;

/// The most seconds for which a client is told to stay away: longer waits are for people.
const LONGEST_WAIT: u64 = 15 * 60;

/// The accounts of all edges.
#[derive(Debug)]
pub(crate) struct Failover {
    settings: FailoverSettings,
    /// How many fronts spend from the same caps, as far as anybody says.
    fronts: AtomicU32,
    /// By [`EdgeId`].
    edges: Vec<Account>,
    /// By site.
    refusals: Vec<Refusals>,
}

/// One edge.
#[derive(Debug)]
struct Account {
    site: String,
    name: String,
    cap: Cap,
    ledger: Mutex<Ledger>,
    counters: EdgeCounters,
}

/// How an edge stands, for people.
#[derive(Debug, Clone)]
pub(crate) struct Standing<'a> {
    pub(crate) site: &'a str,
    pub(crate) name: &'a str,
    /// Thousandths of the hour's and the day's.
    pub(crate) permille: (u64, u64),
}

impl Failover {
    /// The accounts of a configuration. What was spent is read from the cache's directory, unless
    /// they take it over from those `before`: see [`Failover::inherit`]. Blocks for one small file.
    pub(crate) fn open(settings: &Settings, metrics: &Metrics, before: Option<&Self>) -> Self {
        let fronts = settings.failover.fronts.count.max(1);
        let restored = restore(settings.cache_directory.as_ref());
        let edges = settings.edges().map(|named| {
            let (site, name, cap) = (named.site.to_owned(), named.name(), named.edge.cap);
            let ledger = match before.and_then(|before| before.same(&site, &name)) {
                Some(_) => Ledger::default(),
                None => Ledger::new(restored(&site, &name, cap.for_one_of(fronts))),
            };
            let counters = metrics.edge(&site, &name);
            Account { site, name, cap, ledger: Mutex::new(ledger), counters }
        });
        Self {
            settings: settings.failover.clone(),
            fronts: AtomicU32::new(fronts),
            edges: edges.collect(),
            refusals: settings.sites.iter().map(|site| metrics.refusals(&site.name)).collect(),
        }
    }

    /// Takes over what `before` has on its accounts, as far as the edges are the same.
    pub(crate) fn inherit(&self, before: &Self) {
        self.fronts.fetch_max(before.fronts.load(Ordering::Relaxed), Ordering::Relaxed);
        for account in &self.edges {
            if let Some(other) = before.same(&account.site, &account.name) {
                *account.ledger() = std::mem::take(&mut *other.ledger());
            }
        }
    }

    fn same(&self, site: &str, name: &str) -> Option<&Account> {
        self.edges.iter().find(|other| other.site == site && other.name == name)
    }

    /// Whether caps are applied.
    pub(crate) fn mode(&self) -> Mode {
        self.settings.mode
    }

    /// How every edge stands at `now`.
    pub(crate) fn standings(&self, now: u64) -> impl Iterator<Item = Standing<'_>> {
        self.edges.iter().map(move |account| self.standing_of(account, now))
    }

    /// How one edge stands at `now`.
    pub(crate) fn standing(&self, edge: EdgeId, now: u64) -> Option<Standing<'_>> {
        Some(self.standing_of(self.account(edge)?, now))
    }

    fn standing_of<'a>(&self, account: &'a Account, now: u64) -> Standing<'a> {
        let permille = account.ledger().permille(&self.terms(account), now);
        Standing { site: &account.site, name: &account.name, permille }
    }

    fn account(&self, edge: EdgeId) -> Option<&Account> {
        self.edges.get(usize::from(edge.0))
    }

    fn terms(&self, account: &Account) -> Terms {
        self.settings.terms(account.cap.for_one_of(self.fronts.load(Ordering::Relaxed)))
    }

    /// What room an edge has for a pull that begins, with so many bytes to come.
    pub(crate) fn room(&self, edge: &Edge, key: StickyKey, bytes: u64, now: u64) -> Room {
        let Some(account) = self.account(edge.id) else { return Room::Spent };
        account.ledger().room(key.number(), cost(edge, bytes), &self.terms(account), now)
    }

    fn admit(&self, edge: &Edge, key: StickyKey, bytes: u64, now: u64) {
        let Some(account) = self.account(edge.id) else { return };
        let (cost, terms) = (cost(edge, bytes), self.terms(account));
        account.ledger().admit(key.number(), cost, &terms, now);
    }

    /// Takes bytes over an edge, if they fit.
    fn take(&self, edge: &Edge, key: StickyKey, bytes: u64, now: u64) -> Room {
        let Some(account) = self.account(edge.id) else { return Room::Spent };
        let (cost, terms) = (cost(edge, bytes), self.terms(account));
        if !account.ledger().take(key.number(), cost, &terms, now) {
            return Room::Spent;
        }
        account.counters.bytes.inc_by(bytes);
        account.counters.micros.inc_by(cost.micros);
        Room::Free
    }

    /// What a client is told that an edge's cap keeps away, and how it is counted.
    fn refusal(&self, site: &Site, refused: Refused, now: u64) -> Option<OciError> {
        let (edge, reason, code) = match refused {
            Refused::Slowed(edge) => (edge, RefusalReason::CapSlow, Code::TooManyRequests),
            Refused::Spent(edge) => (edge, RefusalReason::CapSpent, Code::Unavailable),
        };
        let refusals = self.refusals.get(site.index)?;
        let account = self.account(edge)?;
        if self.settings.mode == Mode::Observe {
            refusals.observed(reason).inc();
            return None;
        }
        refusals.enforced(reason).inc();
        let reopens = account.ledger().reopens(&self.terms(account), now);
        let wait = reopens.saturating_sub(now).clamp(1, LONGEST_WAIT);
        let name = &account.name;
        let at = i64::try_from(reopens).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        let why = match refused {
            Refused::Slowed(_) => "is nearly spent, so a share of all pulls waits",
            Refused::Spent(_) => "is spent",
        };
        Some(
            OciError::with(
                code,
                format!(
                    "the copies that serve you are out, and what this project can pay for to serve you from elsewhere ({name}) {why}; it is renewed at {at}. Nothing is wrong on your side: try again then"
                ),
            )
            .after(wait),
        )
    }
}

impl Account {
    /// A ledger is whole after each of its steps, so one that a panic left behind is too.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a client is not served.
#[derive(Debug, Clone, Copy)]
enum Refused {
    Slowed(EdgeId),
    Spent(EdgeId),
}

/// What bytes cost over an edge. A price that nobody knows has no cap on money: the configuration
/// is refused otherwise.
pub(crate) fn cost(edge: &Edge, bytes: u64) -> Amount {
    let money = edge.price.and_then(|price| price.of(bytes).ok());
    let micros = money.and_then(|money| u64::try_from(money.micros()).ok()).unwrap_or(0);
    Amount { bytes, micros }
}

/// What bytes a pull will take, as its manifest says: nothing for an index, whose manifests say it.
fn expected(manifest: &[u8]) -> u64 {
    let manifest = Manifest::parse(manifest, None);
    let blobs = manifest.map(|manifest| manifest.blobs).unwrap_or_default();
    blobs.iter().filter(|blob| !blob.is_foreign()).map(|blob| blob.size).sum()
}

/// Seconds since 1970.
pub(crate) fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl World {
    /// Lets a pull in, or says why not: whether what its manifest names may go where its client
    /// would be sent. `holders` are the copies of the manifest, `bytes` the manifest itself.
    ///
    /// Costs nothing while all copies work.
    pub(crate) fn admit(
        &self,
        asked: &Asked<'_>,
        site: &Site,
        holders: CopySet,
        usable: CopySet,
        bytes: &[u8],
    ) -> Result<(), OciError> {
        if usable == CopySet::ALL || asked.head.is_head() {
            return Ok(());
        }
        let failover = &self.running.failover;
        if site.routes.overflow(asked.place).is_none() {
            return Ok(());
        }
        let key = asked.key();
        let holders = holders.and(site.copies);
        let (now, expected) = (seconds_now(), expected(bytes));
        let mut taken = None;
        let decision = site.routes.decide(asked.place, key, holders, usable, |edge| {
            taken = Some(*edge);
            failover.room(edge, key, expected, now)
        });
        let refused = match decision {
            Decision::To(_, Some(_)) => {
                if let Some(edge) = taken {
                    failover.admit(&edge, key, expected, now);
                }
                return Ok(());
            }
            Decision::To(_, None) | Decision::Nobody => return Ok(()),
            Decision::Slow(edge) => Refused::Slowed(edge),
            Decision::Refuse(edge) => Refused::Spent(edge),
        };
        failover.refusal(site, refused, now).map_or(Ok(()), Err)
    }

    /// The copy that `bytes` of an object come from, where failing over has a price and the
    /// client's own copies fail; `None` if that is not the case here, or is only observed.
    pub(crate) fn overflow(
        &self,
        asked: &Asked<'_>,
        site: &Site,
        holders: CopySet,
        usable: CopySet,
        bytes: u64,
    ) -> Result<Option<CopyId>, OciError> {
        let failover = &self.running.failover;
        if site.routes.overflow(asked.place).is_none() {
            return Ok(None);
        }
        let (key, now) = (asked.key(), seconds_now());
        let holders = holders.and(site.copies);
        let decision = site
            .routes
            .decide(asked.place, key, holders, usable, |edge| failover.take(edge, key, bytes, now));
        let refused = match decision {
            Decision::To(to, _) => {
                return Ok((failover.settings.mode == Mode::Enforce).then_some(to.copy));
            }
            Decision::Nobody => return Ok(None),
            Decision::Slow(edge) => Refused::Slowed(edge),
            Decision::Refuse(edge) => Refused::Spent(edge),
        };
        failover.refusal(site, refused, now).map_or(Ok(None), Err)
    }
}
