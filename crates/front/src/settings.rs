//! What a front is told: plain data, already validated by whoever read the configuration.
//!
//! Every number here has been checked and every default filled in; nothing is optional because it
//! has a default. Copies, origins and sites refer to one another by their place in the lists.

mod failover;
mod legacy;
mod limits;
mod probes;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::breaker::BreakerSettings;
use landbridge_core::client_address::{ForwardedHeader, TrustedProxies};
use landbridge_core::place::{RangeFormat, SuspicionLimits};
use landbridge_core::pointer::Keys;
use landbridge_core::price::Rates;
use landbridge_listen::TlsFiles;
use landbridge_registry::Credentials;
use landbridge_store::BucketLayout;
pub use landbridge_store::read::Follow;
use url::Url;

pub use self::failover::{FailoverSettings, Fronts, Mode, OverflowEdge, OverflowRule};
pub use self::legacy::LegacySettings;
pub use self::limits::LimitSettings;
pub use self::probes::{Override, OverrideState, ProbeSettings};

/// Everything that a front needs to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens; taken at start only.
    pub listen: ListenSettings,
    /// Who may name a client's address.
    pub trusted_proxies: TrustedProxies,
    /// The header in which they name it.
    pub forwarded_header: ForwardedHeader,
    /// Where address ranges come from; earlier sources win over later ones.
    pub ranges: Vec<RangeSource>,
    /// When a new range file is refused.
    pub suspicion: SuspicionLimits,
    /// All places that hold objects; at most [`landbridge_core::topology::MAX_COPIES`].
    pub copies: Vec<CopySettings>,
    /// Where names come from.
    pub origins: Vec<OriginSettings>,
    /// The host names that are answered for.
    pub sites: Vec<SiteSettings>,
    /// Where access records go.
    pub records: RecordSettings,
    /// Sizes and lifetimes of what is kept in memory.
    pub caches: CacheSettings,
    /// When a copy that fails is left alone.
    pub breaker: BreakerSettings,
    /// How copies are probed.
    pub probes: ProbeSettings,
    /// What it may cost when copies fail.
    pub failover: FailoverSettings,
    /// How much a client's network may ask for, if there is any limit to it.
    pub limits: Option<LimitSettings>,
    /// The moment at which migrations are played as if the front had started then: a rehearsal.
    pub rehearsal: Option<Timestamp>,
    /// A disposable directory for what a restart would have to fetch again.
    pub cache_directory: Option<PathBuf>,
}

/// Listeners and what a connection may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenSettings {
    /// The public listener; port 0 picks a free one.
    pub address: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
    /// Certificate chain and key, PEM files that are read again when they change.
    pub tls: Option<TlsFiles>,
    /// How many threads answer; each has its own event loop.
    pub threads: usize,
    /// Limits of one connection.
    pub limits: ConnectionLimits,
    /// How long a stopping front waits for requests that are under way.
    pub drain: Duration,
}

/// Limits of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Bytes of a request's head.
    pub header_bytes: usize,
    /// Bytes of a request's body that are read before the connection is closed.
    pub body_bytes: u64,
    /// Until the first byte of a connection, the TLS handshake and HTTP/2's preface included.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its head.
    pub header: Duration,
    /// A connection between two requests.
    pub idle: Duration,
    /// Connections that are open at once.
    pub connections: usize,
    /// Those of one client's network, if that is limited.
    pub network_connections: Option<usize>,
    /// Streams of one HTTP/2 connection that are open at once.
    pub streams: u32,
    /// How long a client may keep an answer waiting until it has taken `stall_bytes` of it.
    pub stall: Duration,
    /// After so many bytes it may do so again.
    pub stall_bytes: u64,
}

/// One source of address ranges.
#[derive(Debug, Clone)]
pub struct RangeSource {
    /// What it is called in messages and metrics.
    pub name: String,
    /// The provider whose ranges these are; CSV names its own.
    pub provider: String,
    /// How it is written.
    pub format: RangeFormat,
    /// Where it is.
    pub location: RangeLocation,
    /// How often it is looked at again.
    pub refresh: Duration,
}

