//! Real clients that pull, one image after the other, until they are told to stop.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use landbridge_testkit::{Containerd, Podman, Skopeo, run};

use super::topology::{IMAGES, Topology};

/// In which order images are pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Up,
    Down,
}

/// A pull that takes longer has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// One pull of one image.
#[derive(Debug, Clone)]
pub(super) struct Pull {
    #[expect(dead_code, reason = "read where a failure is printed")]
    client: &'static str,
    /// Since the outage began; before it, nothing.
    pub(super) began: Duration,
    pub(super) took: Duration,
    pub(super) error: Option<String>,
}

pub(super) struct Clients {
    stop: Arc<AtomicBool>,
    begin: Arc<Mutex<Option<Instant>>>,
    pulling: Vec<JoinHandle<Vec<Pull>>>,
}

impl Clients {
    /// skopeo, podman and containerd, each with a loop of its own.
    pub(super) fn start(topology: &Topology) -> Self {
        let mut clients = Self { stop: Arc::default(), begin: Arc::default(), pulling: Vec::new() };
        clients.come(topology, Order::Up);
        clients
    }

    /// As many new ones, for the first may all wait for a copy that stands still.
    pub(super) fn come_again(&mut self, topology: &Topology) {
        self.come(topology, Order::Down);
    }

    fn come(&mut self, topology: &Topology, order: Order) {
        let clients = self;
        let skopeo = Skopeo::new().unwrap();
        let target = tempfile::tempdir().unwrap();
        clients.pull(topology, order, "skopeo", move |reference| {
            let mut command = skopeo.command().unwrap();
            command.args(["copy", "--quiet", "--src-tls-verify=false"]);
            command.arg(format!("docker://{reference}"));
            command.arg(format!("dir:{}", target.path().display()));
            command
        });
        // These two look names and certificates up as the machine says, which the test does not change.
        if topology.is_for_all_clients() {
            let podman = Podman::new().unwrap();
            clients.pull(topology, order, "podman", move |reference| {
                let mut command = podman.command().unwrap();
                command.args(["pull", "--quiet", "--tls-verify=false", reference]);
                command
            });
            let containerd = Containerd::start().unwrap();
            let (host, _) = topology
                .reference(0)
                .split_once('/')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .unwrap();
            containerd.mirror(&host, &format!("http://{host}")).unwrap();
            clients.pull(topology, order, "containerd", move |reference| {
                let mut command = containerd.command().unwrap();
                command.args(["images", "pull", "--snapshotter=native", "--hosts-dir"]);
                command.arg(containerd.hosts()).args(["--platform=linux/amd64", reference]);
                command
            });
        }
    }

    fn pull(
        &mut self,
        topology: &Topology,
        order: Order,
        client: &'static str,
        command: impl Fn(&str) -> Command + Send + 'static,
    ) {
        let (stop, begin) = (Arc::clone(&self.stop), Arc::clone(&self.begin));
        let mut references: Vec<_> = (0..IMAGES).map(|at| topology.reference(at)).collect();
        if order == Order::Down {
            references.reverse();
        }
        let wrap = topology.wrapper();
        self.pulling.push(thread::spawn(move || {
            let mut pulls = Vec::new();
            // Each image once: what a client has it does not ask for again.
            for reference in references {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let start = Instant::now();
                let ended = run(&mut wrap(command(&reference)), PATIENCE);
                let since = begin
                    .lock()
                    .unwrap()
                    .map_or(Duration::ZERO, |begin| start.saturating_duration_since(begin));
                let error = ended.err().map(|error| error.to_string());
                pulls.push(Pull { client, began: since, took: start.elapsed(), error });
            }
            pulls
        }));
    }

    pub(super) fn set_begin(&mut self, begin: Instant) {
        *self.begin.lock().unwrap() = Some(begin);
    }

    /// Lets every client end the pull that it is at, some of which only end when the outage does.
    pub(super) fn stop(self, end_outage: impl FnOnce()) -> Vec<Pull> {
        self.stop.store(true, Ordering::SeqCst);
        end_outage();
        self.pulling.into_iter().flat_map(|pulling| pulling.join().unwrap()).collect()
    }
}
