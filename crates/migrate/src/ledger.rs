//! The ledger of exceptions: only ever added to, signed, and chained, so that nothing in it can be
//! changed, removed or put in another order without being noticed.
//!
//! One JSON line for each entry: a DSSE envelope with the signatures of a quorum of approvers over an
//! [`Entry`], which names the digest of the line before it. What only the last line could hide, its
//! own removal, is noticed by a [`Head`] that is kept elsewhere: in the policy, under review.
//!
//! Invariant: an entry is parsed only after enough approvers have turned out to have signed it, and a
//! [`Ledger`] is whole.

pub mod file;

use std::fmt;

use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::pointer::{Envelope, EnvelopeSignature, Keys, Verified, VerifyError};
use serde::{Deserialize, Serialize};

use crate::dates::date;
use crate::policy::Exception;

/// The `payloadType` of an entry's envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.landbridge.migration-exception.v1+json";
/// The largest ledger that is read, in bytes.
pub const MAX_LEDGER_BYTES: u64 = 16 << 20;

/// An exception in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it was proposed; never before the one before it.
    pub date: Timestamp,
    /// What is excused.
    pub exception: Exception,
    /// Digest of the line before it; none for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// Its number, from 1.
    pub sequence: u64,
}

/// How a ledger ended when somebody looked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// How many entries it had.
    pub entries: u64,
    /// Digest of the last line.
    pub digest: Digest,
}

/// A ledger with which nothing is wrong.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Vec<Verified<Entry>>,
}

/// What is wrong with a ledger: where, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct LedgerError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: LedgerProblem,
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the ledger {}", self.line, self.problem)
    }
}

/// What can be wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerProblem {
    /// Not signed by the quorum, or changed since.
    #[error("is not what the approvers signed: {0}; take the line from where it was reviewed")]
    Untrusted(VerifyError),
    /// Another number than its place.
    #[error(
        "is entry {found}, where entry {wanted} belongs: lines were removed, repeated or moved"
    )]
    Sequence {
        /// Its number.
        found: u64,
        /// Its place.
        wanted: u64,
    },
    /// It names another line before it.
    #[error("does not follow the line before it, which was changed after this one was signed")]
    Previous,
    /// It is older than the one before it.
    #[error("is dated {found}, before the one before it ({before})")]
    Date {
        /// Its date.
        found: String,
        /// That of the one before it.
        before: String,
    },
    /// It ends before the head, or has another line in its place.
    #[error(
        "is where the ledger ends, but it had {wanted} entries when its head was noted: lines are missing at the end"
    )]
    Short {
        /// How many there were.
        wanted: u64,
    },
    /// The line that was the last is another one.
    #[error("is not the line that was the last when the ledger's head was noted")]
    Head,
}

impl Ledger {
    /// Reads a ledger's text and believes it only if all of it is right. An empty one has nothing
    /// wrong, unless a `head` says that there was something.
    pub fn verify(text: &str, keys: &Keys, head: Option<&Head>) -> Result<Self, LedgerError> {
        let mut entries: Vec<Verified<Entry>> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let error = |problem| LedgerError { line: at + 1, problem };
            let entry = keys.open::<Entry>(PAYLOAD_TYPE, line.as_bytes());
            let entry = entry.map_err(|why| error(LedgerProblem::Untrusted(why)))?;
            follows(entries.last(), entry.content()).map_err(error)?;
            entries.push(entry);
        }
        if let Some(head) = head {
            let ends = LedgerError {
                line: entries.len(),
                problem: LedgerProblem::Short { wanted: head.entries },
            };
            let last = usize::try_from(head.entries).ok().and_then(|count| count.checked_sub(1));
            let Some(last) = last else { return Ok(Self { entries }) };
            let noted = entries.get(last).ok_or(ends)?;
            if *noted.envelope() != head.digest {
                return Err(LedgerError { line: last + 1, problem: LedgerProblem::Head });
            }
        }
        Ok(Self { entries })
    }

    /// Its entries, the oldest first.
    pub fn entries(&self) -> &[Verified<Entry>] {
        &self.entries
    }

    /// How it ends, to be noted elsewhere; none for an empty one.
    pub fn head(&self) -> Option<Head> {
        let last = self.entries.last()?;
        Some(Head { entries: self.entries.len() as u64, digest: *last.envelope() })
    }

    /// An entry for `exception` in the next place, which nobody has signed yet.
    pub fn propose(&self, date: Timestamp, exception: Exception) -> Draft {
        let entry = Entry {
            date,
            exception,
            previous: self.entries.last().map(|last| *last.envelope()),
            sequence: self.entries.len() as u64 + 1,
        };
        // Plain structs of strings and numbers always have an encoding.
        let payload = serde_json::to_vec(&entry).unwrap_or_default();
        Draft { envelope: Envelope::new(PAYLOAD_TYPE, &payload, Vec::new()), entry, payload }
    }

    /// The line of a draft that enough approvers have signed, if it follows the last one here.
    pub fn append(&mut self, draft: &Draft, keys: &Keys) -> Result<String, LedgerError> {
        let line = draft.encode();
        let error = |problem| LedgerError { line: self.entries.len() + 1, problem };
        let entry = keys.open::<Entry>(PAYLOAD_TYPE, line.as_bytes());
        let entry = entry.map_err(|why| error(LedgerProblem::Untrusted(why)))?;
        follows(self.entries.last(), entry.content()).map_err(error)?;
        self.entries.push(entry);
        Ok(line)
    }
}

