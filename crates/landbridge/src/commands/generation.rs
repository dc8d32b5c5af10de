//! `landbridge generation`: what was published, and going back to it.

use anyhow::{Context as _, anyhow};
use landbridge_replicate::{Release, Said, find_release, releases};
use landbridge_store::MirrorState;

use crate::cli::{GenerationCommand, PublishedArgs};
use crate::config::{self, Secrets, Source};
use crate::embedded::DataDirectory;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;
use crate::release::Press;
use crate::replication::ReplicationSettings;
use crate::runtime;

pub(super) fn run(command: &GenerationCommand) -> Outcome {
    runtime::block_on(Box::pin(async move {
        match command {
            GenerationCommand::List { published, json } => list(published, *json).await,
            GenerationCommand::Diff { from, to, published, json } => {
                diff(from, to.as_deref(), published, *json).await
            }
            GenerationCommand::Rollback { to, reason, despite_gaps, published } => {
                rollback(to, reason, despite_gaps.as_deref(), published).await
            }
        }
    }))
}

async fn list(published: &PublishedArgs, json: bool) -> Outcome {
    let all = releases(press(published)?.publication()).await.or_failed()?;
    if json {
        output::print_line(&serde_json::to_string_pretty(&all).or_failed()?)?;
    } else {
        for release in &all {
            output::print_line(&release.to_string())?;
        }
    }
    // Somebody put something there that no key of ours has signed.
    let is_clean = all.iter().all(|release| matches!(release.said, Said::Believed { .. }));
    Ok(if is_clean { Exit::Done } else { Exit::Findings })
}

async fn diff(from: &str, to: Option<&str>, published: &PublishedArgs, json: bool) -> Outcome {
    let press = press(published)?;
    let all = releases(press.publication()).await.or_failed()?;
    let to = match to {
        Some(to) => to.to_owned(),
        None => in_force(&all).context("nothing was published yet").or_usage()?.to_string(),
    };
    let [from, to] = [from, &to].map(|text| find_release(&all, text));
    let (from, to) = (from.or_usage()?, to.or_usage()?);
    let difference =
        landbridge_replicate::compare(press.publication(), &from, &to).await.or_failed()?;
    if json {
        output::print_line(&serde_json::to_string_pretty(&difference).or_failed()?)?;
    } else {
        output::print_line(&difference.to_string())?;
    }
    Ok(Exit::Done)
}

fn in_force(all: &[Release]) -> Option<u64> {
    all.iter().find_map(|release| match release.said {
        Said::Believed { in_force: true, .. } => Some(release.sequence),
        Said::Believed { .. } | Said::Refused(_) => None,
    })
}

async fn rollback(
    to: &str,
    reason: &str,
    despite_gaps: Option<&str>,
    published: &PublishedArgs,
) -> Outcome {
    let press = open(published, Press::signing)?.despite_gaps(despite_gaps);
    let all = releases(press.publication()).await.or_failed()?;
    let generation = find_release(&all, to).or_usage()?;
    let published = press.roll_back(generation, reason).await.or_failed()?;
    let sequence = published.pointer.content().sequence;
    output::print_line(&format!("published as {sequence}: {generation}"))?;
    let mut exit = Exit::Done;
    for (name, state) in &published.mirrors {
        if *state != MirrorState::Complete {
            output::print_line(&format!("warning: mirror `{name}` {state}"))?;
            exit = Exit::Findings;
        }
    }
    Ok(exit)
}

pub(super) fn press(published: &PublishedArgs) -> Outcome<Press> {
    open(published, Press::of)
}

/// What was published, by a configuration or a data directory.
pub(super) fn open(
    published: &PublishedArgs,
    configured: fn(&ReplicationSettings) -> anyhow::Result<Press>,
) -> Outcome<Press> {
    let Some(file) = &published.config else {
        let data = DataDirectory::at(&published.data).or_usage()?;
        if !data.origin().is_dir() {
            let path = data.origin();
            let error = anyhow!("nothing was published in `{}`", path.display());
            return Err(error).or_usage();
        }
        return Press::open(&data).or_failed();
    };
    let settings = config::load(&Source::read(file).or_usage()?, &[], Secrets::Skip).or_usage()?;
    let settings = settings.replicate.ok_or_else(|| {
        anyhow!("`{}` has no `replicate`, which says what is published", file.display())
    });
    configured(&settings.or_usage()?).or_usage()
}
