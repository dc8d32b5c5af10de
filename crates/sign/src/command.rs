//! A signature by a command, for keys that never leave a key management service.
//!
//! The command is a list of words; no shell reads it. It gets the bytes to sign on standard input
//! and prints the signature on standard output. Its input and outputs are files without a name, so
//! that neither side can block the other.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The largest output that is read, in bytes: more than the longest signature has in base64.
const MOST_PRINTED: u64 = 16 << 10;
/// Of what it says on standard error, an error shows this many bytes.
const MOST_SAID: u64 = 2 << 10;
/// How often it is asked whether it has ended. A service takes many times as long.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A command that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCommand {
    program: String,
    arguments: Vec<String>,
    limit: Duration,
}

/// Why a command did not sign.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started or waited for.
    #[error("signing command `{command}` cannot be run")]
    Io {
        /// The command.
        command: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// It took too long and was stopped.
    #[error(
        "signing command `{command}` did not end within {limit:?} and was stopped{}",
        said(stderr)
    )]
    TooSlow {
        /// The command.
        command: String,
        /// How long it may take.
        limit: Duration,
        /// What it said until then.
        stderr: String,
    },
    /// It failed.
    #[error("signing command `{command}` failed with {status}{}", said(stderr))]
    Failed {
        /// The command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        stderr: String,
    },
}

fn said(stderr: &str) -> String {
    match stderr.trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

impl KeyCommand {
    /// A command of these words, the first of which is the program, that may take `limit`. `None`
    /// if there is no word.
    pub fn new(words: &[String], limit: Duration) -> Option<Self> {
        let (program, arguments) = words.split_first()?;
        Some(Self { program: program.clone(), arguments: arguments.to_vec(), limit })
    }

    /// What it prints when it is given `input`.
    pub(crate) async fn run(&self, input: &[u8]) -> Result<Vec<u8>, CommandError> {
        let failed = |source| CommandError::Io { command: self.to_string(), source };
        let (mut child, mut stdout, mut stderr) = self.start(input).map_err(failed)?;
        let ended = self.wait(&mut child.0).await.map_err(failed)?;
        let mut stderr = || {
            let said = read(&mut stderr, MOST_SAID).map_err(failed)?;
            Ok(String::from_utf8_lossy(&said).into_owned())
        };
        match ended {
            Some(status) if status.success() => read(&mut stdout, MOST_PRINTED).map_err(failed),
            Some(status) => {
                let (command, stderr) = (self.to_string(), stderr()?);
                Err(CommandError::Failed { command, status, stderr })
            }
            None => {
                let (command, limit, stderr) = (self.to_string(), self.limit, stderr()?);
                Err(CommandError::TooSlow { command, limit, stderr })
            }
        }
    }

    fn start(&self, input: &[u8]) -> io::Result<(Running, File, File)> {
        let (mut stdin, stdout, stderr) =
            (tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?);
        stdin.write_all(input)?;
        stdin.rewind()?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(stdout.try_clone()?))
            .stderr(Stdio::from(stderr.try_clone()?))
            .spawn()?;
        Ok((Running(child), stdout, stderr))
    }

    /// How it ended; `None` if it had to be stopped.
    async fn wait(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= self.limit {
                return Ok(None);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// A process that does not outlive whoever waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Display for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        self.arguments.iter().try_for_each(|word| write!(f, " {word}"))
    }
}
