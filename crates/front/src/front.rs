//! A running front: start, reload, explain, drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use landbridge_listen::{Protocols, Tls, TlsError};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use crate::admin;
use crate::connections::Connections;
use crate::explain::{self, ExplainError, Explanation, Question};
use crate::failover::{Checkpoint, ask_for_fronts, seconds_now};
use crate::keeper::{GatherError, Gathered, Keep};
use crate::legacy::tend;
use crate::metrics::Metrics;
use crate::probe::Prober;
use crate::record_log::RecordLog;
use crate::server::Server;
use crate::settings::{ListenSettings, Settings};
use crate::shared::Shared;
use crate::snapshot::SnapshotError;
use crate::world::Running;

/// Why a front does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address} ({listener})")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// `public` or `admin`.
        listener: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The configuration leads to something that cannot be used.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Access records cannot be written.
    #[error("access records cannot be written to `{directory}`")]
    Records {
        /// The configured directory.
        directory: String,
        /// Why.
        source: io::Error,
    },
    /// The system gives no more threads.
    #[error("the front's threads cannot be started")]
    Threads(#[source] io::Error),
}

/// Why a new configuration was not taken. The old one stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It leads to something that cannot be used.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// What can only be set at start was changed.
    #[error("`{0}` can only be changed by a restart; nothing was reloaded")]
    NeedsRestart(&'static str),
}

/// A front that answers.
#[derive(Debug)]
pub struct Front {
    shared: Arc<Shared>,
    listen: ListenSettings,
    public: SocketAddr,
    admin: SocketAddr,
    server: Server,
    http: reqwest::Client,
    /// Ends the keeper of the configuration in force.
    keeper: Mutex<CancellationToken>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Front {
    /// Binds both listeners, reads what the configuration leads to, and answers. Names of an
    /// origin that does not answer yet get 503 until it does.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let listen = settings.listen.clone();
        let bind = |address, listener| {
            landbridge_listen::bind(address).map_err(|source| StartError::Bind {
                address,
                listener,
                source,
            })
        };
        let public = bind(listen.address, "public")?;
        let admin = bind(listen.admin, "admin")?;
        let address =
            |socket: &std::net::TcpListener, fallback| socket.local_addr().unwrap_or(fallback);
        let (public_address, admin_address) =
            (address(&public, listen.address), address(&admin, listen.admin));
        let tls =
            listen.tls.as_ref().map(|files| Tls::open(files, Protocols::Http2)).transpose()?;
        let records = RecordLog::open(&settings.records, listen.threads).map_err(|source| {
            StartError::Records {
                directory: settings.records.directory.display().to_string(),
                source,
            }
        })?;
        let metrics = Metrics::new();
        let gathered = Gathered::read(Arc::new(settings), None, &metrics, Keep::InCache).await?;
        let world = gathered.world().map_err(GatherError::from)?;
        let probers = gathered.probers().map_err(GatherError::from)?;
        let shared = Arc::new(Shared {
            world: ArcSwap::from_pointee(world),
            metrics,
            records,
            connections: Connections::default(),
        });
        let server =
            Server::start(&public, &listen, tls.as_ref(), &shared).map_err(StartError::Threads)?;
        let front = Self {
            shared,
            listen,
            public: public_address,
            admin: admin_address,
            server,
            http: reqwest::Client::new(),
            keeper: Mutex::new(CancellationToken::new()),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        front.spawn_admin(admin).map_err(StartError::Threads)?;
        front.spawn_records();
        front.spawn_checkpoints();
        if let Some(tls) = tls {
            front.tasks.spawn(tls.keep_current(front.stop.clone()));
        }
        front.spawn_keeper(gathered, probers, front.keeper.lock().await.clone());
        Ok(front)
    }

    /// The addresses of the public and of the admin listener.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        (self.public, self.admin)
    }

    /// The range sources in use, with how many prefixes each has.
    pub fn ranges(&self) -> Vec<(String, usize)> {
        let world = self.shared.world();
        world.snapshot.ranges.iter().map(|ranges| (ranges.name.clone(), ranges.set.len())).collect()
    }

    /// Tells, among the metrics, a number that somebody else counts and that never falls:
    /// `landbridge_NAME_total`. `read` is asked at each scrape and must not block.
    pub fn export(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.shared.metrics.export(name, help, read);
    }

    /// Puts another configuration into force, or says why not and changes nothing. Requests that
    /// are under way end with the old one; none is lost.
    pub async fn reload(&self, settings: Settings) -> Result<(), ReloadError> {
        let refused = |error: ReloadError| {
            self.shared.metrics.reloads_refused.inc();
            error
        };
        if settings.listen != self.listen {
            return Err(refused(ReloadError::NeedsRestart("listen")));
        }
        if settings.records != self.shared.world().snapshot.settings.records {
            return Err(refused(ReloadError::NeedsRestart("records")));
        }
        let before = self.shared.world();
        let gathered =
            Gathered::read(Arc::new(settings), Some(&before), &self.shared.metrics, Keep::InCache);
        let gathered = gathered.await.map_err(|error| refused(error.into()))?;
        let world = gathered
            .world()
            .map_err(|error: SnapshotError| refused(GatherError::from(error).into()))?;
        let probers =
            gathered.probers().map_err(|error| refused(GatherError::from(error).into()))?;
        let mut keeper = self.keeper.lock().await;
        keeper.cancel();
        *keeper = CancellationToken::new();
        // What is spent in between by requests that are under way is spent on the old account.
        world.running.failover.inherit(&before.running.failover);
        self.shared.world.store(Arc::new(world));
        self.spawn_keeper(gathered, probers, keeper.clone());
        info!("the configuration was reloaded");
        Ok(())
    }

