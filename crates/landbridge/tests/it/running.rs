//! A running program and the directory that it serves.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use landbridge_core::record::StoredRecord;
use landbridge_testkit::http::{self, Answer};
use landbridge_testkit::{Finished, Server, Signal, run};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);

/// The program, untouched by the developer's own settings.
pub(crate) fn landbridge() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_landbridge"));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("LANDBRIDGE_") {
            command.env_remove(name);
        }
    }
    command
}

/// A data directory of its own.
#[derive(Debug)]
pub(crate) struct Data {
    dir: TempDir,
}

impl Data {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { dir: tempfile::tempdir()? })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The configuration of the topology in it, with an origin that listens wherever there is room.
    pub(crate) fn shown(&self) -> Result<String> {
        let shown = run(landbridge().args(["config", "show", "--data"]).arg(self.path()), LIMIT)?;
        Ok(shown.text().replace("127.0.0.1:5000", "127.0.0.1:0"))
    }

    /// Publishes what `source` holds as `name`.
    pub(crate) fn import(&self, source: &str, name: &str) -> Result<Finished> {
        import(self.path(), source, name)
    }
}

/// Publishes what `source` holds as `name` in the data directory `data`.
pub(crate) fn import(data: &Path, source: &str, name: &str) -> Result<Finished> {
    run(landbridge().args(["import", source, name, "--data"]).arg(data), LIMIT)
}

/// The lines of access records below a data directory or in a directory of records.
#[derive(Debug)]
pub(crate) struct Records(String);

impl Records {
    /// What clients asked for, from everything in `directory`, in the order in which it was written.
    /// A front's probes come when they come.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let Self(text) = Self::with_probes(directory)?;
        let is_asked = |line: &&str| !line.contains("\"kind\":\"probe\"");
        Ok(Self(text.split_inclusive('\n').filter(is_asked).collect()))
    }

    /// The same with the front's own probes.
    pub(crate) fn with_probes(directory: &Path) -> Result<Self> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        let texts = files.iter().map(|file| Ok(fs::read_to_string(file)?));
        Ok(Self(texts.collect::<Result<Vec<_>>>()?.concat()))
    }

    pub(crate) fn all(&self) -> Result<Vec<StoredRecord<'_>>> {
        let read = |line| {
            serde_json::from_str(line).with_context(|| format!("not an access record: {line}"))
        };
        self.0.lines().map(read).collect()
    }

    /// The lines themselves.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

/// `landbridge origin`, answering on loopback.
#[derive(Debug)]
pub(crate) struct OwnOrigin {
    server: Server,
    /// `http` or `https`.
    pub(crate) scheme: String,
    pub(crate) address: String,
}

impl OwnOrigin {
    /// Over a directory as its bucket.
    pub(crate) fn over(store: &Path) -> Result<Self> {
        let mut command = landbridge();
        command.args(["origin", "--listen", "127.0.0.1:0", "--store"]).arg(store);
        Self::start(&mut command)
    }

    /// As a file configures it, but on any free port of loopback.
    pub(crate) fn configured(file: &Path) -> Result<Self> {
        let mut command = landbridge();
        Self::start(command.args(["origin", "--listen", "127.0.0.1:0", "--config"]).arg(file))
    }

    /// An `origin` command.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let server = Server::spawn(command)?;
        let url = server.wait_for("listening on ", LIMIT)?;
        let (scheme, address) = url.split_once("://").context("a URL")?;
        let (scheme, address) = (scheme.to_owned(), address.to_owned());
        Ok(Self { server, scheme, address })
    }

    /// Waits until it has written a line with `marker`; the rest of that line.
    pub(crate) fn wait_for(&self, marker: &str) -> Result<String> {
        self.server.wait_for(marker, LIMIT)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)
    }

    /// A reference to `name` here, for a client's command line.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// Asks it to end, and waits until it has; all that it wrote. An error if it does not end well.
    pub(crate) fn stop(mut self) -> Result<String> {
        self.server.signal(Signal::TERM)?;
        let status = self.server.wait(LIMIT)?;
        ensure!(status.success(), "it ended with {status}:\n{}", self.server.log());
        Ok(self.server.log())
    }
}

