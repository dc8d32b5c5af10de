//! Who may do what.
//!
//! A request's `Authorization` becomes an identity (nobody, a user of the `htpasswd` file, an OIDC
//! identity) or the bearer of a token that this origin issued; the rules, or what the token
//! carries, then decide. The same code decides at the token endpoint what a token will carry.
//!
//! Invariant: a decision looks at the request and the rules, never at what is stored: so no answer
//! here tells whether a repository exists. No credential is logged, printed or kept.
//!
//! | who asks | may | may not |
//! |---|---|---|
//! | nobody | answered | 401 with a challenge; 403 where no credential could help |
//! | wrong, broken or ended credential | 401 | 401 |
//! | right name and password, OIDC token | answered | 403 |
//! | a token of ours | answered | 403 if that was asked for and refused, else 401: ask again |
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>

mod authorization;
mod challenge;
mod claims;
mod endpoint;
mod htpasswd;
mod oidc;
mod passwords;
mod pattern;
mod rules;
mod scope;
mod token;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use landbridge_core::oci_error::{Code, OciError};
use landbridge_sign::LocalKey;
use url::Url;

pub use self::authorization::{
    Credentials, MAX_AUTHORIZATION_BYTES, Malformed, Secret, parse_authorization,
};
pub(crate) use self::endpoint::{MAX_FORM_BYTES, TOKEN_PATH, TokenAnswer, TokenRequest};
pub use self::htpasswd::HtpasswdError;
pub use self::oidc::{IssuerError, IssuerSettings};
pub use self::pattern::{PatternError, RepositoryPattern, TextPattern};
pub(crate) use self::rules::Action;
pub use self::rules::{Actions, Rule, Who};

use self::challenge::{Challenge, Problem};
use self::htpasswd::{Htpasswd, OIDC_USER};
use self::oidc::{Issuer, OidcRefusal};
use self::passwords::Passwords;
use self::rules::{Identity, allows};
use self::scope::scope_of;
use self::token::{Ticket, Tokens};

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
    /// request's own host is taken, with `http`: right unless a proxy does TLS.
    pub url: Option<Url>,
    /// Signs tokens; all processes of an origin share it.
    pub key: Arc<LocalKey>,
    /// How long a token lasts; at least a minute, so that clients do not ask all the time.
    pub token_lifetime: Duration,
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

/// Who may do what. Cheap to clone; safe to ask from many tasks.
#[derive(Debug, Clone)]
pub enum Access {
    /// Whoever reaches the origin may do everything: for an origin on loopback alone.
    Open,
    /// What the rules allow.
    Guarded(Arc<Guard>),
}

/// Rules, and what is needed to find out who somebody is. Made by [`Access::new`].
#[derive(Debug)]
pub struct Guard {
    rules: Vec<Rule>,
    passwords: Option<Passwords>,
    issuers: Vec<Issuer>,
    tokens: Tokens,
    service: String,
    url: Option<Url>,
}

/// Who asks, as far as the request tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
    /// The host that the request is for, if its target names one: HTTP/2's `:authority`.
    pub(crate) authority: Option<&'a str>,
    /// When it came.
    pub(crate) now: SystemTime,
}

/// Somebody who was not let in.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What to answer.
    pub(crate) error: OciError,
    /// How to be let in: `WWW-Authenticate`.
    pub(crate) challenge: Option<HeaderValue>,
}

/// Somebody who was let in. `Debug` and [`Caller::actor`] hold no secret.
#[derive(Debug, Clone)]
pub(crate) struct Caller(Standing);

#[derive(Debug, Clone)]
enum Standing {
    /// There are no rules.
    Free,
    Proven(Identity),
    Ticket(Ticket),
}

/// What becomes of a request.
#[derive(Debug, Clone)]
enum Decision {
    /// It is answered.
    Allowed(Caller),
    /// 401, with [`Challenge::header`] as `WWW-Authenticate`.
    Challenge(Challenge),
    /// 403.
    Denied,
    /// 503: whether the credential is right cannot be found out now.
    TryLater,
}

/// Who somebody turned out to be.
enum Proof {
    Is(Standing),
    Wrong,
    Unknown,
}

