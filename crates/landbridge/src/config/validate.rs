//! What a configuration means: whether its parts fit one another, and what a front is told.
//!
//! The form has been checked before. What was wrong there is absent here and has been reported,
//! so an absent required field is passed over in silence; whether one of several fields was
//! *written* is asked of the document.

mod copies;
mod failover;
mod files;
mod health;
mod legacy;
mod limits;
mod own;
mod prices;
mod ranges;
mod replicate;
mod sites;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use landbridge_core::breaker::BreakerSettings;
use landbridge_core::client_address::{ForwardedHeader, TrustedProxies};
use landbridge_core::place::SuspicionLimits;
use landbridge_front::settings as front;

use self::failover::PricedCopies;
pub(crate) use self::files::Secrets;
use self::prices::PriceBook;
pub(crate) use self::prices::is_here;

use super::Config;
use super::document::Node;
use super::path::Path;
use super::problem::Problem;
use super::raw::{Cache, Header, Listening, Proxies, Raw, RecordMode, Records};
use super::scalar::{Period, Size};

/// What a configuration is judged in: the machine, as far as it matters.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// The directory from which relative paths are taken; absolute.
    pub(crate) base: PathBuf,
    /// How many threads `listen.threads` means when it is not written.
    pub(crate) processors: usize,
    /// Whether passwords are read.
    pub(crate) secrets: Secrets,
}

/// What a front and an origin are told, with everything that is wrong put into `problems`; `None`
/// if something that they could not do without is wrong.
pub(crate) fn validate(
    raw: &Raw,
    document: &Node,
    surroundings: &Surroundings,
    problems: &mut Vec<Problem>,
) -> Option<Config> {
    let mut validator =
        Validator { document, surroundings, problems, own: None, own_registries: Vec::new() };
    let is_about_fronts = ["origins", "mirrors", "sites"]
        .into_iter()
        .any(|name| validator.is_written(&Path::default(), name));
    let own = match &raw.origin {
        None => None,
        Some(own) => {
            let (address, tls) = (own.listen.address.0, own.listen.tls.is_some());
            validator.own = Some(Listener { address, tls });
            Some(validator.own(own))
        }
    };
    let price_book = validator.price_book(raw);
    let front = if own.is_none() || is_about_fronts {
        Some(validator.front(raw, &price_book))
    } else {
        None
    };
    let replicate = match (&raw.replicate, &front) {
        (Some(replicate), Some(Some(front))) => {
            Some(validator.replicate(replicate, &price_book, front))
        }
        (Some(_), None) => {
            validator.report(&Path::dotted("replicate"), "is of no use without `origins`");
            None
        }
        (Some(_), Some(None)) | (None, _) => None,
    };
    Some(Config {
        front: required(front)?,
        own: required(own)?,
        replicate: required(replicate)?,
        plan: plan_file(raw, surroundings),
        own_registries: validator.own_registries,
    })
}

/// What is asked for must be right.
#[expect(clippy::option_option, reason = "asked for or not, right or not")]
fn required<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(part) => part.map(Some),
    }
}

fn plan_file(raw: &Raw, surroundings: &Surroundings) -> Option<PathBuf> {
    let plan = raw.migration.as_ref()?.plan.as_ref()?;
    Some(surroundings.base.join(plan.as_str()))
}

