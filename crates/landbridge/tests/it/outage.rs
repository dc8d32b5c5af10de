//! Copies fail in every way that stores do, while real clients pull: who notices when, who is sent where, what goes
//! over which edge, and that no cap is exceeded.
//!
//! By default each outage is short; `LANDBRIDGE_OUTAGE` is the seconds that each lasts.

mod clients;
pub(crate) mod topology;

use std::fmt::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use landbridge_testkit::{Fault, Signal};

use self::clients::{Clients, Pull};
use self::topology::{Copies, FAR, NEAR, Topology, WEST};

/// Failing probes in a row after which a copy is out.
const FALL: u32 = 3;
const PERIOD: Duration = Duration::from_millis(500);
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// What a busy machine adds.
const GRACE: Duration = Duration::from_secs(3);

/// How copies fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    Killed,
    Frozen,
    Dripping,
    Half,
    Wrong,
    Expired,
    Nameless,
    Provider,
    Flapping,
}

impl Outage {
    /// The copies that fail.
    fn copies(self) -> &'static [usize] {
        if self == Self::Provider { &[NEAR, WEST] } else { &[NEAR] }
    }
}

/// What one outage did.
struct Seen {
    outage: Outage,
    /// Until the front said that what fails is out.
    noticed: Duration,
    /// Until nobody was sent there any more.
    left: Duration,
    pulls: Vec<Pull>,
    /// Bytes over the edges to the west and far away.
    bytes: [u64; 2],
    /// The near copy's probes, as they were recorded.
    probes: Vec<String>,
}

