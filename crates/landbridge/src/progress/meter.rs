//! How far a run is, as numbers: what bars, lines and events are made of.

use std::fmt::Write as _;
use std::time::Duration;

use landbridge_replicate::{Progress, Size};
use serde::Serialize;

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Meter {
    /// Repositories that were looked at.
    pub(crate) repositories: Part,
    /// Objects that all copies have.
    pub(crate) objects: Part,
    /// Bytes that were read from the source.
    pub(crate) bytes: Part,
    /// What each copy got of what it has to get.
    pub(crate) copies: Vec<Copy>,
    /// When reading began.
    #[serde(skip)]
    began: Duration,
}

/// Some of a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    pub(crate) done: u64,
    pub(crate) of: u64,
}

/// One copy's share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Copy {
    pub(crate) name: String,
    pub(crate) objects: Part,
    pub(crate) bytes: Part,
}

impl Meter {
    /// Counts something that happened `now`, on whatever clock.
    pub(crate) fn count(&mut self, progress: &Progress, now: Duration) {
        match progress {
            Progress::Looked { repositories, of } => {
                self.repositories = Part { done: *repositories, of: *of };
            }
            Progress::Planned { objects, bytes, copies } => {
                self.objects = Part { done: 0, of: *objects };
                self.bytes = Part { done: 0, of: *bytes };
                let copy = |work: &landbridge_replicate::CopyWork| Copy {
                    name: work.name.clone(),
                    objects: Part { done: 0, of: work.objects },
                    bytes: Part { done: 0, of: work.bytes },
                };
                self.copies = copies.iter().map(copy).collect();
                self.began = now;
            }
            Progress::Advanced { bytes, .. } => self.bytes.done += bytes,
            Progress::Placed { copy, size } => {
                if let Some(copy) = self.copies.get_mut(copy.index()) {
                    copy.objects.done += 1;
                    copy.bytes.done += size;
                }
            }
            Progress::Finished { .. } => self.objects.done += 1,
            Progress::Started { .. }
            | Progress::Priced { .. }
            | Progress::Publishing { .. }
            | Progress::Rebasing { .. } => {}
        }
    }

    /// Bytes read in a second, so far.
    pub(crate) fn bytes_per_second(&self, now: Duration) -> u64 {
        let millis = now.saturating_sub(self.began).as_millis().max(1);
        u64::try_from(u128::from(self.bytes.done) * 1_000 / millis).unwrap_or(u64::MAX)
    }

    /// How long the rest takes at this pace; `None` before there is a pace.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        let rest = self.bytes.of.saturating_sub(self.bytes.done);
        rest.checked_div(self.bytes_per_second(now)).map(Duration::from_secs)
    }

    /// All of it on one line.
    pub(crate) fn line(&self, now: Duration) -> String {
        if self.objects.of == 0 {
            let Part { done, of } = self.repositories;
            return format!("{done} of {of} repositories looked at");
        }
        let (objects, bytes) = (self.objects, self.bytes);
        let rate = Size(self.bytes_per_second(now));
        let (done, of) = (Size(bytes.done), Size(bytes.of));
        let mut text =
            format!("{} of {} objects, {done} of {of}, {rate}/s", objects.done, objects.of);
        // Writing into a text cannot fail.
        if let Some(left) = self.left(now) {
            let _ = write!(text, ", about {} s left", left.as_secs());
        }
        for (at, copy) in self.copies.iter().filter(|copy| copy.objects.of > 0).enumerate() {
            let Copy { name, objects: Part { done, of }, .. } = copy;
            let _ = write!(text, "{} {name} {done}/{of}", if at == 0 { ";" } else { "," });
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use landbridge_core::Digest;
    use landbridge_core::topology::CopyId;
    use landbridge_replicate::CopyWork;

    use super::*;

    #[test]
    fn a_line_tells_objects_bytes_pace_rest_and_every_copy() {
        let digest = Digest::sha256_of(b"");
        let work = |name: &str, objects| CopyWork { name: name.to_owned(), objects, bytes: 4096 };
        let copies = vec![work("authority", 2), work("aws", 2), work("gcp", 0)];
        let mut meter = Meter::default();
        let second = Duration::from_secs;
        meter.count(&Progress::Looked { repositories: 3, of: 40 }, second(1));
        assert_eq!(meter.line(second(1)), "3 of 40 repositories looked at");
        meter.count(&Progress::Planned { objects: 2, bytes: 4096, copies }, second(10));
        assert_eq!(meter.left(second(10)), None);
        meter.count(&Progress::Advanced { digest, bytes: 1024 }, second(11));
        meter.count(&Progress::Placed { copy: CopyId::new(1).unwrap(), size: 1024 }, second(11));
        meter.count(&Progress::Finished { digest }, second(12));
        assert_eq!(
            meter.line(second(12)),
            "1 of 2 objects, 1.0 KiB of 4.0 KiB, 512 B/s, about 6 s left; authority 0/2, aws 1/2"
        );
    }
}
