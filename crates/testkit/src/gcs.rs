//! A double of Google Cloud Storage: those requests of its XML API that `object_store` sends, in memory.
//!
//! Why: nothing that can be installed speaks that interface. What a double proves is that our use of the client hangs
//! together (conditions, parts, copies, listings); how Google behaves is taken from its documentation, not observed.
//!
//! Invariant: a request that is not known in every part (method, parameters, extension headers, size of a part) is
//! refused with 400 and remembered, so that a test which ends with [`Gcs::refused`] sees also what its code recovered
//! from.
//!
//! <https://cloud.google.com/storage/docs/xml-api/overview>

mod objects;
mod request;
mod xml;

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use landbridge_store::{Bucket, BucketLayout};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use self::objects::Objects;
use crate::http;
use crate::stores::{self, StoreAddress, StoreKind};

/// The double, on loopback and on threads of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Gcs {
    address: StoreAddress,
    state: Arc<Mutex<State>>,
    /// Taken when it is dropped.
    runtime: Option<Runtime>,
}

#[derive(Debug, Default)]
struct State {
    objects: Objects,
    answered: BTreeMap<&'static str, u64>,
    refused: Vec<String>,
}

impl Gcs {
    /// The only token that it takes.
    pub const TOKEN: &str = "a-token-of-the-double";

    /// Starts an empty one.
    pub fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .context("cannot start an event loop")?;
        // A test may itself run on an event loop, where nothing may wait for another.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = StoreAddress::new(StoreKind::Gcs, &listener.local_addr()?.to_string());
        let state = Arc::<Mutex<State>>::default();
        let serving = Arc::clone(&state);
        runtime.spawn(async move { accept(TcpListener::from_std(listener)?, serving).await });
        Ok(Self { address, state, runtime: Some(runtime) })
    }

    /// Where it listens.
    pub fn address(&self) -> &StoreAddress {
        &self.address
    }

    /// How often each kind of request was carried out.
    pub fn answered(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.state).answered.clone()
    }

    /// The requests that it did not understand or that break a limit of the real store, with the reason.
    pub fn refused(&self) -> Vec<String> {
        lock(&self.state).refused.clone()
    }
}

impl Drop for Gcs {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A new bucket.
pub(crate) fn bucket(
    address: &str,
    name: &str,
    layout: BucketLayout,
    prefix: &str,
) -> Result<Bucket> {
    let authorization = format!("Bearer {}", Gcs::TOKEN);
    let headers = [("content-length", "0"), ("authorization", &*authorization)];
    let made = http::ask(address, "PUT", &format!("/{name}"), &headers)?;
    ensure!(made.status == 200, "bucket `{name}`: {made}");
    let endpoint = format!("http://{address}");
    let options = [("google_base_url", &*endpoint), ("google_bearer_token", Gcs::TOKEN)];
    stores::open(&format!("gs://{name}/{prefix}"), layout, &options)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) -> io::Result<()> {
    loop {
        let (connection, _) = listener.accept().await?;
        let state = Arc::clone(&state);
        let service = service_fn(move |request| answer(request, Arc::clone(&state)));
        tokio::spawn(async move {
            // A client that goes away in the middle is no failure of the server.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    // Only what arrived whole is carried out, and in one step.
    let body = body.collect().await?.to_bytes();
    let mut state = lock(&state);
    let parsed = request::parse(&head, Gcs::TOKEN);
    let carried_out = parsed.and_then(|call| {
        let name = call.name();
        let answer = state.objects.carry_out(call, body)?;
        *state.answered.entry(name).or_default() += 1;
        Ok(answer)
    });
    Ok(carried_out.unwrap_or_else(|refusal| {
        if refusal.is_a_mistake() {
            state.refused.push(format!("{} {}: {refusal:?}", head.method, head.uri));
        }
        refusal.answer()
    }))
}
