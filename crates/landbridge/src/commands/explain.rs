//! `landbridge explain`: the front's own decision, asked for without pulling.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use landbridge_core::oci_error::Code;
use landbridge_core::reference::ImageName;
use landbridge_front::{ExplainError, Explanation, OfflineError, Question, explain_offline};
use url::Url;

use crate::cli::{ExplainArgs, Where};
use crate::config::{self, Secrets, Source};
use crate::embedded::{self, DataDirectory};
use crate::exit::{Exit, Failure, OrExit as _, Outcome};
use crate::output;
use crate::runtime;

/// A front on the other side of the world, with a live origin behind it.
const SERVER_TIMEOUT: Duration = Duration::from_mins(1);

pub(super) fn run(args: ExplainArgs) -> Outcome {
    let image: ImageName = args
        .image
        .parse()
        .with_context(|| format!("`{}` is not an image", args.image))
        .or_usage()?;
    runtime::block_on(Box::pin(async move {
        let explanation = match &args.server {
            Some(server) => ask(server, &args).await?,
            None => decide(&args, image).await?,
        };
        if args.json {
            output::print_line(&serde_json::to_string_pretty(&explanation).or_failed()?)?;
        } else {
            output::print(&explanation.to_string())?;
        }
        Ok(if is_served(&explanation) { Exit::Done } else { Exit::Findings })
    }))
}

/// Whether some copy serves each object that the front does not answer itself.
fn is_served(explanation: &Explanation) -> bool {
    let mut objects = explanation.objects.iter();
    objects.all(|object| {
        object.copies.is_empty() || object.copies.iter().any(|verdict| verdict.outcome == "chosen")
    })
}

async fn decide(args: &ExplainArgs, image: ImageName) -> Outcome<Explanation> {
    let source = match &args.place.config {
        Some(file) => Source::read(file).or_usage()?,
        None => published(&args.place)?,
    };
    let (overrides, _) = config::environment();
    let config = config::load(&source, &overrides, Secrets::Read).or_usage()?;
    let settings = config.for_front(None).or_usage()?;
    let question = Question { image, from: args.from, host: args.host.clone() };
    explain_offline(settings, &question).await.map_err(|error| Failure {
        exit: match &error {
            OfflineError::Gather(_) | OfflineError::Explain(ExplainError::NoSite(_)) => Exit::Usage,
            OfflineError::Explain(ExplainError::Registry { error, .. })
                if error.code == Code::Unavailable =>
            {
                Exit::Failed
            }
            OfflineError::Explain(ExplainError::Registry { .. }) => Exit::Findings,
        },
        error: error.into(),
    })
}

/// The configuration of a data directory, if there is anything in it.
fn published(place: &Where) -> Outcome<Source> {
    let data = DataDirectory::at(&place.data()).or_usage()?;
    if data.public_key().exists() {
        return embedded::source(&data, place.ranges);
    }
    Err(anyhow!(
        "`{}` holds nothing yet: run `landbridge serve` or `landbridge import` first, or name another directory with --data",
        data.path().display()
    ))
    .or_usage()
}

async fn ask(server: &Url, args: &ExplainArgs) -> Outcome<Explanation> {
    let mut url = server.join("explain").or_usage()?;
    {
        let mut query = url.query_pairs_mut();
        query.append_pair("image", &args.image).append_pair("from", &args.from.to_string());
        query.append_pair("format", "json");
        if let Some(host) = &args.host {
            query.append_pair("host", host);
        }
    }
    let what = || format!("cannot ask `{server}`: is it the admin listener of a running front?");
    let client = reqwest::Client::builder().timeout(SERVER_TIMEOUT).build().or_failed()?;
    let response = client.get(url).send().await.with_context(what).or_failed()?;
    let status = response.status();
    let body = response.bytes().await.with_context(what).or_failed()?;
    if !status.is_success() {
        let message = String::from_utf8_lossy(&body);
        let error = anyhow!("{}", message.trim());
        let exit = if status.is_client_error() { Exit::Findings } else { Exit::Failed };
        return Err(Failure { exit, error });
    }
    serde_json::from_slice(&body).with_context(what).or_failed()
}
