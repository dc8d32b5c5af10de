//! `landbridge replicate`: what a registry holds becomes a release.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use futures::TryFutureExt as _;
use landbridge_core::money::Money;
use landbridge_core::{Digest, RepositoryName};
use landbridge_front::settings::LiveRegistry;
use landbridge_replicate::{Costs, ImportError, Plan, RegistrySource, Report};
use serde::Serialize;
use tracing::warn;
use url::Url;

use crate::cli::ReplicateArgs;
use crate::config::{self, Secrets, Source};
use crate::embedded::DataDirectory;
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::progress::{Display, watch};
use crate::promotions;
use crate::release::Press;
use crate::replication::Clients;
use crate::runtime;

pub(super) fn run(args: &ReplicateArgs) -> Outcome {
    runtime::block_on(Box::pin(replicate(args)))
}

async fn replicate(args: &ReplicateArgs) -> Outcome {
    let Work { press, clients, repositories } = work(args)?;
    let press = press.despite_gaps(args.despite_gaps.as_deref()).renewing(args.renew);
    let currency = press.tariff().currency;
    if let Some(most) = args.max_cost.filter(|most| most.currency() != currency) {
        let wrong =
            anyhow!("--max-cost is {most}, but prices are in {currency}: write it in {currency}");
        return Err(wrong).or_usage();
    }
    let press = press.costing(args.max_cost);
    let source = RegistrySource {
        client: &clients.own,
        anonymous: clients.anonymous.as_ref(),
        repositories: repositories.as_deref(),
    };
    if args.dry_run {
        let plan = press.plan_replication(source).await.map_err(refused)?;
        let text = if args.json { Planned::of(&plan).to_json()? } else { plan.to_string() };
        output::print_line(&text)?;
        if let (Some(costs), Some(most)) = (&plan.costs, args.max_cost) {
            costs.check(most, Money::zero(currency)).map_err(refused)?;
        }
        return Ok(Exit::Done);
    }
    let display = if args.json { Display::for_machines() } else { Display::for_people() };
    let listener = |progress| display.show(&progress);
    let work = press.replicate(source, &listener).map_err(refused);
    let report = watch(&display, press.stop(), work).await?;
    if args.json {
        output::print_line(
            &serde_json::to_string(&Event { event: "report", report: &report }).or_failed()?,
        )?;
    } else {
        output::print_line(&report.to_string())?;
    }
    // A release that is out, but not everywhere, is something to look at.
    Ok(if report.warnings.is_empty() { Exit::Done } else { Exit::Findings })
}

/// The only event of a dry run.
#[derive(Serialize)]
struct Planned<'a> {
    event: &'static str,
    generation: &'a Digest,
    replaces: Option<&'a Digest>,
    tags: Vec<String>,
    objects: usize,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    costs: Option<&'a Costs>,
    skipped: &'a [String],
    kept: &'a [String],
    warnings: &'a [String],
}

impl<'a> Planned<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self {
            event: "plan",
            generation: &plan.generation,
            replaces: plan.replaces.as_ref(),
            tags: plan.tags.iter().map(ToString::to_string).collect(),
            objects: plan.objects.len(),
            bytes: plan.objects.iter().map(|object| object.size).sum(),
            costs: plan.costs.as_ref(),
            skipped: &plan.skipped,
            kept: &plan.kept,
            warnings: &plan.warnings,
        }
    }

    fn to_json(&self) -> Outcome<String> {
        serde_json::to_string(self).or_failed()
    }
}

/// The last event.
#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    #[serde(flatten)]
    report: &'a Report,
}

struct Work {
    press: Press,
    clients: Clients,
    repositories: Option<Vec<RepositoryName>>,
}

fn work(args: &ReplicateArgs) -> Outcome<Work> {
    let named = args.repository.iter().map(|name| name.parse::<RepositoryName>());
    let named: Vec<_> =
        named.collect::<Result<_, _>>().context("--repository is wrong").or_usage()?;
    let named = Some(named).filter(|names| !names.is_empty());
    let Some(file) = &args.config else {
        let press = Press::open(&DataDirectory::at(&args.data).or_usage()?).or_failed()?;
        let url: Url = args.from.parse().context("--from is wrong").or_usage()?;
        let clients = Clients::new(&url, "", None).or_usage()?;
        let press = press.reading(&url);
        return Ok(Work { press, clients, repositories: named });
    };
    let settings = config::load(&Source::read(file).or_usage()?, &[], Secrets::Read).or_usage()?;
    let settings = settings.replicate.ok_or_else(|| {
        anyhow!("`{}` has no `replicate`: which key signs what is published?", file.display())
    });
    let settings = settings.or_usage()?;
    let press = if args.dry_run { Press::of(&settings) } else { Press::signing(&settings) };
    let press = press.or_usage()?;
    let registry = &settings.registry;
    let credentials = registry.credentials.as_ref();
    let clients =
        Clients::new(&registry.url, &registry.repository_prefix, credentials).or_usage()?;
    let repositories = match (named.or(settings.repositories), &settings.promotions) {
        (None, Some(directory)) => Some(promoted(directory, registry)?),
        (names, _) => names,
    };
    Ok(Work { press, clients, repositories })
}

fn promoted(directory: &Path, registry: &LiveRegistry) -> Outcome<Vec<RepositoryName>> {
    let LiveRegistry { url, repository_prefix, .. } = registry;
    let promoted = promotions::read(directory, url, repository_prefix).or_usage()?;
    for manifest in promoted.elsewhere {
        let manifest = manifest.display();
        warn!(%manifest, "it promotes to other registries only, and is left out");
    }
    Ok(promoted.repositories.into_iter().collect())
}

fn refused(error: ImportError) -> Failure {
    let exit = match error {
        // A person decides.
        ImportError::TooDear { .. } | ImportError::Unpriced { .. } => Exit::Findings,
        _ => Exit::Failed,
    };
    Failure { exit, error: error.into() }
}
