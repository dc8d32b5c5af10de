//! Getting in: basic authentication and tokens.
//!
//! What a registry once wanted for a scope (a repository, or the catalog) is remembered, so that a
//! pull costs one 401 and not one for each request. A token is fetched once however many requests
//! wait for it, kept for nine tenths of its life, and fetched again when the registry refuses it.
//!
//! Who gives tokens out is the registry's own word, and it may be hostile or forged. Invariants:
//! - an address is only asked if it is as well protected as the registry: never plain HTTP for a
//!   registry that speaks HTTPS (which keeps a registry from pointing us at a metadata service);
//! - credentials go to the registry's own host, or to another host only if both speak HTTPS (or
//!   are on this machine), so that nobody on the way can name a place to send them to;
//! - a realm with a user in it is refused.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use url::{Host, Url};

use super::ClientError;
use super::body::read_bounded;
use super::challenge::{self, Challenge};
use crate::Credentials;

/// Scopes and tokens that are remembered; each takes a few kilobytes at most.
const MOST_REMEMBERED: u64 = 10_000;
/// Bytes of an answer with a token.
const MOST_TOKEN_BYTES: usize = 256 << 10;
/// The life of a token that does not tell its own, as the specification says.
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// A token that says it lives longer is fetched again all the same.
const LONGEST_LIFE: Duration = Duration::from_hours(1);

/// What goes into a request's `Authorization`.
#[derive(Debug, Clone)]
pub(super) enum Authorization {
    /// The configured user and password.
    Basic,
    /// A token.
    Bearer(Token),
}

/// A token as it is sent, and how long it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    header: HeaderValue,
    life: Duration,
}

/// What a scope wants.
#[derive(Debug, Clone)]
enum Wanted {
    Basic,
    /// A token that is got here: the realm with its query.
    Bearer(Url),
}

/// Knows how to get in.
#[derive(Debug)]
pub(super) struct Authenticator {
    http: reqwest::Client,
    registry: Url,
    credentials: Option<Credentials>,
    timeout: Duration,
    wanted: moka::sync::Cache<Box<str>, Wanted>,
    tokens: moka::future::Cache<Url, Token>,
    /// Whether it ever answered somebody whom it did not know.
    has_answered: AtomicBool,
    /// Whether it ever wanted to know who asks.
    has_refused: AtomicBool,
}

