//! What an origin is told: plain data that was checked before.
//!
//! The roof reads files, flags and the environment, and opens the bucket; nothing here has an
//! `Option` that means "default".

use std::net::SocketAddr;
use std::time::Duration;

use landbridge_store::Bucket;

/// All that an origin needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub bucket: Bucket,
    /// Where to listen; port 0 lets the system choose.
    pub address: SocketAddr,
    /// How long a stopping origin waits for requests that are under way.
    pub drain: Duration,
    /// Limits of each connection.
    pub connections: ConnectionLimits,
    /// Limits of what is pushed.
    pub pushes: PushRules,
}

/// Limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections that are open at once; further ones are closed without an answer.
    pub open: usize,
    /// Bytes of a request's head; at least 8 KiB are allowed.
    pub head_bytes: usize,
    /// From the end of one answer (or from the beginning of the connection) to the end of the
    /// next request's head.
    pub head: Duration,
    /// Between two pieces of a body, in either direction.
    pub stall: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            open: 10_000,
            head_bytes: 64 << 10,
            head: Duration::from_secs(60),
            stall: Duration::from_secs(60),
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
    /// Whether an index may name manifests that are not in the repository (yet).
    pub sparse_indexes: bool,
}

impl Default for PushRules {
    fn default() -> Self {
        Self {
            manifest_bytes: landbridge_core::manifest::MAX_MANIFEST_BYTES,
            blob_bytes: u64::MAX,
            chunk_min_bytes: 0,
            sparse_indexes: true,
        }
    }
}
