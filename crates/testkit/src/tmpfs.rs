//! A file system of its own for tests of full disks and read-only directories.
//!
//! Why: root may write to a directory of any mode, and filling the machine's disk would break other tests.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::run;

const LIMIT: Duration = Duration::from_secs(10);

/// A mounted tmpfs. Needs root. Dropping it unmounts it.
#[derive(Debug)]
pub struct Tmpfs {
    dir: TempDir,
}

impl Tmpfs {
    /// Mounts one that holds `size_bytes`.
    pub fn mount(size_bytes: u64) -> Result<Self> {
        let tmpfs = Self { dir: tempfile::tempdir()? };
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "landbridge-testkit"]);
        run(mount.arg(tmpfs.path()), LIMIT).context(
            "a file system cannot be mounted: run the tests as root (`scripts/test` does)",
        )?;
        Ok(tmpfs)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Lets it hold another number of bytes.
    pub fn resize(&self, size_bytes: u64) -> Result<()> {
        self.remount(&format!("size={size_bytes}"))
    }

    /// Refuses all writes from now on. It is an error while a file is open for writing.
    pub fn make_read_only(&self) -> Result<()> {
        self.remount("ro")
    }

    fn remount(&self, options: &str) -> Result<()> {
        let options = format!("remount,{options}");
        run(Command::new("mount").args(["-o", &options]).arg(self.path()), LIMIT)?;
        Ok(())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily, as a server that is dropped later may still have it open.
        run(Command::new("umount").arg("--lazy").arg(self.path()), LIMIT).ok();
    }
}
