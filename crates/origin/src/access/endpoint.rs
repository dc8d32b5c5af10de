//! The token endpoint: credentials in, a token for some minutes out.
//!
//! `GET` with Basic or without credentials is what dockerd and the containers libraries send, `POST`
//! of a form is what containerd sends. Both get the same token: for what was asked and is allowed,
//! which may be nothing, since a client that logs in asks for nothing.
//!
//! Invariant: an answer tells whether a credential is right and what its owner may do, never what
//! there is.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>,
//! <https://distribution.github.io/distribution/spec/auth/oauth/>

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use landbridge_core::oci_error::{Code, OciError};
use serde_json::json;

use super::authorization::credentials;
use super::guard::{Guard, Proof, Tickets, seconds};
use super::rules::Identity;
use super::scope::Grants;
use super::token::Ticket;
use super::{Access, Credentials, Malformed, Standing, only, parse_authorization};

/// The path at which tokens are asked for.
pub(crate) const TOKEN_PATH: &str = "/token";
/// How the token endpoint asks for credentials.
const CHALLENGE: &str = "Basic realm=\"landbridge\", charset=\"UTF-8\"";
/// The longest query or form.
pub(crate) const MAX_FORM_BYTES: usize = 64 << 10;

/// What a client sent to [`TOKEN_PATH`].
#[derive(Clone, Copy)]
pub(crate) struct TokenRequest<'a> {
    /// The query of a `GET`, the body of a `POST`: `application/x-www-form-urlencoded` either way.
    /// Not more than 64 KiB are taken.
    pub(crate) form: &'a [u8],
    /// True for a `POST`.
    pub(crate) is_post: bool,
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
}

/// What it is answered.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct TokenAnswer {
    /// The status code.
    pub(crate) status: u16,
    /// `WWW-Authenticate`, for a 401.
    pub(crate) challenge: Option<&'static str>,
    /// JSON. It holds a token: send it with `Cache-Control: no-store`.
    pub(crate) body: Vec<u8>,
}

struct Asked {
    service: Option<String>,
    scopes: Vec<String>,
    grant_type: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

impl Access {
    /// Answers a request for a token. `None` without access rules: there are no tokens then.
    pub(crate) async fn answer_token(
        &self,
        request: TokenRequest<'_>,
        now: SystemTime,
    ) -> Option<TokenAnswer> {
        let guard = match self {
            Self::Open => return None,
            Self::Guarded(guard) => guard,
        };
        Some(match guard.answer_token(request, now).await {
            Ok(body) => TokenAnswer { status: 200, challenge: None, body },
            Err(error) => TokenAnswer {
                status: error.code.status(),
                challenge: (error.code == Code::Unauthorized).then_some(CHALLENGE),
                body: error.to_json(),
            },
        })
    }
}

impl Guard {
    async fn answer_token(
        &self,
        request: TokenRequest<'_>,
        now: SystemTime,
    ) -> Result<Vec<u8>, OciError> {
        let asked = Asked::parse(request.form)?;
        if asked.service.as_deref().is_some_and(|service| *service != *self.service) {
            return Err(invalid("the token is asked for another service than this origin"));
        }
        let scopes = Grants::parse(asked.scopes.iter().map(String::as_str))
            .ok_or_else(|| invalid("the token is asked for more than 100 scopes"))?;
        let identity = match asked.credentials(request)? {
            None => Identity::Anonymous,
            Some(credentials) => match self.prove(&credentials, Tickets::NotTaken, now).await {
                Proof::Is(Standing::Proven(identity)) => identity,
                Proof::Is(Standing::Free | Standing::Ticket(_)) | Proof::Wrong => {
                    return Err(wrong());
                }
                Proof::Unknown => {
                    return Err(OciError::new(
                        Code::Unavailable,
                        "whether the credential is right cannot be found out now: try again later",
                    ));
                }
            },
        };
        let (granted, refused) = scopes.part(|action| self.allows(&identity, action));
        let ticket = Ticket {
            actor: identity.actor().into(),
            is_anonymous: identity == Identity::Anonymous,
            granted,
            refused,
        };
        let mut id = [0_u8; 16];
        aws_lc_rs::rand::fill(&mut id)
            .map_err(|_| OciError::new(Code::Unknown, "a token cannot be made now"))?;
        let id = format!("{:032x}", u128::from_be_bytes(id));
        let token = self.tokens.issue(&ticket, seconds(now), &id);
        let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let issued = i64::try_from(issued).ok().and_then(|s| Timestamp::from_second(s).ok());
        let answer = json!({
            "token": token,
            "access_token": token,
            "expires_in": self.tokens.lifetime().as_secs(),
            "issued_at": issued.unwrap_or_default().to_string(),
        });
        Ok(answer.to_string().into_bytes())
    }
}

impl Asked {
    fn parse(form: &[u8]) -> Result<Self, OciError> {
        if form.len() > MAX_FORM_BYTES {
            return Err(OciError::new(Code::BodyTooLarge, "the request for a token is too large"));
        }
        let mut asked = Self {
            service: None,
            scopes: Vec::new(),
            grant_type: None,
            username: None,
            password: None,
        };
        for (name, value) in form_urlencoded::parse(form) {
            let value = value.into_owned();
            match &*name {
                "service" if !value.is_empty() => asked.service = Some(value),
                "scope" => asked.scopes.push(value),
                "grant_type" => asked.grant_type = Some(value),
                "username" => asked.username = Some(value),
                "password" => asked.password = Some(value),
                // `account`, `client_id`, `offline_token`, `access_type` change nothing here.
                _ => {}
            }
        }
        Ok(asked)
    }

    /// What the client lets itself in with; a header goes before a form.
    fn credentials(self, request: TokenRequest<'_>) -> Result<Option<Credentials>, OciError> {
        if request.is_post && self.grant_type.as_deref() != Some("password") {
            return Err(invalid("of the grant types of OAuth 2 only `password` is offered"));
        }
        if let Some(header) = only(request.headers, &AUTHORIZATION).map_err(|Malformed| wrong())? {
            return parse_authorization(header).map(Some).map_err(|Malformed| wrong());
        }
        match (request.is_post, self.username, self.password) {
            (true, Some(user), Some(password)) => {
                credentials(&user, &password).map(Some).ok_or_else(wrong)
            }
            (true, ..) => Err(invalid("the form has no username or no password")),
            // A password in a query ends up in somebody's log: it is not looked at.
            (false, ..) => Ok(None),
        }
    }
}

fn wrong() -> OciError {
    OciError::new(Code::Unauthorized, "the credential is not right")
}

fn invalid(message: &'static str) -> OciError {
    OciError::new(Code::RequestInvalid, message)
}

impl fmt::Debug for TokenRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest").field("is_post", &self.is_post).finish_non_exhaustive()
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}
