//! Tokens of configured issuers: a CI system's own identity is who pushes.
//!
//! An issuer's keys are fetched when they are first needed, again after an hour, and when a token
//! names a key that is not among them; but never twice within half a minute, so that made-up tokens
//! do not become requests to the issuer. While the issuer cannot be reached its last keys are used
//! for a day.
//!
//! Invariant: only a configured issuer is ever asked for anything, only with HTTPS (a loopback one
//! may use HTTP), and no redirect is followed.
//!
//! <https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfig>

mod keys;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};
use url::{Host, Url};

use self::keys::{IssuerKey, KeySet};
use super::claims::{Unproven, are_in_force, verify};
use super::rules::Identity;

const CONNECT: Duration = Duration::from_secs(5);
/// One document, and how long a request waits for both.
const FETCH: Duration = Duration::from_secs(10);
/// The largest document of an issuer.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// How old keys may be before they are fetched again: a key that the issuer withdrew is believed
/// no longer than that while the issuer can be reached.
const FRESH: Duration = Duration::from_hours(1);
/// How old they may be at all.
const USABLE: Duration = Duration::from_hours(24);
/// Between two attempts to fetch them.
const NOT_AGAIN: Duration = Duration::from_secs(30);

/// An issuer whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// What rules call it; appears in events.
    pub name: String,
    /// Its address, letter for letter as its tokens have it in `iss`. HTTPS; HTTP for a loopback
    /// address.
    pub url: String,
    /// What its tokens must have in `aud`.
    pub audience: String,
}

/// Why an issuer cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The address is none, or would be asked in the clear.
    #[error(
        "issuer `{name}` has the address `{url}`: expected https://HOST (http:// for a loopback address only), without user, query and fragment"
    )]
    Address {
        /// The issuer.
        name: String,
        /// Its address.
        url: String,
    },
    /// The audience is empty.
    #[error(
        "issuer `{0}` has no audience: without one, tokens meant for anybody would be believed"
    )]
    Audience(String),
    /// There is no HTTP client.
    #[error("the TLS of an HTTP client cannot be set up")]
    Tls(#[source] reqwest::Error),
}

/// Why a token is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OidcRefusal {
    /// It is no good.
    Wrong,
    /// Nobody can say: the issuer's keys cannot be had.
    Unreachable,
}

/// An issuer and its keys.
pub(super) struct Issuer {
    settings: IssuerSettings,
    http: reqwest::Client,
    known: ArcSwap<Known>,
    /// Who fetches; the others wait and look again.
    fetching: Semaphore,
}

