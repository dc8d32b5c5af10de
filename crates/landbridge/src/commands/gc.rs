//! `landbridge gc`: deletes what nothing refers to any more.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use landbridge_origin::gc::{
    Collection, GcError, Order, Plan, Progress, Report, Retention, TagRule, collect_until, prepare,
};
use landbridge_origin::{RepositoryPattern, TextPattern};
use landbridge_store::{Bucket, BucketLayout, Repositories};
use url::Url;

use super::signals::Signals;
use crate::cli::GcArgs;
use crate::config::scalar::{Period, StoreUrl};
use crate::config::{self, Secrets, Source};
use crate::embedded::DataDirectory;
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::own::OwnSettings;
use crate::runtime;

/// What an origin without a configuration promises to its clients.
const DEFAULT_GRACE: Duration = landbridge_origin::settings::DEFAULT_GRACE;
/// How long it keeps an upload of which nothing is heard.
const UPLOAD_EXPIRY: Duration = Duration::from_hours(7 * 24);
/// A collector that says nothing for this long is dead.
const STALE_AFTER: Duration = Duration::from_mins(10);

pub(super) fn run(args: &GcArgs) -> Outcome {
    runtime::block_on(Box::pin(gc(args)))
}

async fn gc(args: &GcArgs) -> Outcome {
    // What is wrong with the command line is said before anything is looked for.
    let keep = args.keep.iter().map(|rule| tag_rule(rule)).collect::<Result<Vec<_>, _>>();
    let keep = keep.or_usage()?;
    let told = told(args)?;
    let collection = collection(args, keep, &told)?;
    let bucket = Bucket::open(&told.store, BucketLayout::Blobs).or_usage()?;
    let repositories = Repositories::open(bucket).await.or_failed()?;
    if !args.apply {
        let plan = prepare(&repositories, &collection).await.map_err(failed)?;
        print_plan(&plan, args.json)?;
        return Ok(found(plan.missing.len() as u64));
    }
    let mut signals = Signals::new().context("cannot listen for signals").or_failed()?;
    // Whoever stops it should be able to start it again at once.
    let collected = collect_until(&repositories, &collection, &show, signals.stop()).await;
    let (plan, report) = collected.map_err(failed)?;
    print_report(&plan, &report, args.json)?;
    Ok(found(report.missing))
}

/// What the origins of a bucket are told.
struct Told {
    store: Url,
    /// How long their clients may count on what they were told.
    grace: Duration,
    uploads: Duration,
    retention: Retention,
}

impl Told {
    /// Of origins without a configuration.
    fn nothing(store: Url) -> Self {
        Self {
            store,
            grace: DEFAULT_GRACE,
            uploads: UPLOAD_EXPIRY,
            retention: Retention::default(),
        }
    }
}

fn told(args: &GcArgs) -> Outcome<Told> {
    if let Some(file) = &args.config {
        let settings =
            config::load(&Source::read(file).or_usage()?, &[], Secrets::Skip).or_usage()?;
        let own = settings.own.ok_or_else(|| {
            anyhow!("`{}` has no `origin`, whose bucket could be collected", file.display())
        });
        let OwnSettings { store, grace, uploads, retention, .. } = own.or_usage()?;
        return Ok(Told { store, grace, uploads, retention });
    }
    if let Some(store) = &args.store {
        let store: StoreUrl = store.parse().map_err(|why: String| anyhow!(why)).or_usage()?;
        let base = std::env::current_dir().or_failed()?;
        let url = store.resolve(&base).map_err(|why| anyhow!(why)).or_usage()?;
        return Ok(Told::nothing(url));
    }
    let data = DataDirectory::at(&args.data).or_usage()?;
    let directory = data.origin();
    if !directory.is_dir() {
        let path = directory.display();
        return Err(anyhow!("there is no origin in `{path}`: name another with --data or --store"))
            .or_usage();
    }
    let url = Url::from_directory_path(&directory);
    let url = url.map_err(|()| anyhow!("`{}` is not an absolute path", directory.display()));
    Ok(Told::nothing(url.or_usage()?))
}

/// What the configuration says, with the flags over it.
fn collection(args: &GcArgs, keep: Vec<TagRule>, told: &Told) -> Outcome<Collection> {
    let promised = told.grace;
    let grace = args.grace.map_or(promised, |grace| grace.0);
    if grace < promised {
        return Err(anyhow!(
            "--grace {} is shorter than the {} that origins of this bucket promise to clients: a push that is under way could lose a blob; set `origin.gc.grace` in the configuration of the origins, and name the file with --config",
            Period(grace),
            Period(promised)
        ))
        .or_usage();
    }
    Ok(Collection {
        grace,
        upload_expiry: args.uploads.map_or(told.uploads, |period| period.0),
        retention: Retention {
            // The first rule that speaks of a tag decides.
            tags: keep.into_iter().chain(told.retention.tags.iter().cloned()).collect(),
            untagged: args.untagged.map(|period| period.0).or(told.retention.untagged),
        },
        kept: HashSet::new(),
        stale_after: STALE_AFTER,
    })
}

/// `REPOSITORIES:TAGS=N`, with `@pushed` behind it for tags that are no versions.
fn tag_rule(text: &str) -> anyhow::Result<TagRule> {
    let wrong = || {
        anyhow!(
            "--keep `{text}` is no rule: write REPOSITORIES:TAGS=N, as in `team/**:v*=10`, or `*:ci-*=5@pushed` to go by when they were pushed"
        )
    };
    let (patterns, number) = text.rsplit_once('=').ok_or_else(wrong)?;
    let (repositories, tags) = patterns.split_once(':').ok_or_else(wrong)?;
    let (number, order) = match number.split_once('@') {
        None => (number, Order::Version),
        Some((number, "pushed")) => (number, Order::Pushed),
        Some(_) => return Err(wrong()),
    };
    Ok(TagRule {
        repositories: RepositoryPattern::parse(repositories)?,
        tags: TextPattern::parse(tags)?,
        keep: number.parse().map_err(|_| wrong())?,
        order,
    })
}

#[expect(clippy::print_stderr, reason = "results go to standard output, progress does not")]
fn show(progress: Progress) {
    match progress {
        Progress::Gathering => eprintln!("reading names, manifests and objects"),
        Progress::Condemning { objects } => eprintln!("condemning {objects} objects"),
        Progress::Sweeping { objects, done } => {
            eprintln!("deleting: {done} of {objects} objects that are due were looked at");
        }
    }
}

fn print_plan(plan: &Plan, json: bool) -> Outcome<()> {
    if json {
        return output::print_line(&serde_json::to_string_pretty(plan).or_failed()?);
    }
    output::print(&format!("{plan}\nnothing was changed: --apply does it\n"))
}

fn print_report(plan: &Plan, report: &Report, json: bool) -> Outcome<()> {
    if json {
        return output::print_line(&serde_json::to_string_pretty(report).or_failed()?);
    }
    for missing in &plan.missing {
        output::print_line(&missing.to_string())?;
    }
    output::print(&report.to_string())
}

/// A name that leads nowhere is something to look at.
fn found(missing: u64) -> Exit {
    if missing == 0 { Exit::Done } else { Exit::Findings }
}

fn failed(error: GcError) -> Failure {
    Failure { exit: Exit::Failed, error: error.into() }
}
