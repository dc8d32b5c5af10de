//! Files of the configuration that change.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Origin;

/// How often they are looked at.
const FILE_CHECK: Duration = Duration::from_secs(1);

/// Notices that a configuration file, or the plan that it names, was replaced or written to.
pub(super) struct Watch {
    file: Option<Watched>,
    plan: Option<Watched>,
}

struct Watched {
    file: PathBuf,
    seen: Option<(SystemTime, u64)>,
}

impl Watch {
    /// Watches the file as it is now.
    pub(super) fn new(origin: &Origin) -> Self {
        let file = match origin {
            Origin::File(file) => Some(Watched::new(file)),
            Origin::Data(..) => None,
        };
        Self { file, plan: None }
    }

    /// Watches this plan too, instead of the one before.
    pub(super) fn plan(&mut self, plan: Option<&Path>) {
        if plan != self.plan.as_ref().map(|watched| &*watched.file) {
            self.plan = plan.map(Watched::new);
        }
    }

    /// Returns when one of the files has changed; never without one.
    pub(super) async fn changed(&mut self) {
        if self.file.is_none() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(FILE_CHECK).await;
            // Both are looked at, so that two which change together are one change.
            let [file, plan] = [&mut self.file, &mut self.plan]
                .map(|watched| watched.as_mut().is_some_and(Watched::has_changed));
            if file || plan {
                return;
            }
        }
    }
}

impl Watched {
    fn new(file: &Path) -> Self {
        Self { file: file.to_owned(), seen: stamp(file) }
    }

    fn has_changed(&mut self) -> bool {
        let now = stamp(&self.file);
        // A file that is away for a moment is being replaced.
        let has_changed = now.is_some() && now != self.seen;
        if has_changed {
            self.seen = now;
        }
        has_changed
    }
}

fn stamp(file: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
