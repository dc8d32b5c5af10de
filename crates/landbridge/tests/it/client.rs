//! A client that keeps its connection, and sends exactly what it is told.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use landbridge_testkit::http::{Answer, Wire};

/// `application/octet-stream`, which every chunk is.
pub(crate) const BYTES: (&str, &str) = ("Content-Type", "application/octet-stream");

#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    wire: Option<Wire>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), wire: None }
    }

    /// One request. An error is a connection that broke.
    pub(crate) fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(&self.address)?,
        };
        wire.send(&[self.head(method, target, headers, body.len()).as_bytes(), body].concat())?;
        let answer = wire.answer(method).with_context(|| format!("{method} {target}"))?;
        let answer = answer.with_context(|| format!("{method} {target}: closed"))?;
        if answer.header("connection") != Some("close") {
            self.wire = Some(wire);
        }
        Ok(answer)
    }

    pub(crate) fn get(&mut self, target: &str) -> Result<Answer> {
        self.ask("GET", target, &[], b"")
    }

    /// Sends the beginning of a request's body and breaks the connection off.
    pub(crate) fn break_off(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        length: usize,
        part: &[u8],
    ) -> Result<()> {
        let mut wire = Wire::connect(&self.address)?;
        wire.send(&[self.head(method, target, headers, length).as_bytes(), part].concat())
    }

    fn head(&self, method: &str, target: &str, headers: &[(&str, &str)], length: usize) -> String {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {}\r\n", self.address);
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let _ = write!(head, "Content-Length: {length}\r\n\r\n");
        head
    }
}
