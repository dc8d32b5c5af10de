//! Origins and collections that are killed, again and again, over one directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use landbridge_testkit::{Server, Signal, Tmpfs, run};

use super::bucket::Directory;
use super::pusher::{Pusher, Step};
use crate::client::Client;
use crate::random::Random;
use crate::running::{LIMIT, landbridge};

const KILLS: u32 = 200;
const PUSHERS: usize = 4;
/// Longer than the grace of blobs, the life of an upload and the silence of a dead collector.
const EIGHT_DAYS: Duration = Duration::from_hours(8 * 24);

/// When an origin is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Whatever happens then.
    After(Duration),
    /// Shortly after some client began to ask for this for the `nth` time.
    Asked { step: Step, nth: u64, later: Duration },
    /// Shortly after a collection came so far.
    Collecting { until: &'static str, later: Duration },
}

impl Moment {
    fn choose(round: u32, random: &mut Random) -> Self {
        let later = Duration::from_micros(random.below(3_000));
        let asked = |step, nth| Self::Asked { step, nth, later };
        match round % 6 {
            0 => Self::After(Duration::from_micros(random.below(250_000))),
            1 => asked(Step::Upload, 1 + random.below(60)),
            2 => asked(Step::Mount, 1 + random.below(10)),
            3 => asked(Step::Manifest, 1 + random.below(15)),
            4 => asked(Step::Delete, 1 + random.below(5)),
            _ => {
                let steps = ["reading names", "condemning", "deleting: 0"];
                let until = steps[random.index(steps.len())];
                Self::Collecting { until, later: Duration::from_micros(random.below(30_000)) }
            }
        }
    }

    /// Waits for it.
    fn wait(self, taken: &Receiver<Step>, collection: Option<&Server>) {
        let later = match self {
            Self::After(later) => later,
            Self::Asked { step, nth, later } => {
                let mut left = nth;
                while left > 0 {
                    // Clients that have all failed say more than this does.
                    let Ok(taken) = taken.recv_timeout(LIMIT) else { return };
                    left -= u64::from(taken == step);
                }
                later
            }
            Self::Collecting { until, later } => {
                // One that has nothing to do ends without coming so far.
                let _ = collection.map(|collection| collection.wait_for(until, LIMIT));
                later
            }
        };
        // No wait for something to happen: the moment is what is tested.
        thread::sleep(later);
    }
}

/// What the kills met.
#[derive(Debug, Default)]
struct Met {
    /// Requests that were cut off.
    requests: BTreeMap<Step, u32>,
    /// Collections that were killed.
    collections: u32,
    /// Objects that were condemned or being deleted when a collection was killed.
    condemned: usize,
}

#[test]
fn what_was_acknowledged_survives_two_hundred_kills() {
    let seed = Random::seed("LANDBRIDGE_KILL_SEED");
    tell(&format!("to repeat it: LANDBRIDGE_KILL_SEED={seed}"));
    let began = Instant::now();
    let mut random = Random::new(seed);
    let disk = Tmpfs::mount(1 << 30).unwrap();
    let mut directory = Directory::new(&disk.path().join("store"));
    let mut pushers: Vec<_> = (0..PUSHERS).map(|at| Pusher::new(at, random.next())).collect();
    let mut met = Met::default();
    for round in 0..KILLS {
        let moment = Moment::choose(round, &mut random);
        let collects = matches!(moment, Moment::Collecting { .. }) || random.percent(25);
        kill(directory.path(), moment, collects, &mut pushers, &mut met);

        let all_bytes = round % 20 == 19;
        let looked = check(&mut directory, &mut pushers, all_bytes);
        looked.with_context(|| format!("kill {round}, {moment:?}, seed {seed}")).unwrap();
        met.condemned += directory.counts()["condemned"];
        directory.let_pass(EIGHT_DAYS).unwrap();
        if round % 10 == 9 {
            // One that nobody kills, so that what the others left does not pile up.
            run(&mut gc(directory.path()), LIMIT).unwrap();
        }
    }

    // What is left can be served, and collected to the end.
    for _ in 0..2 {
        run(gc(directory.path()).arg("--json"), LIMIT).unwrap();
        directory.let_pass(EIGHT_DAYS).unwrap();
    }
    check(&mut directory, &mut pushers, true).unwrap();
    let (_origin, address) = origin(directory.path());
    let mut client = Client::new(&address);
    for pusher in &pushers {
        pusher.pull(&mut client).unwrap();
    }
    let (left, took) = (directory.counts(), began.elapsed());
    tell(&format!("{KILLS} kills in {took:?} met {met:?}; at the end there are {left:?}"));
    assert_eq!(left["uploads"], 0, "all were given up");
    for step in [Step::Upload, Step::Mount, Step::Manifest, Step::Delete] {
        let cut = met.requests.get(&step).copied().unwrap_or_default();
        assert!(cut >= 5, "only {cut} were cut off of {step:?}: {met:?}");
    }
    assert!(met.collections >= KILLS / 10 && met.condemned > 0, "{met:?}");
}

/// One life of an origin.
fn kill(store: &Path, moment: Moment, collects: bool, pushers: &mut [Pusher], met: &mut Met) {
    let (mut origin, address) = origin(store);
    let mut collection = collects.then(|| Server::spawn(&mut gc(store)).unwrap());
    let dying = AtomicBool::new(false);
    let (steps, taken) = mpsc::channel();
    let cut: Vec<Option<Step>> = thread::scope(|scope| {
        let (address, dying) = (&address, &dying);
        let pushing: Vec<_> = pushers
            .iter_mut()
            .map(|pusher| {
                let steps = steps.clone();
                scope.spawn(move || pusher.push(address, dying, &steps))
            })
            .collect();
        drop(steps);
        moment.wait(&taken, collection.as_ref());
        dying.store(true, Ordering::SeqCst);
        if let Some(collection) = &collection {
            met.collections += u32::from(collection.signal(Signal::KILL).is_ok());
        }
        origin.signal(Signal::KILL).unwrap();
        pushing.into_iter().map(|pushing| pushing.join().unwrap()).collect()
    });
    for step in cut.into_iter().flatten() {
        *met.requests.entry(step).or_default() += 1;
    }
    origin.wait(LIMIT).unwrap();
    if let Some(collection) = &mut collection {
        let status = collection.wait(LIMIT).unwrap();
        assert!(status.success() || status.code().is_none(), "{}", collection.log());
    }
}

fn check(directory: &mut Directory, pushers: &mut [Pusher], all_bytes: bool) -> anyhow::Result<()> {
    directory.check_objects(all_bytes)?;
    for (repository, tag, digest) in directory.tags() {
        let whole = directory.whole(&repository, &digest);
        whole.with_context(|| format!("tag {repository}:{tag}"))?;
    }
    pushers.iter_mut().try_for_each(|pusher| pusher.settle(directory))
}

fn origin(store: &Path) -> (Server, String) {
    let mut command = landbridge();
    command.args(["origin", "--listen", "127.0.0.1:0", "--store"]).arg(store);
    let server = Server::spawn(&mut command).unwrap();
    let address = server.wait_for("listening on http://", LIMIT).unwrap();
    (server, address)
}

fn gc(store: &Path) -> std::process::Command {
    let mut command = landbridge();
    command.args(["gc", "--apply", "--store"]).arg(store);
    command
}

#[expect(clippy::print_stdout, reason = "seen if the test fails")]
fn tell(text: &str) {
    println!("{text}");
}
