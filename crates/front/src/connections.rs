//! Open connections: how many there are, whose they are, and which one goes when there are too many.
//!
//! When all places are taken, the one goes that has been idle for longest among those that are
//! looked at, those first that never asked for anything: whoever holds connections to keep others
//! out loses them first, and however many are opened, one that is in use stays. Only where every
//! connection is at work a new one is refused.
//!
//! The list is of all threads together, since a thread that has few would close those in use. It is
//! locked when a connection begins and when it ends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use landbridge_core::client_address::{ClientNetwork, TrustedProxies};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::shared::Shared;
use crate::timed_io::Activity;

/// How many connections are looked at to find one that may go.
const LOOKED_AT: usize = 64;
/// A connection on which nothing was asked for this long goes before all others: nobody connects to
/// say nothing.
const SILENT: Duration = Duration::from_secs(1);
/// One that was answered within this time is at work.
const AT_WORK: Duration = Duration::from_millis(100);

/// All open connections.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<List>);

#[derive(Debug, Default)]
struct List {
    places: Vec<Option<Held>>,
    free: Vec<usize>,
    /// Where to look next.
    next: usize,
    /// How many there are of networks, if that is limited.
    networks: HashMap<ClientNetwork, usize, RandomState>,
}

#[derive(Debug)]
struct Held {
    activity: Activity,
    /// Set once there is a task.
    abort: Option<AbortHandle>,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Most {
    /// In all.
    pub(crate) open: usize,
    /// Of one network, if that is limited.
    pub(crate) network: Option<usize>,
}

/// Whose connection it is, for the limit of each network: nobody's if a trusted proxy holds it for
/// all of its clients.
fn network_of(peer: IpAddr, proxies: &TrustedProxies) -> Option<ClientNetwork> {
    match proxies {
        TrustedProxies::None | TrustedProxies::Hops(0) => Some(ClientNetwork::of(peer)),
        TrustedProxies::Hops(_) => None,
        TrustedProxies::Cidrs(networks) => {
            let peer = peer.to_canonical();
            let is_proxy = networks.iter().any(|network| network.contains(&peer));
            (!is_proxy).then(|| ClientNetwork::of(peer))
        }
    }
}

impl Shared {
    /// A place for a connection from `peer`; `None` if it is refused.
    pub(crate) fn open(self: &Arc<Self>, peer: IpAddr, most: Most) -> Option<Place> {
        let network = most.network.and_then(|most| {
            let proxies = &self.world.load().snapshot.settings.trusted_proxies;
            Some((network_of(peer, proxies)?, most))
        });
        let taken = self.connections.lock().take(network, most.open);
        let Some(Taken { at, activity, instead_of }) = taken else {
            self.metrics.refused_connections.inc();
            return None;
        };
        if let Some(idle) = instead_of {
            self.metrics.closed_connections.inc();
            idle.abort();
        }
        self.metrics.connections.inc();
        let network = network.map(|(network, _)| network);
        Some(Place { shared: Arc::clone(self), at, network, activity })
    }

    /// From now on the connection with this number can be closed by its task, which has not begun.
    pub(crate) fn started(&self, number: usize, abort: AbortHandle) {
        if let Some(Some(held)) = self.connections.lock().places.get_mut(number) {
            held.abort = Some(abort);
        }
    }

    /// Closes an idle connection, if there is one.
    pub(crate) fn close_idle(&self) {
        let idle = self.connections.lock().take_idle(Instant::now());
        if let Some(idle) = idle {
            self.metrics.closed_connections.inc();
            idle.abort();
        }
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that was taken.
struct Taken {
    at: usize,
    activity: Activity,
    /// The connection that must go for it.
    instead_of: Option<AbortHandle>,
}

impl List {
    fn take(&mut self, network: Option<(ClientNetwork, usize)>, most: usize) -> Option<Taken> {
        if let Some((network, most)) = network
            && self.networks.get(&network).is_some_and(|count| *count >= most)
        {
            return None;
        }
        let open = self.places.len() - self.free.len();
        let instead_of = if open < most { None } else { Some(self.take_idle(Instant::now())?) };
        if let Some((network, _)) = network {
            *self.networks.entry(network).or_insert(0) += 1;
        }
        let activity = Activity::new();
        let held = Some(Held { activity: activity.clone(), abort: None });
        let at = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(at) {
            Some(place) => *place = held,
            None => self.places.push(held),
        }
        Some(Taken { at, activity, instead_of })
    }

    fn leave(&mut self, at: usize, network: Option<ClientNetwork>) {
        self.places[at] = None;
        self.free.push(at);
        if let Some(network) = network
            && let Some(count) = self.networks.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                self.networks.remove(&network);
            }
        }
    }

    /// The task of the most idle of some connections, other ones each time.
    fn take_idle(&mut self, now: Instant) -> Option<AbortHandle> {
        let len = self.places.len();
        // Neighbours began at about the same time, so they are far apart.
        let stride = len.div_ceil(LOOKED_AT).max(1);
        self.next = (self.next + 1) % len.max(1);
        let looked_at = (0..LOOKED_AT.min(len)).map(|step| (self.next + step * stride) % len);
        let idle = looked_at.filter_map(|at| {
            let held = self.places[at].as_ref().filter(|held| held.abort.is_some())?;
            let (has_asked, idle) = held.activity.idle(now)?;
            (idle >= AT_WORK).then_some((!has_asked && idle >= SILENT, idle, at))
        });
        let (_, _, at) = idle.max()?;
        self.places[at].as_mut()?.abort.take()
    }
}

/// A connection's place among the others, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    at: usize,
    network: Option<ClientNetwork>,
    pub(crate) activity: Activity,
}

impl Place {
    /// Its number.
    pub(crate) fn number(&self) -> usize {
        self.at
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.connections.lock().leave(self.at, self.network);
        self.shared.metrics.connections.dec();
    }
}
