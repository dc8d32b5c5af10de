//! `origin.access` as it is written: who may do what, and how somebody proves who he is.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalar::access::{Pattern, Repositories, Who};
use crate::config::scalar::{Claim, FilePath, Name, Period, WebUrl};

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Access {
    /// What is allowed. Rules only allow: what none of them allows is refused, and their order
    /// does not matter.
    #[schemars(required)]
    pub(crate) rules: Option<Vec<AccessRule>>,
    /// A file of names and bcrypt hashes, as `htpasswd -B` writes it. It is read again when it
    /// changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) htpasswd: Option<FilePath>,
    /// Issuers of identity tokens (OIDC) that are believed, so that a CI system's own identity can
    /// push without a password. A client sends such a token as the password of the user `oidc`.
    #[serde(default)]
    pub(crate) issuers: Vec<Issuer>,
    /// The origin's own tokens, which clients get for a name and password and then push and pull
    /// with.
    #[serde(default)]
    pub(crate) tokens: Tokens,
}

/// One rule: these may do this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessRule {
    /// Whom it is about: `anyone`, with a credential or without; `any-user` in the `htpasswd`
    /// file; `user:NAME` there; `oidc:ISSUER:SUBJECT`, an issuer below by its `name` and a pattern
    /// of the token's `sub` claim, in which `*` stands for anything without `/` and `:`, `**` for
    /// anything.
    #[schemars(required)]
    pub(crate) who: Option<Vec<Who>>,
    /// Further claims of an issuer's token, all of which must match a pattern; of a claim that is a
    /// list, one element. A number or `true` is compared as it is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "format": "claim" }))]
    pub(crate) claims: BTreeMap<Claim, Pattern>,
    /// Which repositories: `team/app` alone, `team/*` one level below `team`, `team/**` everything
    /// below it, `*` all.
    #[schemars(required)]
    pub(crate) repositories: Option<Vec<Repositories>>,
    /// What they may do.
    #[schemars(required)]
    pub(crate) may: Option<Vec<May>>,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum May {
    /// Read: manifests, blobs, tags, referrers.
    Pull,
    /// Write: blobs, manifests and tags; and read, since every client looks before it pushes.
    Push,
    /// Remove tags, manifests and blobs.
    Delete,
    /// List repositories (`/v2/_catalog`); of all repositories, those are shown that may be pulled.
    Catalog,
}

/// An issuer whose tokens are believed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Issuer {
    /// What rules and events call it.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Its address, letter for letter as its tokens have it in `iss`: with `https`, or with `http`
    /// and a loopback address. Its keys are fetched from there when they are first needed.
    #[schemars(required)]
    pub(crate) url: Option<String>,
    /// What its tokens must have in `aud`: a text of this origin's own, usually its host name, for
    /// which the CI job asks.
    #[schemars(required)]
    pub(crate) audience: Option<String>,
}

/// The origin's own tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tokens {
    /// Where clients reach this origin: scheme and host. Without it, what a client used itself,
    /// which is right unless a proxy speaks TLS for the origin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<WebUrl>,
    /// The origin's name in its tokens: the same for all of its processes. Without it, the host of
    /// `url`, else `landbridge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// A PEM file with the Ed25519 key that signs them, made if it is absent. Processes behind one
    /// name need the same one. Without it each process makes one for itself: a restart ends the
    /// tokens that it gave out, and clients ask for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<FilePath>,
    /// How long one lasts. A push that takes longer gets another one on the way.
    pub(crate) lifetime: Period,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { url: None, service: None, key: None, lifetime: Period::seconds(5 * 60) }
    }
}
