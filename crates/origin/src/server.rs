//! The listener: connections, their limits and the end of them.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use landbridge_listen::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, warn};

use crate::registry::Registry;
use crate::service;
use crate::settings::ConnectionLimits;
use crate::stall::WriteStall;

/// Accepts connections until it is told to stop.
pub(crate) struct Server {
    pub(crate) registry: Arc<Registry>,
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: ConnectionLimits,
    pub(crate) drain: Duration,
    pub(crate) stop: CancellationToken,
    /// Pushes, which go on when their client is gone.
    pub(crate) pushes: TaskTracker,
}

impl Server {
    /// Answers on `listener`. Once stopped, lets requests that are under way end within the time
    /// for it, and returns.
    pub(crate) async fn run(self, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                error!(%error, "the listener cannot be used");
                return;
            }
        };
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(self.limits.open.min(Semaphore::MAX_PERMITS)));
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
                            self.accept(stream, peer, place, graceful.watcher());
                        } else {
                            debug!("a connection was refused: too many are open");
                        }
                    }
                    Err(error) => {
                        // Mostly too many open files: leave the others time to end.
                        warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                () = self.stop.cancelled() => break,
            }
        }
        drop(listener);
        let ending = async {
            graceful.shutdown().await;
            self.pushes.close();
            self.pushes.wait().await;
        };
        if tokio::time::timeout(self.drain, ending).await.is_err() {
            warn!(drain = ?self.drain, "requests were still under way at the end of the drain");
        }
    }

    fn accept(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: OwnedSemaphorePermit,
        watcher: Watcher,
    ) {
        // Answers are written whole; waiting for more to send helps nobody.
        let _ = stream.set_nodelay(true);
        let client = Client {
            registry: Arc::clone(&self.registry),
            pushes: self.pushes.clone(),
            peer: peer.ip(),
            limits: self.limits,
            _place: place,
        };
        let Some(tls) = &self.tls else {
            tokio::spawn(client.serve(stream, watcher));
            return;
        };
        let acceptor = tls.acceptor();
        tokio::spawn(async move {
            match tokio::time::timeout(client.limits.head, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => client.serve(stream, watcher).await,
                Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
                Err(_) => debug!("TLS handshake took too long"),
            }
        });
    }
}

/// Whoever is at the other end of one connection.
struct Client {
    registry: Arc<Registry>,
    pushes: TaskTracker,
    peer: IpAddr,
    limits: ConnectionLimits,
    _place: OwnedSemaphorePermit,
}

impl Client {
    async fn serve<S>(self, stream: S, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (registry, pushes, peer) = (self.registry, self.pushes, self.peer);
        let service = service_fn(move |request| {
            let answering = service::answer(Arc::clone(&registry), pushes.clone(), peer, request);
            async move { Ok::<_, Infallible>(answering.await) }
        });
        let stream = WriteStall::new(stream, self.limits.stall);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            // hyper wants at least 8 KiB.
            .max_buf_size(self.limits.head_bytes.max(8192))
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            debug!(%error, "a connection ended early");
        }
    }
}
