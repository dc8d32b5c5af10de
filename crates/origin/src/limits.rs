//! How much one client may ask for, and whether anything may be written at all.
//!
//! A client is an address, for IPv6 its /64. Each has a budget of requests that refills steadily
//! (the generic cell rate algorithm) and a number of uploads at once. The table of clients is
//! bounded; a client that was away for a minute, or that had to make room, begins anew, so a flood
//! from very many addresses is limited less strictly, never at the cost of memory.
//!
//! Invariant: a limit that is only observed changes no answer.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::warn;

/// After how long a client that asks for nothing is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(1);
/// How often it is said that somebody asks for too much, at most.
const REPORTED_EVERY: Duration = Duration::from_mins(1);
/// When to come again with an upload: nobody knows when one of the others will end.
const UPLOAD_LATER: Duration = Duration::from_secs(5);

/// What becomes of a request that is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitMode {
    /// Nothing is counted.
    Off,
    /// It is answered, and counted as one that would have been refused.
    #[default]
    Observe,
    /// It is refused with 429.
    Enforce,
}

/// Limits of each client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// What becomes of what is over a limit.
    pub mode: LimitMode,
    /// Requests each second, in the long run.
    pub requests_per_second: NonZeroU32,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
    /// Requests that carry a body which is being received at once.
    pub uploads: NonZeroU32,
    /// Clients that are remembered.
    pub clients: u64,
}

/// A client is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// How many whole seconds to wait, at least 1: `Retry-After`.
    pub retry_after_seconds: u64,
    /// What there was too much of.
    pub what: TooMuch,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMuch {
    /// Requests in a time.
    Requests,
    /// Uploads at once.
    Uploads,
}

/// An upload that is counted until this is dropped.
#[derive(Debug, Default)]
#[must_use]
pub struct UploadTurn(
    #[expect(dead_code, reason = "held for its drop")] Option<OwnedSemaphorePermit>,
);

/// The limits, and how much of them each client has used up.
#[derive(Debug)]
pub struct Limits {
    settings: LimitSettings,
    clock: SinceStart,
    clients: Cache<u128, Arc<Client>>,
    over: AtomicU64,
    /// Milliseconds since the start before which nothing more is said.
    silent_until: AtomicU64,
}

#[derive(Debug)]
struct Client {
    requests: RateLimiter<NotKeyed, InMemoryState, SinceStart, NoOpMiddleware<Duration>>,
    uploads: Arc<Semaphore>,
}

/// The runtime's clock, which tests can stop.
#[derive(Debug, Clone)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Default for LimitSettings {
    /// Observed only: 100 requests each second, 1,000 at once, 32 uploads at once.
    fn default() -> Self {
        const fn number(number: u32) -> NonZeroU32 {
            match NonZeroU32::new(number) {
                Some(number) => number,
                None => NonZeroU32::MIN,
            }
        }
        Self {
            mode: LimitMode::Observe,
            requests_per_second: number(100),
            burst: number(1_000),
            uploads: number(32),
            clients: 100_000,
        }
    }
}

impl Limits {
    /// Limits under which nobody has asked for anything yet.
    pub fn new(settings: LimitSettings) -> Self {
        let clients =
            Cache::builder().max_capacity(settings.clients.max(1)).time_to_idle(FORGOTTEN).build();
        let clock = SinceStart(Instant::now());
        let (over, silent_until) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { settings, clock, clients, over, silent_until }
    }

    /// Counts a request of a client.
    pub fn admit(&self, client: IpAddr) -> Result<(), TooMany> {
        if self.settings.mode == LimitMode::Off {
            return Ok(());
        }
        let Err(until) = self.client(client).requests.check() else { return Ok(()) };
        let wait = until.wait_time_from(self.clock.now());
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let what = TooMuch::Requests;
        self.over(TooMany { retry_after_seconds: seconds.max(1), what })
    }

    /// Counts an upload of a client until what is returned is dropped.
    pub fn begin_upload(&self, client: IpAddr) -> Result<UploadTurn, TooMany> {
        if self.settings.mode == LimitMode::Off {
            return Ok(UploadTurn(None));
        }
        if let Ok(turn) = Arc::clone(&self.client(client).uploads).try_acquire_owned() {
            return Ok(UploadTurn(Some(turn)));
        }
        let retry_after_seconds = UPLOAD_LATER.as_secs();
        let over = TooMany { retry_after_seconds, what: TooMuch::Uploads };
        self.over(over).map(|()| UploadTurn(None))
    }