    /// Explains a decision with what is in force now.
    pub async fn explain(&self, question: &Question) -> Result<Explanation, ExplainError> {
        explain::explain(&self.shared.world(), question).await
    }

    /// Stops accepting, lets requests that are under way end, writes the last records.
    pub async fn drain(self) {
        let server = self.server;
        let drained = tokio::task::spawn_blocking(move || server.stop()).await;
        if let Err(error) = drained {
            error!(%error, "the drain ended early");
        }
        self.stop.cancel();
        self.keeper.lock().await.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        checkpoint(&self.shared, None);
        if let Err(error) = self.shared.records.close() {
            error!(%error, "the last access records could not be written");
        }
    }

    fn spawn_admin(&self, listener: std::net::TcpListener) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let router = admin::router(Arc::clone(&self.shared));
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let serving = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
            // Kept-alive connections of a scraper must not hold up the end.
            tokio::select! {
                _ = serving => {}
                () = async { stop.cancelled().await; tokio::time::sleep(Duration::from_secs(1)).await } => {}
            }
        });
        Ok(())
    }

    fn spawn_records(&self) {
        let shared = Arc::clone(&self.shared);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let mut is_failing = false;
            while stop.run_until_cancelled(shared.records.due()).await.is_some() {
                let shared = Arc::clone(&shared);
                let flushed =
                    tokio::task::spawn_blocking(move || shared.records.flush(SystemTime::now()))
                        .await;
                match flushed {
                    Ok(Ok(())) => is_failing = false,
                    Ok(Err(error)) if !is_failing => {
                        is_failing = true;
                        error!(%error, "access records are being lost");
                    }
                    Ok(Err(_)) => {}
                    Err(error) => error!(%error, "the record writer ended"),
                }
            }
        });
    }

    fn spawn_checkpoints(&self) {
        let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
        self.tasks.spawn(async move {
            let mut last = None;
            while stop.run_until_cancelled(tokio::time::sleep(CHECKPOINT_EVERY)).await.is_some() {
                let (shared, before) = (Arc::clone(&shared), last.clone());
                let written =
                    tokio::task::spawn_blocking(move || checkpoint(&shared, before.as_ref()));
                last = written.await.ok().flatten().or(last);
            }
        });
    }

    fn spawn_keeper(&self, gathered: Gathered, probers: Vec<Prober>, stop: CancellationToken) {
        let failover = gathered.failover();
        self.tasks.spawn(ask_for_fronts(failover, stop.clone()));
        for prober in probers {
            let (shared, running) = (Arc::clone(&self.shared), gathered.running());
            self.tasks.spawn(prober.run(shared, running, gathered.probes(), stop.clone()));
        }
        let legacy = Arc::clone(&gathered.running().legacy);
        if legacy.iter().next().is_some() {
            let directory = self.shared.world().snapshot.settings.cache_directory.clone();
            self.tasks.spawn(tend(legacy, directory, stop.clone()));
        }
        self.tasks.spawn(publish_health(gathered.running(), stop.clone()));
        self.tasks.spawn(gathered.keep(Arc::clone(&self.shared), self.http.clone(), stop));
    }
}

/// Lets time pass for health: shares grow and overrides end though nobody probes.
async fn publish_health(running: Arc<Running>, stop: CancellationToken) {
    let every = Duration::from_secs(1);
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        running.health.probed().publish(Instant::now(), Timestamp::now());
    }
}

/// How often what was spent on overflow edges is written.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);

/// Writes what was spent on overflow edges, unless it is what was written `before` or there is no
/// place for it. Returns what was written. Blocks.
fn checkpoint(shared: &Shared, before: Option<&Checkpoint>) -> Option<Checkpoint> {
    let world = shared.world();
    let directory = world.snapshot.settings.cache_directory.as_ref()?;
    let now = Checkpoint::of(&world.running.failover, seconds_now());
    if now.is_empty() || before.is_some_and(|before| before.is_as(&now)) {
        return None;
    }
    match now.write(directory) {
        Ok(()) => Some(now),
        Err(error) => {
            let directory = directory.display();
            error!(%error, %directory, "what is spent on overflow edges cannot be written");
            None
        }
    }
}

/// Explains a decision without listening: reads what the settings lead to, once.
pub async fn explain_offline(
    settings: Settings,
    question: &Question,
) -> Result<Explanation, OfflineError> {
    let gathered = Gathered::read(Arc::new(settings), None, &Metrics::new(), Keep::Nowhere).await?;
    let world = gathered.world().map_err(GatherError::from)?;
    Ok(explain::explain(&world, question).await?)
}

/// Why nothing could be explained without a running front.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The configuration leads to something that cannot be used.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// The image cannot be explained.
    #[error(transparent)]
    Explain(#[from] ExplainError),
}
