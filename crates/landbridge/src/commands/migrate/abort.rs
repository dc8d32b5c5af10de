//! `landbridge migrate abort`: taking a phase back, in the plan.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use landbridge_core::migration::{Phase, Step};

use super::{read, write_whole};
use crate::cli::AbortArgs;
use crate::config::{Plan, Source, load_plan, with_aborted};
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;

pub(super) fn run(args: &AbortArgs) -> Outcome {
    let file = &args.plan.file;
    let (source, plan) = read(&args.plan)?;
    let (one, step) = find(&plan, args).or_usage()?;
    let moment = match args.at {
        Some(at) => at.0,
        // The second that has begun, so that it holds at once.
        None => Timestamp::from_second(Timestamp::now().as_second()).or_failed()?,
    };
    let text = edited(&source, &plan, (one, step), moment).or_usage()?;
    write_whole(file, &text)
        .with_context(|| format!("cannot write `{}`", file.display()))
        .or_failed()?;
    let migration = &plan.moves[one].migration;
    output::print_line(&format!(
        "{} is taken back as of {moment}, in `{}`",
        called(migration.name(), &migration.steps()[step]),
        file.display()
    ))?;
    Ok(Exit::Done)
}

/// The step that is meant: its move's place and its own.
fn find(plan: &Plan, args: &AbortArgs) -> anyhow::Result<(usize, usize)> {
    let phase = Phase::from(args.phase);
    if let Some(name) = &args.planned
        && plan.get(name.as_str()).is_none()
    {
        let known: Vec<_> = plan.names().map(|name| format!("`{name}`")).collect();
        bail!("the plan has no move `{name}`, only {}", known.join(", "));
    }
    let is_meant = |name: &str, step: &Step| {
        step.phase == phase
            && args.planned.as_ref().is_none_or(|planned| planned.as_str() == name)
            && args.start.is_none_or(|start| start.0 == step.start)
    };
    let mut meant = Vec::new();
    for (one, it) in plan.moves.iter().enumerate() {
        let name = it.migration.name();
        let steps = it.migration.steps().iter().enumerate();
        meant.extend(
            steps
                .filter(|(_, step)| is_meant(name, step))
                .map(|(at, step)| ((one, at), name, step)),
        );
    }
    let left = meant.iter().filter(|(_, _, step)| step.aborted.is_none());
    match left.collect::<Vec<_>>()[..] {
        [(place, ..)] => Ok(*place),
        [] => match meant.first() {
            None => bail!("the plan has no such {}", phase.name()),
            Some((_, name, step)) => {
                let since = step.aborted.map(|at| format!(", as of {at}")).unwrap_or_default();
                bail!("{} is taken back already{since}", called(name, step))
            }
        },
        ref several => {
            let mut message = "the plan has several; say which one:".to_owned();
            for (_, name, step) in several {
                let _ = write!(
                    message,
                    "\n  landbridge migrate abort {} --move {name} --start {}   ({})",
                    phase.name(),
                    step.start,
                    step.scope
                );
            }
            Err(anyhow!(message))
        }
    }
}

fn called(name: &str, step: &Step) -> String {
    format!("the {} of `{name}` that starts at {}", step.phase.name(), step.start)
}

/// The plan's text with the step taken back, which is what reading it back must say, and nothing
/// more.
fn edited(
    source: &Source,
    plan: &Plan,
    (one, step): (usize, usize),
    moment: Timestamp,
) -> anyhow::Result<String> {
    let by_hand = || {
        let name = source.name();
        format!(
            "`{name}` is written in a way that is not understood well enough to change it: write `aborted: {moment}` into moves[{one}].phases[{step}] yourself"
        )
    };
    let text = with_aborted(source.text(), one, step, moment).with_context(by_hand)?;
    let read = load_plan(&source.with_text(text.clone())).with_context(by_hand)?;
    if read != plan.with_aborted(one, step, moment) {
        bail!(by_hand());
    }
    Ok(text)
}
