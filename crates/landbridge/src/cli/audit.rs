//! `landbridge audit` on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use url::Url;

use super::DEFAULT_DATA;
use crate::config::scalar::{Period, Size};

const AUDIT_HELP: &str = "\
Everything that the release in force lists is looked at in the authority and in every mirror, through
the address at which clients reach it, else through its bucket; and each tag of the registry is
compared with the published one. What a mirror turns out to lack, or to give wrong, goes into its
holding within seconds: fronts stop sending clients there while the audit still runs. With --repair
it is then copied again from the authority or from a copy that has it right, and fronts come back.

An audit that ends at --budget or --time says what it did not look at. It goes through all objects in
an order of its --seed, so that another night's audit sees other ones.

Exits with 0 only if nothing is wrong with what was looked at, 1 if something is or had to be
repaired, 3 if a copy or the registry could not be asked.

Examples:
  landbridge audit
  landbridge audit --config landbridge.yaml --check full --sample 5% --budget 10GiB
  landbridge audit --config landbridge.yaml --repair
  landbridge audit --config landbridge.yaml --prometheus /var/lib/node_exporter/landbridge.prom";

/// Prove what each copy holds, by asking it as clients do, and repair it
#[derive(Debug, Args)]
#[command(after_help = AUDIT_HELP)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person may write")]
pub(crate) struct AuditArgs {
    /// A configuration file with a `replicate`; without it the data directory of a local topology
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "from"])]
    pub(crate) config: Option<PathBuf>,

    /// The data directory of a local topology
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(crate) data: PathBuf,

    /// The registry whose tags are compared with a data directory's; without it none is
    #[arg(long, value_name = "URL")]
    pub(crate) from: Option<Url>,

    /// Leave the registry alone
    #[arg(long, conflicts_with = "from")]
    pub(crate) copies_only: bool,

    /// What is asked of each object
    #[arg(long, value_name = "HOW", default_value = "ranges")]
    pub(crate) check: Check,

    /// How many of the objects are looked at in each copy, as `5%`
    #[arg(long, value_name = "SHARE", default_value = "100%")]
    pub(crate) sample: Share,

    /// Which objects are in the sample, and in which order all are looked at: the same for the same
    /// number [default: another one each time]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,

    /// End before more than this is read, all copies together
    #[arg(long, value_name = "SIZE")]
    pub(crate) budget: Option<Size>,

    /// Ask nothing more after this
    #[arg(long, value_name = "TIME")]
    pub(crate) time: Option<Period>,

    /// Questions that each copy is asked at once
    #[arg(long, value_name = "NUMBER", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) parallel: u16,

    /// Leave holdings as they are
    #[arg(long, conflicts_with = "repair")]
    pub(crate) no_mark: bool,

    /// Copy again what is missing or bad
    #[arg(long)]
    pub(crate) repair: bool,

    /// Write metrics too, for a collector that reads text files
    #[arg(long, value_name = "FILE")]
    pub(crate) prometheus: Option<PathBuf>,

    /// Write an event of JSON on each line while it works, the report as the last one
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is asked of each object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Check {
    /// Whether it is there, with the right size and headers
    Presence,
    /// Also whether its last byte can be had by a range
    Ranges,
    /// Also whether all of its bytes are right
    Full,
}

/// A share, written in percent: `5%`, `0.1%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// How many of a million.
    pub(crate) ppm: u32,
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no share: write a number up to 100 and `%`, as `5%`");
        let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 4 {
            return Err(wrong());
        }
        let parse = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let part = parse(&format!("{part:0<4}"))?;
        let ppm = parse(whole)?.checked_mul(10_000).and_then(|whole| whole.checked_add(part));
        ppm.filter(|ppm| *ppm <= 1_000_000).map(|ppm| Self { ppm }).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_in_percent() {
        let table =
            [("100%", 1_000_000), ("5%", 50_000), ("0.1%", 1_000), ("0.0001 %", 1), ("0%", 0)];
        for (text, ppm) in table {
            assert_eq!(text.parse(), Ok(Share { ppm }), "{text}");
        }
        for wrong in ["", "5", "%", "-5%", "100.1%", "0.00001%", "5.%", ".5%", "9999999999%"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
