//! `landbridge serve`: the front, and without a configuration all that it stands before.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use landbridge_front::settings::{RangeLocation, RangeSource, Settings};
use landbridge_front::{Front, StartError};
use landbridge_registry::{self as registry, SourceLimits, SourceReference};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::cli::{DEFAULT_DATA, ServeArgs};
use crate::config::{self, Override, Secrets, Source};
use crate::embedded::{self, DataDirectory};
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::pack;
use crate::progress::Display;
use crate::release::{self, Press};
use crate::runtime;

/// How often the configuration file is looked at.
const FILE_CHECK: Duration = Duration::from_secs(1);

pub(super) fn run(args: &ServeArgs) -> Outcome {
    runtime::block_on(Box::pin(serve(args)))
}

async fn serve(args: &ServeArgs) -> Outcome {
    let origin = Origin::new(args).or_usage()?;
    // Held until the end.
    let _lock = match &origin {
        Origin::Data(data) => Some(prepare(data).await?),
        Origin::File(_) => None,
    };
    let settings = load(&origin, args)?;
    let served = Served::of(&settings);
    let front = Front::start(settings).await.map_err(not_started)?;
    output::print(&greeting(&front, &origin, &served))?;

    let mut signals = Signals::new().context("cannot listen for signals").or_failed()?;
    let mut watch = Watch::new(&origin);
    loop {
        tokio::select! {
            () = watch.changed() => reload(&front, &origin, args).await,
            reason = signals.next() => match reason {
                Reason::Reload => reload(&front, &origin, args).await,
                Reason::Stop => break,
            },
        }
    }
    info!("finishing the requests that are under way; once more to stop at once");
    tokio::select! {
        () = front.drain() => Ok(Exit::Done),
        () = signals.stop() => Ok(Exit::Done),
    }
}

/// Where the configuration comes from.
enum Origin {
    /// A file.
    File(PathBuf),
    /// The local topology in a directory.
    Data(DataDirectory),
}

impl Origin {
    fn new(args: &ServeArgs) -> anyhow::Result<Self> {
        Ok(match &args.from.config {
            Some(file) => Self::File(file.clone()),
            None => Self::Data(DataDirectory::at(&args.from.data())?),
        })
    }

    fn source(&self) -> Outcome<Source> {
        match self {
            Self::File(file) => Source::read(file).or_usage(),
            Self::Data(data) => embedded::source(data),
        }
    }
}

/// Takes the data directory, and puts an image into it if nothing was ever published there.
async fn prepare(data: &DataDirectory) -> Outcome<std::fs::File> {
    let press = Press::open(data).or_failed()?;
    let lock = release::lock(data).or_failed()?;
    if press.is_blank().await.or_failed()? {
        info!("packing this program as an image, so that there is something to pull");
        publish_self(data, &press).await.or_failed()?;
    }
    Ok(lock)
}

/// Publishes this program as `landbridge:VERSION` and `landbridge:latest`, by the way that any other
/// image takes.
async fn publish_self(data: &DataDirectory, press: &Press) -> anyhow::Result<()> {
    let root = data.path().to_owned();
    let packing = tokio::task::spawn_blocking(move || {
        let scratch = tempfile::Builder::new().prefix("pack-").tempdir_in(&root)?;
        // The program that runs, even if its file was replaced meanwhile.
        pack::pack(Path::new("/proc/self/exe"), env!("CARGO_PKG_VERSION"), scratch.path())?;
        anyhow::Ok(scratch)
    });
    let scratch = packing.await?.with_context(|| {
        format!("cannot pack this program as an image in `{}`", data.path().display())
    })?;
    let reference = SourceReference::layout(scratch.path());
    let source = registry::Source::open(&reference, SourceLimits::default()).await?;
    let display = Display::on_stderr();
    let report = press.publish(&source, None, &|progress| display.show(&progress)).await;
    display.end();
    report?;
    Ok(())
}

fn load(origin: &Origin, args: &ServeArgs) -> Outcome<Settings> {
    let (mut overrides, warnings) = config::environment();
    for warning in warnings {
        warn!("{warning}");
    }
    let flags =
        [("--listen", "listen.address", &args.listen), ("--admin", "listen.admin", &args.admin)];
    for (name, path, value) in flags {
        overrides.extend(value.as_ref().map(|value| Override::flag(name, path, value)));
    }
    config::load(&origin.source()?, &overrides, Secrets::Read).or_usage()
}

/// A configuration with which something is wrong is reported, and the old one stays.
async fn reload(front: &Front, origin: &Origin, args: &ServeArgs) {
    let settings = match load(origin, args) {
        Ok(settings) => settings,
        Err(Failure { error, .. }) => {
            error!("the configuration was not reloaded, the old one stays: {error:#}");
            return;
        }
    };
    if let Err(refused) = front.reload(settings).await {
        let refused = anyhow::Error::from(refused);
        error!("the configuration was not reloaded, the old one stays: {refused:#}");
    }
}

