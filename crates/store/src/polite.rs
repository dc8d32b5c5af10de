//! Manners towards a store: so many requests at once and no more, and none while it asks for rest.
//!
//! It stands under every request to a store, repetitions too, so that a store that is busy slows
//! down its own requests and nobody else's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Requests that a store gets at once, until it begins to answer.
const MOST_REQUESTS: usize = 64;
/// Nobody is waited for longer than this, whatever he says.
const LONGEST_REST: Duration = Duration::from_mins(1);

/// The way in to one store.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    /// Not before this.
    closed_until: Mutex<Option<Instant>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST_REQUESTS)), closed_until: Mutex::default() }
    }

    /// Waits until a request may be sent. It counts as long as this is kept.
    pub(crate) async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            let until = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                Some(_) | None => return place,
            }
        }
    }

    /// Looks whether an answer asks for rest, as `Retry-After` in seconds.
    pub(crate) fn heed(&self, status: StatusCode, headers: &HeaderMap) {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        let told = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(rest) = told.map(Duration::from_secs) else { return };
        let until = Instant::now() + rest.min(LONGEST_REST);
        let mut closed = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = (*closed).max(Some(until));
    }
}

/// Makes clients that go through a gate.
#[derive(Debug)]
pub(crate) struct Polite(pub(crate) Arc<Gate>);

impl HttpConnector for Polite {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Gated { client, gate: Arc::clone(&self.0) }))
    }
}

#[derive(Debug)]
struct Gated {
    client: HttpClient,
    gate: Arc<Gate>,
}

#[async_trait]
impl HttpService for Gated {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let _place = self.gate.enter().await;
        let answer = self.client.execute(request).await?;
        self.gate.heed(answer.status(), answer.headers());
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(retry_after: &str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, retry_after.parse().unwrap())])
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_asks_for_rest_gets_it_but_not_for_ever() {
        let gate = Gate::new();
        let waited = async |gate: &Gate| {
            let began = Instant::now();
            drop(gate.enter().await);
            began.elapsed().as_secs()
        };
        gate.heed(StatusCode::OK, &headers("9"));
        gate.heed(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new());
        gate.heed(StatusCode::TOO_MANY_REQUESTS, &headers("soon"));
        assert_eq!(waited(&gate).await, 0);
        gate.heed(StatusCode::TOO_MANY_REQUESTS, &headers("7"));
        gate.heed(StatusCode::SERVICE_UNAVAILABLE, &headers("3"));
        assert_eq!(waited(&gate).await, 7);
        gate.heed(StatusCode::SERVICE_UNAVAILABLE, &headers("86400"));
        assert_eq!(waited(&gate).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_requests_at_once_and_no_more() {
        let gate = Gate::new();
        let mut places = Vec::new();
        for _ in 0..MOST_REQUESTS {
            places.push(gate.enter().await);
        }
        let more = tokio::time::timeout(Duration::from_secs(1), gate.enter());
        assert!(more.await.is_err());
        places.pop();
        assert!(gate.enter().await.is_some());
    }
}
