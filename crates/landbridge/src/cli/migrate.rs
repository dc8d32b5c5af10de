//! `landbridge migrate` on the command line.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use landbridge_migrate::policy::ReasonClass;

use crate::cli::PublishedArgs;
use crate::config::raw::plan::RawPhase;
use crate::config::scalar::{Moment, Name, Prefix, WebUrl};

const ABORT_HELP: &str = "\
`aborted: MOMENT` is written into the phase in the plan, in the plan's own layout; comments stay. From
that moment on the phase does nothing, and clients are answered as before it. Fronts that read
this file notice the change and reload; send others the new file.

What a front has taken back by itself lasts only as long as its cache directory: this makes it
permanent, for all.

Examples:
  landbridge migrate abort redirect
  landbridge migrate abort brownout --move images --start 2023-09-01";

const CHECK_HELP: &str = "\
Users of what is stable were promised to know of a change some time before it; `policy.yaml` says how
long. Notice counts in whole days from when a phase was announced to its start. A change that comes too
early needs an exception, which enough of the policy's approvers have signed (`landbridge migrate
ledger`); a ledger in which anything was changed, removed, added or put in another order is refused.

Exits with 1 if a change breaks a rule without a valid exception, or if the ledger is not whole.

Examples:
  landbridge migrate check --plan examples/migration/migration.yaml
  landbridge migrate check --json";

const TIMELINE_HELP: &str = "\
The page is complete in itself: no script, no font, nothing from elsewhere. Without a policy nothing is
said of notice that falls short of it.

Example:
  landbridge migrate timeline --html timeline.html --calendar timeline.ics";

const VERIFY_FREEZE_HELP: &str = "\
Every tag of the frozen generation is asked of the old registry, and every tag that it has beyond them.
What was moved, removed or added since is a difference.

Exits with 1 if there is one.

Examples:
  landbridge migrate verify-freeze https://k8s.gcr.io --config landbridge.yaml
  landbridge migrate verify-freeze https://gcr.io --repository-prefix google-containers --release 41";

const LEDGER_HELP: &str = "\
An exception goes through these steps; everything but the keys lies under review, beside the policy:

  landbridge migrate ledger propose exception.json --move images --phase freeze --reason budget \\
    --evidence forecast-2023-02 --mitigation 'both names work' --expires 2023-12-31
  landbridge migrate ledger sign exception.json --key alice.pem
  landbridge migrate ledger sign exception.json --key bob.pem
  landbridge migrate ledger append exception.json

A key of Ed25519 and its public half, for the policy's `approvers`:

  openssl genpkey -algorithm ed25519 -out alice.pem
  openssl pkey -in alice.pem -pubout -out alice.pub.pem";

/// Leave an old name: the plan, what was promised, and where things stand
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
    /// Hold the plan against the policy: the notice of each change, and what falls short of it
    #[command(after_help = CHECK_HELP)]
    Check {
        #[command(flatten)]
        promised: PromisedArgs,
        /// At another moment: an exception may have expired by then
        #[arg(long, value_name = "TIME")]
        at: Option<Moment>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Draw the whole plan: a page to look at and to print, a calendar to subscribe to, JSON
    Timeline(TimelineArgs),
    /// Except a change from the policy: propose, sign and keep exceptions
    #[command(subcommand, arg_required_else_help = true)]
    Ledger(LedgerCommand),
    /// Ask an old registry whether it still is what it was frozen as
    VerifyFreeze(VerifyFreezeArgs),
    /// Take a phase back for good, in the plan
    Abort(AbortArgs),
}

/// Ask an old registry whether it still is what it was frozen as
#[derive(Debug, Args)]
#[command(after_help = VERIFY_FREEZE_HELP)]
pub(crate) struct VerifyFreezeArgs {
    /// The old registry, as users reach it
    #[arg(value_name = "URL")]
    pub(crate) registry: WebUrl,

    /// What stands before repositories' names there only
    #[arg(long, value_name = "PREFIX")]
    pub(crate) repository_prefix: Option<Prefix>,

    /// The frozen release, by its number or the beginning of its generation's digest; without it
    /// the generation that the plan's `freeze` names
    #[arg(long)]
    pub(crate) release: Option<String>,

    #[command(flatten)]
    pub(crate) plan: PlanFile,

    /// Of which move, if the plan has several that freeze
    #[arg(long = "move", value_name = "NAME")]
    pub(crate) planned: Option<Name>,

    #[command(flatten)]
    pub(crate) published: PublishedArgs,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
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

/// The plan, and what it is held against.
#[derive(Debug, Args)]
pub(crate) struct PromisedArgs {
    #[command(flatten)]
    pub(crate) plan: PlanFile,

    /// The policy [default: `policy.yaml` beside the plan]
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
}

/// Draw the whole plan: a page to look at and to print, a calendar to subscribe to, JSON
#[derive(Debug, Args)]
#[command(
    after_help = TIMELINE_HELP,
    group = ArgGroup::new("what").required(true).multiple(true).args(["html", "calendar", "json"])
)]
pub(crate) struct TimelineArgs {
    #[command(flatten)]
    pub(crate) promised: PromisedArgs,

    /// Write the page: HTML with a drawing in it
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Write the calendar: iCalendar
    #[arg(long, value_name = "FILE")]
    pub(crate) calendar: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// At another moment
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<Moment>,
}

/// Except a change from the policy: propose, sign and keep exceptions
#[derive(Debug, Subcommand)]
#[command(after_help = LEDGER_HELP)]
pub(crate) enum LedgerCommand {
    /// Verify the ledger and print its exceptions
    #[command(after_help = "\
Exits with 1 if the ledger is not whole.

Example:
  landbridge migrate ledger show")]
    Show {
        #[command(flatten)]
        promised: PromisedArgs,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a draft of an exception for a change that comes too early
    Propose(ProposeArgs),
    /// Sign a draft as one of the approvers; it prints what is signed
    #[command(after_help = "\
Example:
  landbridge migrate ledger sign exception.json --key alice.pem")]
    Sign {
        /// The draft, which is given the signature
        draft: PathBuf,
        /// The private key: a PEM file, Ed25519 or ECDSA P-256
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        #[command(flatten)]
        promised: PromisedArgs,
    },
    /// Add a draft that enough approvers have signed to the ledger
    #[command(after_help = "\
Prints how the ledger ends, to be noted as `head` in the policy: entries that somebody takes away from
its end are noticed by that.

Example:
  landbridge migrate ledger append exception.json")]
    Append {
        /// The draft
        draft: PathBuf,
        #[command(flatten)]
        promised: PromisedArgs,
    },
}

/// Write a draft of an exception for a change that comes too early
#[derive(Debug, Args)]
#[command(after_help = "\
Which rule is bent, and by how many days, the check of the plan says; another start of the phase needs
another exception.

Example:
  landbridge migrate ledger propose exception.json --move images --phase freeze --reason budget \\
    --evidence forecast-2023-02 --mitigation 'both names work' --expires 2023-12-31")]
pub(crate) struct ProposeArgs {
    /// The file to write
    pub(crate) draft: PathBuf,

    /// The move
    #[arg(long = "move", value_name = "NAME")]
    pub(crate) of: Name,

    /// The phase that comes too early
    #[arg(long, hide_possible_values = true)]
    pub(crate) phase: RawPhase,

    /// Which one, if the move has several: the one that starts then
    #[arg(long, value_name = "TIME")]
    pub(crate) start: Option<Moment>,

    /// The rule, if several are bent
    #[arg(long, value_name = "NAME")]
    pub(crate) rule: Option<Name>,

    /// Why
    #[arg(long)]
    pub(crate) reason: Reason,

    /// Where that can be seen: a forecast's or an issue's identifier
    #[arg(long, value_name = "TEXT")]
    pub(crate) evidence: String,

    /// What is done for those whom it hits
    #[arg(long, value_name = "TEXT")]
    pub(crate) mitigation: String,

    /// When it ends: a plan that still needs it then is refused again
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Moment,

    /// Its date, if not now
    #[arg(long, value_name = "TIME")]
    pub(crate) date: Option<Moment>,

    #[command(flatten)]
    pub(crate) promised: PromisedArgs,
}

/// Why a rule is bent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reason {
    /// The money runs out before the notice does
    Budget,
    /// Users would be in danger
    Security,
    /// The law says so
    Legal,
    /// Somebody else ends what it stands on
    UpstreamShutdown,
}

impl From<Reason> for ReasonClass {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Budget => Self::Budget,
            Reason::Security => Self::Security,
            Reason::Legal => Self::Legal,
            Reason::UpstreamShutdown => Self::UpstreamShutdown,
        }
    }
}
