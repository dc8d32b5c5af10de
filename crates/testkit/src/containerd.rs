//! containerd and its client `ctr`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::{Server, run};
use crate::program;
use crate::pulled::{Layers, Platforms, Pulled, digests_of_files};

const LIMIT: Duration = Duration::from_mins(1);

/// A running containerd with root, state and socket of its own. Needs root.
#[derive(Debug)]
pub struct Containerd {
    _server: Server,
    home: TempDir,
}

impl Containerd {
    /// Starts containerd and waits until it serves its socket.
    pub fn start() -> Result<Self> {
        program::find("ctr")?;
        let home = tempfile::tempdir()?;
        let dir = home.path().display();
        // The Kubernetes interface would look for a network configuration on the host.
        let config = format!(
            "version = 2\nroot = \"{dir}/root\"\nstate = \"{dir}/state\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n\
             [grpc]\naddress = \"{dir}/containerd.sock\"\n[ttrpc]\naddress = \"{dir}/ttrpc.sock\"\n",
        );
        let file = home.path().join("config.toml");
        fs::write(&file, config)?;
        let server =
            Server::spawn(program::command("containerd", home.path())?.arg("--config").arg(&file))?;
        server.wait_for("containerd successfully booted", LIMIT)?;
        Ok(Self { _server: server, home })
    }

    /// Writes the `hosts.toml` that makes `url` (`http://ADDRESS`) answer for every image of `host`.
    ///
    /// [`Containerd::pull`] does it for hosts that have none, with the host's own address.
    pub fn mirror(&self, host: &str, url: &str) -> Result<()> {
        let folder = self.hosts().join(host);
        fs::create_dir_all(&folder)?;
        let hosts = format!(
            "server = \"{url}\"\n[host.\"{url}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"
        );
        Ok(fs::write(folder.join("hosts.toml"), hosts)?)
    }

    /// Pulls a reference (`HOST:PORT/NAME:TAG` or `…@DIGEST`) over plain HTTP by way of `hosts.toml`.
    ///
    /// containerd keeps all as it was sent, and of an index the index itself.
    pub fn pull(&self, reference: &str, platforms: Platforms) -> Result<Pulled> {
        let (host, _) = reference.split_once('/').context("a reference begins with its host")?;
        if !self.hosts().join(host).exists() {
            self.mirror(host, &format!("http://{host}"))?;
        }
        let mut pull = self.command()?;
        // Mounting an overlay on an overlay fails, which is what the tests' machine often is.
        pull.args(["images", "pull", "--snapshotter=native", "--hosts-dir"]).arg(self.hosts());
        pull.arg(match platforms {
            Platforms::One => "--platform=linux/amd64",
            Platforms::All => "--all-platforms",
        });
        run(pull.arg(reference), LIMIT)?;

        let listed =
            run(self.command()?.args(["images", "list", &format!("name=={reference}")]), LIMIT)?
                .text();
        let digest = listed
            .split_whitespace()
            .find(|word| word.starts_with("sha256:") || word.starts_with("sha512:"));
        let digest = digest
            .with_context(|| format!("`ctr images list` gives a digest:\n{listed}"))?
            .to_owned();
        let blobs = self.home.path().join("root/io.containerd.content.v1.content/blobs");
        Ok(Pulled { digest, stored: digests_of_files(&blobs)?, layers: Layers::AsSent })
    }

    /// Any other `ctr` command on this containerd: add the subcommand and its arguments, and [`run`] it.
    pub fn command(&self) -> Result<Command> {
        let mut command = program::command("ctr", self.home.path())?;
        command.arg("--address").arg(self.home.path().join("containerd.sock"));
        Ok(command)
    }

    /// The directory with a `hosts.toml` for each host: `--hosts-dir`.
    pub fn hosts(&self) -> PathBuf {
        self.home.path().join("hosts")
    }
}
