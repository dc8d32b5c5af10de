//! `landbridge serve`: the front, and without a configuration all that it stands before.

mod events;
mod greeting;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use landbridge_front::settings::Settings;
use landbridge_front::{Front, StartError};
use landbridge_registry::{self as registry, SourceLimits, SourceReference};
use tracing::{error, info, warn};

use self::events::{Reason, Signals, Watch};
use self::greeting::{Served, greeting};
use crate::cli::{LocalRanges, ServeArgs};
use crate::config::{self, Override, Secrets, Source};
use crate::embedded::{self, DataDirectory};
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::pack;
use crate::progress::Display;
use crate::release::{self, Press};
use crate::runtime;

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
    let settings = load(&origin, args)?;
    let served = Served::of(&settings);
    let front = Front::start(settings).await.map_err(not_started)?;
    // Whoever reads the greeting may send the first signal at once.
    let mut signals = Signals::new().context("cannot listen for signals").or_failed()?;
    output::print(&greeting(&front, &origin, &served))?;

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
