//! The command line: what there is to type and what its help says.
//!
//! Completions and man pages are generated from these definitions.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::scalar::Period;

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
    /// List what was published, compare it, go back to it
    #[command(subcommand, arg_required_else_help = true)]
    Generation(GenerationCommand),
    /// Say which copy serves an image to a client, and why no other
    Explain(ExplainArgs),
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

const SERVE_HELP: &str = "\
Without --config a complete local topology starts in this process: an origin and two mirrors in
--data that stand for AWS us-east-2 and GCP us-central1, and a registry that takes pushes into the
origin. An empty directory first gets an image to pull: this very program. `landbridge config show`
prints the configuration that this amounts to.

When ready, the first line of standard output is `listening on http://ADDR`, the second
`admin on http://ADDR`, the third, if there is a registry that takes pushes,
`origin on http://ADDR`. SIGHUP or a changed configuration file reloads; SIGTERM and Ctrl-C finish
the requests that are under way.

Each value of the configuration outside of lists has a variable too, as LANDBRIDGE_RECORDS_MODE for
records.mode: see `landbridge config explain`. Later wins: defaults, file, environment, flags.

Examples:
  landbridge serve
  landbridge serve --data /srv/landbridge --listen 0.0.0.0:8080
  landbridge serve --config /etc/landbridge/landbridge.yaml
  LANDBRIDGE_LOG=debug landbridge serve --listen 127.0.0.1:0";

/// Answer pulls, and send every blob to the copy that is closest and cheapest
#[derive(Debug, Args)]
#[command(after_help = SERVE_HELP)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) from: Where,

    /// The public listener; port 0 picks a free one [default: 127.0.0.1:8080]
    /// [env: `LANDBRIDGE_LISTEN_ADDRESS`]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,

    /// The admin listener: metrics, health, explain [default: 127.0.0.1:8081]
    /// [env: `LANDBRIDGE_LISTEN_ADMIN`]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,

    /// The listener that takes pushes [default: 127.0.0.1:5000; without --config a free port if
    /// the public listener takes one] [env: `LANDBRIDGE_ORIGIN_LISTEN_ADDRESS`]
    #[arg(long, value_name = "ADDR")]
    pub(crate) origin_listen: Option<String>,
}

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

/// What is served: a configuration file or a data directory.
#[derive(Debug, Clone, Args)]
pub(crate) struct Where {
    /// The configuration file
    #[arg(
        long,
        value_name = "FILE",
        env = "LANDBRIDGE_CONFIG",
        conflicts_with = "data",
        hide_env_values = true
    )]
    pub(crate) config: Option<PathBuf>,

    /// The directory of the local topology [default: landbridge-data]
    #[arg(long, value_name = "DIR", env = "LANDBRIDGE_DATA", hide_env_values = true)]
    pub(crate) data: Option<PathBuf>,

    /// The address ranges of the local topology
    #[arg(long, value_name = "WHICH", default_value = "demonstration", conflicts_with = "config")]
    pub(crate) ranges: LocalRanges,
}

/// Which address ranges the local topology knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LocalRanges {
    /// A small table that comes with the program; nothing is fetched
    Demonstration,
    /// What AWS and Google publish, fetched in the background; until then the small table
    Published,
}

impl Where {
    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA))
    }
}

const IMPORT_HELP: &str = "\
SOURCE is one of
  oci:DIR[:TAG]        an OCI image layout; without a tag, all of its tags
  oci-archive:FILE     the same as a tar archive
  docker-archive:FILE  what `docker save` or `podman save` writes

Everything is checked by digest and becomes visible as a whole or not at all. A `landbridge serve`
on the same directory sees it within a second.

Examples:
  landbridge import oci:./layout:v1 hello:v1
  landbridge import docker-archive:hello.tar
  landbridge import oci-archive:release.tar --dry-run";

/// Publish an image, with all its platforms, from a directory or archive
#[derive(Debug, Args)]
#[command(after_help = IMPORT_HELP)]
pub(crate) struct ImportArgs {
    /// Where the image is
    pub(crate) source: String,

    /// What it shall be called, as `hello:v1`; without it, as the source says
    #[arg(value_name = "NAME:TAG")]
    pub(crate) image: Option<String>,

    /// The data directory that it is published in
    #[arg(long, value_name = "DIR", env = "LANDBRIDGE_DATA", default_value = DEFAULT_DATA, hide_env_values = true)]
    pub(crate) data: PathBuf,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const REPLICATE_HELP: &str = "\
The registry is compared with what is published; what is new is copied into the authority and every
mirror, each object read once, confirmed, and published in one step. Mirrors that fell behind are
caught up. A run only adds: what the registry no longer has stays published, and is reported.

State is in the copies alone: a run that was stopped is simply started again. Exits with 0 if every
copy has everything, 1 if something is to be looked at, 3 if nothing was published for a failure.

Examples:
  landbridge replicate
  landbridge replicate --from http://127.0.0.1:5000 --repository demo
  landbridge replicate --config landbridge.yaml --dry-run";

/// Bring what a registry holds into all copies, and publish it as a release
#[derive(Debug, Args)]
#[command(after_help = REPLICATE_HELP)]
pub(crate) struct ReplicateArgs {
    /// A configuration file with a `replicate`; without it the data directory of a local topology
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "from"])]
    pub(crate) config: Option<PathBuf>,

    /// The data directory that is published in
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,

    /// The registry that is read; a data directory's own, by default
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5000")]
    pub(crate) from: String,

    /// Only this repository; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) repository: Vec<String>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// List what was published, compare it, go back to it
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

const EXPLAIN_HELP: &str = "\
It is the same decision that the front makes, made by the same code. Exits with 1 if no copy can
serve the image.

Examples:
  landbridge explain landbridge:latest --from 3.5.140.1
  landbridge explain pause@sha256:… --from 2600:1900:4000::1 --config landbridge.yaml --json
  landbridge explain pause:3.10 --from 203.0.113.9 --server http://127.0.0.1:8081";

/// Say which copy serves an image to a client at an address, and why no other does
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_HELP)]
pub(crate) struct ExplainArgs {
    /// The image: `NAME:TAG`, `NAME@DIGEST`; a digest may be that of a blob
    pub(crate) image: String,

    /// The client's address
    #[arg(long, value_name = "IP")]
    pub(crate) from: IpAddr,

    #[command(flatten)]
    pub(crate) place: Where,

    /// Ask a running front, by the address of its admin listener
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "data"])]
    pub(crate) server: Option<url::Url>,

    /// The host name that the client asked for, if there are several sites
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check, show and explain the configuration
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file and name everything that is wrong with it: file, line, column, field
    #[command(
        after_help = "Exits with 2 if anything is wrong. Passwords are not read; other files that it names are.\n\nExample:\n  landbridge config check landbridge.yaml"
    )]
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print the configuration that is in effect, after the environment, with all defaults
    #[command(
        after_help = "Without --config, that of the local topology: a good start for one's own.\n\nExample:\n  landbridge config show > landbridge.yaml"
    )]
    Show {
        #[command(flatten)]
        from: Where,
    },
    /// Explain fields of the configuration: what they take, their defaults, what they mean
    #[command(
        after_help = "Examples:\n  landbridge config explain\n  landbridge config explain sites.routes\n  landbridge config explain --markdown > docs/configuration.md"
    )]
    Explain {
        /// A field, as `records.mode`; without it, all
        path: Option<String>,
        /// Print the whole reference as Markdown
        #[arg(long, conflicts_with = "path")]
        markdown: bool,
    },
    /// Print the JSON schema of the configuration, for editors
    Schema,
}
