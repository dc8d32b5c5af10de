//! `landbridge drill` on the command line.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use landbridge_front::drill::Failure;

const DRILL_HELP: &str = "\
What was recorded is played again, with some copies failed for a while: the front's own routing,
health and caps decide, under a clock of their own. It prints what users would have seen, what each
copy and each overflow edge would have carried and cost, and which caps would have bound; beside it
what the same while would have cost had nothing failed. Nothing is asked over a network.

Records are files that fronts have written (`records.directory`), with a line for each answer or
rolled up, as they are or packed (`.gz`, `.zst`). Health and failover are played as if they were in
`enforce`.

Exits with 1 if something that was recorded could not be played: a line that is no record, a site
that the configuration has not.

Examples:
  landbridge drill /var/lib/landbridge/records --config landbridge.yaml \\
    --fail region=aws/us-east-1 --from 2026-06-10T08:00Z --until 2026-06-10T20:00Z
  landbridge drill june.jsonl.zst --config landbridge.yaml --compare cheaper.yaml \\
    --fail provider=gcp --from 2026-06-10 --until 2026-06-12 --svg june.svg";

/// Play an outage on paper: what users would have seen, and what it would have cost
#[derive(Debug, Args)]
#[command(after_help = DRILL_HELP)]
pub(crate) struct DrillArgs {
    /// Files of access records, or directories of such files
    #[arg(required = true, value_name = "RECORDS")]
    pub(crate) records: Vec<PathBuf>,

    /// The configuration to play
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,

    /// What fails: `copy=NAME`, `region=PROVIDER/REGION` or `provider=NAME`; may be repeated
    #[arg(long, required = true, value_name = "WHAT")]
    pub(crate) fail: Vec<Failure>,

    /// From when, as `2026-06-10` or `2026-06-10T08:00Z`
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Moment,

    /// Until when
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Moment,

    /// Another configuration, played beside it
    #[arg(long, value_name = "FILE")]
    pub(crate) compare: Option<PathBuf>,

    /// Write a plot too: bytes of each hour by copy and edge, refusals, and when caps bound
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Clients are drawn from this number: the same for the same number
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub(crate) seed: u64,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A moment from 1970 on, to the second; in UTC if it does not say where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) u64);

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // What does not say where it is: a date, or one with a time of day.
        let civil = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
        let at = match text.parse::<Timestamp>() {
            Ok(at) => Some(at),
            Err(_) => civil().map(|at| at.timestamp()),
        };
        let at = at.and_then(|at| u64::try_from(at.as_second()).ok());
        at.map(Self).ok_or_else(|| {
            format!("`{text}` is no moment: write `2026-06-10` or `2026-06-10T08:00Z`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_or_a_time() {
        let day = 1_781_049_600;
        let table = [
            ("2026-06-10", day),
            ("2026-06-10T08:00", day + 8 * 3_600),
            ("2026-06-10T08:00Z", day + 8 * 3_600),
            ("2026-06-10T08:00:01Z", day + 8 * 3_600 + 1),
            ("2026-06-10T08:00+02:00", day + 6 * 3_600),
        ];
        for (text, second) in table {
            assert_eq!(text.parse(), Ok(Moment(second)), "{text}");
        }
        for wrong in ["", "yesterday", "2026-06-31", "2026-06-10T25:00", "1960-01-01"] {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}
