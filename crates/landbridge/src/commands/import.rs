//! `landbridge import`: one's own images into a data directory.

use anyhow::Context as _;
use futures::TryFutureExt as _;
use landbridge_core::reference::ImageName;
use landbridge_registry::{Source, SourceLimits, SourceReference};
use landbridge_replicate::ImportError;
use serde::Serialize;

use crate::cli::ImportArgs;
use crate::embedded::DataDirectory;
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::progress::{Display, watch};
use crate::release::Press;
use crate::runtime;

pub(super) fn run(args: &ImportArgs) -> Outcome {
    let reference: SourceReference = args
        .source
        .parse()
        .with_context(|| format!("`{}` is not a source", args.source))
        .or_usage()?;
    let name: Option<ImageName> = match &args.image {
        Some(name) => Some(name.parse().context("NAME:TAG is wrong").or_usage()?),
        None => None,
    };
    runtime::block_on(Box::pin(import(args, &reference, name.as_ref())))
}

async fn import(
    args: &ImportArgs,
    reference: &SourceReference,
    name: Option<&ImageName>,
) -> Outcome {
    let source = Source::open(reference, SourceLimits::default()).await.map_err(refused)?;
    if args.dry_run {
        // A directory that is not there yet is planned for without making it.
        let scratch = tempfile::tempdir().or_failed()?;
        let data = if args.data.exists() { args.data.as_path() } else { scratch.path() };
        let press = Press::open(&DataDirectory::at(data).or_usage()?).or_failed()?;
        let plan = press.plan(&source, name).await.map_err(refused)?;
        output::print_line(&plan.to_string())?;
        return Ok(Exit::Done);
    }
    let press = Press::open(&DataDirectory::at(&args.data).or_usage()?).or_failed()?;
    let press = press.despite_gaps(args.despite_gaps.as_deref());
    let display = Display::for_people();
    let listener = |progress| display.show(&progress);
    let work = press.publish(&source, name, &listener).map_err(refused);
    let report = watch(&display, press.stop(), work).await?;
    print(&report, args.json)?;
    // A release that is out, but not everywhere, is something to look at.
    Ok(if report.warnings.is_empty() { Exit::Done } else { Exit::Findings })
}

fn print<T: Serialize + ToString>(report: &T, json: bool) -> Outcome<()> {
    if json {
        output::print_line(&serde_json::to_string_pretty(report).or_failed()?)
    } else {
        output::print_line(&report.to_string())
    }
}

/// A wrong name is the caller's; a damaged source or a failing store is not.
fn refused(error: impl Into<ImportError>) -> Failure {
    let error = error.into();
    let exit = match &error {
        ImportError::Naming(_) => Exit::Usage,
        _ => Exit::Failed,
    };
    Failure { exit, error: error.into() }
}
