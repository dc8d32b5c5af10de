//! The command line: what there is to type and what its help says.
//!
//! Completions and man pages are generated from these definitions.

mod audit;
mod config;
mod drill;
mod generation;
mod migrate;
mod origin;
mod publish;
mod serve;
mod withdraw;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use self::audit::{AuditArgs, Check, Share};
pub(crate) use self::config::ConfigCommand;
pub(crate) use self::drill::DrillArgs;
pub(crate) use self::generation::{GenerationCommand, PruneArgs, PublishedArgs};
pub(crate) use self::migrate::{
    AbortArgs, LedgerCommand, MigrateCommand, PlanFile, PromisedArgs, ProposeArgs, TimelineArgs,
    VerifyFreezeArgs,
};
pub(crate) use self::origin::{GcArgs, OriginArgs};
pub(crate) use self::publish::{ImportArgs, ReplicateArgs};
pub(crate) use self::serve::{ExplainArgs, LocalRanges, ServeArgs, Where};
pub(crate) use self::withdraw::WithdrawArgs;

/// Where everything lies without a configuration.
pub(crate) const DEFAULT_DATA: &str = "landbridge-data";

const AFTER_HELP: &str = "\
Try it:
  landbridge serve                        a complete local topology with an image to pull
  skopeo inspect --tls-verify=false docker://127.0.0.1:8080/landbridge:latest
  landbridge explain landbridge:latest --from 3.5.140.1
  skopeo copy --dest-tls-verify=false oci:IMG docker://127.0.0.1:5000/demo:1

Exit codes:
  0  done
  1  findings: a check found something
  2  usage or configuration
  3  something remote or on disk failed";

/// One name for a project's releases, served from several clouds.
#[derive(Debug, Parser)]
#[command(name = "landbridge", version, about, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What to log to standard error: `error`, `warn`, `info`, `debug`, or a list such as
    /// `info,landbridge_front=debug` [default: `info` for serve and origin, else `warn`]
    #[arg(
        long,
        global = true,
        display_order = 900,
        env = "LANDBRIDGE_LOG",
        value_name = "FILTER",
        hide_env_values = true
    )]
    pub(crate) log: Option<String>,

    /// How log lines are written
    #[arg(
        long,
        global = true,
        display_order = 900,
        env = "LANDBRIDGE_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        hide_env_values = true
    )]
    pub(crate) log_format: LogFormat,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The filter of the log: whoever operates a front wants to hear more than who asks a question.
    pub(crate) fn log(&self) -> &str {
        match (&self.log, &self.command) {
            (Some(filter), _) => filter,
            (None, Command::Serve(_) | Command::Origin(_)) => "info",
            (None, _) => "warn",
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object for each line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer pulls
    Serve(ServeArgs),
    /// Take pushes: a registry of one's own over a bucket
    Origin(OriginArgs),
    /// Delete what nothing in an origin refers to any more
    Gc(GcArgs),
    /// Publish an image from a directory or archive into a data directory
    Import(ImportArgs),
    /// Bring what a registry holds into all copies, and publish it as a release
    Replicate(ReplicateArgs),
    /// Prove what each copy holds, by asking it as clients do, and repair it
    Audit(AuditArgs),
    /// List what was published, compare it, go back to it, delete what is old
    #[command(subcommand, arg_required_else_help = true)]
    Generation(GenerationCommand),
    /// Let nobody get a digest any more, whatever release lists it
    Withdraw(WithdrawArgs),
    /// Say which copy serves an image to a client, and why no other
    Explain(ExplainArgs),
    /// Play an outage on paper: what users would have seen, and what it would have cost
    Drill(DrillArgs),
    /// Leave an old name: the plan, what was promised, and where things stand
    #[command(subcommand, arg_required_else_help = true)]
    Migrate(MigrateCommand),
    /// Check, show and explain the configuration
    #[command(subcommand, arg_required_else_help = true)]
    Config(ConfigCommand),
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  landbridge completions bash > /etc/bash_completion.d/landbridge"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command
    #[command(after_help = "Example:\n  landbridge man /usr/local/share/man/man1")]
    Man {
        /// The directory to write them to; without it, the first page goes to standard output
        directory: Option<PathBuf>,
    },
}
