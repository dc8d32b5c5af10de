//! `landbridge migrate`: leaving an old name.

mod abort;
mod status;

use crate::cli::{MigrateCommand, PlanFile};
use crate::config::{Plan, Source, load_plan};
use crate::exit::{OrExit as _, Outcome};

pub(super) fn run(command: &MigrateCommand) -> Outcome {
    match command {
        MigrateCommand::Status { plan, at, json } => status::run(plan, *at, *json),
        MigrateCommand::Abort(args) => abort::run(args),
    }
}

/// The plan, and its text.
fn read(file: &PlanFile) -> Outcome<(Source, Plan)> {
    let source = Source::read_called("plan", &file.file).or_usage()?;
    let plan = load_plan(&source).or_usage()?;
    Ok((source, plan))
}
