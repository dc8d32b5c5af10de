//! Runs commands and servers with a deadline.
//!
//! Why: a test that hangs says nothing. Here each wait is bounded and each failure carries the command line and what
//! the program wrote. Readiness is read from the program's own words ("listening on …"), so that no port is guessed
//! and nothing sleeps.
//!
//! Invariant: no process outlives the value that stands for it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Seek as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// What a command wrote before it ended well.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Everything on standard output, as it came.
    pub stdout: Vec<u8>,
    /// Everything on standard error; what is no UTF-8 is replaced.
    pub stderr: String,
}

impl Finished {
    /// Standard output as text, without white space around it; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_owned()
    }
}

/// Runs a command to its end.
///
/// It is an error if it cannot be started, does not end within `limit` (it is then killed) or ends with another status
/// than 0; the message has the command line, the status and both outputs.
pub fn run(command: &mut Command, limit: Duration) -> Result<Finished> {
    let line = command_line(command);
    // Files, not pipes: a grandchild that keeps a pipe open would keep its reader waiting.
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut process = Process::start(command)?;
    let status = process.wait(limit);

    let mut finished = Finished { stdout: Vec::new(), stderr: String::new() };
    stdout.rewind()?;
    stdout.read_to_end(&mut finished.stdout)?;
    let mut bytes = Vec::new();
    stderr.rewind()?;
    stderr.read_to_end(&mut bytes)?;
    finished.stderr = String::from_utf8_lossy(&bytes).into_owned();
    match status {
        Some(status) if status.success() => Ok(finished),
        other => {
            let end = other.map_or_else(
                || format!("did not end within {limit:?}"),
                |status| status.to_string(),
            );
            bail!(
                "`{line}`: {end}\nstdout: {}\nstderr: {}",
                finished.text(),
                finished.stderr.trim()
            )
        }
    }
}

/// A server that runs until it is dropped; then it is killed and waited for.
#[derive(Debug)]
pub struct Server {
    line: String,
    process: Process,
    log: Arc<Log>,
}

impl Server {
    /// Starts a server and collects what it writes.
    ///
    /// It is an error if the program cannot be started; whether it became ready is what [`Server::wait_for`] tells.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let line = command_line(command);
        let mut process = Process::start(
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        )?;
        let log = Arc::new(Log::default());
        let streams: [Option<Box<dyn Read + Send>>; 2] = [
            process.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
            process.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>),
        ];
        log.lock().open = streams.len();
        for stream in streams.into_iter().flatten() {
            let log = Arc::clone(&log);
            // Ends with the stream, which ends with the server.
            thread::spawn(move || log.collect(stream));
        }
        Ok(Self { line, process, log })
    }

    /// Waits until the server has written a line with `marker` in it, on either output and at any time since it
    /// started, and returns the rest of that line.
    ///
    /// It is an error, with all that the server wrote, if it ends first or `limit` passes.
    pub fn wait_for(&self, marker: &str, limit: Duration) -> Result<String> {
        let end = Instant::now() + limit;
        let mut lines = self.log.lock();
        loop {
            if let Some(rest) = lines.written.iter().find_map(|line| line.split_once(marker)) {
                return Ok(rest.1.to_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            if lines.open == 0 || left.is_zero() {
                let what =
                    if lines.open == 0 { "ended".to_owned() } else { format!("ran for {limit:?}") };
                let written = lines.written.join("\n");
                bail!("`{}` {what} without writing {marker:?}; it wrote:\n{written}", self.line);
            }
            lines =
                self.log.grown.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// All lines that the server has written so far, on both outputs, in the order in which they arrived.
    pub fn log(&self) -> String {
        self.log.lock().written.join("\n")
    }

    /// The process's id, for whoever looks into `/proc`.
    pub fn id(&self) -> u32 {
        self.process.id
    }

    /// Sends a signal. It is an error if the server has already ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.process.signal(signal).with_context(|| format!("`{}` cannot be signalled", self.line))
    }

    /// Waits until the server has ended by itself or by a signal.
    ///
    /// It is an error, with all that the server wrote, if it still runs after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = self.process.wait(limit);
        status.with_context(|| {
            format!("`{}` still runs after {limit:?}; it wrote:\n{}", self.line, self.log())
        })
    }
}

/// What a server wrote, shared between the threads that read and whoever waits for a line.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    written: Vec<String>,
    /// Streams that may still bring lines.
    open: usize,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn collect(&self, stream: impl Read) {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            self.lock().written.push(String::from_utf8_lossy(&line).into_owned());
            self.grown.notify_all();
        }
        self.lock().open -= 1;
        self.grown.notify_all();
    }
}

/// A child whose end can be waited for with a limit, which the standard library cannot do.
#[derive(Debug)]
struct Process {
    id: u32,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    ended: Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Process {
    fn start(command: &mut Command) -> Result<Self> {
        let line = command_line(command);
        let mut child: Child =
            command.spawn().with_context(|| format!("`{line}` cannot be started"))?;
        let (send, ended) = mpsc::sync_channel(1);
        let (id, stdout, stderr) = (child.id(), child.stdout.take(), child.stderr.take());
        thread::spawn(move || child.wait().map(|status| send.send(status)));
        Ok(Self { id, stdout, stderr, ended, status: None })
    }

    fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.ended.recv_timeout(limit).ok();
        }
        self.status
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw).context("not a process id")?;
        Ok(kill_process(id, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Without this look, the id of a process that ended long ago, and may be another's now, would be killed.
        if self.wait(Duration::ZERO).is_none() && self.signal(Signal::KILL).is_ok() {
            self.wait(Duration::from_secs(10));
        }
    }
}

fn command_line(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        write!(line, " {}", argument.to_string_lossy()).ok();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failing_command_tells_its_line_status_and_outputs() {
        let error = run(&mut shell("echo out; echo err >&2; exit 3"), SOON)
            .expect_err("status 3")
            .to_string();
        assert_eq!(
            error,
            "`sh -c echo out; echo err >&2; exit 3`: exit status: 3\nstdout: out\nstderr: err"
        );
    }

    #[test]
    fn a_command_that_hangs_is_killed_at_its_limit() {
        let started = Instant::now();
        let error = run(&mut shell("exec sleep 60"), Duration::from_millis(50))
            .expect_err("it hangs")
            .to_string();
        assert!(error.contains("did not end within 50ms"), "{error}");
        assert!(started.elapsed() < SOON);
    }

    #[test]
    fn a_server_is_ready_once_it_says_so_and_ends_by_a_signal() {
        let mut server =
            Server::spawn(&mut shell("echo listening on http://127.0.0.1:1; exec sleep 60"))
                .unwrap();
        assert_eq!(server.wait_for("listening on http://", SOON).unwrap(), "127.0.0.1:1");
        server.signal(Signal::TERM).unwrap();
        assert!(!server.wait(SOON).unwrap().success());
    }

    #[test]
    fn a_server_that_ends_early_is_an_error_with_its_log() {
        let server = Server::spawn(&mut shell("echo port 1 is in use >&2; exit 2")).unwrap();
        let error = server.wait_for("listening on", SOON).expect_err("it ended").to_string();
        assert!(
            error.ends_with("ended without writing \"listening on\"; it wrote:\nport 1 is in use"),
            "{error}"
        );
    }
}
