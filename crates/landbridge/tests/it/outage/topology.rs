//! Three copies of one catalog, each a process of its own on an address of its own, and a front that probes them.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Certificate, Fault, Forwarder, Layout, Signal, http};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{FALL, PERIOD, PROBE_TIMEOUT};
use crate::content::source;
use crate::running::{Data, Front, Records, landbridge};

/// The copy of the clients' own region, one of the same provider, and one of another.
pub(crate) const NEAR: usize = 0;
pub(crate) const WEST: usize = 1;
pub(crate) const FAR: usize = 2;
const NAMES: [&str; 3] = ["near", "west", "far"];
const PLACES: [(&str, &str); 3] =
    [("aws", "us-east-2"), ("aws", "us-west-2"), ("gcp", "us-central1")];
pub(crate) const IMAGES: usize = 60;
const LAYER_BYTES: usize = 150_000;

/// So little that it binds after some pulls.
pub(crate) const WEST_CAP: u64 = 8 << 20;
pub(crate) const FAR_CAP: u64 = 64 << 30;

/// How copies are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    Plain,
    /// The near one through a proxy that spoils its answers.
    Spoiled,
    /// The near one over TLS.
    Encrypted,
    /// The near one by a name that nobody but `/etc/hosts` knows.
    Named,
}

pub(crate) struct Topology {
    data: Data,
    home: TempDir,
    copies: Copies,
    processes: Vec<Front>,
    proxy: Option<Forwarder>,
    certificate: Certificate,
    pub(crate) front: Front,
}

impl Topology {
    pub(crate) fn start(copies: Copies) -> Self {
        Self::with(copies, |_| {})
    }

    /// With another configuration of the front.
    pub(crate) fn with(copies: Copies, change: impl FnOnce(&mut Value)) -> Self {
        let data = publish();
        let home = tempfile::tempdir().unwrap();
        let third = data.path().join("mirrors/west");
        copy_tree(&data.path().join("mirrors/aws-us-east-2"), &third);
        fs::write(home.path().join("ranges.csv"), "127.0.0.1/32,aws,us-east-2\n").unwrap();
        fs::create_dir(home.path().join("records")).unwrap();
        let certificate = Certificate::new().unwrap();
        certificate.install(home.path()).unwrap();
        fs::copy(certificate.chain(), home.path().join("trusted.pem")).unwrap();
        fs::write(home.path().join("hosts"), "127.0.0.1 localhost\n127.0.1.1 near.test\n").unwrap();

        let folders = ["aws-us-east-2", "west", "gcp-us-central1"];
        let processes: Vec<_> = (0..3)
            .map(|at| {
                let is_encrypted = copies == Copies::Encrypted && at == NEAR;
                copy(&data, home.path(), at, folders[at], is_encrypted)
            })
            .collect();
        let proxy = (copies == Copies::Spoiled).then(|| {
            Forwarder::start_switched(IpAddr::from([127, 0, 1, 1]), &processes[NEAR].address)
                .unwrap()
        });
        let url = |at: usize| {
            let address = &processes[at].address;
            let (_, port) = address.rsplit_once(':').unwrap();
            match (copies, at, &proxy) {
                (Copies::Spoiled, NEAR, Some(proxy)) => format!("{}/-/mirror/near", proxy.url()),
                (Copies::Encrypted, NEAR, _) => format!("https://{address}/-/mirror/near"),
                (Copies::Named, NEAR, _) => format!("http://near.test:{port}/-/mirror/near"),
                _ => format!("http://{address}/-/mirror/{}", NAMES[at]),
            }
        };
        let mirrors: Vec<_> = (0..3).map(|at| mirror(&data, at, folders[at], &url(at))).collect();
        let file = home.path().join("front.yaml");
        let mut configuration = configuration(&data, &mirrors);
        change(&mut configuration);
        fs::write(&file, configuration.to_string()).unwrap();
        let mut command = landbridge();
        command.args(["serve", "--config"]).arg(&file);
        command.env("SSL_CERT_FILE", home.path().join("trusted.pem"));
        let mut command = wrapped(copies, home.path(), command);
        let front = Front::start(&mut command).unwrap();
        Self { data, home, copies, processes, proxy, certificate, front }
    }

