//! The `origin` section as it is written: a registry of one's own, which takes pushes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalar::{Listen, Period, Size, StoreUrl};

/// A registry of one's own over a bucket. `landbridge origin` starts it alone, `landbridge serve`
/// beside the front.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    /// The bucket in which all that is pushed is kept, with the layout `blobs`: `s3://BUCKET`,
    /// `gs://BUCKET`, `az://CONTAINER` with credentials from the variables that those clouds' own
    /// tools read, or the path of a directory. It may be the same as that of `origins[].store`,
    /// and any number of origins may share it.
    #[schemars(required)]
    pub(crate) store: Option<StoreUrl>,
    /// Its listener and what a connection may cost. Taken at start only, as is everything in this
    /// section.
    #[serde(default)]
    pub(crate) listen: OwnListening,
    /// Limits of what is pushed.
    #[serde(default)]
    pub(crate) limits: PushLimits,
    /// What a manifest may refer to without its repository having it. A subject and foreign layers
    /// may always be elsewhere.
    #[serde(default)]
    pub(crate) sparse: Sparse,
    /// When what nobody needs any more is deleted.
    #[serde(default)]
    pub(crate) gc: Collection,
}

/// What may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Sparse {
    /// Nothing: the manifests of an index are pushed before it.
    Refused,
    /// Manifests of an index, so that an index may be kept for some of its platforms only.
    #[default]
    Indexes,
    /// Anything, configurations and layers included: nobody can pull such an image in full.
    Anything,
}

/// The listener of an origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OwnListening {
    /// Where it listens. Port 0 picks a free one. Whoever reaches it may push and delete, so it
    /// must be a loopback address.
    pub(crate) address: Listen,
    /// How long a stopping origin waits for requests that are under way.
    pub(crate) drain: Period,
    /// Connections that are open at once.
    #[schemars(range(min = 1))]
    pub(crate) connections: u32,
    /// The largest head of a request.
    pub(crate) header: Size,
    /// From the end of one answer, or the beginning of the connection, to the end of the next
    /// request's head.
    pub(crate) header_time: Period,
    /// Between two pieces of a body, in either direction.
    pub(crate) stall: Period,
}

impl Default for OwnListening {
    fn default() -> Self {
        Self {
            address: Listen(([127, 0, 0, 1], 5000).into()),
            drain: Period::seconds(30),
            connections: 10_000,
            header: Size(256 << 10),
            header_time: Period::seconds(60),
            stall: Period::seconds(60),
        }
    }
}

/// Limits of what is pushed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PushLimits {
    /// The largest manifest; at most `4MiB`.
    pub(crate) manifest: Size,
    /// The largest blob. Without it there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) blob: Option<Size>,
    /// The smallest chunk that clients of chunked uploads are asked to send; the last one may be
    /// smaller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chunk: Option<Size>,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self { manifest: Size(4 << 20), blob: None, chunk: None }
    }
}

/// Garbage collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Collection {
    /// How long a blob that nothing needs is kept after that was noticed. Half of it is the least
    /// for which a client may count on a blob that it was told of. Everything that works on one
    /// bucket must be told the same.
    pub(crate) grace: Period,
}

impl Default for Collection {
    fn default() -> Self {
        Self { grace: Period::seconds(24 * 60 * 60) }
    }
}