/// Whether an entry may stand after `last`.
fn follows(last: Option<&Verified<Entry>>, entry: &Entry) -> Result<(), LedgerProblem> {
    let wanted = last.map_or(0, |last| last.content().sequence) + 1;
    if entry.sequence != wanted {
        return Err(LedgerProblem::Sequence { found: entry.sequence, wanted });
    }
    if entry.previous.as_ref() != last.map(Verified::envelope) {
        return Err(LedgerProblem::Previous);
    }
    match last.map(|last| last.content().date) {
        Some(before) if entry.date < before => Err(LedgerProblem::Date {
            found: date(entry.date).to_string(),
            before: date(before).to_string(),
        }),
        _ => Ok(()),
    }
}

/// An entry on its way: approvers sign it one after the other.
#[derive(Debug, Clone)]
pub struct Draft {
    envelope: Envelope,
    entry: Entry,
    payload: Vec<u8>,
}

impl Draft {
    /// Reads a draft. What it says is not signed yet by enough, so it is for people to look at.
    pub fn parse(text: &str) -> Result<Self, DraftError> {
        use base64::Engine as _;
        let envelope: Envelope = serde_json::from_str(text.trim())?;
        if envelope.payload_type != PAYLOAD_TYPE {
            return Err(DraftError::Type(envelope.payload_type.chars().take(80).collect()));
        }
        let payload = base64::engine::general_purpose::STANDARD.decode(&envelope.payload);
        let payload = payload.map_err(|_| DraftError::Encoding)?;
        let entry = serde_json::from_slice(&payload)?;
        Ok(Self { envelope, entry, payload })
    }

    /// What is proposed.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// The bytes to sign, as [`PAYLOAD_TYPE`].
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// How many signatures it has.
    pub fn signatures(&self) -> usize {
        self.envelope.signatures.len()
    }

    /// Adds signatures; a key that has signed already is not added again.
    pub fn add(&mut self, signatures: Vec<EnvelopeSignature>) {
        for signature in signatures {
            let has = |other: &EnvelopeSignature| other.keyid == signature.keyid;
            if !self.envelope.signatures.iter().any(has) {
                self.envelope.signatures.push(signature);
            }
        }
    }

    /// It as one line, which is what the ledger will have.
    pub fn encode(&self) -> String {
        String::from_utf8(self.envelope.encode()).unwrap_or_default()
    }
}

/// Why a text is no draft.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    /// Not an envelope, or what is in it is no entry.
    #[error("this is no draft of an exception")]
    Json(#[from] serde_json::Error),
    /// An envelope of something else.
    #[error("this is an envelope with `{0}`, not with an exception")]
    Type(String),
    /// Its payload is not base64.
    #[error("the draft's payload is not base64: it was damaged on the way")]
    Encoding,
}

#[cfg(test)]
mod tests;
