//! What strangers send, byte by byte: nothing in it chooses a host, leaves a repository, injects a header or makes a name
//! mean another.

mod addresses;
mod connections;
mod names;
mod requests;
mod traffic;

use anyhow::{Context as _, Result, ensure};
use landbridge_testkit::http::{self, Answer, Wire};

use crate::content::Content;
use crate::running::{Data, Front};

/// A front over known content, and what must hold for all that it answers.
struct Target {
    content: Content,
    _data: Data,
    front: Front,
}

impl Target {
    fn start() -> Result<Self> {
        let content = Content::pack()?;
        let data = content.data()?;
        let front = Front::over(data.path())?;
        Ok(Self { content, _data: data, front })
    }

    /// Sends `bytes` on a connection of their own; what is answered first, or nothing if it is closed.
    fn send(&self, bytes: &[u8]) -> Result<Option<Answer>> {
        let shown = || String::from_utf8_lossy(bytes).chars().take(200).collect::<String>();
        let mut wire = Wire::connect(&self.front.address)?;
        wire.send(bytes)?;
        let method = if bytes.starts_with(b"HEAD ") { "HEAD" } else { "GET" };
        let answer = wire.answer(method).with_context(|| format!("answer to {:?}", shown()))?;
        if let Some(answer) = &answer {
            check(answer).with_context(|| format!("answer to {:?}", shown()))?;
        }
        self.is_alive()?;
        Ok(answer)
    }

    /// `GET` of a target that is sent as it is.
    fn get(&self, target: impl AsRef<[u8]>) -> Result<Option<Answer>> {
        self.send(
            &[b"GET ", target.as_ref(), b" HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n"]
                .concat(),
        )
    }

    /// Asserts that the status and the specification's error code are these. A character that no target may have is
    /// refused before it is looked at, by a 400 without content.
    fn refuses(&self, target: impl AsRef<[u8]>, status: u16, code: &str) {
        let shown = String::from_utf8_lossy(target.as_ref()).into_owned();
        let answer = self.get(&target).unwrap().unwrap_or_else(|| panic!("{shown}: closed"));
        if target.as_ref().iter().any(|byte| b"<>\"\\^`{|}".contains(byte))
            && answer.body.is_empty()
        {
            assert_eq!(answer.status, 400, "{shown}: {answer}");
            return;
        }
        let got = (answer.status, answer.error_code());
        assert_eq!(got, (status, Some(code.to_owned())), "{shown}: {answer}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{shown}");
    }

    fn is_alive(&self) -> Result<()> {
        let ping = http::get(&self.front.address, "/v2/")?;
        ensure!(ping.status == 200, "the front no longer answers: {ping}");
        Ok(())
    }

    /// The path of a blob that there is.
    fn blob(&self) -> String {
        format!("/v2/app/blobs/{}", self.content.amd.layers[0].digest)
    }
}

/// What holds for every answer, whatever was asked.
fn check(answer: &Answer) -> Result<()> {
    let allowed = [200, 206, 304, 307, 400, 404, 405, 408, 413, 414, 416, 417, 431, 501, 505];
    ensure!(allowed.contains(&answer.status), "an unexpected status: {answer}");
    for (name, value) in &answer.headers {
        ensure!(!name.contains("evil") && !value.contains("evil"), "it was injected: {answer}");
    }
    if let Some(location) = answer.header("location") {
        ensure!(answer.status == 307, "a location: {answer}");
        let is_ours = ["aws-us-east-2", "gcp-us-central1"].iter().any(|mirror| {
            location.strip_prefix(&format!("/-/mirror/{mirror}/blobs/")).is_some_and(|key| {
                let (algorithm, hex) = key.split_once('/').unwrap_or_default();
                let is_hex = hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                is_hex && matches!((algorithm, hex.len()), ("sha256", 64) | ("sha512", 128))
            })
        });
        ensure!(is_ours, "it leaves the configured prefixes: {answer}");
    }
    Ok(())
}
