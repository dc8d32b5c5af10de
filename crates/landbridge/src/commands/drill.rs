//! `landbridge drill`: an outage on paper.

use std::path::Path;

use anyhow::Context as _;
use landbridge_front::drill::{DrillError, RecordsError, Report, Scenario, gather};
use landbridge_front::settings::Settings;

use crate::cli::DrillArgs;
use crate::config::{self, Secrets, Source};
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;

pub(super) fn run(args: &DrillArgs) -> Outcome {
    let files = std::iter::once(&args.config).chain(&args.compare);
    let configurations = files
        .map(|file| Ok((file.display().to_string(), settings(file)?)))
        .collect::<Outcome<_>>()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let traffic = gather(&args.records, threads).map_err(|error| Failure {
        exit: match &error {
            RecordsError::Io { .. } => Exit::Failed,
            RecordsError::None(_) => Exit::Usage,
        },
        error: error.into(),
    })?;
    let (from, until) = (args.from.0, args.until.0);
    let scenario = Scenario { failures: args.fail.clone(), from, until, seed: args.seed };
    let report: Result<Report, DrillError> = Report::of(&traffic, configurations, &scenario);
    let report = report.or_usage()?;
    if let Some(file) = &args.svg {
        let written = std::fs::write(file, report.svg());
        written
            .with_context(|| format!("cannot write the plot `{}`", file.display()))
            .or_failed()?;
    }
    if args.json {
        output::print_line(&serde_json::to_string_pretty(&report).or_failed()?)?;
    } else {
        output::print(&report.to_string())?;
    }
    Ok(if report.is_complete() { Exit::Done } else { Exit::Findings })
}

fn settings(file: &Path) -> Outcome<Settings> {
    let source = Source::read(file).or_usage()?;
    let (overrides, _) = config::environment();
    // What is played asks nobody for anything, so nobody's password is needed.
    let config = config::load(&source, &overrides, Secrets::Skip).or_usage()?;
    config.for_front(None).or_usage()
}
