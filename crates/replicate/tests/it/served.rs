//! A bucket's directory over HTTP, as a store would serve it, with faults where they are asked for.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landbridge_store::{BucketLayout, FaceTimeouts, PublicFace};

/// What is wrong with an object, or with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `HEAD` says that it is there, `GET` that it is not.
    Lies,
    /// Other bytes of the same size.
    OtherBytes,
    /// The body ends before its time.
    Cut,
    IgnoresRanges,
    Gzip,
    NoLength,
    Html,
    Uncached,
    /// 503 so many times, with a second to wait.
    Busy(u32),
    Down,
}

#[derive(Debug, Default)]
struct State {
    faults: BTreeMap<String, Fault>,
    requests: u64,
}

/// A running server. It ends with the test.
#[derive(Debug, Clone)]
pub(crate) struct Served {
    url: String,
    state: Arc<Mutex<State>>,
}

impl Served {
    pub(crate) fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let served = Self { url, state: Arc::default() };
        let (state, directory) = (Arc::clone(&served.state), directory.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, directory) = (Arc::clone(&state), directory.clone());
                // A client that goes away in the middle is none of ours.
                std::thread::spawn(move || drop(answer(stream.unwrap(), &state, &directory)));
            }
        });
        served
    }

    /// Spoils every address that ends with `suffix`; all with none.
    pub(crate) fn spoil(&self, suffix: &str, fault: Fault) {
        self.state.lock().unwrap().faults.insert(suffix.to_owned(), fault);
    }

    pub(crate) fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    pub(crate) fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    pub(crate) fn face(&self, layout: BucketLayout) -> PublicFace {
        let limit = Duration::from_secs(20);
        let timeouts = FaceTimeouts { connect: limit, head: limit, idle: limit };
        PublicFace::new(&self.url.parse().unwrap(), layout, timeouts).unwrap()
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>, directory: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap()?;
    let mut range = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        range = range.or(line.strip_prefix("range: bytes=").map(str::to_owned));
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let fault = {
        let mut state = state.lock().unwrap();
        state.requests += 1;
        let fault = state.faults.iter_mut().find(|(suffix, _)| path.ends_with(suffix.as_str()));
        match fault {
            Some((_, Fault::Busy(0))) | None => None,
            Some((_, Fault::Busy(left))) => {
                *left -= 1;
                Some(Fault::Busy(*left))
            }
            Some((_, fault)) => Some(*fault),
        }
    };
    let file: PathBuf = directory.join(path.trim_start_matches('/'));
    respond(stream, method, fs::read(file).ok(), range.as_deref(), fault)
}

fn respond(
    mut stream: TcpStream,
    method: &str,
    content: Option<Vec<u8>>,
    range: Option<&str>,
    fault: Option<Fault>,
) -> std::io::Result<()> {
    let mut plain = |status: &str| {
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    };
    let Some(mut content) = content else { return plain("404 Not Found") };
    match fault {
        Some(Fault::Busy(_)) => return plain("503 Busy\r\nretry-after: 1"),
        Some(Fault::Down) => return plain("500 Down"),
        Some(Fault::Lies) if method == "GET" => return plain("404 Not Found"),
        _ => {}
    }
    if fault == Some(Fault::OtherBytes) {
        content[0] ^= 1;
    }
    let range = range.filter(|_| method == "GET" && fault != Some(Fault::IgnoresRanges));
    let from: usize = range.map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
    let (size, body) = (content.len(), &content[from..]);
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {status}\r\nconnection: close\r\n")?;
    if range.is_some() {
        write!(head, "content-range: bytes {from}-{}/{size}\r\n", size - 1)?;
    }
    if fault != Some(Fault::NoLength) {
        write!(head, "content-length: {}\r\n", body.len())?;
    }
    let media_type =
        if fault == Some(Fault::Html) { "text/html" } else { "application/octet-stream" };
    write!(head, "content-type: {media_type}\r\n")?;
    if fault != Some(Fault::Uncached) {
        write!(head, "cache-control: public, max-age=31536000, immutable\r\n")?;
    }
    if fault == Some(Fault::Gzip) {
        write!(head, "content-encoding: gzip\r\n")?;
    }
    let sent = match (method, fault) {
        ("HEAD", _) => 0,
        (_, Some(Fault::Cut)) => body.len() / 2,
        _ => body.len(),
    };
    head.extend(b"\r\n");
    stream.write_all(&head)?;
    stream.write_all(&body[..sent])
}
