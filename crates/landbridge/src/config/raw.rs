//! The configuration file as it is written: one struct for each of its mappings.
//!
//! The documentation of these fields is the reference: the schema, `landbridge config explain` and
//! `docs/configuration.md` are generated from it. What has a default is never `Option`; an
//! `Option` is either required (and the schema says so) or really may be absent. Whether fields
//! fit one another is decided in [`validate`](mod@super::validate).

pub(crate) mod copies;
pub(crate) mod failover;
pub(crate) mod health;
pub(crate) mod legacy;
pub(crate) mod limits;
pub(crate) mod own;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod prices;
pub(crate) mod replicate;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::copies::{Mirror, Origin, Site};
use self::failover::Failover;
use self::health::Health;
use self::legacy::Migrations;
use self::limits::ClientLimits;
use self::own::Own;
use self::prices::ProviderPrices;
use self::replicate::Replicate;
use super::scalar::{ByteRate, FilePath, Listen, Name, Network, Period, PlaceName, Size, WebUrl};

/// Everything that `landbridge serve` and `landbridge origin` are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raw {
    /// Listeners and what a connection may cost. This is taken at start only, as are `records`;
    /// everything else in the file may change while the front runs.
    pub(crate) listen: Listening,
    /// Whose word on a client's address is believed. Without it the other end of the connection
    /// is the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trusted_proxies: Option<Proxies>,
    /// Where the providers' address ranges come from. If two sources list the same prefix, the
    /// earlier one wins.
    pub(crate) ranges: Vec<Ranges>,
    /// When a new file of ranges is refused and the old one stays.
    pub(crate) suspicion: Suspicion,
    /// Where names come from. An origin is a copy too, the last resort of every route. Origins
    /// and mirrors together are at most 32; an origin with both a `store` and a `registry` counts
    /// twice.
    pub(crate) origins: Vec<Origin>,
    /// A registry of one's own, which takes pushes. `landbridge origin` starts it alone,
    /// `landbridge serve` beside the front; a file for the first one needs nothing else. What is
    /// pushed can be pulled through the front if one of the `origins` has it as its `registry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Own>,
    /// How `landbridge replicate` brings what a registry holds into the authority and all mirrors,
    /// and publishes it. A front does not read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replicate: Option<Replicate>,
    /// What providers charge, for estimates of what a replication will cost; all in one currency.
    /// Without it, in USD, what their public lists said in 2025 for standard storage in the United
    /// States, the first tier that is not free: aws 0.09/GiB to the internet
    /// (<https://aws.amazon.com/s3/pricing/>), gcp 0.12/GiB
    /// (<https://cloud.google.com/storage/pricing>), azure 0.087/GB
    /// (<https://azure.microsoft.com/pricing/details/bandwidth/>); all of them 0.02 to another
    /// region of their own, nothing within a region, 0.0004 for 1,000 reads and 0.005 for 1,000
    /// writes. Credits and agreements are not in them.
    pub(crate) prices: Vec<ProviderPrices>,
    /// Other places that hold the same objects.
    pub(crate) mirrors: Vec<Mirror>,
    /// The host names that are answered for, each with its origin, mirrors and routes.
    pub(crate) sites: Vec<Site>,
    /// One line for each answer: provider, region, repository, digest, copy, bytes, status; never
    /// an address. Taken at start only.
    pub(crate) records: Records,
    /// Sizes and lifetimes of what is remembered.
    pub(crate) cache: Cache,
    /// When a copy that fails is left alone, and for how long.
    pub(crate) breaker: Breaker,
    /// How copies are probed, and when one of them gets no clients.
    pub(crate) health: Health,
    /// What it may cost when copies fail. Where clients may go then is said by each site's
    /// `overflow`.
    pub(crate) failover: Failover,
    /// How much a client's network may ask for. Without it nothing is limited and nothing counted.
    /// The admin listener's `/limits` tells which networks ask for most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limits: Option<ClientLimits>,
    /// How old names are left: what the `legacy` of sites refers to. The file that it names is read
    /// again whenever this one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) migration: Option<Migrations>,
}

