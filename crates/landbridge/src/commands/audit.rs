//! `landbridge audit`: what each copy really gives.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use landbridge_core::RepositoryName;
use landbridge_replicate::{
    Audit, AuditReport, Budget, Choice, Depth, Effect, RegistrySource, Stop, Verdict, audit,
};
use landbridge_store::publish::Publication;
use landbridge_store::{FaceTimeouts, PublicFace};
use serde::Serialize;

use crate::cli::{AuditArgs, Check};
use crate::config::{self, Secrets, Source};
use crate::embedded::DataDirectory;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;
use crate::progress::{Display, watch};
use crate::release::{Press, publication};
use crate::replication::{Clients, ReplicationSettings, Target};
use crate::runtime;

/// How long a copy may take: it is asked in no hurry.
const TIMEOUTS: FaceTimeouts = FaceTimeouts {
    connect: Duration::from_secs(10),
    head: Duration::from_secs(30),
    idle: Duration::from_secs(30),
};

pub(super) fn run(args: &AuditArgs) -> Outcome {
    runtime::block_on(Box::pin(look(args)))
}

async fn look(args: &AuditArgs) -> Outcome {
    let World { publication, faces, clients, repositories } = world(args)?;
    let stop = Stop::new();
    let registry = clients.as_ref().map(|clients| RegistrySource {
        client: &clients.own,
        anonymous: clients.anonymous.as_ref(),
        repositories: repositories.as_deref(),
    });
    let request = Audit {
        publication: &publication,
        faces,
        registry,
        depth: depth(args.check),
        choice: Choice { share_ppm: args.sample.ppm, seed: args.seed.unwrap_or_else(seed) },
        budget: Budget {
            bytes: args.budget.map(|size| size.0),
            time: args.time.map(|period| period.0),
        },
        effect: effect(args),
        at_once: args.parallel.into(),
        stop: &stop,
    };
    let display = if args.json { Display::for_machines() } else { Display::for_people() };
    let listener = |progress| display.show(&progress);
    let work = Box::pin(async { audit(&request, &listener).await.or_failed() });
    let report = watch(&display, &stop, work).await?;
    if let Some(file) = &args.prometheus {
        write_metrics(file, &report.prometheus(Timestamp::now())).or_failed()?;
    }
    if args.json {
        let event = Event { event: "report", report: &report };
        output::print_line(&serde_json::to_string(&event).or_failed()?)?;
    } else {
        output::print_line(&report.to_string())?;
    }
    Ok(match report.verdict() {
        Verdict::Clean => Exit::Done,
        Verdict::Findings => Exit::Findings,
        Verdict::Failed => Exit::Failed,
    })
}

/// The last event.
#[derive(Serialize)]
struct Event<'a> {
    event: &'static str,
    #[serde(flatten)]
    report: &'a AuditReport,
}

fn depth(check: Check) -> Depth {
    match check {
        Check::Presence => Depth::Presence,
        Check::Ranges => Depth::Ranges,
        Check::Full => Depth::Full,
    }
}

fn effect(args: &AuditArgs) -> Effect {
    match (args.no_mark, args.repair) {
        (true, _) => Effect::Report,
        (false, false) => Effect::Mark,
        (false, true) => Effect::Repair,
    }
}

/// Another one each time, and short enough to be typed.
fn seed() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

/// What is audited.
struct World {
    publication: Publication,
    faces: Vec<Option<PublicFace>>,
    clients: Option<Clients>,
    repositories: Option<Vec<RepositoryName>>,
}

fn world(args: &AuditArgs) -> Outcome<World> {
    let Some(file) = &args.config else { return local(args) };
    let secrets = if args.copies_only { Secrets::Skip } else { Secrets::Read };
    let settings = config::load(&Source::read(file).or_usage()?, &[], secrets).or_usage()?;
    let settings = settings.replicate.ok_or_else(|| {
        anyhow!("`{}` has no `replicate`, which says what is published", file.display())
    });
    let settings: ReplicationSettings = settings.or_usage()?;
    let registry = &settings.registry;
    let clients = (!args.copies_only)
        .then(|| {
            let credentials = registry.credentials.as_ref();
            Clients::new(&registry.url, &registry.repository_prefix, credentials)
        })
        .transpose()
        .or_usage()?;
    let targets = [&settings.authority].into_iter().chain(&settings.mirrors);
    let faces = targets.map(face).collect::<anyhow::Result<_>>().or_usage()?;
    let publication = publication(&settings).or_usage()?;
    Ok(World { publication, faces, clients, repositories: settings.repositories })
}

/// A local topology: its front serves the mirrors, so that they are read as buckets.
fn local(args: &AuditArgs) -> Outcome<World> {
    let data = DataDirectory::at(&args.data).or_usage()?;
    if !data.origin().is_dir() {
        let error = anyhow!("nothing was published in `{}`", data.origin().display());
        return Err(error).or_usage();
    }
    let publication = Press::open(&data).or_failed()?.publication().clone();
    let clients = args.from.as_ref().map(|url| Clients::new(url, "", None)).transpose();
    Ok(World { publication, faces: Vec::new(), clients: clients.or_usage()?, repositories: None })
}

fn face(target: &Target) -> anyhow::Result<Option<PublicFace>> {
    let open = |url| PublicFace::new(url, target.layout, TIMEOUTS);
    let face = target.public.as_ref().map(open).transpose();
    face.with_context(|| format!("the address of `{}` cannot be used", target.name))
}

/// Replaces the file at once: whoever reads it meanwhile sees the old one or the new one.
fn write_metrics(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    std::fs::write(&new, text)
        .and_then(|()| std::fs::rename(&new, file))
        .with_context(|| format!("cannot write the metrics to `{}`", file.display()))
}
