//! Exit codes: what a script learns without reading.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All was done.
    Done,
    /// It worked and found something that a person should look at.
    Findings,
    /// The command line or the configuration is wrong; nothing was begun.
    Usage,
    /// Something remote or on disk failed.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Findings => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
        })
    }
}

/// A failure and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process ends.
    pub(crate) exit: Exit,
    /// What happened.
    pub(crate) error: anyhow::Error,
}

/// What commands return.
pub(crate) type Outcome<T = Exit> = Result<T, Failure>;

/// Says which exit code an error means.
pub(crate) trait OrExit<T> {
    /// The command line or the configuration is to blame.
    fn or_usage(self) -> Outcome<T>;
    /// Something remote or on disk is to blame.
    fn or_failed(self) -> Outcome<T>;
}

impl<T, E: Into<anyhow::Error>> OrExit<T> for Result<T, E> {
    fn or_usage(self) -> Outcome<T> {
        self.map_err(|error| Failure { exit: Exit::Usage, error: error.into() })
    }

    fn or_failed(self) -> Outcome<T> {
        self.map_err(|error| Failure { exit: Exit::Failed, error: error.into() })
    }
}