#[derive(Default)]
struct Known {
    keys: KeySet,
    fetched: Option<SystemTime>,
    tried: Option<SystemTime>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0} cannot be fetched")]
    Http(&'static str, #[source] reqwest::Error),
    #[error("{0} is larger than 1 MiB")]
    TooLarge(&'static str),
    #[error("{0} is not what it should be")]
    Json(&'static str, #[source] serde_json::Error),
    #[error("its configuration is that of another issuer")]
    OtherIssuer,
    #[error("its configuration names an address for keys that is not https://")]
    KeysAddress,
    #[error("it took too long")]
    Deadline,
}

#[derive(Deserialize)]
struct Configuration {
    issuer: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<serde_json::Value>,
}

impl IssuerSettings {
    /// Whether it could be asked for its keys safely, and whether its tokens could be told from
    /// those for others.
    pub fn check(&self) -> Result<(), IssuerError> {
        let is_sound = Url::parse(&self.url).is_ok_and(|url| {
            let is_plain = url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none();
            is_plain && (url.scheme() == "https" || is_loopback_http(&url))
        });
        if !is_sound {
            return Err(IssuerError::Address { name: self.name.clone(), url: self.url.clone() });
        }
        if self.audience.is_empty() {
            return Err(IssuerError::Audience(self.name.clone()));
        }
        Ok(())
    }
}

impl Issuer {
    /// An issuer that has not been asked for anything yet.
    pub(super) fn new(settings: IssuerSettings) -> Result<Self, IssuerError> {
        settings.check()?;
        let http = reqwest::Client::builder()
            .user_agent(concat!("landbridge/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(FETCH)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // The environment is the command's to read.
            .no_proxy()
            .build()
            .map_err(IssuerError::Tls)?;
        Ok(Self { settings, http, known: ArcSwap::default(), fetching: Semaphore::new(1) })
    }

    /// True if the token says that it is from this issuer.
    pub(super) fn is_named_by(&self, token: &Unproven) -> bool {
        token.issuer == self.settings.url
    }

    /// Whose token this is.
    pub(super) async fn identify(
        &self,
        token: &str,
        unproven: &Unproven,
        now: SystemTime,
    ) -> Result<Identity, OidcRefusal> {
        let key = self.key_for(unproven, now).await?;
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let IssuerSettings { name, url, audience } = &self.settings;
        let claims = verify(token, &key.key, &[unproven.algorithm])
            .filter(|claims| are_in_force(claims, url, audience, since_epoch.as_secs()))
            .ok_or(OidcRefusal::Wrong)?;
        let subject = claims.get("sub").and_then(serde_json::Value::as_str);
        let subject = subject
            .filter(|text| !text.is_empty() && text.len() <= 1024)
            .filter(|text| !text.chars().any(char::is_control))
            .ok_or(OidcRefusal::Wrong)?;
        let subject = subject.into();
        Ok(Identity::Oidc { issuer: name.as_str().into(), subject, claims: Box::new(claims) })
    }

    async fn key_for(
        &self,
        token: &Unproven,
        now: SystemTime,
    ) -> Result<Arc<IssuerKey>, OidcRefusal> {
        if !keys::is_known_algorithm(token.algorithm) {
            return Err(OidcRefusal::Wrong);
        }
        let known = self.known.load_full();
        let found = known.keys.find(token);
        if let Some(key) = &found
            && known.fetched.is_some_and(|at| distance(now, at) < FRESH)
        {
            return Ok(Arc::clone(key));
        }
        let known = self.refresh(known, now).await;
        if known.fetched.is_none_or(|at| distance(now, at) >= USABLE) {
            return Err(OidcRefusal::Unreachable);
        }
        known.keys.find(token).ok_or(OidcRefusal::Wrong)
    }

    /// The keys after an attempt to fetch them, if it is time for one. `seen` is what the caller
    /// was not content with.
    async fn refresh(&self, seen: Arc<Known>, now: SystemTime) -> Arc<Known> {
        let Ok(Ok(_turn)) = timeout(FETCH, self.fetching.acquire()).await else { return seen };
        let known = self.known.load_full();
        let is_too_early = known.tried.is_some_and(|at| distance(now, at) < NOT_AGAIN);
        if is_too_early || !Arc::ptr_eq(&known, &seen) {
            return known;
        }
        let issuer = &self.settings.name;
        let fetched = timeout(FETCH, self.fetch()).await.unwrap_or(Err(FetchError::Deadline));
        let known = match fetched {
            Ok(keys) => {
                info!(issuer, keys = keys.len(), "fetched the issuer's keys");
                Known { keys, fetched: Some(now), tried: Some(now) }
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                warn!(issuer, cause, "the issuer's keys cannot be fetched: {error}");
                Known { keys: known.keys.clone(), fetched: known.fetched, tried: Some(now) }
            }
        };
        let known = Arc::new(known);
        self.known.store(Arc::clone(&known));
        known
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let issuer = &self.settings.url;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let configuration: Configuration = self.document("its configuration", &address).await?;
        if configuration.issuer != *issuer {
            return Err(FetchError::OtherIssuer);
        }
        let url = Url::parse(&configuration.jwks_uri).map_err(|_| FetchError::KeysAddress)?;
        let may_be_plain = issuer.starts_with("http://") && is_loopback_http(&url);
        if url.scheme() != "https" && !may_be_plain {
            return Err(FetchError::KeysAddress);
        }
        let Keys { keys } = self.document("its list of keys", url.as_str()).await?;
        Ok(KeySet::read(keys))
    }

    async fn document<T: DeserializeOwned>(
        &self,
        what: &'static str,
        address: &str,
    ) -> Result<T, FetchError> {
        // What is logged has no address: it may be one that only the operator knows.
        let http = |error: reqwest::Error| FetchError::Http(what, error.without_url());
        let answer = self.http.get(address).header("accept", "application/json");
        let mut answer = answer.send().await.map_err(http)?.error_for_status().map_err(http)?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(http)? {
            if body.len() + piece.len() > MAX_DOCUMENT_BYTES {
                return Err(FetchError::TooLarge(what));
            }
            body.extend_from_slice(&piece);
        }
        serde_json::from_slice(&body).map_err(|error| FetchError::Json(what, error))
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({:?})", self.settings)
    }
}

/// How far apart two moments are; a clock that went back makes nothing fresh for ever.
fn distance(a: SystemTime, b: SystemTime) -> Duration {
    a.duration_since(b).unwrap_or_else(|error| error.duration())
}

fn is_loopback_http(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        None => false,
    };
    url.scheme() == "http" && is_loopback
}

#[cfg(test)]
pub(super) mod tests;
