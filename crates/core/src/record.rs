//! The access record: one JSON line for each answer.
//!
//! Enough to count bytes and money for each provider, region and repository, and pulls for each
//! tag, without seeing the transfer. There is no field for the client's address: what is not
//! written cannot leak.
//!
//! Rolled up, a line stands for all answers of a while that differ in nothing but their digest.

use std::borrow::Cow;

use serde::Deserialize;

use crate::digest::Digest;

/// One answer, borrowed from the request that it answers.
#[derive(Debug, Clone, Copy)]
pub struct AccessRecord<'a> {
    /// When, as RFC 3339 in UTC.
    pub time: &'a str,
    /// The site that was asked.
    pub site: &'a str,
    /// `GET` or `HEAD`, or what else was tried.
    pub method: &'a str,
    /// What was asked for: `manifest`, `blob`, `tags`, …
    pub kind: &'static str,
    /// The repository, if the request names one.
    pub repository: &'a str,
    /// The tag, if the request names one.
    pub tag: &'a str,
    /// The object that was answered or redirected to.
    pub digest: Option<&'a Digest>,
    /// The client's provider; empty if unknown.
    pub provider: &'a str,
    /// The client's region; empty if unknown.
    pub region: &'a str,
    /// The copy that serves the bytes; empty for what the front answers itself.
    pub copy: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// Bytes handed out, here or by the redirect's target if the client takes all of it.
    pub bytes: u64,
    /// The user agent's product.
    pub agent: &'a str,
}

impl AccessRecord<'_> {
    /// Appends the record as one line of JSON with its newline.
    pub fn append_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(self.time.as_bytes());
        out.push(b'"');
        self.append_fields(out);
        out.extend_from_slice(b",\"bytes\":");
        append_number(self.bytes, out);
        out.extend_from_slice(b"}\n");
    }

    /// Appends every field but the time and the bytes, each with a comma before it: what records
    /// of one minute are counted by.
    pub fn append_fields(&self, out: &mut Vec<u8>) {
        let fields = [
            (",\"site\":\"", self.site),
            (",\"method\":\"", self.method),
            (",\"kind\":\"", self.kind),
            (",\"repository\":\"", self.repository),
            (",\"tag\":\"", self.tag),
            (",\"provider\":\"", self.provider),
            (",\"region\":\"", self.region),
            (",\"copy\":\"", self.copy),
            (",\"agent\":\"", self.agent),
        ];
        let begin = out.len();
        let mut quotes = 0;
        for (name, value) in fields {
            if !value.is_empty() {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(value.as_bytes());
                out.push(b'"');
                quotes += 4;
            }
        }
        // Hardly ever is there anything to escape, and to look at all at once costs the least.
        if specials(&out[begin..]) != quotes {
            out.truncate(begin);
            for (name, value) in fields.into_iter().filter(|(_, value)| !value.is_empty()) {
                out.extend_from_slice(name.as_bytes());
                append_escaped(value, out);
                out.push(b'"');
            }
        }
        if let Some(digest) = self.digest {
            out.extend_from_slice(b",\"digest\":\"");
            digest.append_to(b':', out);
            out.push(b'"');
        }
        out.extend_from_slice(b",\"status\":");
        append_number(u64::from(self.status), out);
    }
}

/// A record as it is read back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredRecord<'a> {
    /// When, as RFC 3339 in UTC.
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    /// The site that was asked.
    #[serde(borrow, default)]
    pub site: Cow<'a, str>,
    /// The request's method.
    #[serde(borrow, default)]
    pub method: Cow<'a, str>,
    /// What was asked for.
    #[serde(borrow, default)]
    pub kind: Cow<'a, str>,
    /// The repository.
    #[serde(borrow, default)]
    pub repository: Cow<'a, str>,
    /// The tag.
    #[serde(borrow, default)]
    pub tag: Cow<'a, str>,
    /// The client's provider.
    #[serde(borrow, default)]
    pub provider: Cow<'a, str>,
    /// The client's region.
    #[serde(borrow, default)]
    pub region: Cow<'a, str>,
    /// The copy that serves the bytes.
    #[serde(borrow, default)]
    pub copy: Cow<'a, str>,
    /// The user agent's product.
    #[serde(borrow, default)]
    pub agent: Cow<'a, str>,
    /// The object.
    #[serde(default)]
    pub digest: Option<Digest>,
    /// The HTTP status.
    pub status: u16,
    /// Bytes handed out, by all answers together.
    pub bytes: u64,
    /// How many answers the line stands for; one if it does not say.
    #[serde(default = "one")]
    pub answers: u64,
}

const fn one() -> u64 {
    1
}

/// The product of a `User-Agent` (RFC 9110, section 10.1.5): its first token without version, at
/// most 32 characters; empty if it does not begin with a token.
pub fn product(user_agent: &[u8]) -> &str {
    let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
    let len = user_agent.iter().take(32).take_while(|b| is_token(b)).count();
    user_agent.get(..len).and_then(|token| std::str::from_utf8(token).ok()).unwrap_or_default()
}

fn append_number(number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b"0123456789"[(rest % 10) as usize];
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// How many bytes a JSON string cannot have as they are: quotes, backslashes, control characters.
fn specials(text: &[u8]) -> usize {
    let is_special = |b: &u8| u8::from(*b < 0x20) | u8::from(*b == b'"') | u8::from(*b == b'\\');
    // A byte counts to 255, and bytes are counted many at once.
    let counts = text.chunks(128).map(|chunk| chunk.iter().map(is_special).sum::<u8>());
    counts.map(usize::from).sum()
}

fn append_escaped(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_product_is_told_and_nothing_else() {
        assert_eq!(product(b"containerd/1.6.20 (linux; secret)"), "containerd");
        assert_eq!(product(b"skopeo/1.9"), "skopeo");
        assert_eq!(product(b"\"><script>"), "");
        assert_eq!(product(&[b'a'; 99]).len(), 32);
        assert_eq!(product(b"\xff"), "");
    }

    proptest! {
        #[test]
        fn a_line_reads_back_as_it_was(site in "\\PC{0,200}", tag in "[a-z]{0,5}", agent in "[\\x00-\\x7f]{0,9}", status in 100u16..600, bytes: u64) {
            let digest = Digest::sha256_of(site.as_bytes());
            let record = AccessRecord {
                time: "2026-11-22T00:00:00.000Z", site: &site, method: "GET", kind: "blob",
                repository: "a/b", tag: &tag, digest: Some(&digest), provider: "aws", region: "",
                copy: "c", status, bytes, agent: &agent,
            };
            let mut line = Vec::new();
            record.append_json(&mut line);
            prop_assert_eq!(line.split(|b| *b == b'\n').count(), 2);
            let read: StoredRecord<'_> = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!((&*read.site, &*read.tag, &*read.agent), (&*site, &*tag, &*agent));
            prop_assert_eq!((read.status, read.bytes, read.digest), (status, bytes, Some(digest)));
            prop_assert_eq!(read.answers, 1);
        }
    }
}
