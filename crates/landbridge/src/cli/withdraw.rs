//! `landbridge withdraw` on the command line.

use clap::{ArgGroup, Args};
use landbridge_core::Digest;

use super::PublishedArgs;

const WITHDRAW_HELP: &str = "\
A signed list says what is withdrawn. Every front obeys it at its next poll: a withdrawn manifest is
404, by its digest and by every tag that means it, and so is a withdrawn blob, in every release and
after every rollback. An index stays if one of its images is withdrawn; only that image is gone. Then
the digest is deleted from the authority and all mirrors. What could not be deleted is reported, and
deleted by the next run: repeat the command.

`landbridge replicate` and `landbridge import` do not bring it back. To restore a digest takes it off
the list; import the image again to bring its bytes back.

Exits with 1 if something could not be deleted, or if something among the lists is not signed by
trusted keys.

Examples:
  landbridge withdraw sha256:… --reason 'contains a private key'
  landbridge withdraw --list
  landbridge withdraw --restore sha256:… --reason 'the wrong digest'";

/// Let nobody get a digest any more, whatever release lists it
#[derive(Debug, Args)]
#[command(
    after_help = WITHDRAW_HELP,
    group = ArgGroup::new("what").required(true).args(["digest", "restore", "list"])
)]
pub(crate) struct WithdrawArgs {
    /// The manifest or the blob
    #[arg(requires = "reason")]
    pub(crate) digest: Option<Digest>,

    /// Take this digest off the list
    #[arg(long, value_name = "DIGEST", requires = "reason")]
    pub(crate) restore: Option<Digest>,

    /// Say what is withdrawn, and do nothing
    #[arg(long)]
    pub(crate) list: bool,

    /// Why; it is part of the signed list
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    #[command(flatten)]
    pub(crate) published: PublishedArgs,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
