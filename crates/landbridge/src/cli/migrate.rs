//! `landbridge migrate` on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::config::raw::plan::RawPhase;
use crate::config::scalar::{Moment, Name};

const ABORT_HELP: &str = "\
`aborted: MOMENT` is written into the phase in the plan, in the plan's own layout; comments stay. From
that moment on the phase does nothing, and clients are answered as before it. Fronts that read
this file notice the change and reload; send others the new file.

What a front has taken back by itself lasts only as long as its cache directory: this makes it
permanent, for all.

Examples:
  landbridge migrate abort redirect
  landbridge migrate abort brownout --move images --start 2023-09-01";

/// Leave an old name: where things stand, and taking a phase back
#[derive(Debug, Subcommand)]
pub(crate) enum MigrateCommand {
    /// Say where each move stands: its phases, shares, what is frozen, what changes next
    #[command(after_help = "\
Examples:
  landbridge migrate status
  landbridge migrate status --plan examples/migration/migration.yaml --at 2023-03-25")]
    Status {
        #[command(flatten)]
        plan: PlanFile,
        /// At another moment, as `2023-03-20` or `2023-03-20T16:00:00Z`
        #[arg(long, value_name = "TIME")]
        at: Option<Moment>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a phase back for good, in the plan
    Abort(AbortArgs),
}

/// Where the plan is.
#[derive(Debug, Args)]
pub(crate) struct PlanFile {
    /// The plan
    #[arg(long = "plan", value_name = "FILE", default_value = "migration.yaml")]
    pub(crate) file: PathBuf,
}

/// Take a phase back for good, in the plan
#[derive(Debug, Args)]
#[command(after_help = ABORT_HELP)]
pub(crate) struct AbortArgs {
    /// The phase
    #[arg(hide_possible_values = true)]
    pub(crate) phase: RawPhase,

    /// Of which move, if several have it
    #[arg(long = "move", value_name = "NAME")]
    pub(crate) planned: Option<Name>,

    /// Which one, if a move has several: the one that starts then
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<Moment>,

    /// Since when, instead of now: for rehearsals
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Moment>,

    #[command(flatten)]
    pub(crate) plan: PlanFile,
}
