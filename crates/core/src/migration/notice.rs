//! What users are told, and where clients look for it.
//!
//! `Warning` (OCI distribution specification 1.1), `Deprecation` (RFC 9745) and `Sunset` (RFC 8594).
//! The texts of headers are made here and nowhere else; who sends them only chooses which.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Client, Migration, Phase, Step, Steps};

/// The specification's limit for all warnings of one answer together.
///
/// <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#warnings>
pub const MAX_MESSAGE_BYTES: usize = 4_096;

/// Since when the old name is deprecated and when it ends, as headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecation {
    /// `Deprecation`: a date of structured fields (RFC 9651, section 3.3.7).
    pub deprecation: String,
    /// `Sunset`: an HTTP date, if an end is planned.
    pub sunset: Option<String>,
}

impl Step {
    /// The value of a `Warning` header that tells its message, if it has one.
    pub fn warning(&self) -> Option<String> {
        if self.message.is_empty() {
            return None;
        }
        let mut text = String::with_capacity(self.message.len() + 8);
        text.push_str("299 - \"");
        for character in self.message.chars() {
            match character {
                '"' | '\\' => text.extend(['\\', character]),
                ' '..='~' => text.push(character),
                // A header has no others; what is refused in a plan never comes here.
                _ => text.push('?'),
            }
        }
        text.push('"');
        Some(text)
    }
}

impl Migration {
    /// The steps whose messages are told to who asks for `repository` at `moment`: those that are
    /// under way, in whatever mode, since users are told before anything is done to them.
    pub fn told<'a>(
        &'a self,
        moment: Timestamp,
        client: &'a Client<'a>,
        repository: &'a str,
        aborted: Steps,
    ) -> impl Iterator<Item = usize> + 'a {
        (0..self.steps.len()).filter(move |&step| {
            !self.steps[step].message.is_empty()
                && self.is_under_way(step, moment, aborted)
                && self.steps[step].scope.has(client, repository)
        })
    }

    /// When the old name became, or becomes, deprecated: the first announcement. `None` if nothing
    /// is announced.
    pub fn deprecated(&self) -> Option<Timestamp> {
        let announces = self.steps.iter().filter(|step| step.phase == Phase::Announce);
        announces.map(|step| step.start).min()
    }

    /// When the old name ends, if that is planned and not taken back.
    pub fn sunset(&self) -> Option<Timestamp> {
        let ends = self.steps.iter().filter(|step| step.phase == Phase::Sunset);
        ends.filter(|step| step.aborted.is_none()).map(|step| step.start).min()
    }

    /// The headers that say so at any moment. RFC 8594 warns of a sunset before the deprecation,
    /// which no migration has.
    pub fn deprecation(&self) -> Option<Deprecation> {
        let deprecation = format!("@{}", self.deprecated()?.as_second());
        let sunset = self
            .sunset()
            .map(|at| at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        Some(Deprecation { deprecation, sunset })
    }
}
