//! What a front keeps of an old name over a restart, in the cache's directory: a small file for each
//! site. Losing it takes nothing back that the plan itself does not say again; what a front took back
//! by itself is then on again until it sees the same once more.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use landbridge_core::migration::Step;
use serde::{Deserialize, Serialize};
use tracing::warn;

/// A larger file is not one of ours.
const MOST_BYTES: u64 = 1 << 20;

/// What is kept of one site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kept {
    pub(super) migration: String,
    pub(super) steps: Vec<KeptStep>,
}

/// What is kept of one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptStep {
    pub(super) step: StepName,
    /// Since when and why this front took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) aborted: Option<(Timestamp, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) brownout: Option<KeptBrownout>,
}

/// By what a step is known: one that the plan changes is another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepName {
    phase: String,
    start: Timestamp,
}

/// The window in which pulls were refused last, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeptBrownout {
    pub(super) window: u64,
    pub(super) pulls: u64,
}

impl StepName {
    pub(super) fn of(step: &Step) -> Self {
        Self { phase: step.phase.name().to_owned(), start: step.start }
    }
}

impl Kept {
    /// True if there is nothing to write.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.iter().all(|step| step.aborted.is_none() && step.brownout.is_none())
    }

    fn path(directory: &Path, site: &str) -> PathBuf {
        directory.join(format!("migration-{site}.json"))
    }

    /// Writes it, in one step. Blocks.
    pub(super) fn write(&self, directory: &Path, site: &str) -> io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let path = Self::path(directory, site);
        let draft = path.with_extension("json.new");
        std::fs::write(&draft, serde_json::to_vec(self).map_err(io::Error::other)?)?;
        std::fs::File::open(&draft)?.sync_all()?;
        std::fs::rename(draft, path)
    }

    /// Reads it; what cannot be read is told and is as if it were not there. Blocks.
    pub(super) fn read(directory: &Path, site: &str) -> Option<Self> {
        let path = Self::path(directory, site);
        let read = || -> io::Result<Self> {
            if std::fs::metadata(&path)?.len() > MOST_BYTES {
                return Err(io::Error::other("it is too large"));
            }
            serde_json::from_slice(&std::fs::read(&path)?).map_err(io::Error::other)
        };
        match read() {
            Ok(kept) => Some(kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(path = %path.display(), %error, "what this front knows of an old name cannot be read: steps that it took back are on again");
                None
            }
        }
    }
}
