//! Speaking to an OCI registry as a client that only reads.
//!
//! What comes back is proven or bounded: manifests by digest, lists by size, blobs by length. Every
//! wait has a deadline, so a call ends within a small multiple of `answer_timeout`; nothing is
//! tried twice except for the one repetition that a 401 asks for, since the caller knows better
//! whom else to ask.
//!
//! Redirects are followed, at most five and never from HTTPS to plain HTTP; what lets us in is not
//! sent to another host. Names are escaped into the path, so nothing that is asked for can leave
//! the configured prefix or choose a host.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md>

mod auth;
mod blob;
mod body;
mod challenge;
mod error;
mod link;
mod list;
mod manifest;
mod send;

use std::sync::Arc;
use std::time::Duration;

use landbridge_core::reference::{RepositoryName, is_repository_name};
use reqwest::redirect;
use tokio::sync::Semaphore;
use url::Url;

use self::auth::Authenticator;
pub use self::blob::BlobRange;
pub use self::body::BlobBody;
pub use self::error::ClientError;
pub use self::list::{CatalogPage, Referrers, TagPage};
pub use self::manifest::{FetchedManifest, ManifestHead};
use crate::Credentials;

const MOST_REDIRECTS: usize = 5;

/// Which registry is spoken to, and how patiently.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Scheme and host; `http` or `https`. A path is put before `/v2/`.
    pub url: Url,
    /// What is put before each repository's name; may be empty, has no slash at its ends.
    pub repository_prefix: String,
    /// With what to get in, if not anonymously.
    pub credentials: Option<Credentials>,
    /// How long a connection and its handshake may take.
    pub connect_timeout: Duration,
    /// How long each of these may take: waiting for a place in the queue, the beginning of an
    /// answer, the whole of a small body, the next bytes of a blob.
    pub answer_timeout: Duration,
    /// Requests that are under way at once; a blob counts until it is read. More wait.
    pub max_inflight: usize,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientSettingsError {
    /// The address is not that of a registry.
    #[error(
        "`{0}` is no registry's address: expected http:// or https://, a host, and neither user, query nor fragment"
    )]
    Url(Url),
    /// The prefix is not in the grammar of names.
    #[error(
        "repository prefix `{0}` is no repository name: see the names of the distribution specification, without slashes at the ends"
    )]
    Prefix(String),
    /// The TLS library cannot be set up.
    #[error("the TLS of an HTTP client cannot be set up")]
    Tls(#[source] reqwest::Error),
}

/// A client of one registry. Cheap to share behind an `Arc`; keeps connections and tokens.
#[derive(Debug)]
pub struct RegistryClient {
    http: reqwest::Client,
    url: Url,
    prefix: String,
    timeout: Duration,
    inflight: Arc<Semaphore>,
    auth: Authenticator,
}

impl RegistryClient {
    /// A client that has not spoken to anyone yet.
    ///
    /// # Panics
    /// The process must have installed a default provider of `rustls` before.
    pub fn new(settings: ClientSettings) -> Result<Self, ClientSettingsError> {
        let ClientSettings { url, repository_prefix: prefix, .. } = settings;
        let is_plain = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !is_plain {
            return Err(ClientSettingsError::Url(url));
        }
        if !prefix.is_empty() && !is_repository_name(&prefix) {
            return Err(ClientSettingsError::Prefix(prefix));
        }
        let timeout = settings.answer_timeout;
        let http = reqwest::Client::builder()
            .user_agent(concat!("landbridge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .read_timeout(timeout)
            .redirect(redirect::Policy::custom(redirect))
            .referer(false)
            // The environment is the command's to read.
            .no_proxy()
            .build()
            .map_err(ClientSettingsError::Tls)?;
        let auth = Authenticator::new(http.clone(), url.clone(), settings.credentials, timeout);
        let inflight =
            Arc::new(Semaphore::new(settings.max_inflight.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self { http, url, prefix, timeout, inflight, auth })
    }

    /// False only if the registry is known to answer whoever asks: it has answered without a token
    /// or a password, and has never wanted one. What it has not been asked it may want.
    pub fn wants_authorization(&self) -> bool {
        self.auth.is_wanted()
    }

    /// The registry's own name of `repository`.
    fn full_name(&self, repository: &RepositoryName) -> String {
        if self.prefix.is_empty() {
            repository.to_string()
        } else {
            format!("{}/{repository}", self.prefix)
        }
    }
}

fn redirect(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let is_downgrade = attempt.url().scheme() != "https"
        && attempt.previous().last().is_some_and(|from| from.scheme() == "https");
    if is_downgrade || attempt.previous().len() > MOST_REDIRECTS {
        return attempt.error("refused");
    }
    attempt.follow()
}
