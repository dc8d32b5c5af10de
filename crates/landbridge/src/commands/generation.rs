//! `landbridge generation`: what was published, going back to it, and what of it stays.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_replicate::{Release, Said, find_release, prepare_prune, releases};
use landbridge_store::MirrorState;
use landbridge_store::read::Export;

use crate::cli::{GenerationCommand, PruneArgs, PublishedArgs};
use crate::config::{self, Secrets, Source};
use crate::embedded::DataDirectory;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;
use crate::progress::{Display, watch};
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
            GenerationCommand::Show { release, published, json } => {
                show(release.as_deref(), published, *json).await
            }
            GenerationCommand::Pin { release, reason, published } => {
                pin(release, reason, published).await
            }
            GenerationCommand::Unpin { release, published } => unpin(release, published).await,
            GenerationCommand::Export { file, published } => export(file, published).await,
            GenerationCommand::Prune(args) => prune(args).await,
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
    let (from, to) = (find_release(&all, from).or_usage()?, find_or_in_force(&all, to)?);
    let difference =
        landbridge_replicate::compare(press.publication(), &from, &to).await.or_failed()?;
    if json {
        output::print_line(&serde_json::to_string_pretty(&difference).or_failed()?)?;
    } else {
        output::print_line(&difference.to_string())?;
    }
    Ok(Exit::Done)
}

/// The generation that is meant, or the one in force.
fn find_or_in_force(all: &[Release], meant: Option<&str>) -> Outcome<Digest> {
    if let Some(meant) = meant {
        return find_release(all, meant).or_usage();
    }
    let in_force = all.iter().find_map(|release| match release.said {
        Said::Believed { in_force: true, generation, .. } => Some(generation),
        Said::Believed { .. } | Said::Refused(_) => None,
    });
    in_force.context("nothing was published yet").or_usage()
}

async fn show(release: Option<&str>, published: &PublishedArgs, json: bool) -> Outcome {
    let press = press(published)?;
    let all = releases(press.publication()).await.or_failed()?;
    let generation = find_or_in_force(&all, release)?;
    let shown = landbridge_replicate::show(press.publication(), &generation).await.or_failed()?;
    if json {
        output::print_line(&serde_json::to_string_pretty(&shown).or_failed()?)?;
    } else {
        output::print_line(&shown.to_string())?;
    }
    Ok(Exit::Done)
}

async fn pin(release: &str, reason: &str, published: &PublishedArgs) -> Outcome {
    let press = press(published)?;
    let publication = press.publication();
    let generation = find_release(&releases(publication).await.or_failed()?, release).or_usage()?;
    let now = Timestamp::now();
    landbridge_replicate::pin(publication, &generation, reason, now).await.or_failed()?;
    output::print_line(&format!("pinned: {generation}"))?;
    Ok(Exit::Done)
}

async fn unpin(release: &str, published: &PublishedArgs) -> Outcome {
    let press = press(published)?;
    let publication = press.publication();
    let generation = find_release(&releases(publication).await.or_failed()?, release).or_usage()?;
    if !landbridge_replicate::unpin(publication, &generation).await.or_failed()? {
        return Err(anyhow!("{generation} is not pinned: see `landbridge generation list`"))
            .or_usage();
    }
    output::print_line(&format!("not pinned any more: {generation}"))?;
    Ok(Exit::Done)
}

async fn export(file: &Path, published: &PublishedArgs) -> Outcome {
    let press = press(published)?;
    let export = press.publication().export(press.follows(), Timestamp::now()).await.or_failed()?;
    for note in &export.notes {
        output::print_line(&format!("warning: {note}"))?;
    }
    write_whole(file, &export)
        .with_context(|| format!("cannot write `{}`", file.display()))
        .or_failed()?;
    let (sequence, documents) = (export.sequence, export.documents);
    let name = file.display();
    output::print_line(&format!("release {sequence} with {documents} documents is in `{name}`"))?;
    Ok(if export.notes.is_empty() { Exit::Done } else { Exit::Findings })
}

/// Writes a file that is there as a whole or not at all.
fn write_whole(file: &Path, export: &Export) -> std::io::Result<()> {
    let absolute = std::path::absolute(file)?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    // There is no secret in it, and whoever runs the front reads it.
    let permissions = std::fs::Permissions::from_mode(0o644);
    let draft = tempfile::Builder::new().permissions(permissions).tempfile_in(directory)?;
    export.write(std::io::BufWriter::new(draft.as_file()))?;
    draft.as_file().sync_all()?;
    draft.persist(&absolute)?;
    std::fs::File::open(directory)?.sync_all()
}

async fn prune(args: &PruneArgs) -> Outcome {
    let PruneArgs { keep_releases, keep_for, apply, json, published } = args;
    if !apply {
        let press = press(published)?;
        let keep = press.keep(*keep_releases, keep_for.0);
        let planned = prepare_prune(press.publication(), &keep, Timestamp::now()).await;
        let plan = planned.or_failed()?;
        if *json {
            output::print_line(&serde_json::to_string_pretty(&plan).or_failed()?)?;
        } else {
            output::print(&format!("{plan}\nnothing was changed: --apply does it\n"))?;
        }
        return Ok(Exit::Done);
    }
    let press = open(published, Press::signing)?;
    let keep = press.keep(*keep_releases, keep_for.0);
    let display = if *json { Display::for_machines() } else { Display::for_people() };
    let work = async { press.prune(&keep).await.or_failed() };
    let report = watch(&display, press.stop(), work).await?;
    if *json {
        output::print_line(&serde_json::to_string_pretty(&report).or_failed()?)?;
    } else {
        output::print_line(&report.to_string())?;
    }
    Ok(if report.failed.is_empty() { Exit::Done } else { Exit::Findings })
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
