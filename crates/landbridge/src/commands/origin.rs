//! `landbridge origin`: a registry of one's own that takes pushes.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use tracing::{error, info, warn};

use super::signals::{Reason, Signals};
use crate::cli::OriginArgs;
use crate::config::{self, Override, Secrets, Source};
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::own::{Own, OwnSettings, reachable};
use crate::runtime;

pub(super) fn run(args: &OriginArgs) -> Outcome {
    runtime::block_on(Box::pin(serve(args)))
}

async fn serve(args: &OriginArgs) -> Outcome {
    let settings = load(args)?;
    let mut own = settings.start("--listen").await?;
    // Whoever reads the greeting may send the first signal at once.
    let mut signals = Signals::new().context("cannot listen for signals").or_failed()?;
    output::print(&greeting(&own, &settings))?;
    while let Reason::Reload = signals.next().await {
        match reload(&mut own, args) {
            Ok(()) => info!("the configuration was reloaded"),
            Err(Failure { error, .. }) => {
                error!("the configuration was not reloaded, the old one stays: {error:#}");
            }
        }
    }
    info!("finishing the requests that are under way; once more to stop at once");
    tokio::select! {
        () = own.stop() => Ok(Exit::Done),
        () = signals.stop() => Ok(Exit::Done),
    }
}

fn reload(own: &mut Own, args: &OriginArgs) -> Outcome<()> {
    let rules = own.prepare(load(args)?).or_usage()?;
    own.put_in_force(rules).or_usage()
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

fn greeting(own: &Own, settings: &OwnSettings) -> String {
    let (address, clients, scheme) = (own.address(), reachable(own.address()), own.scheme());
    let mut text =
        format!("listening on {scheme}://{address}\n\nstore: {}\n\ntry:\n", settings.store);
    if settings.access.as_ref().is_some_and(|access| access.htpasswd.is_some()) {
        let _ = writeln!(text, "  skopeo login --tls-verify=false {clients}");
    }
    for command in [
        format!("skopeo copy --dest-tls-verify=false oci:IMG docker://{clients}/demo:1"),
        format!("podman pull --tls-verify=false {clients}/demo:1"),
    ] {
        let _ = writeln!(text, "  {command}");
    }
    text
}
