//! Content digests: the name of an object, and the proof of its bytes.
//!
//! A [`Digest`] is a fixed-size value that is compared and hashed without touching the heap, since
//! the front looks one up for every blob request. Text is checked once, on the way in.
//!
//! Grammar and registered algorithms:
//! <https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests>.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// The hash functions that the image specification registers and that Landbridge accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name as the specification spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the hash in bytes.
    pub const fn size_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The digest of some bytes: an algorithm and a hash of its length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    /// The hash, padded with zeros; equality and order are those of the hash.
    bytes: [u8; 64],
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `algorithm:hex` shape, or hex of the wrong length or case.
    #[error(
        "`{0}` is no digest: expected sha256 or sha512, a colon and 64 or 128 lower-case hex digits"
    )]
    Malformed(String),
    /// Well-formed, but not an algorithm that Landbridge can check.
    #[error("digest algorithm `{0}` is not supported: use sha256 or sha512")]
    Unsupported(String),
}

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest of `bytes` by `algorithm`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest from the raw hash; `None` if its length is not the algorithm's.
    pub fn from_hash(algorithm: Algorithm, hash: &[u8]) -> Option<Self> {
        if hash.len() != algorithm.size_bytes() {
            return None;
        }
        let mut bytes = [0; 64];
        bytes[..hash.len()].copy_from_slice(hash);
        Some(Self { algorithm, bytes })
    }

    /// Reads `algorithm:hex` from the bytes of a request. Does not allocate on success.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let malformed = || DigestError::Malformed(clip(text));
        let (name, hex) = text.split_once(':').ok_or_else(malformed)?;
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other if is_algorithm(other) && is_encoded(hex) => {
                return Err(DigestError::Unsupported(clip(other)));
            }
            _ => return Err(malformed()),
        };
        let size = algorithm.size_bytes();
        if hex.len() != size * 2 {
            return Err(malformed());
        }
        let mut bytes = [0; 64];
        let mut seen = 0;
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let (high, low) = (NIBBLES[usize::from(pair[0])], NIBBLES[usize::from(pair[1])]);
            seen |= high | low;
            *byte = high << 4 | low;
        }
        if seen == NO_NIBBLE {
            return Err(malformed());
        }
        Ok(Self { algorithm, bytes })
    }

    /// The algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hash itself, of the algorithm's length.
    pub fn hash(&self) -> &[u8] {
        &self.bytes[..self.algorithm.size_bytes()]
    }

    /// The hash as lower-case hex, without the algorithm.
    pub fn hex(&self) -> impl fmt::Display + '_ {
        Hex(self.hash())
    }

    /// How many bytes the digest is as text, `algorithm:hex`.
    pub const fn text_len(&self) -> usize {
        self.algorithm.name().len() + 1 + 2 * self.algorithm.size_bytes()
    }

    /// Appends `algorithm`, `separator`, hex to `out`: the hot path's way to write a digest.
    pub fn append_to(&self, separator: u8, out: &mut Vec<u8>) {
        // Written at once: a vector that grows by two bytes asks for room 32 times.
        let mut hex = [0; 128];
        for (pair, byte) in hex.as_chunks_mut().0.iter_mut().zip(self.hash()) {
            *pair = HEX_PAIRS[usize::from(*byte)];
        }
        out.extend_from_slice(self.algorithm.name().as_bytes());
        out.push(separator);
        out.extend_from_slice(&hex[..2 * self.hash().len()]);
    }
}

/// Streaming hash of an object as it passes by.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// An empty hash.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::new(sha2::Sha512::new())),
        })
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of everything that was added.
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let algorithm = match self.0 {
            State::Sha256(state) => {
                bytes[..32].copy_from_slice(&state.finalize());
                Algorithm::Sha256
            }
            State::Sha512(state) => {
                bytes.copy_from_slice(&state.finalize());
                Algorithm::Sha512
            }
        };
        Digest { algorithm, bytes }
    }
}

const fn hex_pairs() -> [[u8; 2]; 256] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    table
}

static HEX_PAIRS: [[u8; 2]; 256] = hex_pairs();

/// What stands for a byte that is no digit: all bits, so that one look at the end finds it.
const NO_NIBBLE: u8 = 0xff;

/// The values of lower-case hex digits. Upper case is not allowed in a digest.
static NIBBLES: [u8; 256] = {
    let mut table = [NO_NIBBLE; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value as usize] as usize] = value;
        value += 1;
    }
    table
};

/// `algorithm ::= component (separator component)*` of the image specification.
fn is_algorithm(text: &str) -> bool {
    text.split(['+', '.', '_', '-']).all(|part| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

fn is_encoded(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-'))
}

/// What a message may repeat of a stranger's text.
fn clip(text: &str) -> String {
    const MOST: usize = 160;
    let mut clipped: String =
        text.chars().take(MOST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        clipped.push('…');
    }
    clipped
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 128];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&HEX_PAIRS[usize::from(*byte)]);
        }
        f.write_str(std::str::from_utf8(&text[..self.0.len() * 2]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_empty_string_has_its_well_known_digest() {
        assert_eq!(Digest::sha256_of(b"").to_string(), EMPTY);
        assert_eq!(Digest::parse(EMPTY), Ok(Digest::sha256_of(b"")));
    }

    #[test]
    fn what_is_no_digest_is_refused_and_what_is_unknown_is_told_apart() {
        let upper = EMPTY.replace('b', "B");
        for bad in
            ["", ":", "sha256", "sha256:", "sha256:e3b0", &EMPTY[..70], upper.as_str(), "sha512:00"]
        {
            assert!(matches!(Digest::parse(bad), Err(DigestError::Malformed(_))), "{bad}");
        }
        assert!(matches!(Digest::parse("blake3:abc"), Err(DigestError::Unsupported(_))));
        assert!(matches!(Digest::parse("md5+b64u:abc="), Err(DigestError::Unsupported(_))));
    }

    proptest! {
        #[test]
        fn text_round_trips(content: Vec<u8>, long: bool) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let digest = Digest::of(algorithm, &content);
            prop_assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
            let mut out = Vec::new();
            digest.append_to(b':', &mut out);
            prop_assert_eq!(String::from_utf8(out).unwrap(), digest.to_string());
        }

        #[test]
        fn strangers_cannot_make_it_panic(text in "\\PC{0,200}") {
            if let Ok(digest) = Digest::parse(&text) {
                prop_assert_eq!(digest.to_string(), text);
            }
        }
    }
}
