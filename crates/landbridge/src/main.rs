//! The roof: arguments, configuration files, wiring, reload, progress, exit codes.
//!
//! A command reads its arguments ([`cli`]) and files ([`config`]), hands plain data to the rooms
//! below, and says on standard output what came of it. The environment is read here only.

mod cli;
mod commands;
mod config;
mod embedded;
mod exit;
mod logging;
mod output;
mod own;
mod pack;
mod progress;
mod promotions;
mod release;
mod replication;
mod runtime;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::exit::{Failure, OrExit as _, Outcome};

// glibc's allocator keeps what many threads once needed, mimalloc what a swap of generations once
// did; a front that runs for months should do neither.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Fails only if a provider is installed already, and this is the first line.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = Cli::parse();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(Failure { exit, error }) => {
            report(&error);
            exit.into()
        }
    }
}

fn run(cli: Cli) -> Outcome {
    logging::start(cli.log(), cli.log_format).or_usage()?;
    commands::run(cli.command)
}

#[expect(clippy::print_stderr, reason = "this is where a failed command says why")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
