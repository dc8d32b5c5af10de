//! Arguments of what runs until it is stopped, and of what asks about it.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::DEFAULT_DATA;

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
