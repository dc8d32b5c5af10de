//! Deciding: from a credential to an identity, from an identity to what becomes of the request.

use std::time::{Duration, SystemTime};

use url::Url;

use super::authorization::{Credentials, Malformed, parse_authorization};
use super::challenge::{Challenge, Problem};
use super::htpasswd::{Htpasswd, OIDC_USER};
use super::oidc::{Issuer, IssuerSettings, OidcRefusal};
use super::passwords::{self, Passwords};
use super::rules::{Action, Identity, Rule, Who, allows};
use super::scope::scope_of;
use super::settings::{AccessError, AccessSettings, Scheme, is_service_name};
use super::token::Tokens;
use super::{Caller, Standing, claims};

/// Rules, and what is needed to find out who somebody is. Made by [`super::Access::new`].
#[derive(Debug)]
pub struct Guard {
    rules: Vec<Rule>,
    passwords: Option<Passwords>,
    issuers: Vec<Issuer>,
    pub(super) tokens: Tokens,
    pub(super) service: String,
    url: Option<Url>,
    scheme: Scheme,
}

/// What becomes of a request.
#[derive(Debug, Clone)]
pub(super) enum Decision {
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
pub(super) enum Proof {
    /// This one.
    Is(Standing),
    /// Nobody: the credential is no good.
    Wrong,
    /// Nobody can say now.
    Unknown,
}

/// Whether a token of our own lets somebody in: not at the endpoint that makes them, or one could
/// be made to last for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tickets {
    Taken,
    NotTaken,
}

impl Guard {
    /// Reads the password file; asks nobody for anything.
    pub(super) fn new(settings: AccessSettings) -> Result<Self, AccessError> {
        let AccessSettings { rules, htpasswd, issuers, service, url, scheme, key, token_lifetime } =
            settings;
        if !is_service_name(&service) {
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
        Ok(Self { rules, passwords, issuers, tokens, service, url, scheme })
    }

    /// What becomes of a request that came with this `Authorization`.
    pub(super) async fn decide(
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

    /// True if the rules let this identity do it.
    pub(super) fn allows(&self, identity: &Identity, action: Action<'_>) -> bool {
        allows(&self.rules, identity, action)
    }

    /// False if no credential could be right.
    fn takes_credentials(&self) -> bool {
        self.passwords.is_some() || !self.issuers.is_empty()
    }

    /// Who somebody is who comes with these.
    pub(super) async fn prove(
        &self,
        credentials: &Credentials,
        tickets: Tickets,
        now: SystemTime,
    ) -> Proof {
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
                (self.allows(identity, action), !is_nobody || !self.takes_credentials())
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

    /// 401 for this action.
    pub(super) fn challenge(&self, action: Action<'_>, problem: Problem) -> Decision {
        let scope = scope_of(action);
        let url = self.url.as_ref();
        Decision::Challenge(Challenge::new(url, self.scheme, &self.service, scope, problem))
    }
}

/// Seconds since 1970.
pub(super) fn seconds(now: SystemTime) -> u64 {
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