impl Authenticator {
    pub(super) fn new(
        http: reqwest::Client,
        registry: Url,
        credentials: Option<Credentials>,
        timeout: Duration,
    ) -> Self {
        Self {
            http,
            registry,
            credentials,
            timeout,
            wanted: moka::sync::Cache::new(MOST_REMEMBERED),
            tokens: moka::future::Cache::builder()
                .max_capacity(MOST_REMEMBERED)
                .expire_after(TokenLife)
                .build(),
            has_answered: AtomicBool::new(false),
            has_refused: AtomicBool::new(false),
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        let (answered, refused) = (&self.has_answered, &self.has_refused);
        refused.load(Ordering::Relaxed) || !answered.load(Ordering::Relaxed)
    }

    /// The registry answered a request that was not signed.
    pub(super) fn was_not_needed(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// What to send for `scope` without asking anyone; `None` if nothing is known to be wanted or
    /// the token ran out.
    pub(super) async fn remembered(&self, scope: &str) -> Option<Authorization> {
        match self.wanted.get(scope)? {
            Wanted::Basic => Some(Authorization::Basic),
            Wanted::Bearer(from) => self.tokens.get(&from).await.map(Authorization::Bearer),
        }
    }

    /// What to send after the registry answered 401 with `headers` to `refused`.
    pub(super) async fn satisfy(
        &self,
        what: &str,
        scope: &str,
        headers: &HeaderMap,
        refused: Option<Authorization>,
    ) -> Result<Authorization, ClientError> {
        self.has_refused.store(true, Ordering::Relaxed);
        let offers = headers.get_all(header::WWW_AUTHENTICATE);
        let offer = challenge::choose(offers.iter().filter_map(|value| value.to_str().ok()));
        match offer {
            None => Err(ClientError::denied(what, "the registry does not say how to get in")),
            Some(Challenge::Basic) => {
                if self.credentials.is_none() {
                    return Err(ClientError::denied(
                        what,
                        "the registry wants a user and password",
                    ));
                }
                if matches!(refused, Some(Authorization::Basic)) {
                    return Err(ClientError::denied(what, "the registry refuses the password"));
                }
                self.wanted.insert(scope.into(), Wanted::Basic);
                Ok(Authorization::Basic)
            }
            Some(Challenge::Bearer { realm, service, scope: wants }) => {
                let from = self.token_address(what, &realm, service, wants.as_deref(), scope)?;
                self.wanted.insert(scope.into(), Wanted::Bearer(from.clone()));
                if let Some(Authorization::Bearer(refused)) = refused
                    && self.tokens.get(&from).await.as_ref() == Some(&refused)
                {
                    self.tokens.invalidate(&from).await;
                }
                let token = self.tokens.try_get_with_by_ref(&from, self.fetch_token(what, &from));
                token.await.map(Authorization::Bearer).map_err(|error| share(what, &error))
            }
        }
    }

    /// Adds `authorization` to a request for the registry itself.
    pub(super) fn sign(
        &self,
        request: reqwest::RequestBuilder,
        authorization: Option<&Authorization>,
    ) -> reqwest::RequestBuilder {
        match authorization {
            None => request,
            Some(Authorization::Bearer(token)) => {
                request.header(header::AUTHORIZATION, token.header.clone())
            }
            Some(Authorization::Basic) => self.sign_basic(request),
        }
    }

    fn sign_basic(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.credentials {
            Some(Credentials { username, password }) => {
                request.basic_auth(username, Some(password.expose()))
            }
            None => request,
        }
    }

    fn token_address(
        &self,
        what: &str,
        realm: &str,
        service: Option<String>,
        wants: Option<&str>,
        scope: &str,
    ) -> Result<Url, ClientError> {
        let refuse = |problem: &str| {
            ClientError::denied(what, format!("the registry sends us for a token to {problem}"))
        };
        let mut from = Url::parse(realm).map_err(|_| refuse("what is no URL"))?;
        if !matches!(from.scheme(), "http" | "https") || from.host().is_none() {
            return Err(refuse("what is neither HTTP nor HTTPS"));
        }
        if !from.username().is_empty() || from.password().is_some() {
            return Err(refuse("an address with a user in it"));
        }
        if self.registry.scheme() == "https" && from.scheme() != "https" {
            return Err(refuse("plain HTTP, though the registry itself speaks HTTPS"));
        }
        if self.credentials.is_some() && !may_carry_credentials(&self.registry, &from) {
            return Err(refuse(
                "an address that credentials must not be sent to: another host needs HTTPS on both sides",
            ));
        }
        from.set_fragment(None);
        {
            let mut query = from.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", &service);
            }
            query.append_pair("scope", wants.unwrap_or(scope));
        }
        Ok(from)
    }

    async fn fetch_token(&self, what: &str, from: &Url) -> Result<Token, ClientError> {
        let what = format!("a token for {what}");
        let request = self.sign_basic(self.http.get(from.clone()));
        let response = tokio::time::timeout(self.timeout, request.send())
            .await
            .map_err(|_| ClientError::too_slow(&what, self.timeout))?
            .map_err(|error| ClientError::transport(&what, error))?;
        if response.status() != StatusCode::OK {
            return Err(ClientError::status(&what, response.status(), response.headers()));
        }
        let body = read_bounded(&what, response, MOST_TOKEN_BYTES, self.timeout).await?;
        parse_token(&what, &body)
    }
}

/// True if the credentials of `registry` may be sent to `realm`.
fn may_carry_credentials(registry: &Url, realm: &Url) -> bool {
    let is_private = |url: &Url| url.scheme() == "https" || is_loopback(url);
    if registry.host() == realm.host() {
        // The operator chose how well the way to this host is protected.
        return realm.scheme() == "https" || registry.scheme() == "http";
    }
    is_private(registry) && is_private(realm)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn parse_token(what: &str, body: &[u8]) -> Result<Token, ClientError> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<u64>,
    }
    let malformed = |problem: &str| ClientError::malformed(what, problem);
    // Not the parser's own message: it would quote the token.
    let answer: Answer =
        serde_json::from_slice(body).map_err(|_| malformed("it is not the expected JSON"))?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| malformed("there is neither `token` nor `access_token`"))?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| malformed("the token holds bytes that no header may have"))?;
    header.set_sensitive(true);
    let told = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    Ok(Token { header, life: told.min(LONGEST_LIFE) * 9 / 10 })
}

