//! Whether those whom a step has moved fare worse than the others.

use super::AbortRule;

/// How some clients fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fared {
    /// Their requests.
    pub requests: u64,
    /// Those that went wrong: answered by an error, or asked again for the same.
    pub bad: u64,
}

/// What the comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Too few have asked to say anything.
    TooFew,
    /// The moved fare no worse than the rule allows.
    Fine,
    /// They do.
    Worse {
        /// The moved.
        moved: Fared,
        /// The others.
        others: Fared,
    },
}

impl Fared {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            bad: self.bad.saturating_add(other.bad),
        }
    }
}

impl AbortRule {
    /// Compares the moved with the others: worse is who has a rate of bad requests that is higher by
    /// more than the margin.
    pub fn judge(&self, moved: Fared, others: Fared) -> Verdict {
        let least = self.minimum_requests.max(1);
        if moved.requests < least || others.requests < least {
            return Verdict::TooFew;
        }
        // a/b > c/d + m/1000, without dividing; more than fits is as much as can be.
        let [a, b, c, d] = [moved.bad, moved.requests, others.bad, others.requests].map(u128::from);
        let moved_rate = (1_000 * a).saturating_mul(d);
        let allowed = (1_000 * c).saturating_mul(b);
        let margin = (u128::from(self.margin) * b).saturating_mul(d);
        let is_worse = moved_rate > allowed.saturating_add(margin);
        if is_worse { Verdict::Worse { moved, others } } else { Verdict::Fine }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_is_more_than_the_margin_among_enough() {
        let rule = AbortRule {
            margin: 20,
            minimum_requests: 100,
            window_seconds: 600,
            command: Vec::new(),
        };
        let fared = |requests, bad| Fared { requests, bad };
        for (moved, others, expected) in [
            (fared(99, 99), fared(1_000, 0), Verdict::TooFew),
            (fared(1_000, 999), fared(99, 0), Verdict::TooFew),
            (fared(1_000, 20), fared(1_000, 0), Verdict::Fine),
            (
                fared(1_000, 21),
                fared(1_000, 0),
                Verdict::Worse { moved: fared(1_000, 21), others: fared(1_000, 0) },
            ),
            (fared(1_000, 120), fared(200, 20), Verdict::Fine),
            (fared(u64::MAX, u64::MAX), fared(u64::MAX, u64::MAX), Verdict::Fine),
        ] {
            assert_eq!(rule.judge(moved, others), expected, "{moved:?} {others:?}");
        }
    }
}