impl Validator<'_> {
    fn front(&mut self, raw: &Raw, prices: &PriceBook) -> Option<front::Settings> {
        let validator = self;
        let root = Path::default();
        let listen = validator.listen(&raw.listen, &root.field("listen"));
        let (trusted_proxies, forwarded_header) =
            validator.proxies(raw.trusted_proxies.as_ref(), &root.field("trusted_proxies"));
        let is_counted = matches!(trusted_proxies, TrustedProxies::Hops(_));
        if is_counted && raw.listen.limits.connections_per_network.is_some() {
            let at = Path::dotted("listen.limits.connections_per_network");
            validator.report(&at, "is of no use behind proxies that are counted by `hops`: all connections are theirs");
        }
        let ranges = validator.ranges(&raw.ranges, &root.field("ranges"));
        let mut copies = validator.copies(raw);
        if let Some(settings) = &mut copies.settings {
            Self::price(settings, prices);
        }
        let priced = PricedCopies { settings: copies.settings.as_deref(), prices };
        let plan = validator.plan(raw.migration.as_ref());
        let sites = validator.sites(raw, &copies.names, &priced, &plan);
        let probes = validator.probes(raw);
        let failover = validator.failover(raw);
        let records = validator.records(&raw.records);
        let caches = validator.caches(&raw.cache, &root.field("cache"));
        let breaker = validator.breaker(raw);
        let limits = raw.limits.as_ref().map(|limits| validator.client_limits(limits));
        Some(front::Settings {
            listen: listen?,
            trusted_proxies,
            forwarded_header,
            ranges: ranges?,
            suspicion: SuspicionLimits { max_lost_permille: raw.suspicion.max_lost_permille },
            copies: copies.settings?,
            origins: copies.origins?,
            sites: sites?,
            records,
            caches,
            breaker,
            probes,
            failover,
            limits: required(limits)?,
            rehearsal: raw.migration.as_ref().and_then(|it| it.rehearsal).map(|it| it.0),
            cache_directory: raw.cache.directory.as_ref().map(|path| validator.resolve(path)),
        })
    }
}

struct Validator<'a> {
    document: &'a Node,
    surroundings: &'a Surroundings,
    problems: &'a mut Vec<Problem>,
    /// Where the origin of the file itself listens, if it has one.
    own: Option<Listener>,
    /// The copies that are that origin.
    own_registries: Vec<usize>,
}

/// Where something listens, and whether it speaks TLS there.
#[derive(Clone, Copy)]
struct Listener {
    address: SocketAddr,
    tls: bool,
}

