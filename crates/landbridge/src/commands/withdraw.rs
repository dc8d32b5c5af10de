//! `landbridge withdraw`: what nobody is to get any more.

use landbridge_replicate::WithdrawalChange;

use crate::cli::WithdrawArgs;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;
use crate::release::Press;
use crate::runtime;

use super::generation::{open, press};

pub(super) fn run(args: &WithdrawArgs) -> Outcome {
    runtime::block_on(Box::pin(async move {
        let change = match (args.digest, args.restore) {
            (Some(digest), _) => WithdrawalChange::Withdraw(digest),
            (None, Some(digest)) => WithdrawalChange::Restore(digest),
            (None, None) => return list(args).await,
        };
        let press = open(&args.published, Press::signing)?;
        let reason = args.reason.as_deref().unwrap_or_default();
        let report = press.withdraw(&change, reason).await.or_failed()?;
        if args.json {
            output::print_line(&serde_json::to_string_pretty(&report).or_failed()?)?;
        } else {
            output::print_line(&report.to_string())?;
        }
        Ok(if report.failed.is_empty() { Exit::Done } else { Exit::Findings })
    }))
}

async fn list(args: &WithdrawArgs) -> Outcome {
    let press = press(&args.published)?;
    let (entries, refused) =
        landbridge_replicate::withdrawals(press.publication()).await.or_failed()?;
    if args.json {
        output::print_line(&serde_json::to_string_pretty(&entries).or_failed()?)?;
    } else {
        for entry in &entries {
            output::print_line(&format!("{}  {:.0}  {}", entry.digest, entry.since, entry.reason))?;
        }
        for why in &refused {
            output::print_line(&format!("warning: not believed: {why}"))?;
        }
    }
    Ok(if refused.is_empty() { Exit::Done } else { Exit::Findings })
}
