//! Events sent to a server, one request for each, in their order.
//!
//! What fails for a reason that may pass (no connection, no answer, 408, 429, 5xx) is tried again
//! with exponentially growing pauses, until a budget of time is used up; then the event is dropped
//! and reported, and the next one is tried. Every attempt carries the same delivery's name, so that
//! a receiver can tell a repetition from news.
//!
//! Invariant: the address, which may hold a secret of the receiver's, and the key of the signatures
//! are never printed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use backon::{ExponentialBuilder, Retryable as _};
use reqwest::StatusCode;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use url::Url;

use super::{Lost, Told, next};
use crate::access::Secret;

/// A server that is told.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// What logs call it.
    pub name: String,
    /// Where events are posted. No redirect is followed.
    pub url: Url,
    /// Signs the body: `Landbridge-Signature: sha256=HEX`, the HMAC-SHA256 under this key.
    pub secret: Option<Secret>,
    /// Events that may wait; more are dropped.
    pub queue: usize,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How long one event is tried altogether.
    pub budget: Duration,
    /// The pause after the first attempt. Each further one is twice as long, with jitter, up to
    /// [`WebhookSettings::longest_pause`].
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

/// A receiver and its queue's other end.
pub(super) struct Webhook {
    settings: WebhookSettings,
    http: reqwest::Client,
    key: Option<hmac::Key>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the receiver cannot be reached")]
    Http(#[source] reqwest::Error),
    #[error("the receiver answered {status}")]
    Status { status: StatusCode, retry_after: Option<Duration> },
}

impl WebhookSettings {
    /// A receiver with the usual patience: 10,000 events wait, an attempt has 10 seconds, an event
    /// ten minutes, pauses grow from a second to a minute.
    pub fn new(name: &str, url: Url, secret: Option<Secret>) -> Self {
        Self {
            name: name.to_owned(),
            url,
            secret,
            queue: 10_000,
            timeout: Duration::from_secs(10),
            budget: Duration::from_mins(10),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(1),
        }
    }
}

impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Webhook {
    pub(super) fn new(settings: WebhookSettings) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .user_agent(concat!("landbridge/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // The environment is the command's to read.
            .no_proxy()
            .build()?;
        let secret = settings.secret.as_ref();
        let key = secret.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes()));
        Ok(Self { settings, http, key })
    }

    /// Delivers what comes until the queue is closed and empty.
    pub(super) async fn deliver_all(
        self,
        mut queue: mpsc::Receiver<Told>,
        lost: Arc<Lost>,
        stop: CancellationToken,
    ) {
        let name = &self.settings.name;
        while let Some(told) = next(&mut queue, &stop).await {
            let delivered = timeout(self.settings.budget, self.deliver(&told)).await;
            match delivered {
                Ok(Ok(())) => debug!(webhook = name, delivery = &*told.id, "delivered an event"),
                Ok(Err(failure)) => {
                    let cause = std::error::Error::source(&failure).map(ToString::to_string);
                    warn!(
                        webhook = name,
                        delivery = &*told.id,
                        cause,
                        "gave an event up: {failure}"
                    );
                    lost.add(1);
                }
                Err(_) => {
                    warn!(
                        webhook = name,
                        delivery = &*told.id,
                        "gave an event up: it took too long"
                    );
                    lost.add(1);
                }
            }
            lost.report(name);
        }
        lost.report(name);
    }

    async fn deliver(&self, told: &Told) -> Result<(), Failure> {
        let pauses = ExponentialBuilder::new()
            .with_min_delay(self.settings.first_pause)
            .with_max_delay(self.settings.longest_pause)
            .without_max_times()
            .with_jitter();
        (|| self.post(told))
            .retry(pauses)
            .when(Failure::may_pass)
            .adjust(|failure, pause| Some(pause?.max(failure.retry_after().unwrap_or_default())))
            .await
    }

    async fn post(&self, told: &Told) -> Result<(), Failure> {
        let mut request = self
            .http
            .post(self.settings.url.clone())
            .header("content-type", "application/json")
            .header("landbridge-delivery", &*told.id)
            .header("landbridge-event", told.action);
        if let Some(key) = &self.key {
            let tag = hmac::sign(key, &told.json);
            request =
                request.header("landbridge-signature", format!("sha256={}", hex(tag.as_ref())));
        }
        let answer = request.body(told.json.clone()).send().await;
        let answer = answer.map_err(|error| Failure::Http(error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.parse().ok());
        Err(Failure::Status { status, retry_after: retry_after.map(Duration::from_secs) })
    }
}

impl Failure {
    fn may_pass(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    )
            }
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http(_) => None,
            Self::Status { retry_after, .. } => *retry_after,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |at: u8| char::from(DIGITS[usize::from(at & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