    /// How `image` number `at` is called.
    pub(crate) fn reference(&self, at: usize) -> String {
        self.front.reference(&format!("app:v{at}"))
    }

    /// Whether podman and containerd can take part.
    pub(crate) fn is_for_all_clients(&self) -> bool {
        matches!(self.copies, Copies::Plain | Copies::Spoiled)
    }

    /// What a client's command must be run in, to see the same names.
    pub(crate) fn wrapper(&self) -> impl Fn(Command) -> Command + Send + 'static {
        let (copies, home) = (self.copies, self.home.path().to_owned());
        move |command| wrapped(copies, &home, command)
    }

    pub(crate) fn signal(&self, copy: usize, signal: Signal) {
        self.processes[copy].signal(signal).unwrap();
    }

    pub(crate) fn spoil(&self, fault: Option<Fault>) {
        self.proxy.as_ref().unwrap().spoil(fault);
    }

    /// Changes the last byte of every object that a copy holds.
    pub(crate) fn rot(&self, copy: usize) {
        assert_eq!(copy, NEAR);
        let root = self.data.path().join("mirrors/aws-us-east-2");
        let mut rotten = 0;
        for file in files(&root) {
            if file.to_string_lossy().contains("sha256") {
                let mut bytes = fs::read(&file).unwrap();
                if let Some(last) = bytes.last_mut() {
                    *last = last.wrapping_add(1);
                    rotten += 1;
                }
                // Not in place: the other copies may have been hard links of it.
                fs::remove_file(&file).unwrap();
                fs::write(&file, bytes).unwrap();
            }
        }
        assert!(rotten > IMAGES);
    }

    /// Lets the near copy present an expired certificate from now on.
    pub(crate) fn expire(&self) {
        self.certificate.expire().unwrap();
        self.certificate.install(self.home.path()).unwrap();
        self.processes[NEAR].wait_for("a new certificate is in use").unwrap();
    }

    pub(crate) fn forget_names(&self) {
        // In place: the file is bound over `/etc/hosts`.
        fs::write(self.home.path().join("hosts"), "127.0.0.1 localhost\n").unwrap();
    }

    /// A directory for whatever the test needs beside it.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Publishes more.
    pub(crate) fn import(&self, source: &str, name: &str) {
        self.data.import(source, name).unwrap();
    }

    /// Memory of the front in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.front.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub(crate) fn metrics(&self) -> String {
        http::get(&self.front.admin, "/metrics").unwrap().text()
    }

    pub(crate) fn is_healthy(&self, copy: usize) -> bool {
        let line = format!("landbridge_copy_healthy{{copy=\"{}\"}} 1", NAMES[copy]);
        self.metrics().lines().any(|it| it == line)
    }

    /// Bytes that went over the edge to a copy.
    pub(crate) fn over(&self, copy: usize) -> u64 {
        let metrics = self.metrics();
        let edge = format!("to {}\"", NAMES[copy]);
        let line = metrics
            .lines()
            .find(|line| line.starts_with("landbridge_edge_bytes_total") && line.contains(&edge))
            .unwrap_or_else(|| panic!("no edge to {}:\n{metrics}", NAMES[copy]));
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    pub(crate) fn records(&self) -> Vec<(String, String)> {
        let records = Records::read(&self.home.path().join("records")).unwrap();
        let all = records.all().unwrap();
        let of = all.into_iter().filter(|record| record.kind == "blob");
        of.map(|record| (record.time.into_owned(), record.copy.into_owned())).collect()
    }

    /// How a copy's probes went: time, method and status of each.
    pub(crate) fn probes_of(&self, copy: usize) -> Vec<String> {
        let records = Records::with_probes(&self.home.path().join("records")).unwrap();
        let all = records.all().unwrap();
        let probes = all.iter().filter(|it| it.kind == "probe" && it.copy == NAMES[copy]);
        probes.map(|it| format!("{} {} {}", it.time, it.method, it.status)).collect()
    }

    /// How long after `begin` somebody was sent to a copy for the last time, of all records but the
    /// first `before`.
    pub(crate) fn last_sent_to(&self, copy: usize, before: usize, begin: Instant) -> Duration {
        // Records are written in a moment, after the last answer.
        std::thread::sleep(Duration::from_millis(500));
        let (now, elapsed) = (jiff::Timestamp::now(), begin.elapsed());
        let records = self.records();
        let last = records.iter().skip(before).rfind(|(_, name)| name == NAMES[copy]);
        let Some((time, _)) = last else { return Duration::ZERO };
        let ago = now.duration_since(time.parse::<jiff::Timestamp>().unwrap());
        elapsed.saturating_sub(ago.unsigned_abs())
    }
}

