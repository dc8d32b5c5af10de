//! A running origin: start and stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use landbridge_store::{Repositories, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::events::Events;
use crate::limits::Limits;
use crate::registry::Registry;
use crate::server::{self, Server};
use crate::settings::Settings;

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
    /// The bucket cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An origin that answers.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
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
        let listener = server::bind(address).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let registry = Registry {
            repositories: Repositories::open(settings.bucket).await?,
            access: settings.access,
            events: settings.events.clone(),
            limits: Limits::new(settings.limits),
            clients: settings.clients,
            writes: settings.writes,
            rules: settings.pushes,
            grace: settings.grace,
            stall: settings.connections.stall,
        };
        let stop = CancellationToken::new();
        let server = Server {
            registry: Arc::new(registry),
            limits: settings.connections,
            drain: settings.drain,
            stop: stop.clone(),
            pushes: TaskTracker::new(),
        };
        let server = tokio::spawn(server.run(listener));
        Ok(Self { address, stop, server, events: settings.events, drain: settings.drain })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting, lets requests that are under way end within the time that the settings
    /// give them, then tells what has happened to whoever is told, within the same time again.
    pub async fn stop(self) {
        self.stop.cancel();
        // A listener that panicked has ended too; its panic was printed.
        let _ = self.server.await;
        self.events.close(self.drain).await;
    }
}