/// Listeners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listening {
    /// The public listener. Port 0 picks a free one.
    pub(crate) address: Listen,
    /// The admin listener: `/metrics`, `/healthz`, `/readyz`, `/explain`, `/limits`. It has no
    /// password: do not open it to the world.
    pub(crate) admin: Listen,
    /// Certificate and key of the public listener. Without them it speaks plain HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<Tls>,
    /// How many threads answer, each with its own event loop. Without it, one for each processor.
    #[schemars(range(min = 1, max = 1024))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<u16>,
    /// How long a stopping front waits for requests that are under way.
    pub(crate) drain: Period,
    /// Limits of one connection.
    pub(crate) limits: Limits,
}

impl Default for Listening {
    fn default() -> Self {
        Self {
            address: Listen(([127, 0, 0, 1], 8080).into()),
            admin: Listen(([127, 0, 0, 1], 8081).into()),
            tls: None,
            threads: None,
            drain: Period::seconds(30),
            limits: Limits::default(),
        }
    }
}

/// Where a certificate lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// PEM file with the certificate chain, read again when it changes.
    #[schemars(required)]
    pub(crate) certificate: Option<FilePath>,
    /// PEM file with the private key, read again when it changes.
    #[schemars(required)]
    pub(crate) key: Option<FilePath>,
}

/// Limits of one connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// The largest head of a request.
    pub(crate) header: Size,
    /// How much of a request's body is read before the connection is closed.
    pub(crate) body: Size,
    /// From the connection to its first byte, the TLS handshake and HTTP/2's preface included.
    pub(crate) first_byte: Period,
    /// From a request's first byte to the end of its head.
    pub(crate) header_time: Period,
    /// Between two requests of one connection.
    pub(crate) idle: Period,
    /// Connections that are open at once. When there are more, the ones that have been idle for
    /// longest are closed, first those that never asked for anything; a new one is refused only
    /// if none is idle.
    #[schemars(range(min = 1))]
    pub(crate) connections: u32,
    /// Connections that one network of clients (IPv4 /24, IPv6 /56) has open at once. Proxies of
    /// `trusted_proxies.cidrs` may have any number. Without it there is no limit.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) connections_per_network: Option<u32>,
    /// Requests of one HTTP/2 connection that are being answered at once.
    #[schemars(range(min = 1, max = 65535))]
    pub(crate) streams: u32,
    /// How long a client may keep an answer waiting: one that takes nothing for this long, or less
    /// than `least_rate` on an average of this time, is cut off. Time in which a copy keeps it
    /// waiting does not count.
    pub(crate) stall: Period,
    /// What a client must take of an answer that is ready.
    pub(crate) least_rate: ByteRate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Size(16 << 10),
            body: Size(64 << 10),
            first_byte: Period::seconds(10),
            header_time: Period::seconds(10),
            idle: Period::seconds(60),
            connections: 16_384,
            connections_per_network: None,
            streams: 128,
            stall: Period::seconds(30),
            least_rate: ByteRate::per_second(1024),
        }
    }
}

/// Proxies in front of the front: either `cidrs` or `hops`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Proxies {
    /// Networks of the proxies. The client is the rightmost address of the header that is in none
    /// of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cidrs: Option<Vec<Network>>,
    /// How many entries one's own proxies append to the header: 1 for nginx or Envoy, 2 for a
    /// Google Cloud application load balancer. Only safe where nobody can reach the front past
    /// them.
    #[schemars(range(min = 1, max = 16))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hops: Option<u8>,
    /// The header in which they name the client. Only this one is read.
    pub(crate) header: Header,
}

/// Headers in which proxies name the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Header {
    /// `X-Forwarded-For`, which nearly all proxies and load balancers write.
    #[default]
    XForwardedFor,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
}