/// A catalog with many small images.
fn publish() -> Data {
    let data = Data::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    for at in 0..IMAGES {
        let seed = 5_000 + at as u64;
        let recipe = Recipe { seed, layer_bytes: LAYER_BYTES, ..Recipe::default() };
        let image = recipe.pack().unwrap();
        layout.put_image(&image).unwrap();
        layout.tag(&format!("v{at}"), &image.manifest).unwrap();
    }
    data.import(&source(&layout), "app").unwrap();
    data
}

/// A process that serves one bucket.
fn copy(data: &Data, home: &Path, at: usize, folder: &str, is_encrypted: bool) -> Front {
    let name = NAMES[at];
    let mut listen = json!({});
    if is_encrypted {
        listen = json!({ "tls": { "certificate": home.join("certificate.pem"), "key": home.join("key.pem") } });
    }
    let configuration = json!({
        "listen": listen,
        "records": { "mode": "off" },
        "origins": [origin(data)],
        "mirrors": [{ "name": name, "embedded": { "store": data.path().join("mirrors").join(folder) } }],
        "sites": [{ "name": name, "hosts": ["*"], "origin": "published" }],
    });
    let file = home.join(format!("{name}.yaml"));
    fs::write(&file, configuration.to_string()).unwrap();
    let address = format!("127.0.1.{}:0", at + 1);
    let mut command = landbridge();
    command.args(["serve", "--config"]).arg(&file);
    Front::start_at(&mut command, &address).unwrap()
}

fn origin(data: &Data) -> Value {
    json!({ "name": "published", "store": {
        "url": data.path().join("origin"), "catalog": "landbridge-data",
        "keys": [data.path().join("keys/landbridge.pem.pub")],
    }})
}

fn mirror(data: &Data, at: usize, folder: &str, url: &str) -> Value {
    let (provider, region) = PLACES[at];
    json!({
        "name": NAMES[at], "provider": provider, "region": region,
        "prices": { "same_provider": "0.02 USD/GiB", "internet": "0.12 USD/GiB" },
        "bucket": { "url": url, "store": data.path().join("mirrors").join(folder) },
    })
}

fn configuration(data: &Data, mirrors: &[Value]) -> Value {
    let seconds = |length: Duration| format!("{}ms", length.as_millis());
    json!({
        "records": { "mode": "each", "directory": "records" },
        "ranges": [{ "name": "here", "format": "csv", "file": "ranges.csv" }],
        "origins": [origin(data)],
        "mirrors": mirrors,
        "sites": [{
            "name": "main", "hosts": ["*"], "origin": "published",
            "default": [{ "copy": "far" }],
            "overflow": [{ "provider": "aws", "edges": [
                { "copy": "west", "hour": { "bytes": format!("{WEST_CAP}B") }, "over": "next" },
                { "copy": "far", "day": { "bytes": format!("{FAR_CAP}B"), "money": "1000 USD" }, "over": "refuse" },
            ]}],
        }],
        "failover": { "mode": "enforce" },
        "health": {
            "mode": "enforce", "period": seconds(PERIOD), "timeout": seconds(PROBE_TIMEOUT),
            "fall": FALL, "rise": 3, "return": "30s",
            "budget": { "requests": 100_000, "bytes": "1GiB" },
        },
    })
}

/// The command in a mount namespace of its own, where `/etc/hosts` is the test's, if names matter.
fn wrapped(copies: Copies, home: &Path, command: Command) -> Command {
    if copies != Copies::Named {
        return command;
    }
    let script = "mount --bind \"$0\" /etc/hosts && exec \"$@\"";
    let mut outer = Command::new("unshare");
    outer.args(["--mount", "--propagation", "private", "sh", "-c", script]);
    outer.arg(home.join("hosts")).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

fn copy_tree(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