    /// How many requests were over a limit, refused or only observed.
    pub fn over_limit(&self) -> u64 {
        self.over.load(Ordering::Relaxed)
    }

    fn over(&self, over: TooMany) -> Result<(), TooMany> {
        let total = self.over.fetch_add(1, Ordering::Relaxed) + 1;
        self.report(over.what, total);
        match self.settings.mode {
            LimitMode::Off | LimitMode::Observe => Ok(()),
            LimitMode::Enforce => Err(over),
        }
    }

    /// Says it now and then, without the client's address.
    fn report(&self, what: TooMuch, total: u64) {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now = self.clock.now();
        let (silent_until, next) =
            (self.silent_until.load(Ordering::Relaxed), now + REPORTED_EVERY);
        let is_ours = millis(now) >= silent_until
            && self
                .silent_until
                .compare_exchange(silent_until, millis(next), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_ours {
            let mode = self.settings.mode;
            warn!(?what, ?mode, total, "requests are over the limits of a client");
        }
    }

    fn client(&self, address: IpAddr) -> Arc<Client> {
        self.clients.get_with(client_key(address), || {
            let LimitSettings { requests_per_second, burst, uploads, .. } = self.settings;
            let quota = Quota::per_second(requests_per_second).allow_burst(burst);
            Arc::new(Client {
                requests: RateLimiter::direct_with_clock(quota, self.clock.clone()),
                uploads: Arc::new(Semaphore::new(usize::try_from(uploads.get()).unwrap_or(1))),
            })
        })
    }
}

/// Who counts as one client: an IPv4 address, an IPv6 /64, of which one subscriber has at least
/// one.
fn client_key(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_bits()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn limits(mode: LimitMode) -> Limits {
        let number = |number| NonZeroU32::new(number).unwrap();
        Limits::new(LimitSettings {
            mode,
            requests_per_second: number(2),
            burst: number(4),
            uploads: number(2),
            clients: 10,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_a_burst_and_then_a_rate_and_others_have_their_own() {
        let limits = limits(LimitMode::Enforce);
        assert!((0..4).all(|_| limits.admit(A).is_ok()));
        let over = limits.admit(A).unwrap_err();
        assert_eq!(over, TooMany { retry_after_seconds: 1, what: TooMuch::Requests });
        assert!(limits.admit(B).is_ok());
        advance(Duration::from_millis(500)).await;
        assert!(limits.admit(A).is_ok() && limits.admit(A).is_err());
        advance(Duration::from_secs(10)).await;
        assert!((0..4).all(|_| limits.admit(A).is_ok()) && limits.admit(A).is_err());
        assert_eq!(limits.over_limit(), 3);
    }

    #[test]
    fn an_upload_ends_when_its_turn_is_dropped() {
        let limits = limits(LimitMode::Enforce);
        let first = limits.begin_upload(A).unwrap();
        let second = limits.begin_upload(A).unwrap();
        assert_eq!(limits.begin_upload(A).unwrap_err().what, TooMuch::Uploads);
        assert!(limits.begin_upload(B).is_ok());
        drop(first);
        drop(limits.begin_upload(A).unwrap());
        drop(second);
    }

    #[test]
    fn what_is_observed_is_counted_and_what_is_off_is_not() {
        for (mode, counted) in [(LimitMode::Observe, 97), (LimitMode::Off, 0)] {
            let limits = limits(mode);
            assert!((0..100).all(|_| limits.admit(A).is_ok()));
            let turns: Vec<_> = (0..3).map(|_| limits.begin_upload(A).unwrap()).collect();
            assert_eq!((turns.len(), limits.over_limit()), (3, counted));
        }
    }

    #[test]
    fn the_table_is_bounded_and_a_subscriber_of_ipv6_is_one_client() {
        let limits = limits(LimitMode::Enforce);
        for n in 0..1_000_u32 {
            let _ = limits.admit(IpAddr::V4(n.into()));
        }
        limits.clients.run_pending_tasks();
        assert!(limits.clients.entry_count() <= 10);
        let key = |text: &str| client_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8:0:0:ffff::2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
