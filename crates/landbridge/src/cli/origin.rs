//! Arguments of the commands that work on an origin of one's own.

use std::path::PathBuf;

use clap::Args;

use super::DEFAULT_DATA;
use crate::config::scalar::Period;

const ORIGIN_HELP: &str = "\
It has all of the OCI distribution specification: pushes by chunks or at once, mounts, referrers,
deletion. Everything is kept in the bucket, so any number of origins may serve the same one.
Without access rules anybody who reaches it may push and delete, so it listens on loopback only. A
configuration says who may do what (`origin.access`), with passwords or with the identity of a CI
system, and then it listens anywhere.

When ready, the first line of standard output is `listening on http://ADDR`, or `https://ADDR`.
SIGHUP takes other access rules and `origin.writes` from the configuration; a password file is read
again whenever it changes. SIGTERM and Ctrl-C finish the requests that are under way.

Examples:
  landbridge origin --store /srv/registry
  landbridge origin --store s3://example-releases/registry --listen 127.0.0.1:5000
  landbridge origin --config /etc/landbridge/landbridge.yaml";

/// Take pushes: a registry of one's own over a bucket
#[derive(Debug, Args)]
#[command(after_help = ORIGIN_HELP)]
pub(crate) struct OriginArgs {
    /// The configuration file; its `origin` counts
    #[arg(long, value_name = "FILE", env = "LANDBRIDGE_CONFIG", hide_env_values = true)]
    pub(crate) config: Option<PathBuf>,

    /// The bucket: `s3://BUCKET`, `gs://BUCKET`, `az://CONTAINER` or the path of a directory
    /// [env: `LANDBRIDGE_ORIGIN_STORE`]
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,

    /// Where it listens; port 0 picks a free one [default: 127.0.0.1:5000]
    /// [env: `LANDBRIDGE_ORIGIN_LISTEN_ADDRESS`]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
}

const GC_HELP: &str = "\
Without --apply it says what it would do. What no tag, no manifest and no published release needs is
condemned first; it is deleted by a later run, when it has been condemned for the time of grace and
nobody was told meanwhile that it is there. So it is safe while images are pushed, and it takes two
runs, a day apart, until space is won: run it every night.

A rule of --keep is REPOSITORIES:TAGS=N: of the tags that match, each repository keeps the N newest
versions, or with `@pushed` behind it the N pushed last. `*` stands for a part of a name, `**` for
any. Tags that no rule speaks of stay. A configuration may have rules too (`origin.gc.retention`);
those of the command line go before them.

Exits with 1 if a name leads to a manifest that is not there.

Examples:
  landbridge gc
  landbridge gc --store s3://example-releases/registry --apply
  landbridge gc --config landbridge.yaml --keep 'team/**:v*=10' --keep '*:ci-*=5@pushed' --untagged 30d";

/// Delete what nothing in an origin refers to any more
#[derive(Debug, Args)]
#[command(after_help = GC_HELP)]
pub(crate) struct GcArgs {
    /// The data directory whose origin is collected
    #[arg(long, value_name = "DIR", env = "LANDBRIDGE_DATA", default_value = DEFAULT_DATA, hide_env_values = true)]
    pub(crate) data: PathBuf,

    /// Instead, the bucket of an origin that runs without a configuration
    #[arg(long, value_name = "STORE", conflicts_with = "config")]
    pub(crate) store: Option<String>,

    /// Instead, the configuration file whose `origin` is collected
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Do it
    #[arg(long)]
    pub(crate) apply: bool,

    /// How long what nothing needs is kept, and then once more after it was condemned
    /// [default: that of the origin, 1d]
    #[arg(long, value_name = "TIME")]
    pub(crate) grace: Option<Period>,

    /// An upload of which nothing was heard for this long is given up
    /// [default: that of the configuration, 7d]
    #[arg(long, value_name = "TIME")]
    pub(crate) uploads: Option<Period>,

    /// How many of some tags stay, a rule as below; may be repeated
    #[arg(long, value_name = "RULE")]
    pub(crate) keep: Vec<String>,

    /// Let manifests go that have had no tag for this long and say nothing about one that stays
    #[arg(long, value_name = "TIME")]
    pub(crate) untagged: Option<Period>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
