//! `landbridge migrate check`: the plan held against the policy.

use jiff::Timestamp;

use super::promised;
use crate::cli::PromisedArgs;
use crate::config::scalar::Moment;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;

pub(super) fn run(args: &PromisedArgs, at: Option<Moment>, json: bool) -> Outcome {
    let held = promised::read(args)?;
    let check = held.check(at.map_or_else(Timestamp::now, |at| at.0));
    if json {
        output::print_line(&serde_json::to_string_pretty(&check).or_failed()?)?;
    } else {
        output::print(&check.to_string())?;
    }
    Ok(if check.findings().next().is_some() { Exit::Findings } else { Exit::Done })
}
