//! An origin of one's own, from plain settings to one that answers.
//!
//! `landbridge origin` runs it alone and `landbridge serve` beside the front; what goes wrong is
//! said in the same words by both.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use landbridge_origin::settings::{ConnectionLimits, PushRules, Settings};
use landbridge_origin::{Origin, StartError};
use landbridge_store::{Bucket, BucketLayout};
use url::Url;

use crate::exit::{Exit, Failure, OrExit as _, Outcome};

/// What an origin is told, before its bucket is opened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwnSettings {
    /// Where everything is kept.
    pub(crate) store: Url,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// How long a stopping origin waits for requests that are under way.
    pub(crate) drain: Duration,
    /// Limits of each connection.
    pub(crate) connections: ConnectionLimits,
    /// Limits of what is pushed.
    pub(crate) pushes: PushRules,
    /// How long what nobody needs is kept.
    pub(crate) grace: Duration,
}

impl OwnSettings {
    /// Opens the bucket and answers. `flag` is the one that sets the address, for a hint.
    pub(crate) async fn start(&self, flag: &str) -> Outcome<Origin> {
        let bucket = Bucket::open(&self.store, BucketLayout::Blobs).or_usage()?;
        let settings = Settings {
            address: self.address,
            drain: self.drain,
            connections: self.connections,
            pushes: self.pushes,
            grace: self.grace,
            ..Settings::local(bucket, 0)
        };
        Origin::start(settings).await.map_err(|error| not_started(error, flag))
    }
}

fn not_started(error: StartError, flag: &str) -> Failure {
    let (exit, hint) = match &error {
        StartError::Bind { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            (Exit::Usage, format!("; take another one with {flag}, port 0 picks a free one"))
        }
        StartError::Bind { .. } | StartError::Open { .. } => (Exit::Usage, String::new()),
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
