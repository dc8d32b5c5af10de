//! The configuration file as it is written: one struct for each of its mappings.
//!
//! The documentation of these fields is the reference: the schema, `landbridge config explain` and
//! `docs/configuration.md` are generated from it. What has a default is never `Option`; an
//! `Option` is either required (and the schema says so) or really may be absent. Whether fields
//! fit one another is decided in [`validate`](mod@super::validate).

pub(crate) mod own;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::own::Own;
use super::scalar::{
    FilePath, Host, Listen, Name, Network, Page, Period, PlaceName, Prefix, Size, StoreUrl, WebUrl,
};

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
}

/// Listeners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Listening {
    /// The public listener. Port 0 picks a free one.
    pub(crate) address: Listen,
    /// The admin listener: `/metrics`, `/healthz`, `/readyz`, `/explain`. It has no password: do
    /// not open it to the world.
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
    /// Connections that are open at once.
    #[schemars(range(min = 1))]
    pub(crate) connections: u32,
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

/// Where names come from: `registry`, `store`, or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// What it is called; unique among origins and mirrors.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Whose cloud it is in: `aws`, `gcp`, `azure`, or as the ranges call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// Which of the provider's regions it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// An OCI registry, asked while clients wait and remembered for a while. Beside a `store` it
    /// is asked only for what no generation there knows: what was pushed and is not published yet.
    /// A tag that the generation knows keeps the meaning that it has there until the next one is
    /// published, whatever was pushed to it since; lists of tags, referrers and repositories are
    /// of both. While the registry fails, everything that is published is served on; before the
    /// first generation is published, nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<Registry>,
    /// A bucket with generations and signed pointers: the authority for names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<Authority>,
}

/// An OCI registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    /// Scheme and host. Without it, the file's own `origin`, wherever that listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<WebUrl>,
    /// What is put before each repository's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository_prefix: Option<Prefix>,
    /// With what to ask for a token. Without them the registry is asked anonymously.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<Login>,
    /// How blobs that no mirror serves reach clients. A registry that wants a token, even an
    /// anonymous one, needs `proxy`: clients that are redirected do not ask for it.
    #[serde(default)]
    pub(crate) delivery: Delivery,
}

/// A user of a registry, with exactly one of `password_file` and `password_variable`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The user's name.
    #[schemars(required)]
    pub(crate) username: Option<String>,
    /// A file that holds the password and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<FilePath>,
    /// The environment variable that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_variable: Option<String>,
}

/// A bucket that is the authority for names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authority {
    /// The bucket as the front reads it: `s3://BUCKET`, `gs://BUCKET`, `az://CONTAINER` with
    /// credentials from the variables that those clouds' own tools read, or the path of a
    /// directory.
    #[schemars(required)]
    pub(crate) url: Option<StoreUrl>,
    /// How objects are named in it.
    #[serde(default)]
    pub(crate) layout: Layout,
    /// The address at which clients reach the bucket. Without it the front streams what no mirror
    /// serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<WebUrl>,
    /// The catalog that its pointers must name, so that one project's pointer cannot stand for
    /// another's.
    #[schemars(required)]
    pub(crate) catalog: Option<String>,
    /// Public keys whose signatures are believed: each a PEM file, or the PEM text itself.
    #[schemars(required)]
    pub(crate) keys: Option<Vec<String>>,
    /// How many different ones of them must have signed.
    #[schemars(range(min = 1))]
    #[serde(default = "Authority::threshold")]
    pub(crate) threshold: u16,
    /// How often a newer pointer is looked for.
    #[serde(default = "Authority::poll")]
    pub(crate) poll: Period,
    /// For how many generations before the current one digests are still answered, so that a pull
    /// which began before a release ends well.
    #[serde(default = "Authority::retain")]
    pub(crate) retain: u16,
}

impl Authority {
    pub(crate) const fn threshold() -> u16 {
        1
    }

    pub(crate) const fn poll() -> Period {
        Period::seconds(10)
    }

