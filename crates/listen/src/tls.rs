//! Certificates: read at start, read again when their files change, replaced for new connections.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::settings::TlsFiles;

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

/// The certificate in use.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    files: TlsFiles,
    current: Arc<ArcSwap<Loaded>>,
}

#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    changed: [Option<SystemTime>; 2],
}

impl Tls {
    /// Reads the files.
    pub(crate) fn open(files: &TlsFiles) -> Result<Self, TlsError> {
        let loaded = Loaded { changed: changed(files), config: Arc::new(load(files)?) };
        Ok(Self { files: files.clone(), current: Arc::new(ArcSwap::from_pointee(loaded)) })
    }

    /// Accepts connections with the certificate of this moment.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.current.load().config))
    }

    /// Reads the files again if they changed; true if another certificate is in use now. On an
    /// error the old one stays.
    pub(crate) fn refresh(&self) -> Result<bool, TlsError> {
        let changed = changed(&self.files);
        if changed == self.current.load().changed {
            return Ok(false);
        }
        let config = Arc::new(load(&self.files)?);
        self.current.store(Arc::new(Loaded { config, changed }));
        Ok(true)
    }
}

fn changed(files: &TlsFiles) -> [Option<SystemTime>; 2] {
    [&files.certificate, &files.key]
        .map(|path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok())
}

fn load(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
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
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
