//! One file for each command.

mod audit;
mod completions;
mod config;
mod drill;
mod explain;
mod gc;
mod generation;
mod import;
mod man;
mod migrate;
mod origin;
mod replicate;
mod serve;
mod signals;
mod withdraw;

use crate::cli::Command;
use crate::exit::Outcome;

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Origin(args) => origin::run(&args),
        Command::Gc(args) => gc::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Generation(command) => generation::run(&command),
        Command::Replicate(args) => replicate::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Withdraw(args) => withdraw::run(&args),
        Command::Explain(args) => explain::run(args),
        Command::Drill(args) => drill::run(&args),
        Command::Migrate(command) => migrate::run(&command),
        Command::Config(command) => config::run(command),
        Command::Completions { shell } => completions::run(shell),
        Command::Man { directory } => man::run(directory.as_deref()),
    }
}
