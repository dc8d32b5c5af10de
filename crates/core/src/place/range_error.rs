//! Why a range file is refused, in words that lead to the entry.
//!
//! A file is refused whole: half a map sends half of the users to the wrong cloud. What a stranger
//! wrote is quoted escaped and cut short.

use std::fmt;

use super::prefix::PrefixError;
use super::{PlaceError, RangeFormat, excerpt};

/// Why a range file is refused. Whoever has older ranges keeps them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The file is not of the format at all.
    #[error("not the format of {format}: {problem}")]
    Format {
        /// The format that was expected.
        format: RangeFormat,
        /// What is wrong and on which line.
        problem: String,
    },
    /// One entry is wrong.
    #[error("{entry}: {problem}")]
    Entry {
        /// Which one: `prefixes[12]`, `line 7`.
        entry: String,
        /// What is wrong with it.
        problem: EntryError,
    },
    /// A source that places nobody is a broken download.
    #[error("no prefix in it: is it the whole file, and is it {0}?")]
    Empty(RangeFormat),
}

/// What is wrong with one entry of a range file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The prefix.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// The provider or region.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Google's entries name one or the other.
    #[error("neither `ipv4Prefix` nor `ipv6Prefix`")]
    NoPrefix,
    /// A CSV line that is not three fields.
    #[error("not the three fields `cidr,provider,region`")]
    Fields,
    /// A CSV line whose provider is empty, in a source that has no default.
    #[error("no provider: write `cidr,provider,region`, or give the source a provider")]
    NoProvider,
}

impl EntryError {
    pub(super) fn at(self, entry: impl fmt::Display) -> RangeError {
        RangeError::Entry { entry: entry.to_string(), problem: self }
    }
}

impl RangeError {
    pub(super) fn json(format: RangeFormat, error: &serde_json::Error) -> Self {
        // serde_json quotes strings in full and says the position last.
        let message = error.to_string();
        let what = message.rsplit_once(" at line ").map_or(&*message, |(what, _)| what);
        let problem =
            format!("line {}, column {}: {}", error.line(), error.column(), excerpt(what));
        Self::Format { format, problem }
    }
}