    pub(crate) const fn retain() -> u16 {
        4
    }
}

/// How objects are named in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// `containers/images/sha256:HEX`, which buckets filled by other tools already use.
    ContainersImages,
    /// `blobs/sha256/HEX`.
    #[default]
    Blobs,
}

/// A place that holds objects: exactly one of `bucket`, `registry` and `embedded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mirror {
    /// What it is called; unique among origins and mirrors.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Whose cloud it is in: `aws`, `gcp`, `azure`, or as the ranges call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// Which of the provider's regions it is in. Without one it serves by routes and defaults
    /// only, as a CDN does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// A bucket with a public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bucket: Option<Bucket>,
    /// Another registry that holds the same repositories and gives blobs to anyone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<MirrorRegistry>,
    /// A bucket that the front serves itself below `/-/mirror/NAME/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embedded: Option<Embedded>,
}

/// A bucket with a public address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bucket {
    /// The public address that stands for the bucket's root.
    #[schemars(required)]
    pub(crate) url: Option<WebUrl>,
    /// How objects are named in it.
    #[serde(default)]
    pub(crate) layout: Layout,
    /// The bucket as the front reads it, to learn what it holds. Without it, what it holds is
    /// read through `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreUrl>,
}

/// A registry that serves as a mirror.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MirrorRegistry {
    /// Scheme and host.
    #[schemars(required)]
    pub(crate) url: Option<WebUrl>,
    /// What is put before each repository's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository_prefix: Option<Prefix>,
}

/// A bucket that the front serves itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Embedded {
    /// The bucket: the path of a directory.
    #[schemars(required)]
    pub(crate) store: Option<StoreUrl>,
    /// How objects are named in it.
    #[serde(default)]
    pub(crate) layout: Layout,
}

/// A host name, or several, that the front answers for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    /// What it is called in records and metrics.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Host names without port; `*` is every host that no other site names.
    #[schemars(required)]
    pub(crate) hosts: Option<Vec<Host>>,
    /// The origin that its names come from.
    #[schemars(required)]
    pub(crate) origin: Option<Name>,
    /// The mirrors that may serve it. Without them, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mirrors: Option<Vec<Name>>,
    /// Who serves regions that have no copy of their own; of several rules for the same clients
    /// the first counts.
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
    /// Who serves everyone else. Without it the origin does.
    #[serde(default)]
    pub(crate) default: Vec<Share>,
    /// How blobs reach clients.
    #[serde(default)]
    pub(crate) delivery: Delivery,
    /// Whether `/v2/_catalog` lists the repositories.
    #[serde(default)]
    pub(crate) catalog_api: bool,
    /// Pages beside the registry's interface, by path, as `/` and `/privacy`.
    #[serde(default)]
    pub(crate) pages: BTreeMap<Page, Answer>,
}

/// Which copies serve a region, or a whole provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// The clients' provider.
    #[schemars(required)]
    pub(crate) provider: Option<PlaceName>,
    /// The clients' region. Without it, every region of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// The origins and mirrors that serve them, best first.
    #[schemars(required)]
    pub(crate) copies: Option<Vec<Name>>,
}

/// A copy's share of everyone else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// The origin or mirror.
    #[schemars(required)]
    pub(crate) copy: Option<Name>,
    /// How much it takes, compared with the others.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default = "Share::weight")]
    pub(crate) weight: u16,
}

impl Share {
    pub(crate) const fn weight() -> u16 {
        1
    }
}

/// How blobs reach clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Delivery {
    /// By a 307 to the copy.
    #[default]
    Redirect,
    /// Streamed through the front, for users who can allow-list only one host.
    Proxy,
}

/// What a page answers: exactly one of `redirect` and `text`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// 307 to this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect: Option<WebUrl>,
    /// 200 with this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
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
    /// A disposable directory for what a restart would have to fetch again. Without it a restart
    /// fetches it again.
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