impl Validator<'_> {
    /// Whether the field `name` is written below `path`, right or wrong.
    fn is_written(&self, path: &Path, name: &str) -> bool {
        self.document.find(path).is_some_and(|node| node.get(name).is_some())
    }

    fn report(&mut self, path: &Path, message: impl Into<String>) {
        let place = self.document.locate(path);
        self.problems.push(Problem { place, path: path.clone(), message: message.into() });
    }

    /// Reports unless exactly one of the fields `names` is written below `path`.
    fn exactly_one(&mut self, path: &Path, names: &[&str]) {
        let Some(node) = self.document.find(path).filter(|node| node.is_mapping()) else { return };
        let written: Vec<_> = names.iter().filter(|name| node.get(name).is_some()).collect();
        match written[..] {
            [_] => {}
            [] => self.at_least_one(path, names),
            [first, second, ..] => {
                let message =
                    format!("`{first}` and `{second}` exclude each other: keep one of them");
                self.report(&path.field(second), message);
            }
        }
    }

    /// Reports if none of the fields `names` is written below `path`.
    fn at_least_one(&mut self, path: &Path, names: &[&str]) {
        let Some(node) = self.document.find(path).filter(|node| node.is_mapping()) else { return };
        if names.iter().all(|name| node.get(name).is_none()) {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            self.report(path, format!("needs one of {}", names.join(", ")));
        }
    }

    /// The duration, reported if it is shorter than `least`.
    fn at_least(&mut self, period: Period, least: Duration, path: &Path) -> Duration {
        if period.0 < least {
            self.report(path, format!("`{period}` is too short: at least `{}`", Period(least)));
        }
        period.0
    }

    fn listen(&mut self, raw: &Listening, at: &Path) -> Option<front::ListenSettings> {
        if raw.address.0 == raw.admin.0 && raw.address.0.port() != 0 {
            let message =
                format!("`{}` is the public listener's address too: take another port", raw.admin);
            self.report(&at.field("admin"), message);
        }
        let tls = match &raw.tls {
            None => None,
            Some(tls) => Some(self.tls(tls, &at.field("tls"))?),
        };
        let limits_at = at.field("limits");
        let limits = &raw.limits;
        let second = Duration::from_secs(1);
        if limits.header < Size(1024) {
            self.report(
                &limits_at.field("header"),
                format!("`{}` is too small: at least `1KiB`", limits.header),
            );
        }
        Some(front::ListenSettings {
            address: raw.address.0,
            admin: raw.admin.0,
            tls,
            threads: raw.threads.map_or(self.surroundings.processors, usize::from),
            limits: front::ConnectionLimits {
                header_bytes: as_usize(limits.header.0),
                body_bytes: limits.body.0,
                first_byte: self.at_least(
                    limits.first_byte,
                    second,
                    &limits_at.field("first_byte"),
                ),
                header: self.at_least(limits.header_time, second, &limits_at.field("header_time")),
                idle: self.at_least(limits.idle, second, &limits_at.field("idle")),
                connections: as_usize(limits.connections.into()),
                network_connections: limits.connections_per_network.map(|it| as_usize(it.into())),
                streams: limits.streams,
                stall: self.at_least(limits.stall, second, &limits_at.field("stall")),
                stall_bytes: limits.least_rate.0.within(limits.stall.0),
            },
            drain: raw.drain.0,
        })
    }

    fn proxies(&mut self, raw: Option<&Proxies>, at: &Path) -> (TrustedProxies, ForwardedHeader) {
        let Some(raw) = raw else { return (TrustedProxies::None, ForwardedHeader::default()) };
        self.exactly_one(at, &["cidrs", "hops"]);
        let header = match raw.header {
            Header::XForwardedFor => ForwardedHeader::XForwardedFor,
            Header::Forwarded => ForwardedHeader::Forwarded,
        };
        let trusted = match (&raw.cidrs, raw.hops) {
            (Some(networks), _) => TrustedProxies::Cidrs(networks.iter().map(|it| it.0).collect()),
            (None, Some(hops)) => TrustedProxies::Hops(hops),
            (None, None) => TrustedProxies::None,
        };
        (trusted, header)
    }

    fn records(&self, raw: &Records) -> front::RecordSettings {
        front::RecordSettings {
            mode: match raw.mode {
                RecordMode::Each => front::RecordMode::Each,
                RecordMode::Minute => front::RecordMode::Minute,
                RecordMode::Off => front::RecordMode::Off,
            },
            directory: self.resolve(&raw.directory),
            rotate_bytes: raw.rotate.0,
            keep_files: as_usize(raw.keep.into()),
        }
    }

    fn caches(&mut self, raw: &Cache, at: &Path) -> front::CacheSettings {
        let mut timeout =
            |period, field| self.at_least(period, Duration::from_millis(10), &at.field(field));
        let presence_timeout = timeout(raw.presence_timeout, "presence_timeout");
        let fetch_timeout = timeout(raw.fetch_timeout, "fetch_timeout");
        front::CacheSettings {
            manifest_bytes: raw.manifests.0,
            tag_fresh: raw.tag_fresh.0,
            tag_stale: raw.tag_stale.0,
            live_entries: raw.live_entries.into(),
            present: raw.present.0,
            absent: raw.absent.0,
            presence_entries: raw.presence_entries.into(),
            presence_timeout,
            fetch_timeout,
        }
    }

    fn breaker(&mut self, raw: &Raw) -> BreakerSettings {
        let (raw, at) = (&raw.breaker, Path::dotted("breaker"));
        if raw.open_most.0 < raw.open_first.0 {
            let message =
                format!("`{}` is shorter than `open_first`, `{}`", raw.open_most, raw.open_first);
            self.report(&at.field("open_most"), message);
        }
        BreakerSettings {
            failures: raw.failures.into(),
            open_first: self.at_least(
                raw.open_first,
                Duration::from_millis(10),
                &at.field("open_first"),
            ),
            open_most: raw.open_most.0,
        }
    }
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
