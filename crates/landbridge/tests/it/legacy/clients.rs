//! Real clients at the old name, through every phase; and what each shows its user.

#![allow(clippy::print_stdout, reason = "what clients show is what the documentation tells")]

use std::process::Command;
use std::time::Duration;

use landbridge_testkit::{Containerd, Dockerd, Podman, Skopeo, run};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::old_name::{AFTER, BEFORE, OldName};
use crate::running::until;

/// Clients that are asked to come back try again for a while; some for longer than a test has.
const PATIENCE: Duration = Duration::from_secs(8);

/// All clients that there are, each with what it has pulled.
struct Clients {
    skopeo: Skopeo,
    target: TempDir,
    podman: Podman,
    containerd: Containerd,
    /// Not every machine lets it start.
    dockerd: Option<Dockerd>,
}

impl Clients {
    #[expect(clippy::print_stdout, reason = "seen if the test fails")]
    fn start(names: &OldName) -> Self {
        let containerd = Containerd::start().unwrap();
        for name in ["localhost", "127.0.0.1"] {
            let host = names.address(name);
            containerd.mirror(&host, &format!("http://{host}")).unwrap();
        }
        let dockerd = Dockerd::start();
        if let Err(error) = &dockerd {
            println!("dockerd does not start here: {error:#}");
        }
        Self {
            skopeo: Skopeo::new().unwrap(),
            target: tempfile::tempdir().unwrap(),
            podman: Podman::new().unwrap(),
            containerd,
            dockerd: dockerd.ok(),
        }
    }

    fn commands(&self, reference: &str) -> Vec<(&'static str, Command)> {
        let mut skopeo = self.skopeo.command().unwrap();
        skopeo.args(["copy", "--retry-times=0", "--src-tls-verify=false"]);
        skopeo.arg(format!("docker://{reference}"));
        skopeo.arg(format!("dir:{}", self.target.path().display()));
        let mut podman = self.podman.command().unwrap();
        podman.args(["pull", "--tls-verify=false", reference]);
        let mut containerd = self.containerd.command().unwrap();
        containerd.args(["images", "pull", "--snapshotter=native", "--hosts-dir"]);
        containerd.arg(self.containerd.hosts()).args(["--platform=linux/amd64", reference]);
        let mut commands = vec![("skopeo", skopeo), ("podman", podman), ("containerd", containerd)];
        if let Some(dockerd) = &self.dockerd {
            let mut docker = dockerd.command().unwrap();
            docker.args(["pull", reference]);
            commands.push(("dockerd", docker));
        }
        commands
    }

    /// Pulls with all of them; whether each did, and what it said.
    fn pull(&self, reference: &str) -> Vec<(&'static str, bool, String)> {
        let pull = |(name, mut command): (&'static str, Command)| match run(&mut command, PATIENCE)
        {
            Ok(done) => (name, true, format!("{}\n{}", done.text(), done.stderr)),
            Err(error) => (name, false, format!("{error:#}")),
        };
        self.commands(reference).into_iter().map(pull).collect()
    }
}

fn step(phase: &str, start: &str, more: &Value) -> Value {
    let mut step = json!({ "phase": phase, "start": start, "mode": "enforce" });
    for (key, value) in more.as_object().unwrap() {
        step[key] = value.clone();
    }
    step
}

fn brownout(start: &str, answer: &str) -> Value {
    let [from, to, end] = ["05", "06", "28"].map(|day| format!("{}-{day}", &start[..7]));
    let windows = json!([{ "start": from, "end": to }]);
    let more = json!({ "end": end, "windows": windows, "answer": answer, "cap_pulls": 10_000 });
    step("brownout", start, &more)
}

#[test]
fn clients_pull_where_they_should_and_are_told_where_they_should_not() {
    let names = OldName::start();
    let clients = Clients::start(&names);
    let phases = json!([
        step("dual", "2022-12-10", &json!({})),
        step("freeze", "2023-02-01", &json!({ "generation": names.frozen })),
        step("redirect", "2023-03-01", &json!({})),
        brownout("2023-06-01", "unavailable"),
        brownout("2023-07-01", "gone"),
        step("tombstone", "2023-10-01", &json!({ "repositories": ["app"] })),
        step("sunset", "2024-01-01", &json!({})),
    ]);
    let host = names.address("localhost");
    let successor = names.address("127.0.0.1");
    for (phase, moment, of_before, of_after, words) in [
        ("announce", "2022-12-01", true, true, None),
        ("dual", "2022-12-20", true, true, None),
        ("freeze", "2023-02-10", true, false, None),
        ("redirect", "2023-03-10", true, true, None),
        ("brownout, 503", "2023-06-05T12:00:00Z", false, false, Some("503")),
        ("between brownouts", "2023-06-20", true, true, None),
        ("brownout, 410", "2023-07-05T12:00:00Z", false, false, Some(successor.as_str())),
        ("tombstone", "2023-10-02", false, false, Some(successor.as_str())),
        ("sunset", "2024-01-02", false, false, Some(successor.as_str())),
    ] {
        names.play(moment, &phases);
        for (tag, expected) in [(BEFORE, of_before), (AFTER, of_after)] {
            for (client, did, said) in clients.pull(&format!("{host}/google-containers/app:{tag}"))
            {
                println!("{phase} | {client} | {tag} | {did}\n{said}\n");
                assert_eq!(did, expected, "{client} in {phase}, {tag}:\n{said}");
                let is_told = words.is_none_or(|words| said.contains(words));
                // containerd shows no words of a HEAD, which it begins with.
                assert!(is_told || client == "containerd", "{client} in {phase}:\n{said}");
            }
        }
        let new = clients.pull(&format!("{successor}/app:{BEFORE}"));
        assert!(new.iter().all(|(_, did, _)| *did), "{phase}: {new:?}");
    }
}

#[test]
fn clients_that_ask_too_much_are_told_to_come_back() {
    let names = OldName::start();
    let clients = Clients::start(&names);
    let limits =
        json!({ "mode": "enforce", "network": { "requests": { "rate": "1/h", "burst": 1 } } });
    names.play_with("2022-12-01", &json!([]), &limits);
    let target = format!("/v2/google-containers/app/manifests/{BEFORE}");
    let status = || Ok(names.ask("localhost", "GET", &target).status);
    until(status, |status| *status == 429).unwrap();
    let host = names.address("localhost");
    for (client, did, said) in clients.pull(&format!("{host}/google-containers/app:{BEFORE}")) {
        println!("429 | {client} | {did}\n{said}\n");
        assert!(!did, "{client}:\n{said}");
    }
}
