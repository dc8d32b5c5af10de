//! `landbridge migrate verify-freeze`: whether an old registry still is what it was frozen as.

use anyhow::{Context as _, anyhow};
use landbridge_core::Digest;
use landbridge_core::migration::Phase;
use landbridge_migrate::freeze::{compare, gather_found, gather_frozen};
use landbridge_replicate::{find_release, releases};

use super::read;
use crate::cli::VerifyFreezeArgs;
use crate::commands::generation::press;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;
use crate::release::Press;
use crate::replication::Clients;
use crate::runtime;

pub(super) fn run(args: &VerifyFreezeArgs) -> Outcome {
    runtime::block_on(Box::pin(verify(args)))
}

async fn verify(args: &VerifyFreezeArgs) -> Outcome {
    let press = press(&args.published)?;
    let generation = generation(args, &press).await?;
    let prefix = args.repository_prefix.as_ref().map(ToString::to_string).unwrap_or_default();
    let clients = Clients::new(&args.registry.0, &prefix, None).or_usage()?;
    let frozen = gather_frozen(&press.publication().authority, &generation).await.or_failed()?;
    let found = gather_found(&clients.own, frozen.keys()).await.or_failed()?;
    let thaw = compare(&frozen, &found);
    if args.json {
        output::print_line(&serde_json::to_string_pretty(&thaw).or_failed()?)?;
    } else {
        output::print_line(&thaw.to_string())?;
    }
    Ok(if thaw.differences.is_empty() { Exit::Done } else { Exit::Findings })
}

/// The generation that is named, or the one that the plan freezes.
async fn generation(args: &VerifyFreezeArgs, press: &Press) -> Outcome<Digest> {
    if let Some(release) = &args.release {
        let all = releases(press.publication()).await.or_failed()?;
        return find_release(&all, release).or_usage();
    }
    let (_, plan) = read(&args.plan)?;
    let is_meant = |name: &str| args.planned.as_ref().is_none_or(|wanted| wanted.as_str() == name);
    let moves = plan.moves.iter().filter(|it| is_meant(it.migration.name()));
    let frozen: Vec<Digest> = moves
        .flat_map(|it| it.migration.steps())
        .filter(|step| step.phase == Phase::Freeze)
        .filter_map(|step| step.generation)
        .collect();
    let file = args.plan.file.display();
    match frozen.as_slice() {
        [one] => Ok(*one),
        [] => Err(anyhow!("no `freeze` in `{file}` names a `generation`: name one by --release")),
        _ => Err(anyhow!("several phases of `{file}` freeze: name one by --move or --release")),
    }
    .context("nobody says what was frozen")
    .or_usage()
}
