//! HTTP/1.1 as bytes: a client that sends exactly what it is told.
//!
//! Why: every HTTP library tidies a request up before it sends it, and hostile input is what it tidies. Here nothing
//! is escaped, normalised, followed or retried, and the answer is kept as it came.
//!
//! Invariant: every read and write has a deadline.

use std::fmt;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
/// The longest line of an answer's head.
const MAX_LINE: u64 = 64 << 10;

/// An answer as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names in lower case with their values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The content, without the framing.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of the first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The content as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| format!("not JSON: {}", self.text()))
    }

    /// The code of the first of the distribution specification's errors, if the content is such a list.
    pub fn error_code(&self) -> Option<String> {
        Some(self.json().ok()?["errors"][0]["code"].as_str()?.to_owned())
    }
}

impl fmt::Display for Answer {
    /// The answer for snapshots: headers sorted and without `date`, and a content that is no text by its length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.status)?;
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| name != "date").collect();
        headers.sort();
        for (name, value) in headers {
            writeln!(f, "{name}: {value}")?;
        }
        match std::str::from_utf8(&self.body) {
            Ok("") => Ok(()),
            Ok(text) => write!(f, "\n{text}"),
            Err(_) => write!(f, "\n({} bytes)", self.body.len()),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    /// Connects to `IP:PORT`.
    pub fn connect(address: &str) -> Result<Self> {
        let stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends these bytes. That the other end has closed already is no error: its answer may still be read.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        match self.stream.get_mut().write_all(bytes) {
            Err(error) if is_closed(error.kind()) => Ok(()),
            sent => Ok(sent?),
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) -> Result<()> {
        match self.stream.get_ref().shutdown(std::net::Shutdown::Write) {
            Err(error) if is_closed(error.kind()) || error.kind() == ErrorKind::NotConnected => {
                Ok(())
            }
            done => Ok(done?),
        }
    }

    /// The next answer, to a request of this method. `None` if the connection was closed before any byte of one.
    pub fn answer(&mut self, method: &str) -> Result<Option<Answer>> {
        let Some(first) = self.line()? else { return Ok(None) };
        let status = first.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
        let status: u16 = status.with_context(|| format!("not a status line: {first:?}"))?;
        let mut answer = Answer { status, headers: Vec::new(), body: Vec::new() };
        loop {
            let line = self.line()?.context("the connection was closed within an answer's head")?;
            if line.is_empty() {
                break;
            }
            let (name, value) =
                line.split_once(':').with_context(|| format!("not a header: {line:?}"))?;
            answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let has_body = method != "HEAD" && !matches!(status, 100..=199 | 204 | 304);
        if has_body {
            answer.body = self.body(&answer)?;
        }
        Ok(Some(answer))
    }

    /// Waits until something has come, and leaves it to be read.
    pub fn peek(&mut self) -> Result<()> {
        ensure!(!self.stream.fill_buf()?.is_empty(), "the connection was closed");
        Ok(())
    }

    /// Everything that still comes until the other end closes.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if !is_closed(error.kind()) => {
                Err(error).context("the connection is not closed")
            }
            _ => Ok(bytes),
        }
    }

    fn body(&mut self, answer: &Answer) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if answer
            .header("transfer-encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            loop {
                let line = self.line()?.context("the connection was closed within a body")?;
                let size = usize::from_str_radix(&line, 16)
                    .with_context(|| format!("not a chunk: {line:?}"))?;
                let mut chunk = vec![0; size];
                self.stream.read_exact(&mut chunk).context("a chunk is cut off")?;
                body.extend(chunk);
                ensure!(self.line()?.as_deref() == Some(""), "a chunk does not end with its line");
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match answer.header("content-length") {
            Some(length) => {
                let length = length.parse().context("a wrong content-length")?;
                let read = self.stream.by_ref().take(length).read_to_end(&mut body)? as u64;
                ensure!(read == length, "the body is cut off after {read} of {length} bytes");
                Ok(body)
            }
            None => self.rest(),
        }
    }

    fn line(&mut self) -> Result<Option<String>> {
        let mut line = Vec::new();
        match self.stream.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Err(error) if is_closed(error.kind()) => return Ok(None),
            read => read?,
        };
        let text = String::from_utf8_lossy(&line).into_owned();
        match text.strip_suffix("\r\n") {
            Some(text) => Ok(Some(text.to_owned())),
            None if text.is_empty() => Ok(None),
            None => bail!("a line is cut off: {text:?}"),
        }
    }
}

/// Asks `IP:PORT` once, with these headers beside `Host` and `Connection: close`; the target is sent as it is.
pub fn ask(address: &str, method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut request = Vec::new();
    write!(request, "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n")?;
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n")?;
    }
    request.extend(b"\r\n");
    let mut wire = Wire::connect(address)?;
    wire.send(&request)?;
    let answer = wire.answer(method).with_context(|| format!("{method} {target} at {address}"))?;
    answer.with_context(|| format!("{method} {target} at {address}: closed without an answer"))
}

/// A plain `GET`.
pub fn get(address: &str, target: &str) -> Result<Answer> {
    ask(address, "GET", target, &[])
}

/// The address and target of a `Location` that `address` answered: `IP:PORT` and `/path`.
pub fn resolve<'a>(address: &'a str, location: &'a str) -> Result<(&'a str, &'a str)> {
    let Some(rest) = location.strip_prefix("http://") else {
        ensure!(
            location.starts_with('/') && !location.starts_with("//"),
            "not a location: {location}"
        );
        return Ok((address, location));
    };
    let at = rest.find('/').with_context(|| format!("a location without a path: {location}"))?;
    Ok(rest.split_at(at))
}

fn is_closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted
    )
}
