//! Who may do what.
//!
//! Asked once for each request, before anything is looked up, so that a refusal cannot tell whether
//! a repository exists.

mod pattern;

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use landbridge_core::oci_error::OciError;

pub use self::pattern::{PatternError, RepositoryPattern, TextPattern};

/// The rules of access.
#[derive(Debug, Clone)]
pub enum Access {
    /// Whoever reaches the origin may do everything: for an origin on loopback alone.
    Open,
}

/// What somebody wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// To know that this is a registry.
    Ping,
    /// To list repositories.
    Catalog,
    /// To read from a repository.
    Pull(&'a str),
    /// To write to a repository, uploads that are under way included.
    Push(&'a str),
    /// To delete from a repository.
    Delete(&'a str),
}

/// Who asks, as far as the request tells.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "the open rules ask nobody who they are")]
pub(crate) struct Asked<'a> {
    /// The request's headers.
    pub(crate) headers: &'a HeaderMap,
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
}

/// Somebody who was let in.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What to call them in events; nobody in particular has no name.
    pub(crate) name: Option<String>,
}

/// Somebody who was not let in.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What to answer.
    pub(crate) error: OciError,
    /// How to be let in: `WWW-Authenticate`.
    pub(crate) challenge: Option<HeaderValue>,
}

impl Access {
    /// True if anonymous callers may push and delete.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Open => true,
        }
    }

    /// Decides about a request before it is carried out.
    #[expect(clippy::unused_async, reason = "other rules than the open one ask who it is")]
    pub(crate) async fn decide(
        &self,
        _asked: &Asked<'_>,
        _action: Action<'_>,
    ) -> Result<Caller, Refused> {
        Ok(Caller { name: None })
    }

    /// Whether a caller who was let in may do this too.
    pub(crate) fn allows(&self, _caller: &Caller, _action: Action<'_>) -> bool {
        match self {
            Self::Open => true,
        }
    }
}
