//! A running origin: start, change and stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use landbridge_listen::{Protocols, Tls, TlsError};
use landbridge_store::{Repositories, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::events::Events;
use crate::limits::Limits;
use crate::registry::{Policy, Registry};
use crate::server::Server;
use crate::settings::{Settings, Writes};

/// Why an origin does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Everyone who reaches it could push and delete.
    #[error(
        "{address} is no loopback address, and without access rules everyone could push and delete there: configure access, or listen on 127.0.0.1"
    )]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The bucket cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An origin that answers.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    registry: Arc<Registry>,
    stop: CancellationToken,
    server: JoinHandle<()>,
    tasks: TaskTracker,
    events: Events,
    drain: Duration,
}

impl Origin {
    /// Binds the listener, probes the bucket, and answers, on the runtime of the caller.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let address = settings.address;
        if !settings.access.may_listen_on(address.ip()) {
            return Err(StartError::Open { address });
        }
        let bind = |source| StartError::Bind { address, source };
        let tls = settings.tls.as_ref().map(|files| Tls::open(files, Protocols::Http1));
        let tls = tls.transpose()?;
        let listener = landbridge_listen::bind(address).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let policy = Policy { access: settings.access, writes: settings.writes };
        let registry = Arc::new(Registry {
            repositories: Repositories::open(settings.bucket).await?,
            policy: ArcSwap::from_pointee(policy),
            events: settings.events.clone(),
            limits: Limits::new(settings.limits),
            clients: settings.clients,
            rules: settings.pushes,
            grace: settings.grace,
            stall: settings.connections.stall,
        });
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        if let Some(tls) = tls.clone() {
            tasks.spawn(tls.keep_current(stop.clone()));
        }
        tasks.close();
        let server = Server {
            registry: Arc::clone(&registry),
            tls,
            limits: settings.connections,
            drain: settings.drain,
            stop: stop.clone(),
            pushes: TaskTracker::new(),
        };
        let server = tokio::spawn(server.run(listener));
        Ok(Self {
            address,
            registry,
            stop,
            server,
            tasks,
            events: settings.events,
            drain: settings.drain,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts other access rules into force, for requests that begin from now on; or says why not and
    /// changes nothing. Tokens that were issued stay good until they end.
    pub fn reload(&self, access: Access, writes: Writes) -> Result<(), StartError> {
        if !access.may_listen_on(self.address.ip()) {
            return Err(StartError::Open { address: self.address });
        }
        self.registry.policy.store(Arc::new(Policy { access, writes }));
        Ok(())
    }

    /// What it counts.
    pub fn counters(&self) -> Counters {
        Counters { registry: Arc::clone(&self.registry) }
    }

    /// Stops accepting, lets requests that are under way end within the time that the settings
    /// give them, then tells what has happened to whoever is told, within the same time again.
    pub async fn stop(self) {
        self.stop.cancel();
        // A listener that panicked has ended too; its panic was printed.
        let _ = self.server.await;
        self.tasks.wait().await;
        self.events.close(self.drain).await;
    }
}

/// What an origin counts, since its start. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Counters {
    registry: Arc<Registry>,
}

impl Counters {
    /// Requests that were over a limit of their client, refused or only observed.
    pub fn over_limit(&self) -> u64 {
        self.registry.limits.over_limit()
    }

    /// Events that some receiver did not get.
    pub fn dropped_events(&self) -> u64 {
        self.registry.events.dropped()
    }
}