/// A front that answers on loopback.
#[derive(Debug)]
pub(crate) struct Front {
    server: Server,
    pub(crate) address: String,
    pub(crate) admin: String,
}

impl Front {
    /// The embedded topology over a data directory.
    pub(crate) fn over(data: &Path) -> Result<Self> {
        Self::start(landbridge().args(["serve", "--data"]).arg(data))
    }

    /// A front that a file configures.
    pub(crate) fn configured(file: &Path) -> Result<Self> {
        Self::start(landbridge().args(["serve", "--config"]).arg(file))
    }

    /// A `serve` command, listening wherever there is room.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        Self::start_at(command, "127.0.0.1:0")
    }

    /// A `serve` command, listening at an address of loopback.
    pub(crate) fn start_at(command: &mut Command, address: &str) -> Result<Self> {
        let server = Server::spawn(command.args(["--listen", address, "--admin", "127.0.0.1:0"]))?;
        let (_, address) = server
            .wait_for("listening on http", LIMIT)?
            .split_once("://")
            .map(|(scheme, address)| (scheme.to_owned(), address.to_owned()))
            .context("an address follows")?;
        let admin = server.wait_for("admin on http://", LIMIT)?;
        Ok(Self { server, address, admin })
    }

    /// Where the origin beside it takes pushes.
    pub(crate) fn origin(&self) -> Result<String> {
        self.wait_for("origin on http://")
    }

    /// A plain `GET`.
    pub(crate) fn get(&self, target: &str) -> Result<Answer> {
        http::get(&self.address, target)
    }

    /// One request.
    pub(crate) fn ask(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        http::ask(&self.address, method, target, headers)
    }

    /// One request and, if it is redirected, the same at its target.
    pub(crate) fn follow(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let answer = self.ask(method, target, headers)?;
        let Some(location) = answer.header("location").filter(|_| answer.status == 307) else {
            return Ok(answer);
        };
        let (address, target) = http::resolve(&self.address, location)?;
        http::ask(address, method, target, headers)
    }

    /// A reference to `name` here, for a client's command line.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// All that it wrote.
    pub(crate) fn log(&self) -> String {
        self.server.log()
    }

    /// Waits until it has written a line with `marker`; the rest of that line.
    pub(crate) fn wait_for(&self, marker: &str) -> Result<String> {
        self.server.wait_for(marker, LIMIT)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.server.signal(signal)
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }

    /// Waits until it has ended.
    pub(crate) fn ended(&mut self) -> Result<ExitStatus> {
        self.server.wait(LIMIT)
    }

    /// Asks it to end, and waits until it has; an error if it does not end well.
    pub(crate) fn stop(mut self) -> Result<String> {
        self.server.signal(Signal::TERM)?;
        let status = self.server.wait(LIMIT)?;
        ensure!(status.success(), "it ended with {status}:\n{}", self.log());
        Ok(self.log())
    }
}

/// Asks again until the answer is one that `is_good`, and returns it.
pub(crate) fn until<T>(
    mut ask: impl FnMut() -> Result<T>,
    is_good: impl Fn(&T) -> bool,
) -> Result<T>
where
    T: std::fmt::Debug,
{
    let end = Instant::now() + LIMIT;
    loop {
        let answer = ask()?;
        if is_good(&answer) {
            return Ok(answer);
        }
        ensure!(Instant::now() < end, "after {LIMIT:?} still {answer:?}");
        std::thread::yield_now();
    }
}

/// How a command ended that was expected to fail.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) stdout: String,
}

/// Runs a command that ends by itself, with whatever status.
pub(crate) fn run_to_end(command: &mut Command) -> Result<Failed> {
    // A command that hangs is stopped by the deadline of the one that runs it.
    let mut timed = Command::new("timeout");
    timed.arg("--signal=KILL").arg(LIMIT.as_secs().to_string()).arg(command.get_program());
    timed.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    let output = timed.stdin(std::process::Stdio::null()).output()?;
    Ok(Failed {
        code: output.status.code(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    })
}
