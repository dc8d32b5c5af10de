//! Which mirrors of a live origin hold an object: found by asking, remembered for a while.
//!
//! The caller asks the copies in the order of the route and stops at the first holder, so that a
//! best copy that holds the object costs one question. Absence is a proper answer and counts for
//! the copy's health; only what does not answer as a working store does is a failure.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use landbridge_core::digest::Digest;
use landbridge_core::topology::CopyId;
use tokio::time::Instant;
use tracing::warn;

use super::flight::Flights;
use crate::health::Health;
use crate::reader::{ReadError, Reader};
use crate::settings::CacheSettings;

/// What is known of an object at a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It is there, with this size in bytes.
    Present(u64),
    /// It is not there.
    Absent,
    /// The copy cannot tell now.
    Failing,
}

/// Whether a copy holds an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    /// The copy.
    copy: CopyId,
    digest: Digest,
    /// Empty unless the copy is a registry, which holds an object in one and not in another.
    repository: Box<str>,
}

/// What the mirrors said.
#[derive(Debug)]
pub(crate) struct LivePresence {
    caches: CacheSettings,
    health: Arc<Health>,
    answers: moka::sync::Cache<Question, Answer>,
    flights: Flights<Question, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    known: Known,
    at: Instant,
}

impl LivePresence {
    /// Nothing is known yet; how the copies answer is told to `health`.
    pub(crate) fn new(caches: &CacheSettings, health: Arc<Health>) -> Self {
        let answers = moka::sync::Cache::new(caches.presence_entries);
        Self { caches: *caches, health, answers, flights: Flights::new() }
    }

    /// Whether `copy`, as `reader` reads it, holds a blob.
    ///
    /// A copy that is left alone is [`Known::Failing`] at once; so is one that takes longer than
    /// the limit. Failures are not kept, but count for the copy's health.
    pub(crate) async fn holds(
        &self,
        copy: CopyId,
        reader: &Reader,
        repository: &str,
        digest: &Digest,
    ) -> Known {
        let repository = match reader {
            Reader::Registry(_) => repository,
            // A bucket knows no repositories: what one has asked need not be asked for another.
            Reader::Bucket(_) | Reader::Public(_) => "",
        };
        let question = Question { copy, digest: *digest, repository: repository.into() };
        if let Some(answer) = self.answers.get(&question)
            && answer.at.elapsed() < self.good_for(answer.known)
        {
            return answer.known;
        }
        self.flights.join(&question, || self.ask(question.clone(), reader.clone())).await
    }

    fn good_for(&self, known: Known) -> Duration {
        match known {
            Known::Present(_) => self.caches.present,
            Known::Absent => self.caches.absent,
            Known::Failing => Duration::ZERO,
        }
    }

    fn ask(&self, question: Question, reader: Reader) -> BoxFuture<'static, Known> {
        let copy = question.copy;
        if !self.health.allows(copy, Instant::now().into_std()) {
            return std::future::ready(Known::Failing).boxed();
        }
        let (health, answers) = (Arc::clone(&self.health), self.answers.clone());
        let limit = self.caches.presence_timeout;
        async move {
            let size = reader.size(&question.repository, &question.digest);
            let too_slow = |_| Err(ReadError::Failing(format!("no answer within {limit:?}")));
            let known = match tokio::time::timeout(limit, size).await.unwrap_or_else(too_slow) {
                Ok(Some(size)) => Known::Present(size),
                Ok(None) | Err(ReadError::Absent) => Known::Absent,
                Err(ReadError::WrongBytes(why) | ReadError::Failing(why)) => {
                    if health.fail(copy, Instant::now().into_std()) {
                        warn!(
                            copy = copy.index(),
                            why, "a copy fails and is left alone for a while"
                        );
                    }
                    return Known::Failing;
                }
            };
            health.succeed(copy);
            answers.insert(question, Answer { known, at: Instant::now() });
            known
        }
        .boxed()
    }
}