impl Access {
    /// Reads the password file; asks nobody for anything.
    ///
    /// # Panics
    /// With issuers, the process must have installed a default provider of `rustls` before.
    pub fn new(settings: AccessSettings) -> Result<Self, AccessError> {
        Guard::new(settings).map(|guard| Self::Guarded(Arc::new(guard)))
    }

    /// False for an address at which strangers could write. An unspecified one (`0.0.0.0`) is no
    /// loopback address.
    pub fn may_listen_on(&self, address: IpAddr) -> bool {
        match self {
            Self::Open => address.to_canonical().is_loopback(),
            Self::Guarded(_) => true,
        }
    }

    /// Decides about a request before it is carried out. May fetch an issuer's keys and run bcrypt,
    /// with deadlines of some ten seconds.
    pub(crate) async fn decide(
        &self,
        asked: &Asked<'_>,
        action: Action<'_>,
    ) -> Result<Caller, Refused> {
        let guard = match self {
            Self::Open => return Ok(Caller(Standing::Free)),
            Self::Guarded(guard) => guard,
        };
        let decision = match only(asked.headers, &AUTHORIZATION) {
            Ok(authorization) => guard.decide(authorization, action, asked.now).await,
            Err(Malformed) => guard.challenge(action, Problem::InvalidToken),
        };
        let refused = |code, text| Refused { error: OciError::new(code, text), challenge: None };
        match decision {
            Decision::Allowed(caller) => Ok(caller),
            Decision::Denied => {
                Err(refused(Code::Denied, "this is not allowed to whom the credential belongs"))
            }
            Decision::TryLater => Err(refused(
                Code::Unavailable,
                "whether the credential is right cannot be found out now: try again later",
            )),
            Decision::Challenge(challenge) => {
                let host = asked.headers.get(HOST).and_then(|host| host.to_str().ok());
                let header = challenge.header(asked.authority.or(host));
                Err(Refused {
                    challenge: HeaderValue::from_str(&header).ok(),
                    ..refused(Code::Unauthorized, challenge.message())
                })
            }
        }
    }

    /// True if somebody who was let in may do this too: what a list shows, and what may be mounted
    /// from. Decided by what the caller came with, so a token for one repository says no to others.
    pub(crate) fn allows(&self, caller: &Caller, action: Action<'_>) -> bool {
        match (self, &caller.0) {
            (Self::Open, _) | (Self::Guarded(_), Standing::Free) => true,
            (Self::Guarded(guard), Standing::Proven(identity)) => {
                allows(&guard.rules, identity, action)
            }
            (Self::Guarded(_), Standing::Ticket(ticket)) => ticket.granted.allow(action),
        }
    }
}

/// The value of a header that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Malformed),
        (value, None) => Ok(value.map(HeaderValue::as_bytes)),
    }
}

impl Caller {
    /// Who it is, for events: `anonymous`, `user:NAME` or `oidc:ISSUER:SUBJECT`.
    pub(crate) fn actor(&self) -> String {
        match &self.0 {
            Standing::Free => Identity::Anonymous.actor(),
            Standing::Proven(identity) => identity.actor(),
            Standing::Ticket(ticket) => ticket.actor.to_string(),
        }
    }
}

/// Whether a token of our own lets somebody in: not at the endpoint that makes them, or one could
/// be made to last for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tickets {
    Taken,
    NotTaken,
}

impl Guard {
    fn new(settings: AccessSettings) -> Result<Self, AccessError> {
        let AccessSettings { rules, htpasswd, issuers, service, url, key, token_lifetime } =
            settings;
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
        if service.is_empty() || service.len() > 255 || !service.bytes().all(is_name) {
            return Err(AccessError::Service(service));
        }
        for (at, issuer) in issuers.iter().enumerate() {
            let same =
                |other: &IssuerSettings| other.name == issuer.name || other.url == issuer.url;
            if issuers.iter().take(at).any(same) {
                return Err(AccessError::IssuerTwice(issuer.name.clone()));
            }
        }
        for rule in &rules {
            if let Who::Oidc { issuer, .. } = &rule.who
                && !issuers.iter().any(|known| known.name == *issuer)
            {
                return Err(AccessError::UnknownIssuer(issuer.clone()));
            }
        }
        let passwords = match htpasswd {
            Some(path) => {
                let mut secret = [0; 32];
                aws_lc_rs::rand::fill(&mut secret).map_err(|_| AccessError::Random)?;
                Some(Passwords::new(Htpasswd::open(&path)?, &secret))
            }
            None => None,
        };
        let issuers = issuers.into_iter().map(Issuer::new).collect::<Result<_, _>>()?;
        let tokens = Tokens::new(key, &service, token_lifetime.max(Duration::from_mins(1)));
        Ok(Self { rules, passwords, issuers, tokens, service, url })
    }