fn not_started(error: StartError) -> Failure {
    let exit = match &error {
        StartError::Bind { .. } | StartError::Gather(_) | StartError::Tls(_) => Exit::Usage,
        StartError::Records { .. } | StartError::Threads(_) => Exit::Failed,
    };
    let hint = match &error {
        StartError::Bind { listener: "admin", source, .. } if is_taken(source) => {
            "; take another one with --admin, port 0 picks a free one"
        }
        StartError::Bind { source, .. } if is_taken(source) => {
            "; take another one with --listen, port 0 picks a free one"
        }
        _ => "",
    };
    let error = anyhow::Error::from(error);
    Failure { exit, error: anyhow::anyhow!("{error:#}{hint}") }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// What the greeting says of the settings.
struct Served {
    /// `http` or `https`.
    scheme: &'static str,
    /// Names of ranges that are no provider's own.
    demonstrations: Vec<String>,
}

impl Served {
    fn of(settings: &Settings) -> Self {
        let is_demonstration =
            |source: &&RangeSource| source.location == RangeLocation::Demonstration;
        let demonstrations = settings.ranges.iter().filter(is_demonstration);
        Self {
            scheme: if settings.listen.tls.is_some() { "https" } else { "http" },
            demonstrations: demonstrations.map(|source| source.name.clone()).collect(),
        }
    }
}

/// What is said when the front is ready. The first two lines are for programs too.
fn greeting(front: &Front, origin: &Origin, served: &Served) -> String {
    let (public, admin) = front.addresses();
    let scheme = served.scheme;
    let mut text = format!("listening on {scheme}://{public}\nadmin on http://{admin}\n\n");
    match origin {
        Origin::File(file) => {
            let _ = writeln!(text, "configuration: {}", file.display());
        }
        Origin::Data(data) => {
            let mirrors: Vec<_> = data.mirrors().map(|(name, _)| name).collect();
            let (path, mirrors) = (data.path().display(), mirrors.join(", "));
            let _ = writeln!(text, "data: {path}: the origin and the mirrors {mirrors}");
        }
    }
    for (name, prefixes) in front.ranges() {
        let _ = write!(text, "address ranges: {name}, {prefixes} prefixes");
        let is_demonstration = served.demonstrations.contains(&name);
        text.push_str(if is_demonstration { ", built in for trying it out\n" } else { "\n" });
    }
    text.push_str("\ntry:\n");
    for command in commands(reachable(public), reachable(admin), origin, scheme) {
        let _ = writeln!(text, "  {command}");
    }
    text
}

/// Three commands to try; the second shows the routing.
fn commands(public: SocketAddr, admin: SocketAddr, origin: &Origin, scheme: &str) -> [String; 3] {
    let program = std::env::args().next().unwrap_or_else(|| "landbridge".to_owned());
    match origin {
        Origin::Data(data) => {
            let is_default =
                std::path::absolute(DEFAULT_DATA).is_ok_and(|path| path == data.path());
            let place = if is_default {
                String::new()
            } else {
                format!(" --data {}", data.path().display())
            };
            [
                format!("skopeo inspect --tls-verify=false docker://{public}/landbridge:latest"),
                format!(
                    "{program} explain landbridge:latest --from 3.5.140.1{place}     # an AWS address"
                ),
                format!("podman pull --tls-verify=false {public}/landbridge:latest"),
            ]
        }
        Origin::File(_) => [
            format!("curl -i {scheme}://{public}/v2/"),
            format!(
                "{program} explain NAME:TAG --from 3.5.140.1 --server http://{admin}     # an AWS address"
            ),
            format!("curl http://{admin}/readyz"),
        ],
    }
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if !ip.is_unspecified() => address,
        IpAddr::V4(_) | IpAddr::V6(_) => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
        }
    }
}

/// What a signal asks for.
enum Reason {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> Reason {
        tokio::select! {
            _ = self.hangup.recv() => Reason::Reload,
            _ = self.terminate.recv() => Reason::Stop,
            _ = self.interrupt.recv() => Reason::Stop,
        }
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Notices that a configuration file was replaced or written to.
struct Watch {
    file: Option<PathBuf>,
    seen: Option<(SystemTime, u64)>,
}

impl Watch {
    fn new(origin: &Origin) -> Self {
        let file = match origin {
            Origin::File(file) => Some(file.clone()),
            Origin::Data(_) => None,
        };
        let seen = file.as_deref().and_then(stamp);
        Self { file, seen }
    }

    /// Returns when the file has changed; never without one.
    async fn changed(&mut self) {
        let Some(file) = self.file.clone() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(FILE_CHECK).await;
            // A file that is away for a moment is being replaced.
            let now = stamp(&file);
            if now.is_some() && now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
