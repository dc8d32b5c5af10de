//! Arguments of the commands that publish.

use std::path::PathBuf;

use clap::Args;
use landbridge_core::money::Money;

use super::DEFAULT_DATA;

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

    /// Publish though mirrors that must have all of it have not, for this reason, which becomes part
    /// of the signed pointer
    #[arg(long, value_name = "REASON")]
    pub(crate) despite_gaps: Option<String>,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

const REPLICATE_HELP: &str = "\
The registry is compared with what is published; what is new is copied into the authority and every
mirror, each object read once, confirmed, and published in one step. Nothing is published before one
mirror of each provider has all of it (`replicate.require`). Mirrors that fell behind are caught up. A run only adds: what the registry no longer has stays published, and is reported.

State is in the copies alone: a run that was stopped is simply started again. Ctrl-C finishes what is
in flight and publishes nothing; once more ends it at once. Exits with 0 if every copy has
everything, 1 if something is to be looked at, 3 if nothing was published.

Examples:
  landbridge replicate
  landbridge replicate --from http://127.0.0.1:5000 --repository demo
  landbridge replicate --config landbridge.yaml --dry-run
  landbridge replicate --config landbridge.yaml --json | jq -r 'select(.event == \"report\")'";

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

    /// Publish though mirrors that must have all of it have not, for this reason, which becomes part
    /// of the signed pointer
    #[arg(long, value_name = "REASON")]
    pub(crate) despite_gaps: Option<String>,

    /// Refuse a plan that may cost more, as in `12.50 USD`, before anything is written; what has no
    /// price is refused too
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) max_cost: Option<Money>,

    /// Without news, publish what is in force once more, so that it expires later
    #[arg(long)]
    pub(crate) renew: bool,

    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Write an event of JSON on each line while it works, the report as the last one; of a plan, the
    /// plan
    #[arg(long)]
    pub(crate) json: bool,
}
