//! Finds the programs that the tests drive.
//!
//! Why: a test whose client is missing must say how to get it, and Debian puts daemons into `/usr/sbin`, which is on
//! nobody's `PATH` but root's.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

/// Debian's directories come first: a vendor's client in `/usr/local` would be another program than the one that the
/// tests are written for.
const SYSTEM: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// The path of an installed program.
///
/// An error names the program and the command that installs it.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    SYSTEM
        .iter()
        .map(PathBuf::from)
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .with_context(|| {
            format!("`{name}` is not installed: run `scripts/test`, which installs every client")
        })
}

/// A command of an installed program whose home, configuration and temporary files are in `home`.
pub(crate) fn command(name: &str, home: &Path) -> Result<Command> {
    let mut command = Command::new(find(name)?);
    command
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("XDG_CONFIG_HOME", home)
        .env("TMPDIR", home)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    // A proxy of the developer's machine must not see, or answer for, what the tests send to loopback.
    for proxy in
        ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
    {
        command.env_remove(proxy);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_an_error_that_says_what_to_run() {
        let error = find("no-such-client").expect_err("it does not exist").to_string();
        assert_eq!(
            error,
            "`no-such-client` is not installed: run `scripts/test`, which installs every client"
        );
    }
}
