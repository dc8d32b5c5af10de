//! The admin listener: metrics, health, readiness and explanations, for operators only.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use landbridge_core::reference::ImageName;
use serde::{Deserialize, Serialize};

use crate::explain::{ExplainError, Question, explain};
use crate::failover::seconds_now;
use crate::health::CopyStatus;
use crate::limits::Limits;
use crate::settings::{Follow, OriginKind};
use crate::shared::Shared;

/// The admin listener's paths.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/explain", get(explain_one))
        .route("/limits", get(limits))
        .with_state(shared)
}

async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let world = shared.world();
    let working = world.running.health.working(Instant::now);
    shared
        .metrics
        .set_working(world.snapshot.copies.iter().map(|copy| (copy.id, &*copy.name)), working);
    shared.metrics.set_memory();
    shared.metrics.set_ages(&world.snapshot, Timestamp::now());
    let probed = world.running.health.probed();
    let statuses = probed.statuses(Instant::now(), Timestamp::now());
    shared.metrics.set_statuses(&statuses, probed);
    shared.metrics.set_spent(&world.running.failover, seconds_now());
    let limited = world.running.limits.as_ref().map_or(0, Limits::limited);
    shared.metrics.limited_networks.set(i64::try_from(limited).unwrap_or(i64::MAX));
    let dropped = i64::try_from(shared.records.dropped()).unwrap_or(i64::MAX);
    shared.metrics.records_dropped.set(dropped);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], shared.metrics.encode())
}

/// Whether the front can answer, and with what.
#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    origins: Vec<OriginReadiness>,
    failing_copies: Vec<String>,
    /// How every copy is by its probes.
    copies: Vec<CopyReadiness>,
    ranges: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CopyReadiness {
    name: String,
    /// `in`, `returning` or `out`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_probe: Option<ProbeReadiness>,
    /// What an operator said of it, and until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
}

#[derive(Debug, Serialize)]
struct ProbeReadiness {
    at: String,
    milliseconds: u128,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<CopyStatus> for CopyReadiness {
    fn from(status: CopyStatus) -> Self {
        Self {
            operator: status.operator_says(),
            name: status.name,
            state: status.state.name(),
            since: status.since.map(|since| since.to_string()),
            share: status.share,
            last_probe: status.last.map(|probe| ProbeReadiness {
                at: probe.at.to_string(),
                milliseconds: probe.latency.as_millis(),
                error: probe.error,
            }),
        }
    }
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "facts, each told by its name")]
struct OriginReadiness {
    name: String,
    /// How the newest release is not followed, if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    follows: Option<String>,
    ready: bool,
    /// False if what is served comes from the cache, and the origin has not been heard of since.
    confirmed: bool,
    /// True while no store says what is published: the last good generation is served.
    stale: bool,
    sequence: Option<u64>,
    /// Whose names are served.
    generation: Option<String>,
    expires: Option<String>,
    /// Nobody has published for too long; what was published is served on.
    expired: bool,
}

async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let world = shared.world();
    let snapshot = &world.snapshot;
    let working = world.running.health.working(Instant::now);
    let now = Timestamp::now();
    let origins: Vec<_> = (snapshot.channels.iter().zip(&snapshot.catalogs))
        .map(|(channel, catalog)| {
            let origin = &snapshot.settings.origins[channel.origin];
            let pointer = catalog.as_ref().map(|loaded| loaded.pointer.content());
            OriginReadiness {
                name: origin.name.clone(),
                follows: match channel.follow {
                    Follow::Newest => None,
                    Follow::Later(delay) => Some(format!("{} s later", delay.as_secs())),
                    Follow::Pinned(generation) => Some(format!("pinned to {generation}")),
                },
                ready: pointer.is_some() || matches!(origin.kind, OriginKind::Registry(_)),
                stale: world.running.is_stale(channel.origin),
                confirmed: catalog.as_ref().is_none_or(|loaded| !loaded.is_unconfirmed),
                sequence: pointer.map(|pointer| pointer.sequence),
                generation: catalog.as_ref().map(|loaded| loaded.generation.to_string()),
                expires: pointer.map(|pointer| pointer.expires.to_string()),
                expired: pointer.is_some_and(|pointer| pointer.expires <= now),
            }
        })
        .collect();
    let failing = snapshot.copies.iter().filter(|copy| !working.contains(copy.id));
    let readiness = Readiness {
        ready: origins.iter().all(|origin| origin.ready),
        copies: (world.running.health.probed().statuses(Instant::now(), now).into_iter())
            .map(CopyReadiness::from)
            .collect(),
        failing_copies: failing.map(|copy| copy.name.to_string()).collect(),
        ranges: snapshot.ranges.iter().map(|ranges| ranges.name.clone()).collect(),
        origins,
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(readiness)).into_response()
}

/// The query of `/limits`.
#[derive(Debug, Deserialize)]
struct LimitsQuery {
    /// `json`, else text.
    format: Option<String>,
}

/// Which networks ask for most.
async fn limits(State(shared): State<Arc<Shared>>, Query(query): Query<LimitsQuery>) -> Response {
    let world = shared.world();
    let Some(limits) = &world.running.limits else {
        let message = "no limits are configured (`limits`), so nothing is counted\n";
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let report = limits.report();
    match query.format.as_deref() {
        Some("json") => axum::Json(report).into_response(),
        _ => report.to_string().into_response(),
    }
}

/// The query of `/explain`.
#[derive(Debug, Deserialize)]
struct ExplainQuery {
    image: String,
    from: IpAddr,
    host: Option<String>,
    /// `json`, else text.
    format: Option<String>,
}

async fn explain_one(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ExplainQuery>,
) -> Response {
    let image: ImageName = match query.image.parse() {
        Ok(image) => image,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let question = Question { image, from: query.from, host: query.host };
    match explain(&shared.world(), &question).await {
        Ok(explanation) if query.format.as_deref() == Some("json") => {
            axum::Json(explanation).into_response()
        }
        Ok(explanation) => explanation.to_string().into_response(),
        Err(error) => {
            let status = match &error {
                ExplainError::NoSite(_) => StatusCode::NOT_FOUND,
                ExplainError::Registry { error, .. } => StatusCode::from_u16(error.code.status())
                    .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}
