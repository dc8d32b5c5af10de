//! An origin of one's own, from plain settings to one that answers, and on to other rules.
//!
//! `landbridge origin` runs it alone and `landbridge serve` beside the front; what goes wrong is
//! said in the same words by both.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use landbridge_listen::TlsFiles;
use landbridge_origin::access::{AccessSettings, IssuerSettings, Rule, Scheme, Who};
use landbridge_origin::events::{EventSettings, Events};
use landbridge_origin::gc::Retention;
use landbridge_origin::limits::LimitSettings;
use landbridge_origin::settings::{ClientSettings, ConnectionLimits, PushRules, Settings, Writes};
use landbridge_origin::{Access, Counters, Origin, StartError};
use landbridge_sign::LocalKey;
use landbridge_store::{Bucket, BucketLayout};
use tracing::{info, warn};
use url::Url;

use crate::exit::{Exit, Failure, OrExit as _, Outcome};

/// What an origin is told, before its bucket is opened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwnSettings {
    /// Where everything is kept.
    pub(crate) store: Url,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its certificate, if it speaks TLS.
    pub(crate) tls: Option<TlsFiles>,
    /// How long a stopping origin waits for requests that are under way.
    pub(crate) drain: Duration,
    /// Limits of each connection.
    pub(crate) connections: ConnectionLimits,
    /// Who may do what; without it, everybody everything.
    pub(crate) access: Option<OwnAccess>,
    /// Whether anything may be written.
    pub(crate) writes: Writes,
    /// How a client's address is found.
    pub(crate) clients: ClientSettings,
    /// How much one client may ask for.
    pub(crate) limits: LimitSettings,
    /// Limits of what is pushed.
    pub(crate) pushes: PushRules,
    /// Who is told of pushes and deletions.
    pub(crate) events: EventSettings,
    /// How long what nobody needs is kept.
    pub(crate) grace: Duration,
    /// How long an upload of which nothing is heard is kept. A collection's alone.
    pub(crate) uploads: Duration,
    /// Names that may go. A collection's alone.
    pub(crate) retention: Retention,
}

/// Access rules, before the files that they name are read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwnAccess {
    /// What is allowed.
    pub(crate) rules: Vec<Rule>,
    /// The password file.
    pub(crate) htpasswd: Option<PathBuf>,
    /// Issuers whose tokens are believed.
    pub(crate) issuers: Vec<IssuerSettings>,
    /// The origin's name in its tokens.
    pub(crate) service: String,
    /// Where clients reach it, if that was said.
    pub(crate) url: Option<Url>,
    /// The file of the key that signs its tokens; without it, one of this process alone.
    pub(crate) key: Option<PathBuf>,
    /// How long a token lasts.
    pub(crate) token_lifetime: Duration,
}

/// An origin that answers, and what it was told.
#[derive(Debug)]
pub(crate) struct Own {
    origin: Origin,
    settings: OwnSettings,
    /// Signs tokens if no file is configured. Tokens outlive a change of the rules.
    key: Arc<LocalKey>,
}

impl OwnSettings {
    /// Opens the bucket and answers. `flag` is the one that sets the address, for a hint.
    pub(crate) async fn start(&self, flag: &str) -> Outcome<Own> {
        let key = Arc::new(LocalKey::generate().or_failed()?);
        let access = self.access(&key).or_usage()?;
        self.warn();
        let bucket = Bucket::open(&self.store, BucketLayout::Blobs).or_usage()?;
        let settings = Settings {
            bucket,
            address: self.address,
            tls: self.tls.clone(),
            drain: self.drain,
            connections: self.connections,
            pushes: self.pushes,
            grace: self.grace,
            access,
            limits: self.limits,
            clients: self.clients.clone(),
            writes: self.writes,
            events: Events::open(self.events.clone()).or_failed()?,
        };
        let origin = Origin::start(settings).await.map_err(|error| not_started(error, flag))?;
        Ok(Own { origin, settings: self.clone(), key })
    }

