//! podman, with a store of its own.

use std::fs;
use std::io::Cursor;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process::run;
use crate::program;
use crate::pulled::{Layers, Pulled, digests_of_archive};

const LIMIT: Duration = Duration::from_secs(90);

/// A podman whose images, containers and configuration are in a private directory. Needs root.
#[derive(Debug)]
pub struct Podman {
    home: TempDir,
}

impl Podman {
    /// It is an error if podman, or runc, with which it runs containers, is not installed.
    pub fn new() -> Result<Self> {
        program::find("podman")?;
        program::find("runc")?;
        let home = tempfile::tempdir()?;
        let policy = json!({ "default": [{ "type": "insecureAcceptAnything" }] });
        fs::write(home.path().join("policy.json"), policy.to_string())?;
        fs::write(home.path().join("registries.conf"), "unqualified-search-registries = []\n")?;
        // By default the locks are in one piece of shared memory for all stores of the machine.
        fs::write(home.path().join("containers.conf"), "[engine]\nlock_type = \"file\"\n")?;
        Ok(Self { home })
    }

    /// Pulls a reference (`HOST:PORT/NAME:TAG` or `…@DIGEST`) over plain HTTP for linux/amd64.
    ///
    /// podman keeps layers unpacked and, of an index, remembers the index's digest.
    pub fn pull(&self, reference: &str) -> Result<Pulled> {
        let mut pull = self.command()?;
        pull.args(["pull", "--quiet", "--tls-verify=false", "--platform=linux/amd64"]);
        pull.arg(format!("--signature-policy={}", self.home.path().join("policy.json").display()));
        run(pull.arg(reference), LIMIT)?;

        let inspected = run(self.command()?.args(["image", "inspect", reference]), LIMIT)?;
        let images: Value = serde_json::from_slice(&inspected.stdout)?;
        let digest = images[0]["Digest"]
            .as_str()
            .context("`podman image inspect` gives a digest")?
            .to_owned();
        let archive = self.home.path().join("image.tar");
        run(
            self.command()?.args(["save", "--quiet", "--output"]).arg(&archive).arg(reference),
            LIMIT,
        )?;
        let stored = digests_of_archive(Cursor::new(fs::read(&archive)?))?;
        fs::remove_file(&archive)?;
        Ok(Pulled { digest, stored, layers: Layers::Unpacked })
    }

    /// Pushes a pulled image to a reference (`HOST:PORT/NAME:TAG`) over plain HTTP. podman packs its layers anew.
    pub fn push(&self, reference: &str, to: &str) -> Result<()> {
        let mut push = self.command()?;
        push.args(["push", "--quiet", "--tls-verify=false"]).arg(reference);
        run(push.arg(format!("docker://{to}")), LIMIT)?;
        Ok(())
    }

    /// Runs a pulled image with some arguments and returns what it wrote to standard output, trimmed.
    ///
    /// The container has the host's network and only the limits that a process without privileges may set, so that it
    /// also runs inside another container.
    pub fn run(&self, reference: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.command()?;
        command
            .args(["run", "--rm", "--pull=never", "--network=host"])
            .args(["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"])
            .arg(reference)
            .args(arguments);
        Ok(run(&mut command, LIMIT)?.text())
    }

    /// Any other podman command on this store: add the subcommand and its arguments, and [`run`] it.
    pub fn command(&self) -> Result<Command> {
        let home = self.home.path();
        let mut command = program::command("podman", home)?;
        command
            .env("CONTAINERS_CONF", home.join("containers.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", home.join("registries.conf"))
            .arg("--root")
            .arg(home.join("root"))
            .arg("--runroot")
            .arg(home.join("run"))
            .arg("--tmpdir")
            .arg(home.join("tmp"))
            .args([
                "--storage-driver=vfs",
                "--cgroup-manager=cgroupfs",
                "--runtime=runc",
                "--events-backend=none",
            ]);
        Ok(command)
    }
}