    async fn decide(
        &self,
        authorization: Option<&[u8]>,
        action: Action<'_>,
        now: SystemTime,
    ) -> Decision {
        let standing = match authorization {
            // Clients learn from this answer how to let themselves in, and log-in commands whether
            // they did.
            None if action == Action::Ping && self.takes_credentials() => {
                return self.challenge(action, Problem::None);
            }
            None => Standing::Proven(Identity::Anonymous),
            Some(header) => {
                let proof = match parse_authorization(header) {
                    Ok(credentials) => self.prove(&credentials, Tickets::Taken, now).await,
                    Err(Malformed) => Proof::Wrong,
                };
                match proof {
                    Proof::Is(standing) => standing,
                    Proof::Wrong => return self.challenge(action, Problem::InvalidToken),
                    Proof::Unknown => return Decision::TryLater,
                }
            }
        };
        self.judge(standing, action)
    }

    /// False if no credential could be right.
    fn takes_credentials(&self) -> bool {
        self.passwords.is_some() || !self.issuers.is_empty()
    }

    async fn prove(&self, credentials: &Credentials, tickets: Tickets, now: SystemTime) -> Proof {
        match credentials {
            Credentials::Basic { user, password } if **user == *OIDC_USER => {
                self.prove_token(password.reveal(), Tickets::NotTaken, now).await
            }
            Credentials::Basic { user, password } => {
                let Some(passwords) = &self.passwords else { return Proof::Wrong };
                match passwords.are_right(user, password, now).await {
                    Ok(true) => Proof::Is(Standing::Proven(Identity::User(user.clone()))),
                    Ok(false) => Proof::Wrong,
                    Err(passwords::Busy) => Proof::Unknown,
                }
            }
            Credentials::Bearer(token) => self.prove_token(token.reveal(), tickets, now).await,
        }
    }

    async fn prove_token(&self, token: &str, tickets: Tickets, now: SystemTime) -> Proof {
        let Some(unproven) = claims::peek(token) else { return Proof::Wrong };
        if self.tokens.claims_to_be_ours(&unproven) {
            let ticket = match tickets {
                Tickets::Taken => self.tokens.read(token, seconds(now)),
                Tickets::NotTaken => None,
            };
            return ticket.map_or(Proof::Wrong, |ticket| Proof::Is(Standing::Ticket(ticket)));
        }
        let Some(issuer) = self.issuers.iter().find(|issuer| issuer.is_named_by(&unproven)) else {
            return Proof::Wrong;
        };
        match issuer.identify(token, &unproven, now).await {
            Ok(identity) => Proof::Is(Standing::Proven(identity)),
            Err(OidcRefusal::Wrong) => Proof::Wrong,
            Err(OidcRefusal::Unreachable) => Proof::Unknown,
        }
    }

    fn judge(&self, standing: Standing, action: Action<'_>) -> Decision {
        let (is_allowed, is_final) = match &standing {
            Standing::Free => (true, true),
            Standing::Proven(identity) => {
                let is_nobody = *identity == Identity::Anonymous;
                (allows(&self.rules, identity, action), !is_nobody || !self.takes_credentials())
            }
            Standing::Ticket(ticket) => {
                let is_final = !ticket.is_anonymous && ticket.refused.name(action);
                (ticket.granted.allow(action), is_final)
            }
        };
        match (is_allowed, is_final, &standing) {
            (true, ..) => Decision::Allowed(Caller(standing)),
            (false, true, _) => Decision::Denied,
            (false, false, Standing::Ticket(_)) => {
                self.challenge(action, Problem::InsufficientScope)
            }
            (false, false, Standing::Free | Standing::Proven(_)) => {
                self.challenge(action, Problem::None)
            }
        }
    }

    fn challenge(&self, action: Action<'_>, problem: Problem) -> Decision {
        Decision::Challenge(Challenge::new(
            self.url.as_ref(),
            &self.service,
            scope_of(action),
            problem,
        ))
    }
}

/// Seconds since 1970.
fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests;
