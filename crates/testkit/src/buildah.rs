//! buildah, with a store of its own.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tempfile::TempDir;

use crate::process::run;
use crate::program;
use crate::pulled::{Layers, Pulled, digests_of_archive};

const LIMIT: Duration = Duration::from_secs(90);

/// A buildah whose images and configuration are in a private directory. Needs root.
#[derive(Debug)]
pub struct Buildah {
    home: TempDir,
}

impl Buildah {
    /// It is an error if buildah is not installed.
    pub fn new() -> Result<Self> {
        program::find("buildah")?;
        let home = tempfile::tempdir()?;
        let policy = json!({ "default": [{ "type": "insecureAcceptAnything" }] });
        fs::write(home.path().join("policy.json"), policy.to_string())?;
        fs::write(home.path().join("registries.conf"), "unqualified-search-registries = []\n")?;
        Ok(Self { home })
    }

    /// Pulls a reference (`HOST:PORT/NAME:TAG` or `…@DIGEST`) over plain HTTP for linux/amd64.
    ///
    /// buildah keeps layers unpacked.
    pub fn pull(&self, reference: &str) -> Result<Pulled> {
        let mut pull = self.command()?;
        pull.args(["pull", "--quiet", "--policy=always", "--tls-verify=false"]);
        pull.arg("--platform=linux/amd64").arg(self.policy());
        run(pull.arg(reference), LIMIT)?;

        let mut inspect = self.command()?;
        inspect.args(["inspect", "--type=image", "--format={{.FromImageDigest}}", reference]);
        let digest = run(&mut inspect, LIMIT)?.text();
        let archive = self.home.path().join("image.tar");
        let mut save = self.command()?;
        save.args(["push", "--quiet"]).arg(self.policy()).arg(reference);
        run(save.arg(format!("docker-archive:{}", archive.display())), LIMIT)?;
        let stored = digests_of_archive(fs::File::open(&archive)?)?;
        fs::remove_file(&archive)?;
        Ok(Pulled { digest, stored, layers: Layers::Unpacked })
    }

    /// Pushes a pulled image to a reference (`HOST:PORT/NAME:TAG`) over plain HTTP. buildah packs its layers anew.
    pub fn push(&self, reference: &str, to: &str) -> Result<()> {
        let mut push = self.command()?;
        push.args(["push", "--quiet", "--tls-verify=false"]).arg(self.policy()).arg(reference);
        run(push.arg(format!("docker://{to}")), LIMIT)?;
        Ok(())
    }

    /// Any other buildah command on this store: add the subcommand and its arguments, and [`run`] it.
    pub fn command(&self) -> Result<Command> {
        let home = self.home.path();
        let mut command = program::command("buildah", home)?;
        command
            .env("CONTAINERS_REGISTRIES_CONF", home.join("registries.conf"))
            .arg("--root")
            .arg(home.join("root"))
            .arg("--runroot")
            .arg(home.join("run"))
            .arg("--storage-driver=vfs");
        Ok(command)
    }

    fn policy(&self) -> String {
        format!("--signature-policy={}", self.home.path().join("policy.json").display())
    }
}
