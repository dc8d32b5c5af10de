//! What an origin is told: plain data that was checked before.
//!
//! The roof reads files, flags and the environment, and opens the bucket; nothing here has an
//! `Option` that means "default".

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use landbridge_core::client_address::{ForwardedHeader, TrustedProxies};
use landbridge_listen::TlsFiles;
use landbridge_store::Bucket;

use crate::access::Access;
use crate::events::Events;
use crate::limits::LimitSettings;

/// How long a blob that was reported present is kept at least, where nothing else was configured.
pub const DEFAULT_GRACE: Duration = Duration::from_hours(24);

/// All that an origin needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub bucket: Bucket,
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Certificate chain and key, PEM files that are read again when they change. Without them the
    /// listener speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// How long a stopping origin waits for requests that are under way.
    pub drain: Duration,
    /// Limits of each connection.
    pub connections: ConnectionLimits,
    /// Limits of what is pushed.
    pub pushes: PushRules,
    /// How long garbage collection waits between condemning a blob and deleting it. Every process
    /// on one bucket must be told the same.
    pub grace: Duration,
    /// Who may do what.
    pub access: Access,
    /// How much one client may ask for.
    pub limits: LimitSettings,
    /// How a client's address is found.
    pub clients: ClientSettings,
    /// Whether anything may be written.
    pub writes: Writes,
    /// Who is told of pushes and deletions.
    pub events: Events,
}

/// How a client's address is found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientSettings {
    /// Who may name it.
    pub trusted_proxies: TrustedProxies,
    /// The header in which they do.
    pub forwarded_header: ForwardedHeader,
}

/// Whether anything may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writes {
    /// By whom the access rules allow it.
    #[default]
    Taken,
    /// By nobody: pushes and deletions are refused, whoever asks, and reads are answered.
    Refused,
}

impl Settings {
    /// An open origin on loopback, with the usual limits; port 0 lets the system choose.
    pub fn local(bucket: Bucket, port: u16) -> Self {
        Self {
            bucket,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            tls: None,
            drain: Duration::from_secs(10),
            connections: ConnectionLimits::default(),
            pushes: PushRules::default(),
            grace: DEFAULT_GRACE,
            access: Access::Open,
            limits: LimitSettings::default(),
            clients: ClientSettings::default(),
            writes: Writes::Taken,
            events: Events::none(),
        }
    }
}

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are open at once; further ones are closed without an answer.
    pub open: usize,
    /// Bytes of a request's head, and of what is read of a body at once; at least 8 KiB.
    pub head_bytes: usize,
    /// From the end of one answer (or from the beginning of the connection) to the end of the
    /// next request's head; and for the TLS handshake.
    pub head: Duration,
    /// Between two pieces of a body, in either direction.
    pub stall: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            open: 10_000,
            head_bytes: 32 << 10,
            head: Duration::from_mins(1),
            stall: Duration::from_mins(1),
        }
    }
}

/// What may be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushRules {
    /// The largest manifest in bytes; at most [`landbridge_core::manifest::MAX_MANIFEST_BYTES`].
    pub manifest_bytes: usize,
    /// The largest blob in bytes.
    pub blob_bytes: u64,
    /// The smallest chunk that clients are asked to send, in bytes (`OCI-Chunk-Min-Length`); 0
    /// asks for nothing. The last chunk of an upload may be smaller.
    pub chunk_min_bytes: u64,
    /// What a manifest may refer to without the repository having it.
    pub sparse: Sparse,
    /// How many repositories are searched for a blob that is to be mounted from anywhere.
    pub mount_search: usize,
    /// How long a push waits for the deletion of the very blob that it brings back.
    pub patience: Duration,
}

/// What a manifest may refer to without the repository having it. A subject and foreign layers may
/// always be elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sparse {
    /// Nothing: manifests of an index must have been pushed before it.
    Refused,
    /// Manifests of an index, so that an index may be kept for some of its platforms only.
    Indexes,
    /// Anything, configurations and layers included: nobody can pull such an image in full. What
    /// was here when the push began must still be here at its end.
    Anything,
}

impl Default for PushRules {
    fn default() -> Self {
        Self {
            manifest_bytes: landbridge_core::manifest::MAX_MANIFEST_BYTES,
            blob_bytes: u64::MAX,
            chunk_min_bytes: 0,
            sparse: Sparse::Indexes,
            mount_search: 256,
            patience: Duration::from_secs(10),
        }
    }
}
