//! A reverse proxy that puts its clients into another place, or spoils what a server answers.
//!
//! Why: a real client cannot be told to send `X-Forwarded-For`, and where a client is decides which copy it gets. And a
//! store that breaks off or rots cannot be had on demand, so a good one is spoiled on the way.
//!
//! Invariant: requests and answers pass as they are, but for that header, the fault that was asked for, and one request
//! for each connection.

use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

const LIMIT: Duration = Duration::from_mins(1);

/// What a proxy does to answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed after so many bytes of an answer's content, if there are more.
    CutAfter(usize),
    /// The last byte of an answer's content is another one.
    LastByte,
    /// Every answer is a 503.
    Unavailable,
    /// Every second answer is a 503.
    HalfUnavailable,
    /// The content of an answer comes at one byte a second, for as long as its client waits.
    Drip,
}

/// What a proxy answers instead of its server.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A whole answer, from the status line on.
    Whole(String),
    /// One that begins like this and goes on with this, again and again, until its client goes away.
    Endless(String, &'static str),
}

/// A running proxy on loopback. Dropping it stops it.
#[derive(Debug)]
pub struct Forwarder {
    address: String,
    way: Way,
    stopping: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts a proxy for `upstream` (`IP:PORT`) that says of every request that `client` sent it.
    pub fn start(upstream: &str, client: IpAddr) -> Result<Self> {
        Self::spawn(upstream, Way::Placed(client))
    }

    /// Starts a proxy for `upstream` (`IP:PORT`) that spoils its answers.
    pub fn start_faulty(upstream: &str, fault: Fault) -> Result<Self> {
        Self::spawn(upstream, Way::Spoiled(fault))
    }

    /// Starts a proxy at `own`, an address of loopback, for `upstream` (`IP:PORT`), that spoils what
    /// passes as [`Forwarder::spoil`] says, and nothing at first.
    pub fn start_switched(own: IpAddr, upstream: &str) -> Result<Self> {
        Self::spawn_at(own, upstream, Way::Switched(Arc::default()))
    }

    /// What becomes of answers from now on, those that are on their way too; for a switched proxy.
    pub fn spoil(&self, fault: Option<Fault>) {
        if let Way::Switched(switch) = &self.way {
            *switch.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        }
    }

    /// Starts a proxy for `upstream` (`IP:PORT`) that answers some requests itself: those for whose
    /// request line's target `answer` gives a whole answer, from the status line on.
    pub fn start_answering(
        upstream: &str,
        answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Result<Self> {
        let target = |head: &str| head.split(' ').nth(1).unwrap_or_default().to_owned();
        Self::start_meddling(upstream, move |head| answer(&target(head)).map(Reply::Whole))
    }

    /// The same for those to whose request's head (request line and headers) `answer` has one, which
    /// may have no end.
    pub fn start_meddling(
        upstream: &str,
        answer: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
    ) -> Result<Self> {
        Self::spawn(upstream, Way::Answered(Arc::new(answer)))
    }

    fn spawn(upstream: &str, way: Way) -> Result<Self> {
        Self::spawn_at(IpAddr::from([127, 0, 0, 1]), upstream, way)
    }

    fn spawn_at(own: IpAddr, upstream: &str, way: Way) -> Result<Self> {
        let listener = TcpListener::bind((own, 0))?;
        let address = listener.local_addr()?.to_string();
        let stopping = Arc::new(AtomicBool::new(false));
        let (is_stopping, upstream) = (Arc::clone(&stopping), upstream.to_owned());
        let passing = way.clone();
        let accepting = thread::spawn(move || {
            for near in listener.incoming().map_while(io::Result::ok) {
                if is_stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (upstream, way) = (upstream.clone(), passing.clone());
                // What fails here fails at the client, which says so.
                thread::spawn(move || forward(&near, &upstream, &way).ok());
            }
        });
        Ok(Self { address, way, stopping, accepting: Some(accepting) })
    }

    /// Where it listens, `IP:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where it listens, as a URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A reference to `name` by way of this proxy, for a client's command line: `127.0.0.1:PORT/name`.
    pub fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        if TcpStream::connect(&self.address).is_ok() {
            self.accepting.take().map(JoinHandle::join);
        }
    }
}

