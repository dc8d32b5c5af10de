//! Arguments of `landbridge generation`: what was published.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::DEFAULT_DATA;
use crate::config::scalar::Period;

const PRUNE_HELP: &str = "\
What is in force stays, with the releases before it, what was in force within --keep-for, what is
pinned, and the newest that each mirror holds. Objects go from every copy, but from no origin's bucket,
where `landbridge gc` deletes; what no generation ever listed stays, since it may be somebody else's.

Without --apply it only says what would go. With it, what is in force is published once more first, so
that whoever is publishing starts again; nothing is published until it is done. Exits with 1 if
something could not be deleted; the next run tries again.

Examples:
  landbridge generation prune --config landbridge.yaml
  landbridge generation prune --config landbridge.yaml --keep-for 30d --apply";

/// List what was published, compare it, go back to it, delete what is old
#[derive(Debug, Subcommand)]
pub(crate) enum GenerationCommand {
    /// List every release, newest first; a star marks the one in force
    #[command(after_help = "\
Exits with 1 if something lies among the pointers that no trusted key has signed.

Example:
  landbridge generation list --config landbridge.yaml")]
    List {
        #[command(flatten)]
        published: PublishedArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Say how one release became another: tags, objects, bytes
    #[command(after_help = "\
A release is named by its number, or by the beginning of its generation's digest.

Examples:
  landbridge generation diff 41
  landbridge generation diff 41 42 --json")]
    Diff {
        /// The older one
        from: String,
        /// The newer one; without it, the one in force
        to: Option<String>,
        #[command(flatten)]
        published: PublishedArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Describe one release: what it names, and which mirrors hold it
    #[command(after_help = "\
Examples:
  landbridge generation show
  landbridge generation show 41 --config landbridge.yaml --json")]
    Show {
        /// The release; without it, the one in force
        release: Option<String>,
        #[command(flatten)]
        published: PublishedArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep a generation from being pruned
    #[command(after_help = "\
Example:
  landbridge generation pin 41 --reason 'the old name stays frozen at it'")]
    Pin {
        /// The release whose generation it is
        release: String,
        /// Why, for whoever wants to take it off
        #[arg(long, value_name = "TEXT")]
        reason: String,
        #[command(flatten)]
        published: PublishedArgs,
    },
    /// Take a pin off
    Unpin {
        /// The release whose generation it is
        release: String,
        #[command(flatten)]
        published: PublishedArgs,
    },
    /// Write what a front needs to start into one file
    #[command(after_help = "\
The newest pointer with its signatures, what is withdrawn, all names and objects of the generations
that the configuration's sites show, and which mirror holds what. It is a tar archive, written whole
or not at all. A front whose configuration names it as `exported` of the origin's `store` starts from
it when no store answers and its cache has nothing newer.

Exits with 1 if something could not be read that a front can do without.

Example:
  landbridge generation export releases.tar --config landbridge.yaml")]
    Export {
        /// The file, which is replaced
        file: PathBuf,
        #[command(flatten)]
        published: PublishedArgs,
    },
    /// Delete generations that nobody needs any more, and what only they list
    #[command(after_help = PRUNE_HELP)]
    Prune(PruneArgs),
    /// Publish an older generation again, under a new number
    #[command(after_help = "\
Every object of it must still be in the authority. Fronts follow within one poll; digests of what
is in force now stay answerable, so that no pull which began fails.

Example:
  landbridge generation rollback 41 --reason 'v1.2.3 does not start on arm64'")]
    Rollback {
        /// The release to go back to
        to: String,
        /// Why; it is part of the signed pointer
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Publish though mirrors that must have all of it have not, for this reason
        #[arg(long, value_name = "REASON")]
        despite_gaps: Option<String>,
        #[command(flatten)]
        published: PublishedArgs,
    },
}

/// Where something was published.
#[derive(Debug, Args)]
pub(crate) struct PublishedArgs {
    /// A configuration file with a `replicate`; without it the data directory of a local topology
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) config: Option<PathBuf>,

    /// The data directory of a local topology
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,
}

/// Which generations go.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// How many different generations before the one in force stay
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    pub(crate) keep_releases: usize,

    /// Those that were in force within this time stay. At least 3d, as fronts answer for two days
    /// after a release, and a pull takes its time; less if no front runs
    #[arg(long, value_name = "DURATION", default_value = "3d")]
    pub(crate) keep_for: Period,

    /// Do it
    #[arg(long)]
    pub(crate) apply: bool,

    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) published: PublishedArgs,
}
