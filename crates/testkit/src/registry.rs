//! Debian's `docker-registry`, the reference implementation of the distribution protocol.
//!
//! Why: an origin that Landbridge did not write. The package's own configuration wants a fixed port and a password, so
//! each registry gets a configuration of its own, on a port that the kernel picks.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::json;
use tempfile::TempDir;

use crate::process::Server;
use crate::program;

const START: Duration = Duration::from_secs(30);

/// A user whom a registry knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: &'static str,
    /// The password.
    pub password: &'static str,
}

impl Login {
    /// The only user of a registry that is started with [`DockerRegistry::start_private`].
    pub const READER: Self = Self { user: "reader", password: "to-pull" };
    /// The line of an `htpasswd` file for that user; docker-registry takes bcrypt only.
    const READER_ENTRY: &str =
        "reader:$2y$05$landbridgetestkitsaltu4H0BqUeHWnGVGcbqCPE9xC6ueBA6V2S\n";
}

/// A running, empty registry that speaks plain HTTP on loopback and allows deletion. Dropping it removes all.
#[derive(Debug)]
pub struct DockerRegistry {
    address: String,
    login: Option<Login>,
    server: Server,
    _dir: TempDir,
}

impl DockerRegistry {
    /// Starts a registry that anyone may read and write.
    pub fn start() -> Result<Self> {
        Self::start_with(None)
    }

    /// Starts a registry that answers 401 to all who are not [`Login::READER`] (HTTP basic authentication).
    pub fn start_private() -> Result<Self> {
        Self::start_with(Some(Login::READER))
    }

    fn start_with(login: Option<Login>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let auth = login.map(
            |_| json!({ "htpasswd": { "realm": "testkit", "path": dir.path().join("htpasswd") } }),
        );
        fs::write(dir.path().join("htpasswd"), Login::READER_ENTRY)?;
        // JSON is YAML.
        let config = json!({
            "version": 0.1,
            "log": { "level": "info", "accesslog": { "disabled": false } },
            "storage": {
                "filesystem": { "rootdirectory": dir.path().join("data") },
                "delete": { "enabled": true },
            },
            "http": { "addr": "127.0.0.1:0" },
            "auth": auth,
        });
        let file = dir.path().join("config.yml");
        fs::write(&file, config.to_string())?;
        let server = Server::spawn(
            program::command("docker-registry", dir.path())?.arg("serve").arg(&file),
        )?;
        let rest = server.wait_for("listening on ", START)?;
        let address = rest.split(['"', ' ']).next().context("an address follows")?.to_owned();
        Ok(Self { address, login, server, _dir: dir })
    }

    /// Where it listens, `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A reference to `name` in this registry, for a client's command line: `127.0.0.1:PORT/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Whom it lets in, if not everyone.
    pub fn login(&self) -> Option<Login> {
        self.login
    }

    /// All that it has logged, a line for each request included.
    pub fn log(&self) -> String {
        self.server.log()
    }
}
