//! Single flight: work that many wait for is done once.
//!
//! Those who wait drive the work together: when one of them goes away the next one goes on where it
//! was, and when all have gone the work stops. No task is spawned, so there is none to join.
//!
//! Invariant: a key is in the table only while somebody waits for it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

type Work<V> = BoxFuture<'static, V>;

/// What is under way, by key.
#[derive(Debug)]
pub(super) struct Flights<K, V: Clone>(Mutex<HashMap<K, WeakShared<Work<V>>>>);

impl<K: Clone + Eq + Hash, V: Clone> Flights<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Waits for what is under way for `key`; if nothing is, for what `start` gives.
    pub(super) async fn join(&self, key: &K, start: impl FnOnce() -> Work<V>) -> V {
        let work = {
            let mut under_way = self.lock();
            let joined = under_way.get(key).and_then(WeakShared::upgrade);
            joined.unwrap_or_else(|| {
                let work = start().shared();
                // Nobody has polled it yet, so it is not over and has a weak form.
                under_way.extend(work.downgrade().map(|weak| (key.clone(), weak)));
                work
            })
        };
        let mut seat = Seat { flights: self, key, work: Some(work) };
        match &mut seat.work {
            Some(work) => work.await,
            None => unreachable!("only dropping the seat takes the work out"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, WeakShared<Work<V>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits; the last one to leave takes the key away.
struct Seat<'a, K: Clone + Eq + Hash, V: Clone> {
    flights: &'a Flights<K, V>,
    key: &'a K,
    work: Option<Shared<Work<V>>>,
}

impl<K: Clone + Eq + Hash, V: Clone> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        // Before the lock: if this was the last seat, dropping it ends the work itself.
        self.work = None;
        let mut under_way = self.flights.lock();
        if under_way.get(self.key).is_some_and(|work| work.upgrade().is_none()) {
            under_way.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    struct Slow {
        started: AtomicUsize,
        ended: AtomicUsize,
        gate: Semaphore,
    }

    fn slow() -> Arc<Slow> {
        let (started, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Slow { started, ended, gate: Semaphore::new(0) })
    }

    fn work(slow: &Arc<Slow>) -> Work<usize> {
        let slow = Arc::clone(slow);
        async move {
            slow.started.fetch_add(1, Ordering::SeqCst);
            slow.gate.acquire().await.unwrap().forget();
            slow.ended.fetch_add(1, Ordering::SeqCst) + 1
        }
        .boxed()
    }

    #[tokio::test]
    async fn many_who_wait_do_the_work_once_and_all_get_the_result() {
        let (flights, slow) = (Flights::new(), slow());
        let mut waiting = join_all((0..100).map(|_| flights.join(&"a", || work(&slow))));
        assert!(futures::poll!(&mut waiting).is_pending());
        slow.gate.add_permits(1);
        assert_eq!(waiting.await, [1; 100]);
        assert!(flights.lock().is_empty());
        slow.gate.add_permits(1);
        assert_eq!(flights.join(&"a", || work(&slow)).await, 2, "what is over is not kept");
    }

    #[tokio::test]
    async fn keys_do_not_wait_for_each_other() {
        let (flights, stuck) = (Flights::new(), slow());
        let mut waits = Box::pin(flights.join(&"a", || work(&stuck)));
        assert!(futures::poll!(&mut waits).is_pending());
        assert_eq!(flights.join(&"b", || async { 7 }.boxed()).await, 7);
    }

    #[tokio::test]
    async fn who_goes_away_takes_nothing_from_the_others() {
        let (flights, slow) = (Flights::new(), slow());
        let mut first = Box::pin(flights.join(&"a", || work(&slow)));
        let mut second = Box::pin(flights.join(&"a", || work(&slow)));
        assert!(futures::poll!(&mut first).is_pending());
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        slow.gate.add_permits(1);
        assert_eq!(second.await, 1);
        assert_eq!(slow.started.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn when_all_have_gone_the_work_stops_and_nothing_is_left() {
        let (flights, slow) = (Flights::new(), slow());
        for _ in 0..2 {
            let mut waits = Box::pin(flights.join(&"a", || work(&slow)));
            assert!(futures::poll!(&mut waits).is_pending());
            drop(waits);
            assert!(flights.lock().is_empty());
        }
        assert_eq!(slow.started.load(Ordering::SeqCst), 2);
        assert_eq!(slow.ended.load(Ordering::SeqCst), 0);
        assert_eq!(Arc::strong_count(&slow), 1, "the work itself is gone");
    }
}
