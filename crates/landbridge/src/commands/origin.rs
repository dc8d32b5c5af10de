//! `landbridge origin`: a registry of one's own that takes pushes.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use landbridge_origin::Origin;
use tracing::{info, warn};

use super::signals::{Reason, Signals};
use crate::cli::OriginArgs;
use crate::config::{self, Override, Secrets, Source};
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;
use crate::own::{OwnSettings, reachable};
use crate::runtime;

pub(super) fn run(args: &OriginArgs) -> Outcome {
    runtime::block_on(Box::pin(serve(args)))
}

async fn serve(args: &OriginArgs) -> Outcome {
    let settings = load(args)?;
    let origin = settings.start("--listen").await?;
    // Whoever reads the greeting may send the first signal at once.
    let mut signals = Signals::new().context("cannot listen for signals").or_failed()?;
    output::print(&greeting(&origin, &settings))?;
    while let Reason::Reload = signals.next().await {
        match load(args) {
            Ok(now) if now == settings => info!("nothing was changed"),
            Ok(_) => warn!("`origin` was changed: that takes a restart"),
            Err(failure) => warn!("the configuration is not right: {:#}", failure.error),
        }
    }
    info!("finishing the requests that are under way; once more to stop at once");
    tokio::select! {
        () = origin.stop() => Ok(Exit::Done),
        () = signals.stop() => Ok(Exit::Done),
    }
}

fn load(args: &OriginArgs) -> Outcome<OwnSettings> {
    let source = match &args.config {
        Some(file) => Source::read(file).or_usage()?,
        None => Source::nothing("the command line").or_usage()?,
    };
    let (mut overrides, warnings) = config::environment();
    for warning in warnings {
        warn!("{warning}");
    }
    let flags = [
        ("--store", "origin.store", &args.store),
        ("--listen", "origin.listen.address", &args.listen),
    ];
    for (name, path, value) in flags {
        overrides.extend(value.as_ref().map(|value| Override::flag(name, path, value)));
    }
    let missing = || {
        anyhow!(
            "where shall it be kept? Name a bucket or a directory with --store, or a file that has an `origin` with --config"
        )
    };
    if args.config.is_none() && !overrides.iter().any(|it| it.path.to_string() == "origin.store") {
        return Err(missing()).or_usage();
    }
    config::load(&source, &overrides, Secrets::Read).or_usage()?.own.ok_or_else(missing).or_usage()
}

fn greeting(origin: &Origin, settings: &OwnSettings) -> String {
    let (address, clients) = (origin.address(), reachable(origin.address()));
    let mut text = format!("listening on http://{address}\n\nstore: {}\n\ntry:\n", settings.store);
    for command in [
        format!("skopeo copy --dest-tls-verify=false oci:IMG docker://{clients}/demo:1"),
        format!("podman pull --tls-verify=false {clients}/demo:1"),
    ] {
        let _ = writeln!(text, "  {command}");
    }
    text
}