/// One source of address ranges, with exactly one of `file`, `url` and `demonstration`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ranges {
    /// What it is called in messages and metrics.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// How it is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<Format>,
    /// The provider of all prefixes for which the file names none. Without it, the format's own;
    /// lines of `csv` name theirs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// A file, read again when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<FilePath>,
    /// An address, fetched with conditional requests and kept in `cache.directory`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<WebUrl>,
    /// The small table that comes with the program, for trying it out.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) demonstration: bool,
    /// How often it is looked at again.
    #[serde(default = "Ranges::refresh")]
    pub(crate) refresh: Period,
}

impl Ranges {
    pub(crate) const fn refresh() -> Period {
        Period::seconds(24 * 60 * 60)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// Formats of address ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    /// AWS's `ip-ranges.json`.
    Aws,
    /// Google Cloud's `cloud.json`.
    Gcp,
    /// Azure's service tags.
    Azure,
    /// Lines of `cidr,provider,region`.
    Csv,
}

/// When new ranges are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Suspicion {
    /// How many of 1000 prefixes may vanish or change provider from one file to the next. 1000
    /// believes everything.
    #[schemars(range(max = 1000))]
    pub(crate) max_lost_permille: u16,
}

impl Default for Suspicion {
    fn default() -> Self {
        Self { max_lost_permille: 100 }
    }
}

/// Access records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Records {
    /// What is written.
    pub(crate) mode: RecordMode,
    /// The directory of the files.
    pub(crate) directory: FilePath,
    /// A file that has grown beyond this is rotated.
    pub(crate) rotate: Size,
    /// How many rotated files are kept.
    #[schemars(range(min = 1))]
    pub(crate) keep: u32,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            mode: RecordMode::Each,
            directory: FilePath::literal("landbridge-data/records"),
            rotate: Size(64 << 20),
            keep: 16,
        }
    }
}

/// What is written for each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RecordMode {
    /// One line for each answer.
    Each,
    /// One line for each minute and combination of fields, with counts.
    Minute,
    /// Nothing.
    Off,
}

/// What is remembered, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cache {
    /// A disposable directory for what a restart would have to fetch again: address ranges, and
    /// the names and objects of what is served, from which a front starts when no store answers.
    /// What is in it is verified as if it came from a store. Two fronts do not share one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<FilePath>,
    /// How much memory manifests take.
    pub(crate) manifests: Size,
    /// How long what an origin registry said of a tag is good.
    pub(crate) tag_fresh: Period,
    /// How long it may still be served while the origin fails.
    pub(crate) tag_stale: Period,
    /// How many answers of origin registries are remembered.
    #[schemars(range(min = 1))]
    pub(crate) live_entries: u32,
    /// How long a mirror's "I have it" is good.
    pub(crate) present: Period,
    /// How long a mirror's "I have it not" is good.
    pub(crate) absent: Period,
    /// How many such answers are remembered.
    #[schemars(range(min = 1))]
    pub(crate) presence_entries: u32,
    /// How long a mirror may take to say whether it has an object. A client waits for it.
    pub(crate) presence_timeout: Period,
    /// How long an origin or a copy may take to begin its answer.
    pub(crate) fetch_timeout: Period,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            directory: None,
            manifests: Size(32 << 20),
            tag_fresh: Period::seconds(30),
            tag_stale: Period::seconds(24 * 60 * 60),
            live_entries: 65_536,
            present: Period::seconds(24 * 60 * 60),
            absent: Period::seconds(60),
            presence_entries: 262_144,
            presence_timeout: Period::seconds(2),
            fetch_timeout: Period::seconds(15),
        }
    }
}

/// When a failing copy is left alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Breaker {
    /// Failures in a row after which no client is sent to it.
    #[schemars(range(min = 1))]
    pub(crate) failures: u16,
    /// How long it is left alone the first time; each further time doubles it.
    pub(crate) open_first: Period,
    /// The longest that it is left alone.
    pub(crate) open_most: Period,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 3, open_first: Period::seconds(5), open_most: Period::seconds(60) }
    }
}
