//! `landbridge serve` as a process: what it says, what it holds, how it begins and ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::program::{command, landbridge};

/// A running front; killed if a test leaves it.
struct Serving {
    child: Child,
    stdout: BufReader<ChildStdout>,
    public: SocketAddr,
    admin: SocketAddr,
    origin: SocketAddr,
}

impl Serving {
    /// Starts it on free ports and waits until it is ready.
    fn start(args: &[&str]) -> Self {
        let mut command = command();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]).args(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = |before: &str| {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line.strip_prefix(before).unwrap().trim().parse().unwrap()
        };
        let (public, admin) = (address("listening on http://"), address("admin on http://"));
        let origin = address("origin on http://");
        Self { child, stdout, public, admin, origin }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap();
    }

    /// Asks it to stop; its exit code and what else it had said.
    fn stop(mut self) -> (i32, String) {
        self.signal(Signal::TERM);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code().unwrap(), rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn data(directory: &Path) -> &str {
    directory.to_str().unwrap()
}

#[test]
fn an_empty_directory_begins_with_an_image_and_one_serve_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let data = data(directory.path());
    let serving = Serving::start(&["--data", data]);

    let second = landbridge(&["serve", "--data", data, "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 3);
    assert!(second.stderr.contains("another `landbridge serve` uses"), "{}", second.stderr);

    // Offline and through the running front, the same decision.
    let image = ["explain", "landbridge:latest", "--from", "3.5.140.1"];
    let offline = landbridge(&[&image[..], &["--data", data]].concat());
    assert_eq!(offline.code, 0, "{}", offline.stderr);
    assert!(offline.stdout.contains("chosen    aws-us-east-2"), "{}", offline.stdout);
    let server = format!("http://{}", serving.admin);
    let asked = landbridge(&[&image[..], &["--server", &server]].concat());
    assert_eq!(asked.stdout, offline.stdout);
    let unknown =
        landbridge(&["explain", "nothing:v1", "--from", "3.5.140.1", "--server", &server]);
    assert_eq!(unknown.code, 1, "{}", unknown.stderr);

    let (public, admin) = (serving.public.to_string(), serving.admin.to_string());
    let origin = serving.origin.to_string();
    let (code, said) = serving.stop();
    assert_eq!(code, 0);
    let said = said.replace(data, "DATA").replace(&public, "PUBLIC").replace(&admin, "ADMIN");
    let said = said.replace(&origin, "ORIGIN");
    insta::assert_snapshot!(said.replace(env!("CARGO_BIN_EXE_landbridge"), "landbridge"));

    // What is there stays; nothing is packed again.
    let before = pointers(directory.path());
    assert_eq!(Serving::start(&["--data", data]).stop().0, 0);
    assert_eq!(pointers(directory.path()), before);
    assert_eq!(before, 1);
}

fn pointers(data: &Path) -> usize {
    fs::read_dir(data.join("origin/pointers")).unwrap().count()
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for taken in ["--listen", "--admin", "--origin-listen"] {
        let data = data(directory.path());
        let mut args = vec!["serve", "--data", data];
        for flag in ["--listen", "--admin", "--origin-listen"] {
            args.extend([flag, if flag == taken { &address } else { "127.0.0.1:0" }]);
        }
        let (flag, ran) = (taken, landbridge(&args));
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        let last = ran.stderr.lines().last().unwrap();
        assert!(last.contains(&address) && last.contains(flag), "{last}");
    }
}

#[test]
fn a_data_directory_that_cannot_be_is_code_3_with_its_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let ran = landbridge(&["serve", "--data", data(file.path())]);
    assert_eq!(ran.code, 3);
    assert!(ran.stderr.contains(data(file.path())), "{}", ran.stderr);
}

#[test]
fn a_broken_range_file_is_code_2_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("landbridge.yaml");
    fs::write(directory.path().join("ranges.csv"), "10.0.0.0/33,aws,us-east-1\n").unwrap();
    let text = "
ranges: [{name: own, format: csv, file: ranges.csv}]
origins: [{name: upstream, registry: {url: \"http://127.0.0.1:9\"}}]
sites: [{name: main, hosts: [\"*\"], origin: upstream}]
";
    fs::write(&config, text).unwrap();
    let ran = landbridge(&[
        "serve",
        "--config",
        data(&config),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
    ]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let last = ran.stderr.lines().last().unwrap();
    assert!(last.starts_with("error: ") && last.contains("own"), "{last}");
}
