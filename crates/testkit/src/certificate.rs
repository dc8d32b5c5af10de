//! Certificates for servers on loopback.
//!
//! Why: a key that lies in a repository is found by scanners and expires; `openssl` makes one in a moment.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::process::run;
use crate::program;

const LIMIT: Duration = Duration::from_secs(30);

/// A self-signed certificate for `localhost`, 127.0.0.1 and 127.0.1.1, with its key, as PEM files.
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
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:127.0.1.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(certificate.key())
            .arg("-out")
            .arg(certificate.chain());
        run(&mut command, LIMIT)?;
        Ok(certificate)
    }

    /// Makes it one that expired long ago, with the same key and names.
    pub fn expire(&self) -> Result<()> {
        let home = self.dir.path();
        let config = "[ca]\ndefault_ca = it\n[it]\ndatabase = index\nserial = serial\nnew_certs_dir = .\ndefault_md = sha256\n\
            policy = names\nx509_extensions = more\n[names]\ncommonName = supplied\n[more]\n\
            subjectAltName = DNS:localhost,IP:127.0.0.1,IP:127.0.1.1\nbasicConstraints = critical,CA:FALSE\n";
        fs::write(home.join("ca.conf"), config)?;
        fs::write(home.join("index"), "")?;
        fs::write(home.join("serial"), "01\n")?;
        let mut request = program::command("openssl", home)?;
        request.args(["req", "-new", "-subj", "/CN=localhost", "-key"]).arg(self.key());
        run(request.arg("-out").arg(home.join("request.pem")), LIMIT)?;
        let mut sign = program::command("openssl", home)?;
        sign.current_dir(home).args(["ca", "-batch", "-selfsign", "-notext"]);
        sign.args(["-config", "ca.conf", "-in", "request.pem", "-keyfile"]).arg(self.key());
        sign.args(["-startdate", "240101000000Z", "-enddate", "240102000000Z", "-out"]);
        run(sign.arg(self.chain()), LIMIT)?;
        Ok(())
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
                fs::copy(&file, folder.join(name))?;
            }
        }
        Ok(())
    }
}
