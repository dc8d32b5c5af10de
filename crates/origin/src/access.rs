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
mod guard;
mod htpasswd;
mod oidc;
mod passwords;
mod rules;
mod scope;
mod settings;
mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use landbridge_core::oci_error::{Code, OciError};

pub use self::authorization::{
    Credentials, MAX_AUTHORIZATION_BYTES, Malformed, Secret, parse_authorization,
};
pub(crate) use self::endpoint::{MAX_FORM_BYTES, TOKEN_PATH, TokenAnswer, TokenRequest};
pub use self::guard::Guard;
pub use self::htpasswd::HtpasswdError;
pub use self::oidc::{IssuerError, IssuerSettings};
pub(crate) use self::rules::Action;
pub use self::rules::{Actions, Rule, Who};
pub use self::settings::{AccessError, AccessSettings, Scheme, is_service_name};
pub use landbridge_core::pattern::{PatternError, RepositoryPattern, TextPattern};

use self::challenge::Problem;
use self::guard::Decision;
use self::rules::Identity;
use self::token::Ticket;

/// Who may do what. Cheap to clone; safe to ask from many tasks.
#[derive(Debug, Clone)]
pub enum Access {
    /// Whoever reaches the origin may do everything: for an origin on loopback alone.
    Open,
    /// What the rules allow.
    Guarded(Arc<Guard>),
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
            (Self::Guarded(guard), Standing::Proven(identity)) => guard.allows(identity, action),
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

#[cfg(test)]
mod tests;
