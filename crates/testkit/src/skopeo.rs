//! skopeo: containers/image (which podman and CRI-O also use) without a container store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::image::{Algorithm, Blob, Image, digest};
use crate::process::run;
use crate::program;
use crate::pulled::{Layers, Platforms, Pulled, digests_of_files};
use crate::registry::{DockerRegistry, Login};

const LIMIT: Duration = Duration::from_mins(1);

/// A skopeo that shares nothing with the user's.
#[derive(Debug)]
pub struct Skopeo {
    home: TempDir,
}

/// What skopeo has after [`Skopeo::sync`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The digest of what each tag means, by repository.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// The digests of all that it stored.
    pub stored: BTreeSet<String>,
}

impl Skopeo {
    /// It is an error if skopeo is not installed.
    pub fn new() -> Result<Self> {
        program::find("skopeo")?;
        Ok(Self { home: tempfile::tempdir()? })
    }

    /// Pushes an image's manifest, or an index of images, to `name` (`repository:tag`) of a registry, bytes unchanged.
    pub fn push(
        &self,
        manifest: &Blob,
        images: &[&Image],
        registry: &DockerRegistry,
        name: &str,
    ) -> Result<()> {
        self.push_to(manifest, images, &registry.reference(name), registry.login())
    }

    /// As [`Skopeo::push`], to any registry: `reference` is `HOST:PORT/NAME:TAG`.
    pub fn push_to(
        &self,
        manifest: &Blob,
        images: &[&Image],
        reference: &str,
        login: Option<Login>,
    ) -> Result<()> {
        // Of skopeo's directories, only this one also takes Docker's media types.
        let folder = tempfile::tempdir_in(self.home.path())?;
        fs::write(folder.path().join("version"), "Directory Transport Version: 1.1\n")?;
        fs::write(folder.path().join("manifest.json"), &manifest.bytes)?;
        for image in images {
            fs::write(
                folder.path().join(format!("{}.manifest.json", hex(&image.manifest))),
                &image.manifest.bytes,
            )?;
            for blob in image.blobs() {
                fs::write(folder.path().join(hex(blob)), &blob.bytes)?;
            }
        }
        let mut command = self.copy()?;
        if let Some(Login { user, password }) = login {
            command.arg(format!("--dest-creds={user}:{password}"));
        }
        command
            .args(["--all", "--preserve-digests", "--dest-tls-verify=false"])
            .arg(format!("dir:{}", folder.path().display()))
            .arg(format!("docker://{reference}"));
        run(&mut command, LIMIT)?;
        Ok(())
    }

    /// Pulls a reference (`HOST:PORT/NAME:TAG` or `…@DIGEST`) over plain HTTP into a directory, unconverted.
    ///
    /// With one platform, [`Pulled::digest`] is that platform's manifest's, not the index's.
    pub fn pull(&self, reference: &str, platforms: Platforms) -> Result<Pulled> {
        self.pull_into(reference, platforms, tempfile::tempdir_in(self.home.path())?.path())
    }

    fn pull_into(&self, reference: &str, platforms: Platforms, folder: &Path) -> Result<Pulled> {
        let (digest_file, target) = (folder.join("digest"), folder.join("image"));
        let mut command = self.copy()?;
        if platforms == Platforms::All {
            command.arg("--all");
        }
        command
            .args(["--preserve-digests", "--src-tls-verify=false", "--digestfile"])
            .arg(&digest_file)
            .arg(format!("docker://{reference}"))
            .arg(format!("dir:{}", target.display()));
        run(&mut command, LIMIT)?;
        let digest = fs::read_to_string(&digest_file)?.trim().to_owned();
        Ok(Pulled { digest, stored: digests_of_files(&target)?, layers: Layers::AsSent })
    }

    /// Pulls these tags of these repositories of the registry at `address` with all platforms, unconverted.
    pub fn sync(&self, address: &str, tags: &BTreeMap<String, Vec<String>>) -> Result<Synced> {
        let folder = tempfile::tempdir_in(self.home.path())?;
        let (list, target) = (folder.path().join("list.yaml"), folder.path().join("images"));
        // JSON is YAML.
        let wanted = json!({ address: { "images": tags, "tls-verify": false } });
        fs::write(&list, wanted.to_string())?;
        let mut command = self.command()?;
        command
            .args(["sync", "--all", "--preserve-digests", "--scoped"])
            .args(["--src", "yaml", "--dest", "dir"])
            .args([&list, &target]);
        run(&mut command, LIMIT)?;
        let mut synced = Synced { tags: BTreeMap::new(), stored: digests_of_files(&target)? };
        for (repository, tags) in tags {
            for tag in tags {
                let image = target.join(address).join(format!("{repository}:{tag}"));
                let manifest = fs::read(image.join("manifest.json"))?;
                let digest = digest(Algorithm::Sha256, &manifest);
                synced.tags.entry(repository.clone()).or_default().insert(tag.clone(), digest);
            }
        }
        Ok(synced)
    }

    /// The manifest that a reference (`HOST:PORT/NAME:TAG`) leads to, as it was sent: for those that skopeo does not
    /// copy.
    pub fn manifest(&self, reference: &str) -> Result<Vec<u8>> {
        let mut command = self.command()?;
        command.args(["inspect", "--raw", "--tls-verify=false"]);
        Ok(run(command.arg(format!("docker://{reference}")), LIMIT)?.stdout)
    }

    /// What `skopeo inspect` says about a reference: an object with `Digest`, `RepoTags`, `Layers` and more.
    pub fn inspect(&self, reference: &str) -> Result<Value> {
        let mut command = self.command()?;
        command.args(["inspect", "--tls-verify=false"]).arg(format!("docker://{reference}"));
        serde_json::from_slice(&run(&mut command, LIMIT)?.stdout)
            .context("`skopeo inspect` prints JSON")
    }

    fn copy(&self) -> Result<Command> {
        let mut command = self.command()?;
        command.args(["copy", "--quiet"]);
        Ok(command)
    }

    /// Any other skopeo command: add the subcommand and its arguments, and [`run`] it.
    pub fn command(&self) -> Result<Command> {
        let mut command = program::command("skopeo", self.home.path())?;
        command
            .args(["--insecure-policy", "--override-os=linux", "--override-arch=amd64"])
            .arg(format!("--tmpdir={}", self.home.path().display()));
        Ok(command)
    }
}

fn hex(blob: &Blob) -> &str {
    blob.digest.split_once(':').map_or("", |(_, hex)| hex)
}
