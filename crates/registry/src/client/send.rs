//! One question to a registry: a place in the queue, a deadline, a second try with what it wants.

use std::sync::Arc;

use http::{Method, StatusCode, header};
use landbridge_core::reference::RepositoryName;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use url::Url;

use super::auth::Authorization;
use super::{ClientError, RegistryClient};

/// What is asked.
pub(super) struct Question {
    pub(super) method: Method,
    /// The thing, for messages.
    pub(super) what: String,
    pub(super) url: Url,
    /// What a token must allow, in the token specification's words.
    pub(super) scope: String,
    pub(super) accept: Option<String>,
    pub(super) range: Option<String>,
}

/// The head of an answer, with any status; the body is still to be read.
pub(super) struct Answer {
    pub(super) response: reqwest::Response,
    /// The place in the queue, to be kept until the body is read.
    pub(super) permit: OwnedSemaphorePermit,
}

impl RegistryClient {
    /// A question about something below a repository.
    pub(super) fn question(
        &self,
        method: Method,
        what: String,
        repository: &RepositoryName,
        path: &[&str],
    ) -> Question {
        let name = self.full_name(repository);
        let url = self.address(name.split('/').chain(path.iter().copied()));
        let scope = format!("repository:{name}:pull");
        Question { method, what, url, scope, accept: None, range: None }
    }

    /// `/v2/` and `path`, with whatever a URL cannot hold escaped.
    pub(super) fn address<'a>(&self, path: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.url.clone();
        // An `http` or `https` URL, which `new` checked this to be, always has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v2").extend(path);
        }
        url
    }

    /// Sends `question`; on a 401 gets what the registry wants and sends it once more.
    pub(super) async fn send(&self, question: &Question) -> Result<Answer, ClientError> {
        let what = &question.what;
        let permit = timeout(self.timeout, Arc::clone(&self.inflight).acquire_owned())
            .await
            .map_err(|_| ClientError::Unavailable {
                what: what.clone(),
                reason: "too many requests are under way".to_owned(),
                retry_after: None,
                source: None,
            })?
            // Never closed.
            .map_err(|_| ClientError::too_slow(what, self.timeout))?;
        let authorization = self.auth.remembered(&question.scope).await;
        let response = self.send_once(question, authorization.as_ref()).await?;
        // Another host's 401, behind a redirect, is not this registry's to explain.
        let is_own = response.url().origin() == self.url.origin();
        if response.status() != StatusCode::UNAUTHORIZED || !is_own {
            if authorization.is_none() && response.status().is_success() {
                self.auth.was_not_needed();
            }
            return Ok(Answer { response, permit });
        }
        let headers = response.headers();
        let authorization =
            self.auth.satisfy(what, &question.scope, headers, authorization).await?;
        let response = self.send_once(question, Some(&authorization)).await?;
        Ok(Answer { response, permit })
    }

    async fn send_once(
        &self,
        question: &Question,
        authorization: Option<&Authorization>,
    ) -> Result<reqwest::Response, ClientError> {
        let mut request = self.http.request(question.method.clone(), question.url.clone());
        if let Some(accept) = &question.accept {
            request = request.header(header::ACCEPT, accept);
        }
        if let Some(range) = &question.range {
            request = request.header(header::RANGE, range);
        }
        timeout(self.timeout, self.auth.sign(request, authorization).send())
            .await
            .map_err(|_| ClientError::too_slow(&question.what, self.timeout))?
            .map_err(|error| ClientError::transport(&question.what, error))
    }
}
