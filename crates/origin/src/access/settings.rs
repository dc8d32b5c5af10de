//! What access rules are made of, and why they may not be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use landbridge_sign::LocalKey;
use url::Url;

use super::htpasswd::HtpasswdError;
use super::oidc::{IssuerError, IssuerSettings};
use super::rules::Rule;

/// Rules, and how somebody proves who he is.
#[derive(Debug, Clone)]
pub struct AccessSettings {
    /// What is allowed; all rules together.
    pub rules: Vec<Rule>,
    /// A file of names and bcrypt hashes.
    pub htpasswd: Option<PathBuf>,
    /// Issuers whose tokens are believed.
    pub issuers: Vec<IssuerSettings>,
    /// The name of this origin in its tokens, usually its host name. All its processes must have
    /// the same, and no other origin with the same key.
    pub service: String,
    /// Where clients reach this origin, for the address of the token endpoint. Without it the
    /// request's own host is taken, with `scheme`.
    pub url: Option<Url>,
    /// What the listener speaks.
    pub scheme: Scheme,
    /// Signs tokens; all processes of an origin share it.
    pub key: Arc<LocalKey>,
    /// How long a token lasts; at least a minute, so that clients do not ask all the time.
    pub token_lifetime: Duration,
}

/// What a client speaks to a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// The word before `://`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Why there is no access.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The password file.
    #[error(transparent)]
    Htpasswd(#[from] HtpasswdError),
    /// An issuer.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// A rule is about an issuer that is not configured.
    #[error("a rule is about the issuer `{0}`, which is not configured")]
    UnknownIssuer(String),
    /// Two issuers have the same name, or the same address.
    #[error("the issuer `{0}` is configured twice (its name and its address must be its own)")]
    IssuerTwice(String),
    /// The name of the origin cannot stand in a header or could be an issuer's.
    #[error("`{0}` is no name for an origin in its tokens: use its host name")]
    Service(String),
    /// The system gives no random bytes.
    #[error("no random bytes for the hashes under which passwords are remembered")]
    Random,
}

/// Whether an origin can be called so in its tokens: in the grammar of hosts, with or without a
/// port.
pub fn is_service_name(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    !text.is_empty() && text.len() <= 255 && text.bytes().all(is_part)
}
