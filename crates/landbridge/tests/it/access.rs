//! An origin with rules, as its clients and its operator meet it.

mod clients;
mod front;
mod identity;
mod policy;
mod told;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use landbridge_testkit::Login;
use tempfile::TempDir;

use crate::running::OwnOrigin;

/// May push below `team` and `open`.
pub(crate) const ANN: Login = Login { user: "ann", password: "ann-pw" };
/// May do everything.
pub(crate) const ROOT: Login = Login { user: "root", password: "root-pw" };
/// Nobody.
pub(crate) const WRONG: Login = Login { user: "ann", password: "root-pw" };

const RULES: &str = "    rules:
      - {who: [anyone], repositories: [open/**], may: [pull]}
      - {who: [\"user:ann\"], repositories: [team/**, open/**], may: [push]}
      - {who: [\"user:root\"], repositories: [\"*\"], may: [pull, push, delete, catalog]}
";

/// A directory with a configuration, a password file and a bucket.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    /// A place with `ann` and `root`.
    pub(crate) fn new() -> Result<Self> {
        let place = Self { dir: tempfile::tempdir()? };
        place.set_passwords(&[ANN, ROOT])?;
        Ok(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The users who are known from now on.
    pub(crate) fn set_passwords(&self, users: &[Login]) -> Result<()> {
        let lines = users.iter().map(|Login { user, password }| {
            let hash = bcrypt::hash(password, 4)?;
            Ok(format!("{user}:{hash}\n"))
        });
        let lines = lines.collect::<Result<Vec<_>>>()?.concat();
        // Whoever reads it finds the old one or the new one.
        fs::write(self.path("htpasswd.new"), lines)?;
        Ok(fs::rename(self.path("htpasswd.new"), self.path("htpasswd"))?)
    }

    /// Writes a configuration with the usual rules, and these lines below `access` and `origin`.
    pub(crate) fn write(&self, access: &str, origin: &str) -> Result<PathBuf> {
        self.write_with(&format!("{RULES}{access}"), origin)
    }

    /// Writes a configuration with these lines below `access` and `origin`.
    pub(crate) fn write_with(&self, access: &str, origin: &str) -> Result<PathBuf> {
        let file = self.path("landbridge.yaml");
        let text = format!(
            "origin:\n  store: bucket\n{origin}  access:\n    htpasswd: htpasswd\n{access}"
        );
        fs::write(&file, text)?;
        Ok(file)
    }

    /// An origin with the usual rules.
    pub(crate) fn start(&self) -> Result<OwnOrigin> {
        OwnOrigin::configured(&self.write("", "")?)
    }
}

/// The value of `Authorization` for a name and a password.
pub(crate) fn basic(login: Login) -> String {
    use base64::Engine as _;
    let text = format!("{}:{}", login.user, login.password);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// A client's file of credentials that does not exist yet.
fn auth_file(dir: &Path) -> PathBuf {
    dir.join("auth.json")
}
