//! A configuration file that changes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Origin;

/// How often the configuration file is looked at.
const FILE_CHECK: Duration = Duration::from_secs(1);

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
