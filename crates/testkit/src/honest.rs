//! A client that means well, and measures how long it is kept waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::http::Wire;

/// After so many requests a connection is closed and another one made.
const PER_CONNECTION: usize = 20;
/// For so long it tries again if connections are closed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that asks until it is stopped.
#[derive(Debug)]
pub struct Honest {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Waited>>,
}

/// How long it was kept waiting for each answer, a new connection included.
#[derive(Debug, Clone, Default)]
pub struct Waited {
    times: Vec<Duration>,
    /// New connections that were closed without an answer, after which it tried again.
    pub refused: usize,
}

impl Waited {
    /// How many answers there were.
    pub fn answers(&self) -> usize {
        self.times.len()
    }

    /// The longest wait of all but the worst of so many in 1,000 answers.
    pub fn permille(&self, permille: usize) -> Duration {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        let at = sorted.len() * permille / 1000;
        sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl Honest {
    /// Asks `IP:PORT` for these targets in turn, each as one client of `from`, at most so often each second; that each
    /// answer has the status which stands beside its target is a condition.
    pub fn start(
        address: &str,
        from: &str,
        targets: &[(String, u16)],
        per_second: u32,
    ) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (told, address, from) = (Arc::clone(&stop), address.to_owned(), from.to_owned());
        let targets = targets.to_vec();
        let thread = thread::Builder::new().name("honest".to_owned()).spawn(move || {
            let every = Duration::from_secs(1) / per_second.max(1);
            let (mut waited, mut wire, mut kept) = (Waited::default(), None, None);
            let start = Instant::now();
            for (asked, (target, status)) in targets.iter().cycle().enumerate() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                // Measured from when it was due: what waits behind a slow answer is kept waiting too.
                let due = start + every * u32::try_from(asked).unwrap_or(u32::MAX);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let request = format!(
                    "GET {target} HTTP/1.1\r\nHost: front\r\nX-Forwarded-For: {from}\r\n\r\n"
                );
                let mut ask = |mut open: Wire| {
                    open.send(request.as_bytes())?;
                    let answer = open.answer("GET")?;
                    kept = Some(open);
                    anyhow::Ok(answer)
                };
                let mut open = wire.take().filter(|_| asked % PER_CONNECTION != 0);
                let answer = loop {
                    // One that was kept may have been closed meanwhile, as every client of HTTP knows.
                    let is_new = open.is_none();
                    let wire = open.take().map_or_else(|| Wire::connect(&address), Ok)?;
                    match ask(wire) {
                        Ok(Some(answer)) => break answer,
                        closed if due.elapsed() > PATIENCE => {
                            closed?;
                            bail!("{target}: closed for {PATIENCE:?}");
                        }
                        _ => waited.refused += usize::from(is_new),
                    }
                };
                ensure!(answer.status == *status, "{target}: {answer}");
                waited.times.push(due.elapsed());
                wire = kept.take();
            }
            Ok(waited)
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends it. An error if it was not answered as it should be.
    pub fn stop(self) -> Result<Waited> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the honest client panicked"))?
    }
}
