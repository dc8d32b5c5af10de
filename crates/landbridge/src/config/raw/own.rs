//! The `origin` section as it is written: a registry of one's own, which takes pushes.

pub(crate) mod access;
pub(crate) mod events;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::access::Access;
use self::events::Events;
use super::{Proxies, Tls};
use crate::config::scalar::access::{Pattern, Repositories};
use crate::config::scalar::{Listen, Period, Size, StoreUrl};

/// A registry of one's own over a bucket. `landbridge origin` starts it alone, `landbridge serve`
/// beside the front.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    /// The bucket in which all that is pushed is kept, with the layout `blobs`: `s3://BUCKET`,
    /// `gs://BUCKET`, `az://CONTAINER` with credentials from the variables that those clouds' own
    /// tools read, or the path of a directory. It may be the same as that of `origins[].store`,
    /// and any number of origins may share it.
    #[schemars(required)]
    pub(crate) store: Option<StoreUrl>,
    /// Its listener and what a connection may cost. Taken at start only, as is everything in this
    /// section but `access` and `writes`, which may change while the origin runs.
    #[serde(default)]
    pub(crate) listen: OwnListening,
    /// Who may do what. Without it whoever reaches the origin may do everything, so it listens on
    /// loopback addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) access: Option<Access>,
    /// Whether anything may be written.
    #[serde(default)]
    pub(crate) writes: Writes,
    /// Whose word on a client's address is believed. Without it the other end of the connection
    /// is the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trusted_proxies: Option<Proxies>,
    /// How much one client may ask for. A client is an IPv4 address or an IPv6 /64.
    #[serde(default)]
    pub(crate) clients: Clients,
    /// Limits of what is pushed.
    #[serde(default)]
    pub(crate) limits: PushLimits,
    /// What a manifest may refer to without its repository having it. A subject and foreign layers
    /// may always be elsewhere.
    #[serde(default)]
    pub(crate) sparse: Sparse,
    /// Who is told of pushes and deletions. Telling never delays or fails them, so an event may be
    /// lost: who must know everything compares with the lists of tags now and then.
    #[serde(default)]
    pub(crate) events: Events,
    /// When what nobody needs any more is deleted, by `landbridge gc`.
    #[serde(default)]
    pub(crate) gc: Collection,
}

/// Whether anything may be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Writes {
    /// By whom `access` allows it.
    #[default]
    Allowed,
    /// By nobody: pushes and deletions are refused with 405, reads are answered.
    Refused,
}

/// Limits of each client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Clients {
    /// What becomes of what is over a limit.
    pub(crate) mode: LimitMode,
    /// Requests each second, in the long run. One image is some ten to a hundred.
    #[schemars(range(min = 1))]
    pub(crate) requests_per_second: u32,
    /// Requests at once after a pause.
    #[schemars(range(min = 1))]
    pub(crate) burst: u32,
    /// Requests with a body that are being received at once.
    #[schemars(range(min = 1))]
    pub(crate) uploads: u32,
    /// Clients that are remembered.
    #[schemars(range(min = 1))]
    pub(crate) remembered: u32,
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            mode: LimitMode::Observe,
            requests_per_second: 100,
            burst: 1_000,
            uploads: 32,
            remembered: 100_000,
        }
    }
}

/// What becomes of a request that is over a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LimitMode {
    /// Nothing is counted.
    Off,
    /// It is answered, and counted as one that would have been refused: the log says so once a
    /// minute, and the metric `landbridge_origin_over_limit_total` of `landbridge serve`.
    Observe,
    /// It is refused with 429 and `Retry-After`.
    Enforce,
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
    /// Where it listens. Port 0 picks a free one. Without `access` it must be a loopback address,
    /// since whoever reaches it may push and delete.
    pub(crate) address: Listen,
    /// Certificate and key. Without them the origin speaks plain HTTP, in which passwords can be
    /// read on their way: right on loopback, or behind a proxy that speaks TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// How long a stopping origin waits for requests that are under way.
    pub(crate) drain: Period,
    /// Connections that are open at once.
    #[schemars(range(min = 1))]
    pub(crate) connections: u32,
    /// The largest head of a request.
    pub(crate) header: Size,
    /// From the end of one answer, or the beginning of the connection, to the end of the next
    /// request's head; and for the TLS handshake.
    pub(crate) header_time: Period,
    /// Between two pieces of a body, in either direction.
    pub(crate) stall: Period,
}

impl Default for OwnListening {
    fn default() -> Self {
        Self {
            address: Listen(([127, 0, 0, 1], 5000).into()),
            tls: None,
            drain: Period::seconds(30),
            connections: 10_000,
            header: Size(32 << 10),
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
    /// An upload of which nothing was heard for this long is given up. The flag `--uploads` goes
    /// before it.
    pub(crate) uploads: Period,
    /// Names that may go. Without rules all of them stay.
    pub(crate) retention: Retention,
}

impl Default for Collection {
    fn default() -> Self {
        Self {
            grace: Period::seconds(24 * 60 * 60),
            uploads: Period::seconds(7 * 24 * 60 * 60),
            retention: Retention::default(),
        }
    }
}

/// Names that may go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    /// How many tags stay; the first rule that speaks of a tag decides, those of the flag `--keep`
    /// before these. Tags that no rule speaks of stay.
    pub(crate) tags: Vec<TagRule>,
    /// Manifests go that no tag leads to, that say nothing about one that stays, and that were
    /// pushed longer ago than this. Without it they stay. The flag `--untagged` goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) untagged: Option<Period>,
}

/// How many of some tags stay in each repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TagRule {
    /// In which repositories, as in access rules.
    #[schemars(required)]
    pub(crate) repositories: Option<Repositories>,
    /// Which tags: `v*`, `ci-*`, `*`.
    #[schemars(required)]
    pub(crate) tags: Option<Pattern>,
    /// How many stay.
    #[schemars(required)]
    pub(crate) keep: Option<u32>,
    /// Which ones are the newest.
    #[serde(default)]
    pub(crate) order: Order,
}

/// What makes a tag newer than another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// Its version, as `1.2.3` or `v1.2.3`; the rule does not speak of tags that are no version.
    #[default]
    Version,
    /// When it was pushed.
    Pushed,
}
