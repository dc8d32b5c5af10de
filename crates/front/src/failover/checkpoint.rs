//! The accounts' checkpoint: what was spent survives a restart, in the cache's directory.
//!
//! It is written every few seconds while something is spent, and at the end. What was spent between
//! the last time and a crash is not known, so that time is counted pro rata, as is everything for a
//! front that finds no checkpoint. The file is disposable: losing it makes a front stingy, never
//! generous.

use std::io;
use std::path::{Path, PathBuf};

use landbridge_core::caps::{Amount, Cap, Spent, Window};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{Failover, seconds_now};

const FILE: &str = "failover.json";
/// A larger file is not one of ours.
const MOST_BYTES: u64 = 4 << 20;

/// What was spent, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    /// When, in seconds since 1970.
    written: u64,
    edges: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    site: String,
    edge: String,
    hour: Stored,
    day: Stored,
}

/// A window and what was spent in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    number: u64,
    bytes: u64,
    micros: u64,
}

impl From<Window> for Stored {
    fn from(window: Window) -> Self {
        let Window { number, spent: Amount { bytes, micros } } = window;
        Self { number, bytes, micros }
    }
}

impl From<Stored> for Window {
    fn from(stored: Stored) -> Self {
        let Stored { number, bytes, micros } = stored;
        Self { number, spent: Amount { bytes, micros } }
    }
}

impl Checkpoint {
    /// What is spent now.
    pub(crate) fn of(failover: &Failover, now: u64) -> Self {
        let entry = |account: &super::Account| {
            let Spent { hour, day } = account.ledger().spent(now);
            let (site, edge) = (account.site.clone(), account.name.clone());
            Entry { site, edge, hour: hour.into(), day: day.into() }
        };
        Self { written: now, edges: failover.edges.iter().map(entry).collect() }
    }

    /// Whether both say the same was spent.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.edges == other.edges
    }

    /// True if there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Writes it, in one step. Blocks.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)?;
        let (path, draft) = (directory.join(FILE), directory.join(format!("{FILE}.new")));
        std::fs::write(&draft, serde_json::to_vec(self).map_err(io::Error::other)?)?;
        std::fs::File::open(&draft)?.sync_all()?;
        std::fs::rename(draft, path)
    }

    fn read(directory: &Path) -> io::Result<Self> {
        let path = directory.join(FILE);
        if std::fs::metadata(&path)?.len() > MOST_BYTES {
            return Err(io::Error::other("it is too large"));
        }
        serde_json::from_slice(&std::fs::read(path)?).map_err(io::Error::other)
    }

    /// What is to be counted as spent on an edge at `now`.
    fn spent(&self, site: &str, edge: &str, cap: Cap, now: u64) -> Option<Spent> {
        let entry = self.edges.iter().find(|entry| entry.site == site && entry.edge == edge)?;
        // A time in the future is not believed, nor what was spent in it.
        let written = self.written.min(now);
        let spent = Spent { hour: entry.hour.into(), day: entry.day.into() };
        let is_sane = entry.hour.number <= now / 3_600 && entry.day.number <= now / 86_400;
        is_sane.then(|| spent.since(written, cap, now))
    }
}

/// What is counted as spent on each edge of a front that starts now, with its cache in `directory`
/// if it has one. Blocks for one small file.
pub(super) fn restore(directory: Option<&PathBuf>) -> impl Fn(&str, &str, Cap) -> Spent {
    let now = seconds_now();
    let checkpoint = directory.and_then(|directory| match Checkpoint::read(directory) {
        Ok(checkpoint) => Some(checkpoint),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let path = directory.join(FILE);
            warn!(path = %path.display(), %error, "what was spent on overflow edges cannot be read");
            None
        }
    });
    move |site, edge, cap| {
        let known = checkpoint.as_ref().and_then(|it| it.spent(site, edge, cap, now));
        known.unwrap_or_else(|| {
            info!(site, edge, "nobody knows what was spent on this edge: the part of hour and day that has passed counts as spent");
            Spent::unknown(cap, now)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAP: Cap = Cap {
        hour: Amount { bytes: 3_600, micros: u64::MAX },
        day: Amount { bytes: 86_400, micros: u64::MAX },
    };

    fn checkpoint(written: u64, hour: u64) -> Checkpoint {
        let stored = |number, bytes| Stored { number, bytes, micros: 0 };
        let entry = Entry {
            site: "main".to_owned(),
            edge: "aws to gcp".to_owned(),
            hour: stored(hour, 100),
            day: stored(hour / 24, 100),
        };
        Checkpoint { written, edges: vec![entry] }
    }

    #[test]
    fn it_reads_back_as_it_was_and_what_is_broken_is_not_believed() {
        let directory = tempfile::tempdir().unwrap();
        let before = checkpoint(90_000, 25);
        before.write(directory.path()).unwrap();
        assert_eq!(Checkpoint::read(directory.path()).unwrap(), before);
        for bytes in [&b""[..], b"{}", b"{\"written\":1,\"edges\":[{}]}"] {
            std::fs::write(directory.path().join(FILE), bytes).unwrap();
            assert!(Checkpoint::read(directory.path()).is_err());
        }
        let spent = restore(Some(&directory.path().to_owned()))("main", "aws to gcp", CAP);
        let now = seconds_now();
        assert!(spent.day.spent.bytes.abs_diff(now % 86_400) <= 2, "pro rata");
    }

    #[test]
    fn time_that_nobody_watched_counts_as_spent() {
        let spent = |written, hour, now| {
            checkpoint(written, hour)
                .spent("main", "aws to gcp", CAP, now)
                .map(|it| it.hour.spent.bytes)
        };
        assert_eq!(spent(90_000, 25, 90_000), Some(100));
        assert_eq!(spent(90_000, 25, 90_060), Some(160));
        assert_eq!(spent(90_000, 25, 93_600 + 5), Some(5), "a new hour");
        assert_eq!(spent(99_999, 25, 90_000), Some(100), "written by a clock that ran ahead");
        assert_eq!(spent(90_000, 99, 90_000), None, "spent in the future");
        assert_eq!(checkpoint(1, 1).spent("main", "another", CAP, 1), None);
    }
}
