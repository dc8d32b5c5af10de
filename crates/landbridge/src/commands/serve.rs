//! `landbridge serve`: the front, and without a configuration all that it stands before.

mod greeting;
mod watch;

use std::io;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context as _, bail};
use landbridge_front::{Front, StartError};
use landbridge_registry::{self as registry, SourceLimits, SourceReference};
use tracing::{error, info, warn};

use self::greeting::{Served, greeting};
use self::watch::Watch;
use super::signals::{Reason, Signals};
use crate::cli::{LocalRanges, ServeArgs};
use crate::config::{self, Config, Override, Path, Secrets, Source};
use crate::embedded::{self, DataDirectory};
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::own::Own;
use crate::pack;
use crate::release::{self, Press};
use crate::runtime;

/// Where the address of the origin beside the front stands in a configuration.
const OWN_ADDRESS: &str = "origin.listen.address";

pub(super) fn run(args: &ServeArgs) -> Outcome {
    runtime::block_on(Box::pin(serve(args)))
}

async fn serve(args: &ServeArgs) -> Outcome {
    let origin = Origin::new(args).or_usage()?;
    // Held until the end.
    let _lock = match &origin {
        Origin::Data(data, _) => Some(prepare(data).await?),
        Origin::File(_) => None,
    };
    let config = load(&origin, args)?;
    let has_own = config.own.is_some();
    let plan = config.plan.clone();
    let own = match &config.own {
        Some(settings) => match settings.start("--origin-listen").await {
            Ok(own) => Some(own),
            // On a full disk nothing can be pushed, but what is there can be pulled.
            Err(Failure { exit: Exit::Failed, error }) => {
                error!("{error:#}; what was published is served all the same");
                None
            }
            Err(failure) => return Err(failure),
        },
        None => None,
    };
    let settings = config.for_front(own.as_ref().map(Own::address)).or_usage()?;
    let served = Served::of(&settings, own.as_ref());
    let front = Front::start(settings).await.map_err(not_started)?;
    if let Some(own) = &own {
        export(&front, own);
    }
    // Whoever reads the greeting may send the first signal at once.
    let mut signals = Signals::new().context("cannot listen for signals").or_failed()?;
    output::print(&greeting(&front, &origin, &served))?;

    let mut watch = Watch::new(&origin);
    let mut running = Running { front, own, has_own, plan };
    loop {
        watch.plan(running.plan.as_deref());
        tokio::select! {
            () = watch.changed() => running.reload(&origin, args).await,
            reason = signals.next() => match reason {
                Reason::Reload => running.reload(&origin, args).await,
                Reason::Stop => break,
            },
        }
    }
    info!("finishing the requests that are under way; once more to stop at once");
    tokio::select! {
        () = running.drain() => Ok(Exit::Done),
        () = signals.stop() => Ok(Exit::Done),
    }
}

/// What the origin beside the front counts is told by the front's metrics.
fn export(front: &Front, own: &Own) {
    let (limits, events) = (own.counters(), own.counters());
    let help = "Requests to the origin beyond the limits of a client, refused or only observed";
    front.export("origin_over_limit", help, move || limits.over_limit());
    let help = "Events of the origin that a receiver did not get";
    front.export("origin_events_dropped", help, move || events.dropped_events());
}

/// Where the configuration comes from.
enum Origin {
    /// A file.
    File(PathBuf),
    /// The local topology in a directory.
    Data(DataDirectory, LocalRanges),
}

impl Origin {
    fn new(args: &ServeArgs) -> anyhow::Result<Self> {
        Ok(match &args.from.config {
            Some(file) => Self::File(file.clone()),
            None => Self::Data(DataDirectory::at(&args.from.data())?, args.from.ranges),
        })
    }

    fn source(&self) -> Outcome<Source> {
        match self {
            Self::File(file) => Source::read(file).or_usage(),
            Self::Data(data, ranges) => embedded::source(data, *ranges),
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
        pack::pack(FilePath::new("/proc/self/exe"), env!("CARGO_PKG_VERSION"), scratch.path())?;
        anyhow::Ok(scratch)
    });
    let scratch = packing.await?.with_context(|| {
        format!("cannot pack this program as an image in `{}`", data.path().display())
    })?;
    let reference = SourceReference::layout(scratch.path());
    let source = registry::Source::open(&reference, SourceLimits::default()).await?;
    press.publish(&source, None, &|_| {}).await?;
    Ok(())
}

fn load(origin: &Origin, args: &ServeArgs) -> Outcome<Config> {
    let (mut overrides, warnings) = config::environment();
    for warning in warnings {
        warn!("{warning}");
    }
    let flags = [
        ("--listen", "listen.address", &args.listen),
        ("--admin", "listen.admin", &args.admin),
        ("--origin-listen", OWN_ADDRESS, &args.origin_listen),
    ];
    for (name, path, value) in flags {
        overrides.extend(value.as_ref().map(|value| Override::flag(name, path, value)));
    }
    let mut config = config::load(&origin.source()?, &overrides, Secrets::Read).or_usage()?;
    // Who takes any free port for the one does not mean a certain one for the other.
    let is_chosen = overrides.iter().any(|it| it.path == Path::dotted(OWN_ADDRESS));
    let public = config.front.as_ref().map(|front| front.listen.address.port());
    if let (Origin::Data(..), false, Some(0), Some(own)) =
        (origin, is_chosen, public, &mut config.own)
    {
        own.address.set_port(0);
    }
    Ok(config)
}

/// What runs until it is stopped.
struct Running {
    front: Front,
    /// The origin beside it, unless it could not start.
    own: Option<Own>,
    /// Whether there should be one.
    has_own: bool,
    /// The plan of migrations that the configuration names.
    plan: Option<PathBuf>,
}

impl Running {
    /// A configuration with which something is wrong is reported, and the old one stays.
    async fn reload(&mut self, origin: &Origin, args: &ServeArgs) {
        if let Err(error) = self.try_reload(origin, args).await {
            error!("the configuration was not reloaded, the old one stays: {error:#}");
        }
    }

    async fn try_reload(&mut self, origin: &Origin, args: &ServeArgs) -> anyhow::Result<()> {
        let config = load(origin, args).map_err(|failure| failure.error)?;
        let rules = match (&self.own, &config.own) {
            (Some(own), Some(settings)) => Some(own.prepare(settings.clone())?),
            (None, None) => None,
            // That takes a restart; what is published is served meanwhile.
            (None, Some(_)) if self.has_own => None,
            (Some(_), None) | (None, Some(_)) => {
                bail!("`origin` can only be started or stopped by a restart")
            }
        };
        let plan = config.plan.clone();
        let settings = config.for_front(self.own.as_ref().map(Own::address))?;
        self.front.reload(settings).await?;
        self.plan = plan;
        if let (Some(own), Some(rules)) = (&mut self.own, rules) {
            own.put_in_force(rules)?;
        }
        Ok(())
    }

    /// Stops accepting and lets requests that are under way end. Pulls may still need the origin.
    async fn drain(self) {
        self.front.drain().await;
        if let Some(own) = self.own {
            own.stop().await;
        }
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
