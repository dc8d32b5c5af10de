//! What an import did, for people and for programs.

use std::fmt;

use landbridge_core::Digest;
use serde::Serialize;

use crate::plan::Plan;

/// What an import did. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The tags that were named.
    pub tags: Vec<TagReport>,
    /// The generation that is published now.
    pub generation: Digest,
    /// The pointer that published it; `None` if it was published before.
    pub sequence: Option<u64>,
    /// How many objects the images consist of.
    pub objects: u64,
    /// How many of them were read from the source, each once.
    pub objects_read: u64,
    /// Their bytes.
    pub bytes_read: u64,
    /// Bytes that were written, all copies together.
    pub bytes_written: u64,
    /// How many objects were there before and were checked by reading them, all copies together.
    pub objects_checked: u64,
    /// How many times another publication came first.
    pub rebases: u32,
    /// What the source lists and was left out.
    pub skipped: Vec<String>,
    /// What is published, is not in the registry, and stays.
    pub kept: Vec<String>,
    /// Mirrors that fell behind and were caught up: a sentence for each.
    pub recovered: Vec<String>,
    /// What went wrong without stopping the import.
    pub warnings: Vec<String>,
}

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TagReport {
    /// `repository:tag`
    pub name: String,
    /// What it means.
    pub digest: Digest,
    /// What it meant before.
    pub before: Option<Digest>,
}

/// What happened while a plan was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) objects_read: u64,
    pub(crate) bytes_read: u64,
    pub(crate) bytes_written: u64,
    pub(crate) objects_checked: u64,
    pub(crate) rebases: u32,
    pub(crate) recovered: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// Sums up. `sequence` is that of the pointer, if one was needed.
pub(crate) fn report(plan: &Plan, tally: Tally, sequence: Option<u64>) -> Report {
    let tag = |change: &crate::plan::TagChange| TagReport {
        name: format!("{}:{}", change.repository, change.tag),
        digest: change.to,
        before: change.from,
    };
    Report {
        tags: plan.tags.iter().map(tag).collect(),
        generation: plan.generation,
        sequence,
        objects: plan.objects.len() as u64,
        objects_read: tally.objects_read,
        bytes_read: tally.bytes_read,
        bytes_written: tally.bytes_written,
        objects_checked: tally.objects_checked,
        rebases: tally.rebases,
        skipped: plan.skipped.clone(),
        kept: plan.kept.clone(),
        recovered: tally.recovered,
        warnings: plan.warnings.iter().cloned().chain(tally.warnings).collect(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for tag in &self.tags {
            match tag.before {
                Some(before) if before == tag.digest => {
                    writeln!(f, "{} was {} already", tag.name, tag.digest)?;
                }
                Some(before) => writeln!(f, "{} is {}, was {before}", tag.name, tag.digest)?,
                None => writeln!(f, "{} is {}", tag.name, tag.digest)?,
            }
        }
        writeln!(
            f,
            "{} of {} objects read ({}), {} written",
            self.objects_read,
            self.objects,
            Size(self.bytes_read),
            Size(self.bytes_written)
        )?;
        if self.objects_checked > 0 {
            writeln!(f, "{} objects were there and were checked", self.objects_checked)?;
        }
        for skipped in &self.skipped {
            writeln!(f, "left out: {skipped}")?;
        }
        for kept in &self.kept {
            writeln!(f, "kept: {kept}")?;
        }
        for recovered in &self.recovered {
            writeln!(f, "{recovered}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        match self.sequence {
            Some(sequence) => write!(f, "published as {sequence}: {}", self.generation),
            None => write!(f, "nothing new to publish: {}", self.generation),
        }
    }
}

/// A number of bytes as people read it.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while size >= 1024.0 && unit + 1 < UNITS.len() {
            size /= 1024.0;
            unit += 1;
        }
        write!(f, "{size:.1} {}", UNITS[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let table = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (u64::MAX, "16384.0 PiB")];
        for (size, text) in table {
            assert_eq!(Size(size).to_string(), text);
        }
    }
}
