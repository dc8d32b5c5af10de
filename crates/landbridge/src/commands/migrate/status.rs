//! `landbridge migrate status`: where things stand.

use jiff::Timestamp;
use landbridge_core::migration::{Progress, Steps};

use super::read;
use crate::cli::PlanFile;
use crate::config::scalar::Moment;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;

pub(super) fn run(file: &PlanFile, at: Option<Moment>, json: bool) -> Outcome {
    let (_, plan) = read(file)?;
    let moment = at.map_or_else(Timestamp::now, |at| at.0);
    // What fronts have taken back by themselves their own status says.
    let progress = plan.moves.iter().map(|it| it.migration.progress(moment, Steps::NONE));
    let progress: Vec<Progress> = progress.collect();
    if json {
        let json = serde_json::json!({ "moves": progress });
        output::print_line(&serde_json::to_string_pretty(&json).or_failed()?)?;
    } else {
        let texts: Vec<_> = progress.iter().map(ToString::to_string).collect();
        output::print(&texts.join("\n"))?;
    }
    Ok(Exit::Done)
}
