//! dockerd and the client `docker`, without touching the host's network.

use std::fs;
use std::io::Cursor;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{Server, Signal, run};
use crate::program;
use crate::pulled::{Layers, Pulled, digests_of_archive};

const LIMIT: Duration = Duration::from_mins(1);

/// A running dockerd with data, state and socket of its own, and no bridge or packet filter. Needs root.
#[derive(Debug)]
pub struct Dockerd {
    server: Server,
    home: TempDir,
}

impl Dockerd {
    /// Starts dockerd, with a containerd that it starts itself, and waits until it serves its socket.
    pub fn start() -> Result<Self> {
        program::find("docker")?;
        let home = tempfile::tempdir()?;
        let dir = home.path().display();
        fs::write(home.path().join("daemon.json"), "{}")?;
        let mut command = program::command("dockerd", home.path())?;
        command
            .arg(format!("--config-file={dir}/daemon.json"))
            .arg(format!("--data-root={dir}/data"))
            .arg(format!("--exec-root={dir}/exec"))
            .arg(format!("--pidfile={dir}/pid"))
            .arg(format!("--host=unix://{dir}/docker.sock"))
            .args([
                "--iptables=false",
                "--ip6tables=false",
                "--ip-forward=false",
                "--ip-masq=false",
            ])
            .args(["--bridge=none", "--storage-driver=vfs"]);
        let server = Server::spawn(&mut command)?;
        server.wait_for("API listen on ", LIMIT)?;
        Ok(Self { server, home })
    }

    /// Pulls a reference (`HOST:PORT/NAME:TAG` or `…@DIGEST`) for linux/amd64; plain HTTP only from loopback.
    ///
    /// dockerd keeps layers unpacked and, of an index, remembers the index's digest.
    pub fn pull(&self, reference: &str) -> Result<Pulled> {
        run(self.command()?.args(["pull", "--quiet", "--platform=linux/amd64", reference]), LIMIT)?;
        let inspected = run(self.command()?.args(["image", "inspect", reference]), LIMIT)?;
        let images: Value = serde_json::from_slice(&inspected.stdout)?;
        let known = images[0]["RepoDigests"][0].as_str().and_then(|name| name.split_once('@'));
        let digest = known.context("`docker image inspect` gives a digest")?.1.to_owned();
        let archive = run(self.command()?.args(["save", reference]), LIMIT)?.stdout;
        Ok(Pulled {
            digest,
            stored: digests_of_archive(Cursor::new(archive))?,
            layers: Layers::Unpacked,
        })
    }

    /// Any other `docker` command on this dockerd: add the subcommand and its arguments, and [`run`] it.
    pub fn command(&self) -> Result<Command> {
        let mut command = program::command("docker", self.home.path())?;
        command.env_remove("DOCKER_CONTEXT").arg("--config").arg(self.home.path().join("client"));
        command.arg(format!("--host=unix://{}/docker.sock", self.home.path().display()));
        Ok(command)
    }
}

impl Drop for Dockerd {
    /// Killing dockerd would leave its containerd behind, and it always leaves a mount.
    fn drop(&mut self) {
        if self.server.signal(Signal::TERM).is_ok() {
            self.server.wait(LIMIT).ok();
        }
        run(Command::new("umount").arg(self.home.path().join("exec/netns/default")), LIMIT).ok();
    }
}
