//! A reverse proxy that puts its clients into another place, or spoils what a server answers.
//!
//! Why: a real client cannot be told to send `X-Forwarded-For`, and where a client is decides which copy it gets. And a
//! store that breaks off or rots cannot be had on demand, so a good one is spoiled on the way.
//!
//! Invariant: requests and answers pass as they are, but for that header, the fault that was asked for, and one request
//! for each connection.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
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
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let stopping = Arc::new(AtomicBool::new(false));
        let (is_stopping, upstream) = (Arc::clone(&stopping), upstream.to_owned());
        let accepting = thread::spawn(move || {
            for near in listener.incoming().map_while(io::Result::ok) {
                if is_stopping.load(Ordering::SeqCst) {
                    return;
                }
                let (upstream, way) = (upstream.clone(), way.clone());
                // What fails here fails at the client, which says so.
                thread::spawn(move || forward(&near, &upstream, &way).ok());
            }
        });
        Ok(Self { address, stopping, accepting: Some(accepting) })
    }

    /// Where it listens, `127.0.0.1:PORT`.
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
    }
    near.shutdown(Shutdown::Both)
}

fn spoil(mut answer: Vec<u8>, fault: Fault) -> Vec<u8> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let content = end.map_or(answer.len(), |end| end + 4);
    match fault {
        Fault::CutAfter(bytes) => answer.truncate(content + bytes),
        Fault::LastByte => {
            if let Some(last) = answer[content..].last_mut() {
                *last = last.wrapping_add(1);
            }
        }
        Fault::Unavailable => {
            answer =
                b"HTTP/1.1 503 Spoiled\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec();
        }
    }
    answer
}
