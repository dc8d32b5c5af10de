//! Whether new ranges may replace the old ones.
//!
//! Clouds add prefixes every week and hardly ever take them back. A file in which many are gone or
//! are suddenly another provider's is more likely a cut-off download or a wrong address than the
//! truth, and would send users to copies that cost the project more. So it is refused, the old
//! ranges stay, and a person looks.

use super::RangeSet;

/// What differs between two sets of one source, in prefixes.
///
/// A prefix that moves to another region of its provider is kept: regions are split and renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RangeChanges {
    /// In both, with the same provider.
    pub kept: usize,
    /// In the new set only.
    pub added: usize,
    /// In the old set only.
    pub vanished: usize,
    /// In both, with another provider.
    pub moved_provider: usize,
}

/// How much change is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SuspicionLimits {
    /// The share of the old prefixes that may have vanished or changed provider, in thousandths.
    /// 1000 believes everything.
    pub max_lost_permille: u16,
}

impl Default for SuspicionLimits {
    /// A tenth.
    fn default() -> Self {
        Self { max_lost_permille: 100 }
    }
}

/// New ranges that lost too many of the old prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "of {old} prefixes {} vanished and {} changed provider, more than the {} in 1000 that may; \
     the old ranges stay in use. Look at the new file: if it is right, raise the limit \
     (`max_lost_permille`) until it is taken",
    changes.vanished, changes.moved_provider, limits.max_lost_permille,
    old = changes.old_count()
)]
pub struct Suspicious {
    /// What changed.
    pub changes: RangeChanges,
    /// What may have.
    pub limits: SuspicionLimits,
}

impl RangeSet {
    /// What differs between this set and the newer one of the same source.
    pub fn compare(&self, newer: &Self) -> RangeChanges {
        let mut changes = RangeChanges { kept: 0, added: 0, vanished: 0, moved_provider: 0 };
        let mut newer = newer.iter().peekable();
        for (prefix, was) in self.iter() {
            while newer.next_if(|(other, _)| *other < prefix).is_some() {
                changes.added += 1;
            }
            match newer.next_if(|(other, _)| *other == prefix) {
                None => changes.vanished += 1,
                Some((_, is)) if is.provider == was.provider => changes.kept += 1,
                Some(_) => changes.moved_provider += 1,
            }
        }
        changes.added += newer.count();
        changes
    }
}

impl RangeChanges {
    /// Whether the new ranges may be used: no more than the share that `limits` give was lost.
    pub fn accept(&self, limits: &SuspicionLimits) -> Result<(), Suspicious> {
        let lost = self.vanished + self.moved_provider;
        if lost.saturating_mul(1000)
            > self.old_count().saturating_mul(limits.max_lost_permille.into())
        {
            return Err(Suspicious { changes: *self, limits: *limits });
        }
        Ok(())
    }

    fn old_count(&self) -> usize {
        self.kept + self.vanished + self.moved_provider
    }
}

#[cfg(test)]
mod tests {
    use super::super::RangeFormat;
    use super::*;

    fn csv(lines: &str) -> RangeSet {
        RangeSet::parse(RangeFormat::Csv, lines.as_bytes(), None).unwrap()
    }

    #[test]
    fn every_prefix_is_counted_once() {
        let old = csv("10.1.0.0/16,a,x\n10.2.0.0/16,a,x\n10.3.0.0/16,a,x\n2001:db8::/32,a,x");
        let new = csv(
            "10.0.0.0/16,b,x\n10.1.0.0/16,a,y\n10.2.0.0/16,b,x\n10.2.0.0/17,a,x\n2001:db8::/32,a,x\n2001:db9::/32,a,x",
        );
        let changes = old.compare(&new);
        assert_eq!(changes, RangeChanges { kept: 2, added: 3, vanished: 1, moved_provider: 1 });
        assert_eq!(
            new.compare(&old),
            RangeChanges { kept: 2, added: 1, vanished: 3, moved_provider: 1 }
        );
        assert_eq!(
            old.compare(&old),
            RangeChanges { kept: 4, added: 0, vanished: 0, moved_provider: 0 }
        );
    }

    #[test]
    fn the_share_that_was_lost_decides() {
        let limits = |max_lost_permille| SuspicionLimits { max_lost_permille };
        let changes = RangeChanges { kept: 90, added: 500, vanished: 7, moved_provider: 3 };
        assert_eq!(changes.accept(&limits(100)), Ok(()));
        assert!(changes.accept(&limits(99)).is_err());
        let everything = RangeChanges { kept: 0, added: 1, vanished: 1, moved_provider: 0 };
        assert!(everything.accept(&limits(999)).is_err());
        assert_eq!(everything.accept(&limits(1000)), Ok(()));
        let growth = RangeChanges { kept: 1, added: usize::MAX, vanished: 0, moved_provider: 0 };
        assert_eq!(growth.accept(&limits(0)), Ok(()));
    }

    #[test]
    fn the_refusal_says_the_numbers_and_what_to_do() {
        let changes = RangeChanges { kept: 50, added: 1, vanished: 40, moved_provider: 10 };
        assert_eq!(
            changes.accept(&SuspicionLimits::default()).unwrap_err().to_string(),
            "of 100 prefixes 40 vanished and 10 changed provider, more than the 100 in 1000 that may; \
             the old ranges stay in use. Look at the new file: if it is right, raise the limit \
             (`max_lost_permille`) until it is taken"
        );
    }
}
