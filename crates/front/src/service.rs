//! Hyper's view of a front: a request in, an answer out.
//!
//! An answer that needs nothing fetched is a ready value: no task, no box, no copy of the request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::Service;
use landbridge_core::Digest;
use landbridge_core::oci_error::OciError;

use crate::answer::Answer;
use crate::body::Body;
use crate::fetch;
use crate::newer::Newer;
use crate::pull::{Asked, Head};
use crate::shared::Shared;
use crate::timed_io::Activity;
use crate::world::World;

/// Answers the requests of one connection.
#[derive(Debug, Clone)]
pub(crate) struct PullService {
    pub(crate) shared: Arc<Shared>,
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    /// Which thread answers: it has a record buffer of its own.
    pub(crate) thread: usize,
    /// Told of every head, so that the connection's time is watched rightly.
    pub(crate) activity: Activity,
}

/// An answer, or the promise of one.
pub(crate) enum Answering {
    Now(Option<Response<Body>>),
    Later(Pin<Box<dyn Future<Output = Response<Body>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(response) => match response.take() {
                Some(response) => Poll::Ready(Ok(response)),
                // Polled again after it was ready, which hyper does not do.
                None => Poll::Pending,
            },
            Self::Later(future) => future.as_mut().poll(context).map(Ok),
        }
    }
}

impl Service<Request<Incoming>> for PullService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        // Whoever sends many requests at once waits for the others after each: else one connection
        // that is never done would keep all others waiting. Streams of HTTP/2 are tasks of their own.
        if !self.activity.head() && request.version() < Version::HTTP_2 {
            return Answering::Later(Box::pin(self.clone().answer_next_turn(request)));
        }
        self.answer(request)
    }
}

impl PullService {
    /// Answers, at once if nothing must be fetched.
    fn answer(&self, request: Request<Incoming>) -> Answering {
        {
            let world = self.shared.world.load();
            let head = head(self.peer, &request);
            let asked = Asked::new(&world, head);
            if let Some(limits) = &world.running.limits
                && let Err(error) = limits.admit(&asked)
            {
                return Answering::Now(Some(self.finish(&world, &asked, Err(error))));
            }
            let usable = world.running.health.usable(Instant::now, || asked.key());
            if let Some(answer) = world.answer_now(&asked, usable) {
                let answer = world.told(&asked, answer);
                self.shared.record(&world, self.thread, &asked, &answer);
                return Answering::Now(Some(answer.response));
            }
        }
        Answering::Later(Box::pin(self.clone().answer_later(request)))
    }

    async fn answer_next_turn(self, request: Request<Incoming>) -> Response<Body> {
        tokio::task::yield_now().await;
        let Ok(response) = self.answer(request).await;
        response
    }

    /// Takes the same steps again, with something fetched in between: with the world of this moment,
    /// or the next one if this one does not know what the client knows.
    async fn answer_later(self, request: Request<Incoming>) -> Response<Body> {
        let _busy = self.activity.busy();
        let (parts, _unread) = request.into_parts();
        let head = Head {
            peer: self.peer,
            method: &parts.method,
            version: parts.version,
            uri: &parts.uri,
            headers: &parts.headers,
        };
        let world = self.shared.world();
        let asked = Asked::new(&world, head);
        let found = fetch::answer(&world, &asked).await;
        let Some((newer, digest)) = missing(&world, &asked, &found) else {
            return self.finish(&world, &asked, found);
        };
        newer.look(world.snapshot.settings.caches.fetch_timeout).await;
        let world = self.shared.world();
        let asked = Asked::new(&world, head);
        let found = fetch::answer(&world, &asked).await;
        if missing(&world, &asked, &found).is_some() {
            newer.forget(digest);
        }
        self.finish(&world, &asked, found)
    }

    fn finish(
        &self,
        world: &World,
        asked: &Asked<'_>,
        found: Result<Answer, OciError>,
    ) -> Response<Body> {
        let answer = match found {
            Ok(answer) if asked.head.is_head() => answer.without_body(),
            Ok(answer) => answer,
            Err(error) => Answer::error(&error),
        };
        let answer = world.told(asked, answer);
        self.shared.record(world, self.thread, asked, &answer);
        answer.response
    }
}

/// Whom to ask for a newer release, if this one does not list what is asked for.
fn missing<'a>(
    world: &'a World,
    asked: &Asked<'_>,
    found: &Result<Answer, OciError>,
) -> Option<(&'a Newer, Digest)> {
    let is_missing = found.as_ref().is_err_and(|error| error.code.status() == 404);
    let request = asked.request.as_ref().ok().filter(|_| is_missing)?;
    world.newer(asked.site?, request)
}

fn head(peer: IpAddr, request: &Request<Incoming>) -> Head<'_> {
    Head {
        peer,
        method: request.method(),
        version: request.version(),
        uri: request.uri(),
        headers: request.headers(),
    }
}
