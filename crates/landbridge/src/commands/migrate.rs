//! `landbridge migrate`: leaving an old name.

mod abort;
mod check;
mod freeze;
mod ledger;
mod promised;
mod status;
mod timeline;

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::cli::{MigrateCommand, PlanFile};
use crate::config::{Plan, Source, load_plan};
use crate::exit::{OrExit as _, Outcome};

pub(super) fn run(command: &MigrateCommand) -> Outcome {
    match command {
        MigrateCommand::Status { plan, at, json } => status::run(plan, *at, *json),
        MigrateCommand::Check { promised, at, json } => check::run(promised, *at, *json),
        MigrateCommand::Timeline(args) => timeline::run(args),
        MigrateCommand::Ledger(command) => ledger::run(command),
        MigrateCommand::VerifyFreeze(args) => freeze::run(args),
        MigrateCommand::Abort(args) => abort::run(args),
    }
}

/// The plan, and its text.
fn read(file: &PlanFile) -> Outcome<(Source, Plan)> {
    let source = Source::read_called("plan", &file.file).or_usage()?;
    let plan = load_plan(&source).or_usage()?;
    Ok((source, plan))
}

/// Writes a file as a whole or not at all. One that was there stays as accessible as it was.
fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    let (file, permissions) = match file.canonicalize() {
        // A link to it stays one.
        Ok(file) => {
            let permissions = std::fs::metadata(&file)?.permissions();
            (file, permissions)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (std::path::absolute(file)?, Permissions::from_mode(0o644))
        }
        Err(error) => return Err(error),
    };
    let directory = file.parent().unwrap_or(Path::new("/"));
    let draft = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
    std::fs::write(draft.path(), text)?;
    draft.as_file().sync_all()?;
    draft.persist(&file)?;
    std::fs::File::open(directory)?.sync_all()
}
