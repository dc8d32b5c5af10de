//! Certificates: read at start, read again when their files change, replaced for new connections.
//!
//! Invariant: a certificate that cannot be used never takes the place of one that can.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often certificate files are looked at.
const CHECK: Duration = Duration::from_secs(5);

/// Where a certificate lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// What is offered to a client that can choose (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/1.1 alone.
    Http1,
    /// HTTP/2, else HTTP/1.1.
    Http2,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("`{path}` is no PEM file with {what}: {reason}")]
    Pem {
        /// The file.
        path: String,
        /// What should be in it.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The key and the certificate do not go together, or are of an unknown kind.
    #[error("the certificate in `{certificate}` and the key in `{key}` cannot be used together")]
    Rejected {
        /// The certificate's file.
        certificate: String,
        /// The key's file.
        key: String,
        /// What rustls says.
        source: rustls::Error,
    },
}

/// The certificate in use. Cheap to clone; all clones use the same one.
#[derive(Debug, Clone)]
pub struct Tls {
    files: TlsFiles,
    protocols: Protocols,
    current: Arc<ArcSwap<Loaded>>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    changed: [Option<SystemTime>; 2],
}

impl Tls {
    /// Reads the files.
    ///
    /// # Panics
    /// The process must have installed a default provider of `rustls` before.
    pub fn open(files: &TlsFiles, protocols: Protocols) -> Result<Self, TlsError> {
        let loaded = Loaded { changed: changed(files), config: Arc::new(load(files, protocols)?) };
        let current = Arc::new(ArcSwap::from_pointee(loaded));
        Ok(Self { files: files.clone(), protocols, current })
    }

    /// Accepts connections with the certificate of this moment. The handshake has no deadline of
    /// its own.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }

    /// Looks at the files every five seconds and uses what is new, until it is told to stop. What
    /// cannot be used is reported, and the old certificate stays.
    pub async fn keep_current(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(CHECK)).await.is_some() {
            match self.refresh() {
                Ok(false) => {}
                Ok(true) => info!("a new certificate is in use"),
                Err(error) => {
                    let cause = error.source().map(ToString::to_string);
                    warn!(%error, cause, "the new certificate is not used; the old one stays");
                }
            }
        }
    }

    /// Reads the files again if they changed; true if another certificate is in use now. On an
    /// error the old one stays.
    fn refresh(&self) -> Result<bool, TlsError> {
        let changed = changed(&self.files);
        if changed == self.current.load().changed {
            return Ok(false);
        }
        let config = Arc::new(load(&self.files, self.protocols)?);
        self.current.store(Arc::new(Loaded { config, changed }));
        Ok(true)
    }
}

fn changed(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key]
        .map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

fn load(files: &TlsFiles, protocols: Protocols) -> Result<ServerConfig, TlsError> {
    let pem = |path: &Path, what, error: &rustls::pki_types::pem::Error| TlsError::Pem {
        path: path.display().to_string(),
        what,
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| pem(&files.certificate, "a certificate chain", &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| pem(&files.key, "a private key", &error))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|source| TlsError::Rejected {
            certificate: files.certificate.display().to_string(),
            key: files.key.display().to_string(),
            source,
        })?;
    config.alpn_protocols = match protocols {
        Protocols::Http1 => vec![b"http/1.1".to_vec()],
        Protocols::Http2 => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_that_are_no_certificate_and_key_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let [certificate, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
        let files = TlsFiles { certificate: certificate.clone(), key };
        let refused = |what: &str| {
            let error = Tls::open(&files, Protocols::Http1).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        refused("cert.pem` is no PEM file with a certificate chain");
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&certificate, text).unwrap();
        refused("key.pem` is no PEM file with a private key");
        fs::write(&certificate, "no PEM").unwrap();
        fs::write(&files.key, text).unwrap();
        refused("key.pem` is no PEM file with a private key");
    }
}
