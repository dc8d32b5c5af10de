//! Certificates for servers on loopback.
//!
//! Why: a key that lies in a repository is found by scanners and expires; `openssl` makes one in a moment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::run;
use crate::program;

const LIMIT: Duration = Duration::from_secs(30);

/// A self-signed certificate for `localhost` and 127.0.0.1, with its key, as PEM files.
#[derive(Debug)]
pub struct Certificate {
    dir: TempDir,
}

impl Certificate {
    /// Makes one; no two are equal. It is an error if `openssl` is not installed.
    pub fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let certificate = Self { dir };
        let mut command = program::command("openssl", certificate.dir.path())?;
        command
            .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt"])
            .args(["ec_paramgen_curve:prime256v1", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(certificate.key())
            .arg("-out")
            .arg(certificate.chain());
        run(&mut command, LIMIT)?;
        Ok(certificate)
    }

    /// The file with the certificate.
    pub fn chain(&self) -> PathBuf {
        self.dir.path().join("certificate.pem")
    }

    /// The file with the private key.
    pub fn key(&self) -> PathBuf {
        self.dir.path().join("key.pem")
    }

    /// Copies both files into `folder`, under the same names, where they replace those of another.
    pub fn install(&self, folder: &Path) -> Result<()> {
        for file in [self.chain(), self.key()] {
            if let Some(name) = file.file_name() {
                std::fs::copy(&file, folder.join(name))?;
            }
        }
        Ok(())
    }
}
