//! Days, as people count them.

use jiff::Timestamp;

pub(crate) const DAY: i64 = 86_400;

/// Whole days from one moment to another; negative if it is the earlier one.
pub(crate) fn days(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()).div_euclid(DAY)
}

/// The date in UTC.
pub(crate) fn date(at: Timestamp) -> impl std::fmt::Display {
    at.strftime("%Y-%m-%d")
}
