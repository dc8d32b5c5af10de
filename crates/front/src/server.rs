//! The public listener: threads, connections, limits and the end of them.
//!
//! Each thread has its own event loop and accepts from the same socket, so that a request never
//! moves between cores.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use landbridge_listen::Tls;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::connections::Most;
use crate::service::PullService;
use crate::settings::{ConnectionLimits, ListenSettings};
use crate::shared::Shared;
use crate::timed_io::{Least, Limits, TimedIo};

/// Threads that read files for one event loop: embedded mirrors and buckets in directories.
const BLOCKING_THREADS: usize = 8;
/// Streams that a client of HTTP/2 opened and gave up before they were looked at: beyond that the
/// connection is closed (CVE-2023-44487).
const PENDING_RESETS: usize = 20;
/// Streams that had to be reset because of what the client sent: beyond that the connection is
/// closed (CVE-2025-8671).
const OWN_RESETS: usize = 100;
/// Bytes that a client of HTTP/2 may send as bodies without being asked to go on: the least there
/// is without asking for less.
const WINDOW: u32 = 65_535;
/// Bytes of an answer that wait in memory for one stream of HTTP/2.
const SEND_BUFFER: usize = 64 << 10;
/// Tasks between two looks at what has arrived. With many new connections this and one more of them
/// are what somebody who has a connection already waits for.
const TASKS_IN_A_TURN: u32 = 16;
/// How much less processor time threads that read files get than the event loop that answers, as
/// `nice` counts.
const READERS_NICE: i32 = 10;
/// Connections that are closed, if they are idle, when the system has no more files to open.
const CLOSED_FOR_FILES: usize = 16;

/// The threads that answer.
#[derive(Debug)]
pub(crate) struct Server {
    threads: Vec<JoinHandle<()>>,
    stop: CancellationToken,
}

impl Server {
    /// Starts answering on `listener`.
    pub(crate) fn start(
        listener: &TcpListener,
        settings: &ListenSettings,
        tls: Option<&Tls>,
        shared: &Arc<Shared>,
    ) -> io::Result<Self> {
        // Else megabytes of an answer wait in the system for a client that takes none.
        landbridge_listen::limit_untaken(listener, settings.limits.stall)?;
        let stop = CancellationToken::new();
        let threads = (0..settings.threads.max(1))
            .map(|thread| {
                // The only one of this thread: once dropped, connections are refused.
                let listener = listener.try_clone()?;
                let acceptor = Acceptor {
                    limits: settings.limits,
                    drain: settings.drain,
                    tls: tls.cloned(),
                    shared: Arc::clone(shared),
                    thread,
                    stop: stop.clone(),
                };
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .max_blocking_threads(BLOCKING_THREADS)
                    .event_interval(TASKS_IN_A_TURN)
                    // Of this kind of runtime these are the only threads that it starts.
                    .on_thread_start(read_politely)
                    .build()?;
                std::thread::Builder::new()
                    .name(format!("front-{thread}"))
                    .spawn(move || runtime.block_on(acceptor.run(listener)))
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { threads, stop })
    }

    /// Stops accepting, lets requests that are under way end within the configured time, and
    /// returns when every thread has ended. Blocks.
    pub(crate) fn stop(self) {
        self.stop.cancel();
        for thread in self.threads {
            // A thread that panicked has ended too; its panic was printed.
            let _ = thread.join();
        }
    }
}

/// One thread's part of the listener.
struct Acceptor {
    limits: ConnectionLimits,
    drain: Duration,
    tls: Option<Tls>,
    shared: Arc<Shared>,
    thread: usize,
    stop: CancellationToken,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "the listener cannot be used");
                return;
            }
        };
        let graceful = GracefulShutdown::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        self.accept(stream, peer, graceful.watcher());
                        // The next one waits in the system, not before those that are here.
                        tokio::task::yield_now().await;
                    }
                    Err(error) => {
                        // Mostly too many open files: leave the others time to end.
                        warn!(%error, "a connection could not be accepted");
                        for _ in 0..CLOSED_FOR_FILES {
                            self.shared.close_idle();
                        }
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                () = self.stop.cancelled() => break,
            }
        }
        drop(listener);
        if tokio::time::timeout(self.drain, graceful.shutdown()).await.is_err() {
            warn!(drain = ?self.drain, "connections were still open at the end of the drain");
        }
    }

    fn accept(&self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        let limits = self.limits;
        let most = Most { open: limits.connections, network: limits.network_connections };
        let Some(place) = self.shared.open(peer.ip(), most) else { return };
        let number = place.number();
        // Answers are written whole; waiting for more to send helps nobody.
        let _ = stream.set_nodelay(true);
        let service = PullService {
            shared: Arc::clone(&self.shared),
            peer: peer.ip(),
            thread: self.thread,
            activity: place.activity.clone(),
        };
        let task = match &self.tls {
            None => tokio::spawn(async move {
                let _place = place;
                serve(stream, service, limits, watcher).await;
            }),
            Some(tls) => {
                let acceptor = tls.acceptor();
                tokio::spawn(async move {
                    let _place = place;
                    match tokio::time::timeout(limits.first_byte, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => serve(stream, service, limits, watcher).await,
                        Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
                        Err(_) => debug!("TLS handshake took too long"),
                    }
                })
            }
        };
        self.shared.started(number, task.abort_handle());
    }
}

/// Lets the event loop go first where there are fewer processors than threads. It is no matter if
/// the system does not want that.
fn read_politely() {
    let thread = rustix::thread::gettid();
    let _ = rustix::process::setpriority_process(Some(thread), READERS_NICE);
}

async fn serve<S>(stream: S, service: PullService, limits: ConnectionLimits, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let times = Limits {
        greeting: limits.first_byte,
        head: limits.header,
        idle: limits.idle,
        least: Least { stall: limits.stall, bytes: limits.stall_bytes },
    };
    let stream = TimedIo::new(stream, times, service.activity.clone());
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // `TimedIo` watches the time without a timer for each request.
        .header_read_timeout(None)
        // hyper wants at least 8 KiB.
        .max_buf_size(limits.header_bytes.max(8192));
    // A head in CONTINUATION frames without an end is cut off by h2 itself, after five of them or
    // a quarter more than the largest head needs.
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(OWN_RESETS)
        // Nobody reads what a client sends after its head.
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    let activity = service.activity.clone();
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    let mut connection = pin!(watcher.watch(connection));
    let in_turns = poll_fn(|context| {
        activity.turn();
        connection.as_mut().poll(context)
    });
    if let Err(error) = in_turns.await {
        debug!(%error, "a connection ended early");
    }
}
