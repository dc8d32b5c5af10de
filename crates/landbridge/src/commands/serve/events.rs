//! What happens to a running front from outside: signals, and a file that changes.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Origin;

/// How often the configuration file is looked at.
const FILE_CHECK: Duration = Duration::from_secs(1);

/// What a signal asks for.
pub(super) enum Reason {
    Reload,
    Stop,
}

pub(super) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to listen; what came before is lost.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Reason {
        tokio::select! {
            _ = self.hangup.recv() => Reason::Reload,
            _ = self.terminate.recv() => Reason::Stop,
            _ = self.interrupt.recv() => Reason::Stop,
        }
    }

    /// The next signal to stop.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Notices that a configuration file was replaced or written to.
pub(super) struct Watch {
    file: Option<PathBuf>,
    seen: Option<(SystemTime, u64)>,
}

impl Watch {
    /// Watches the file as it is now.
    pub(super) fn new(origin: &Origin) -> Self {
        let file = match origin {
            Origin::File(file) => Some(file.clone()),
            Origin::Data(..) => None,
        };
        let seen = file.as_deref().and_then(stamp);
        Self { file, seen }
    }

    /// Returns when the file has changed; never without one.
    pub(super) async fn changed(&mut self) {
        let Some(file) = self.file.clone() else { return std::future::pending().await };
        loop {
            tokio::time::sleep(FILE_CHECK).await;
            // A file that is away for a moment is being replaced.
            let now = stamp(&file);
            if now.is_some() && now != self.seen {
                self.seen = now;
                return;
            }
        }
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