fn length() -> Duration {
    let seconds = std::env::var("LANDBRIDGE_OUTAGE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(6))
}

#[test]
fn a_copy_that_is_killed_loses_its_clients() {
    check(Outage::Killed);
}

#[test]
fn a_copy_that_freezes_loses_its_clients() {
    check(Outage::Frozen);
}

#[test]
fn a_copy_that_gives_one_byte_a_second_loses_its_clients() {
    check(Outage::Dripping);
}

#[test]
fn a_copy_of_whose_answers_half_are_503_loses_its_clients() {
    check(Outage::Half);
}

#[test]
fn a_copy_that_serves_wrong_bytes_loses_its_clients() {
    check(Outage::Wrong);
}

#[test]
fn a_copy_whose_certificate_expires_loses_its_clients() {
    check(Outage::Expired);
}

#[test]
fn a_copy_whose_name_is_gone_loses_its_clients() {
    check(Outage::Nameless);
}

#[test]
fn clients_of_a_provider_that_is_gone_go_to_another() {
    check(Outage::Provider);
}

#[test]
fn a_copy_that_comes_and_goes_every_three_seconds_loses_its_clients() {
    check(Outage::Flapping);
}

/// Only one at a time: what is measured are seconds.
static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[expect(clippy::print_stdout, reason = "the figures are what it is run for")]
fn check(outage: Outage) {
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let seen = play(outage);
    let table = seen.line();
    println!("{table}");
    let limit = PERIOD * FALL + PROBE_TIMEOUT + GRACE;
    let probes = seen.probes.join("\n");
    assert!(seen.noticed <= limit, "{:?} is later than {limit:?}:\n{probes}", seen.noticed);
    let late: Vec<_> = seen.pulls.iter().filter(|pull| pull.began > seen.noticed).collect();
    let failed: Vec<_> = late.iter().filter(|pull| pull.error.is_some()).collect();
    assert!(!late.is_empty(), "nobody pulled after it was noticed: {table}");
    assert!(failed.is_empty(), "{table}\n{failed:#?}");
    for (spent, cap) in seen.bytes.into_iter().zip([topology::WEST_CAP, topology::FAR_CAP]) {
        assert!(spent <= cap + cap / 20, "{spent} bytes over a cap of {cap}");
    }
}

fn play(outage: Outage) -> Seen {
    let topology = Topology::start(match outage {
        Outage::Expired => Copies::Encrypted,
        Outage::Nameless => Copies::Named,
        Outage::Dripping | Outage::Half => Copies::Spoiled,
        _ => Copies::Plain,
    });
    let mut clients = Clients::start(&topology);
    thread::sleep(Duration::from_secs(2));
    assert!(topology.is_healthy(NEAR), "{}", topology.front.log());

    let moment = topology.records().len();
    let mut noticed = None;
    let mut flap = Flap::default();
    begin_outage(&topology, outage);
    let begin = Instant::now();
    clients.set_begin(begin);
    while begin.elapsed() < length() {
        if outage == Outage::Flapping {
            flap.step(&topology, begin.elapsed());
        }
        if noticed.is_none() && !outage.copies().iter().any(|copy| topology.is_healthy(*copy)) {
            noticed = Some(begin.elapsed());
            clients.come_again(&topology);
        }
        thread::sleep(Duration::from_millis(100));
    }
    let pulls = clients.stop(|| end_outage(&topology, outage));
    let left = topology.last_sent_to(NEAR, moment, begin);
    Seen {
        outage,
        noticed: noticed.unwrap_or(Duration::MAX),
        left,
        pulls,
        bytes: [topology.over(WEST), topology.over(FAR)],
        probes: topology.probes_of(NEAR),
    }
}

fn begin_outage(topology: &Topology, outage: Outage) {
    match outage {
        Outage::Killed => topology.signal(NEAR, Signal::KILL),
        Outage::Frozen | Outage::Flapping => topology.signal(NEAR, Signal::STOP),
        Outage::Dripping => topology.spoil(Some(Fault::Drip)),
        Outage::Half => topology.spoil(Some(Fault::HalfUnavailable)),
        Outage::Wrong => topology.rot(NEAR),
        Outage::Expired => topology.expire(),
        Outage::Nameless => topology.forget_names(),
        Outage::Provider => {
            topology.signal(NEAR, Signal::KILL);
            topology.signal(WEST, Signal::STOP);
        }
    }
}

/// What hangs ends, so that clients that wait do.
fn end_outage(topology: &Topology, outage: Outage) {
    match outage {
        Outage::Frozen | Outage::Flapping => topology.signal(NEAR, Signal::CONT),
        Outage::Provider => topology.signal(WEST, Signal::CONT),
        Outage::Dripping | Outage::Half => topology.spoil(None),
        Outage::Killed | Outage::Wrong | Outage::Expired | Outage::Nameless => {}
    }
}

/// Away and back every three seconds.
#[derive(Default)]
struct Flap {
    turns: u64,
}

impl Flap {
    fn step(&mut self, topology: &Topology, elapsed: Duration) {
        let turns = elapsed.as_secs() / 3;
        if turns > self.turns {
            self.turns = turns;
            let signal = if turns.is_multiple_of(2) { Signal::STOP } else { Signal::CONT };
            topology.signal(NEAR, signal);
        }
    }
}

impl Seen {
    /// A line of the table: outage, pulls, failed of them, failed of those that began after it was
    /// noticed, the longest in seconds, noticed after, left after, bytes and cap of both edges.
    fn line(&self) -> String {
        let failed = self.pulls.iter().filter(|pull| pull.error.is_some()).count();
        let late = self.pulls.iter().filter(|pull| pull.began > self.noticed);
        let late = late.filter(|pull| pull.error.is_some()).count();
        let longest = self.pulls.iter().map(|pull| pull.took).max().unwrap_or_default();
        let mut line = format!(
            "| {:?} | {} | {failed} | {late} | {:.1} | {:.1} | {:.1} |",
            self.outage,
            self.pulls.len(),
            longest.as_secs_f64(),
            self.noticed.as_secs_f64(),
            self.left.as_secs_f64(),
        );
        for (bytes, cap) in self.bytes.into_iter().zip([topology::WEST_CAP, topology::FAR_CAP]) {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            write!(line, " {:.1} of {:.0} |", mib(bytes), mib(cap)).unwrap();
        }
        line
    }
}