/// Where ranges are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeLocation {
    /// The small table that comes with the program.
    Demonstration,
    /// A file, read again when it changes.
    File(PathBuf),
    /// An address, fetched with conditional requests.
    Url(Url),
}

/// A place that holds objects.
#[derive(Debug, Clone)]
pub struct CopySettings {
    /// Its name, unique.
    pub name: String,
    /// Whose cloud it is in, if any.
    pub provider: Option<String>,
    /// Which region of it.
    pub region: Option<String>,
    /// How clients reach it.
    pub face: Face,
    /// What an operator says of it, whatever probes find.
    pub operator: Option<Override>,
    /// What its provider charges for what leaves it.
    pub rates: Rates,
    /// The bucket as the front itself reads it, to learn what the copy holds. Without one the
    /// holding is read through the public face.
    pub store: Option<Url>,
}

/// How clients reach a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Face {
    /// A bucket with a public address; clients are redirected to `url` + the layout's path.
    Bucket {
        /// The public address that stands for the bucket's root, without a trailing slash.
        url: Url,
        /// How objects are named below it.
        layout: BucketLayout,
    },
    /// Another registry; clients are redirected to its blob endpoint.
    Registry {
        /// Scheme and host.
        url: Url,
        /// What is put before each repository's name; may be empty, has no slash at its ends.
        repository_prefix: String,
    },
    /// A bucket that this front serves itself below `/-/mirror/NAME/`.
    Embedded {
        /// The bucket.
        store: Url,
        /// How objects are named in it.
        layout: BucketLayout,
    },
    /// Not reachable by clients: the front streams its blobs.
    Streamed,
}

/// Releases of one origin, as some of its sites follow them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channel {
    /// The origin, by place in the list.
    pub(crate) origin: usize,
    /// Which release counts.
    pub(crate) follow: Follow,
}

impl Settings {
    /// What is to be followed, each once: every origin at least as it is.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        let mut channels = Vec::new();
        for origin in 0..self.origins.len() {
            let sites = self.sites.iter().filter(|site| site.origin == origin);
            let first = channels.len();
            for follow in sites.flat_map(SiteSettings::follows) {
                let channel = Channel { origin, follow };
                if !channels.contains(&channel) {
                    channels.push(channel);
                }
            }
            if channels.len() == first {
                channels.push(Channel { origin, follow: Follow::Newest });
            }
        }
        channels
    }

    /// What people call a channel.
    pub(crate) fn channel_name(&self, channel: Channel) -> String {
        let origin = &self.origins[channel.origin].name;
        match channel.follow {
            Follow::Newest => origin.clone(),
            Follow::Later(delay) => format!("{origin}, {} s later", delay.as_secs()),
            Follow::Pinned(generation) => format!("{origin}, pinned to {generation}"),
        }
    }
}

/// Where names come from.
#[derive(Debug, Clone)]
pub struct OriginSettings {
    /// Its name, which is also its copy's.
    pub name: String,
    /// Its own place among the copies.
    pub copy: usize,
    /// What it is.
    pub kind: OriginKind,
    /// What was exported of its releases: started from if neither a store nor a newer cache is
    /// there.
    pub exported: Option<PathBuf>,
}

/// The kinds of origins.
#[derive(Debug, Clone)]
pub enum OriginKind {
    /// Any OCI registry.
    Registry(LiveRegistry),
    /// A bucket with generations and signed pointers.
    Store {
        /// The bucket, which is the authority for names.
        url: Url,
        /// How objects are named in it.
        layout: BucketLayout,
        /// The catalog that its pointers must name.
        catalog: String,
        /// Whose signatures are believed.
        keys: Keys,
        /// Pointers below this number do not count; 0 if all do.
        minimum_sequence: u64,
        /// How often a newer pointer is looked for.
        poll: Duration,
        /// How many generations before the current one keep their digests answerable.
        retain: usize,
        /// The registry that takes the pushes, if there is one: asked for what no generation
        /// knows.
        registry: Option<LiveRegistry>,
    },
}

impl OriginKind {
    /// The registry that is asked while clients wait, if there is one.
    pub fn registry(&self) -> Option<&LiveRegistry> {
        match self {
            Self::Registry(registry) => Some(registry),
            Self::Store { registry, .. } => registry.as_ref(),
        }
    }
}

