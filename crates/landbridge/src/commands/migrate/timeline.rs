//! `landbridge migrate timeline`: the plan as a page, a calendar and JSON.

use anyhow::Context as _;
use jiff::Timestamp;
use landbridge_migrate::timeline::Timeline;

use super::{promised, write_whole};
use crate::cli::TimelineArgs;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;

pub(super) fn run(args: &TimelineArgs) -> Outcome {
    let held = promised::read_if_there(&args.promised)?;
    let at = args.at.map_or_else(Timestamp::now, |at| at.0);
    let timeline = Timeline::new(&held.moves, &held.check(at), at);
    let files = [
        (&args.html, Timeline::to_html as fn(&Timeline) -> String),
        (&args.calendar, Timeline::to_calendar),
    ];
    for (file, text) in files {
        if let Some(file) = file {
            write_whole(file, &text(&timeline))
                .with_context(|| format!("cannot write `{}`", file.display()))
                .or_failed()?;
        }
    }
    if args.json {
        output::print_line(&timeline.to_json())?;
    }
    Ok(Exit::Done)
}