type Answering = dyn Fn(&str) -> Option<Reply> + Send + Sync;

#[derive(Clone)]
enum Way {
    Placed(IpAddr),
    Spoiled(Fault),
    Answered(Arc<Answering>),
    Switched(Arc<Switch>),
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Way")
    }
}

/// A fault that is put on and off.
#[derive(Debug, Default)]
struct Switch {
    fault: Mutex<Option<Fault>>,
    answers: AtomicUsize,
}

impl Switch {
    /// The fault of the next answer.
    fn next(&self) -> Option<Fault> {
        let count = self.answers.fetch_add(1, Ordering::SeqCst);
        match self.now() {
            Some(Fault::HalfUnavailable) => count.is_multiple_of(2).then_some(Fault::Unavailable),
            fault => fault,
        }
    }

    fn now(&self) -> Option<Fault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes one request without content, and its answer.
fn forward(mut near: &TcpStream, upstream: &str, way: &Way) -> io::Result<()> {
    near.set_read_timeout(Some(LIMIT))?;
    let mut head = String::new();
    let mut lines = BufReader::new(near);
    loop {
        let start = head.len();
        if lines.read_line(&mut head)? == 0 {
            return Ok(());
        }
        if head[start..].to_ascii_lowercase().starts_with("connection:") {
            head.truncate(start);
        } else if &head[start..] == "\r\n" {
            head.truncate(start);
            break;
        }
    }
    if let Way::Answered(answer) = way
        && let Some(answer) = answer(&head)
    {
        match answer {
            Reply::Whole(answer) => near.write_all(answer.as_bytes())?,
            Reply::Endless(start, piece) => {
                near.write_all(start.as_bytes())?;
                loop {
                    near.write_all(piece.as_bytes())?;
                }
            }
        }
        return near.shutdown(Shutdown::Both);
    }
    let mut far = TcpStream::connect(upstream)?;
    far.set_read_timeout(Some(LIMIT))?;
    match way {
        Way::Placed(client) => {
            write!(far, "{head}X-Forwarded-For: {client}\r\nConnection: close\r\n\r\n")?;
            io::copy(&mut far, &mut near)?;
        }
        Way::Answered(_) => {
            write!(far, "{head}Connection: close\r\n\r\n")?;
            io::copy(&mut far, &mut near)?;
        }
        Way::Spoiled(fault) => {
            write!(far, "{head}Connection: close\r\n\r\n")?;
            let mut answer = Vec::new();
            far.read_to_end(&mut answer)?;
            near.write_all(&spoil(answer, *fault))?;
        }
        Way::Switched(switch) => {
            write!(far, "{head}Connection: close\r\n\r\n")?;
            let mut answer = Vec::new();
            far.read_to_end(&mut answer)?;
            match switch.next() {
                None => near.write_all(&answer)?,
                Some(Fault::Drip) => drip(near, &answer, switch)?,
                Some(fault) => near.write_all(&spoil(answer, fault))?,
            }
        }
    }
    near.shutdown(Shutdown::Both)
}

/// Gives an answer's content byte by byte, until the fault is taken away; then it breaks off.
fn drip(mut near: &TcpStream, answer: &[u8], switch: &Switch) -> io::Result<()> {
    let content = content_of(answer);
    near.write_all(&answer[..content])?;
    for byte in &answer[content..] {
        near.write_all(&[*byte])?;
        thread::sleep(Duration::from_secs(1));
        if switch.now() != Some(Fault::Drip) {
            break;
        }
    }
    Ok(())
}

/// Where an answer's content begins.
fn content_of(answer: &[u8]) -> usize {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(answer.len(), |end| end + 4)
}

fn spoil(mut answer: Vec<u8>, fault: Fault) -> Vec<u8> {
    let content = content_of(&answer);
    match fault {
        Fault::CutAfter(bytes) => answer.truncate(content + bytes),
        Fault::LastByte => {
            if let Some(last) = answer[content..].last_mut() {
                *last = last.wrapping_add(1);
            }
        }
        Fault::Drip => {}
        Fault::Unavailable | Fault::HalfUnavailable => {
            answer =
                b"HTTP/1.1 503 Spoiled\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
    }
    answer
}