/// A registry that is asked while clients wait, and remembered for a while.
#[derive(Debug, Clone)]
pub struct LiveRegistry {
    /// Its own place among the copies: the origin's, if the origin is nothing but this registry.
    /// Beside a bucket it is a copy of its own, since one may fail where the other works.
    pub copy: usize,
    /// Scheme and host.
    pub url: Url,
    /// What is put before each repository's name.
    pub repository_prefix: String,
    /// With what to ask for a token, if not anonymously.
    pub credentials: Option<Credentials>,
}

/// A host name, or several, that the front answers for.
#[derive(Debug, Clone)]
pub struct SiteSettings {
    /// Its name in records and metrics.
    pub name: String,
    /// Host names in lower case without port; `*` is every other one.
    pub hosts: Vec<String>,
    /// Its origin, by place in the list.
    pub origin: usize,
    /// Which release of the origin's it shows; nothing but the newest of one without releases.
    pub follow: Follow,
    /// The copies that mirror it, by place in the list; without the origin's.
    pub mirrors: Vec<usize>,
    /// Who serves regions that have no copy of their own, first match first.
    pub neighbours: Vec<NeighbourRule>,
    /// Who serves everyone else, with weights above zero.
    pub defaults: Vec<(usize, u16)>,
    /// Who serves clients whose copies fail, first match first; empty if anyone may.
    pub overflow: Vec<OverflowRule>,
    /// How blobs reach clients.
    pub delivery: Delivery,
    /// Whether `/v2/_catalog` is answered.
    pub catalog_api: bool,
    /// Whether `/status` is answered.
    pub status: bool,
    /// What makes it the answer to an old name.
    pub legacy: Option<LegacySettings>,
    /// Pages outside of the registry's interface, by exact path.
    pub pages: Vec<(String, PageAnswer)>,
}

impl SiteSettings {
    /// Which releases it shows: its own, and those that its migration freezes it at.
    fn follows(&self) -> impl Iterator<Item = Follow> {
        let steps = self.legacy.iter().flat_map(|legacy| legacy.migration.steps());
        let frozen = steps.filter_map(|step| step.generation).map(Follow::Pinned);
        std::iter::once(self.follow).chain(frozen)
    }
}

/// Which copies serve a region (or a whole provider) that has none of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeighbourRule {
    /// The clients' provider.
    pub provider: String,
    /// The clients' region; `None` is any region of the provider that no earlier rule names.
    pub region: Option<String>,
    /// The copies, best first.
    pub copies: Vec<usize>,
}

/// How blobs reach clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// By 307 to the copy.
    Redirect,
    /// Streamed through the front, for users who can allow-list only one host.
    Proxy,
}

/// What a page answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageAnswer {
    /// 200 with this text.
    Text(String),
    /// 307 to this address.
    Redirect(Url),
}

/// Where access records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSettings {
    /// What is written.
    pub mode: RecordMode,
    /// The directory of the files.
    pub directory: PathBuf,
    /// A file that has grown beyond this many bytes is rotated.
    pub rotate_bytes: u64,
    /// How many rotated files are kept.
    pub keep_files: usize,
}

/// What is written for each answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordMode {
    /// Nothing.
    Off,
    /// One line for each answer.
    Each,
    /// One line for each minute and combination of fields, with counts.
    Minute,
}

/// Sizes and lifetimes of what is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheSettings {
    /// Bytes of manifests.
    pub manifest_bytes: u64,
    /// How long what a live origin said of a tag is good.
    pub tag_fresh: Duration,
    /// How long it may still be served when the origin fails.
    pub tag_stale: Duration,
    /// Entries of what live origins said.
    pub live_entries: u64,
    /// How long a mirror's "I have it" is good.
    pub present: Duration,
    /// How long a mirror's "I have it not" is good.
    pub absent: Duration,
    /// Entries of what mirrors said.
    pub presence_entries: u64,
    /// How long a mirror may take to say whether it has an object.
    pub presence_timeout: Duration,
    /// How long an origin or a copy may take to begin its answer.
    pub fetch_timeout: Duration,
}