    /// The rules, with the files that they name read.
    fn access(&self, own_key: &Arc<LocalKey>) -> anyhow::Result<Access> {
        let Some(access) = &self.access else { return Ok(Access::Open) };
        let key = match &access.key {
            Some(file) => Arc::new(LocalKey::open_or_create(file)?),
            None => Arc::clone(own_key),
        };
        Ok(Access::new(AccessSettings {
            rules: access.rules.clone(),
            htpasswd: access.htpasswd.clone(),
            issuers: access.issuers.clone(),
            service: access.service.clone(),
            url: access.url.clone(),
            scheme: if self.tls.is_some() { Scheme::Https } else { Scheme::Http },
            key,
            token_lifetime: access.token_lifetime,
        })?)
    }

    /// Says what is right in some places only.
    fn warn(&self) {
        let Some(access) = &self.access else { return };
        let is_secret = self.tls.is_some()
            || self.address.ip().is_loopback()
            || access.url.as_ref().is_some_and(|url| url.scheme() == "https");
        let by_anyone =
            |rule: &Rule| rule.who == Who::Anyone && (rule.actions.push || rule.actions.delete);
        if !self.address.ip().is_loopback() && access.rules.iter().any(by_anyone) {
            warn!(address = %self.address, "whoever reaches this origin may push or delete there");
        }
        let takes_credentials = access.htpasswd.is_some() || !access.issuers.is_empty();
        if takes_credentials && !is_secret {
            warn!(
                address = %self.address,
                "passwords and tokens can be read on their way: set `origin.listen.tls`, or `origin.access.tokens.url` to the https:// address of the proxy that speaks TLS for this origin"
            );
        }
        if takes_credentials && access.key.is_none() {
            info!(
                "tokens are signed with a key of this process alone: if several origins share a name, give all of them one `origin.access.tokens.key`"
            );
        }
    }

    /// The first thing in which `other` differs that is taken at start only.
    fn needs_restart(&self, other: &Self) -> Option<&'static str> {
        let listen = |it: &Self| (it.address, it.tls.clone(), it.drain, it.connections);
        let changed = [
            ("origin.store", self.store != other.store),
            ("origin.listen", listen(self) != listen(other)),
            ("origin.trusted_proxies", self.clients != other.clients),
            ("origin.clients", self.limits != other.limits),
            ("origin.limits` and `origin.sparse", self.pushes != other.pushes),
            ("origin.events", self.events != other.events),
            ("origin.gc.grace", self.grace != other.grace),
        ];
        changed.into_iter().find_map(|(name, is_changed)| is_changed.then_some(name))
    }
}

/// Rules that can be put into force.
pub(crate) struct NewRules {
    settings: OwnSettings,
    access: Access,
}

impl Own {
    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.settings.tls.is_some() { "https" } else { "http" }
    }

    /// What it counts.
    pub(crate) fn counters(&self) -> Counters {
        self.origin.counters()
    }

    /// Reads what other settings lead to, or says why they cannot be put into force.
    pub(crate) fn prepare(&self, settings: OwnSettings) -> anyhow::Result<NewRules> {
        if let Some(name) = self.settings.needs_restart(&settings) {
            anyhow::bail!("`{name}` can only be changed by a restart");
        }
        let access = settings.access(&self.key)?;
        Ok(NewRules { settings, access })
    }

    /// Puts other rules into force, for requests that begin from now on.
    pub(crate) fn put_in_force(&mut self, rules: NewRules) -> anyhow::Result<()> {
        let NewRules { settings, access } = rules;
        self.origin.reload(access, settings.writes)?;
        self.settings = settings;
        Ok(())
    }

    /// Stops accepting and lets requests that are under way end.
    pub(crate) async fn stop(self) {
        self.origin.stop().await;
    }
}

fn not_started(error: StartError, flag: &str) -> Failure {
    let (exit, hint) = match &error {
        StartError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            (Exit::Usage, format!("; take another one with {flag}, port 0 picks a free one"))
        }
        StartError::Bind { .. } | StartError::Open { .. } | StartError::Tls(_) => {
            (Exit::Usage, String::new())
        }
        StartError::Store(_) => (Exit::Failed, String::new()),
    };
    let error = anyhow::Error::from(error);
    Failure { exit, error: anyhow::anyhow!("the origin does not start: {error:#}{hint}") }
}

/// An address that a client on this machine can use.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, address.port()).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => address,
    }
}