/// One failed fetch is the failure of all who waited for it.
fn share(what: &str, error: &Arc<ClientError>) -> ClientError {
    match &**error {
        ClientError::Denied { reason, .. } => {
            ClientError::denied(what, format!("no token: {reason}"))
        }
        ClientError::Unavailable { reason, retry_after, .. } => ClientError::Unavailable {
            what: what.to_owned(),
            reason: format!("no token: {reason}"),
            retry_after: *retry_after,
            source: Some(Box::new(Arc::clone(error))),
        },
        ClientError::WrongBytes { .. }
        | ClientError::OutOfRange { .. }
        | ClientError::Malformed { .. } => ClientError::malformed(what, error.to_string()),
    }
}

struct TokenLife;

impl moka::Expiry<Url, Token> for TokenLife {
    fn expire_after_create(&self, _: &Url, token: &Token, _: Instant) -> Option<Duration> {
        Some(token.life)
    }

    fn expire_after_update(
        &self,
        _: &Url,
        token: &Token,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(token.life)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_only_where_nobody_on_the_way_can_send_them() {
        let may = |registry: &str, realm: &str| {
            may_carry_credentials(&Url::parse(registry).unwrap(), &Url::parse(realm).unwrap())
        };
        for (registry, realm) in [
            ("https://r.example", "https://auth.example/token"),
            ("https://r.example", "https://r.example/token"),
            ("http://r.example", "http://r.example:5001/token"),
            ("http://r.example", "https://r.example/token"),
            ("http://127.0.0.1:1", "http://localhost:2/token"),
            ("http://[::1]:1", "https://auth.example/token"),
        ] {
            assert!(may(registry, realm), "{registry} {realm}");
        }
        for (registry, realm) in [
            ("https://r.example", "http://r.example/token"),
            ("https://r.example", "http://auth.example/token"),
            ("http://r.example", "http://auth.example/token"),
            ("http://r.example", "https://auth.example/token"),
            ("http://127.0.0.1:1", "http://auth.example/token"),
            ("http://127.0.0.1:1", "http://127.0.0.1.example/token"),
        ] {
            assert!(!may(registry, realm), "{registry} {realm}");
        }
    }

    #[test]
    fn a_token_is_used_for_nine_tenths_of_its_life() {
        let life = |json: &str| parse_token("x", json.as_bytes()).map(|token| token.life);
        assert_eq!(life(r#"{"token":"t"}"#).unwrap(), Duration::from_secs(54));
        assert_eq!(
            life(r#"{"access_token":"t","expires_in":300}"#).unwrap(),
            Duration::from_secs(270)
        );
        assert_eq!(
            life(r#"{"token":"t","expires_in":18446744073709551615}"#).unwrap(),
            Duration::from_mins(54)
        );
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"token":""}"#,
            r#"{"token":"a\r\nX: y"}"#,
            r#"{"token":"t","expires_in":-1}"#,
        ] {
            assert!(matches!(life(bad), Err(ClientError::Malformed { .. })), "{bad}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = parse_token("x", br#"{"token":"hunter2"}"#).unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
    }
}
