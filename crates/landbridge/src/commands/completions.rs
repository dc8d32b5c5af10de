//! `landbridge completions`: generated from the definitions of the command line.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::{Exit, Outcome};
use crate::output;

pub(super) fn run(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "landbridge", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
