//! Shares of clients: which ones a step concerns, so that nobody goes to and fro.

use jiff::Timestamp;

use super::Phase;
use crate::route::StickyKey;

/// All of them, in parts.
const WHOLE: u32 = 65_536;

/// A share of all pairs of a client's network and a repository, in 65,536 parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

/// Why a number is no share.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("a share is a percentage from 0 to 100, not {0}")]
pub struct ShareError(pub f64);

/// From when on a share holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharePoint {
    /// The moment.
    pub from: Timestamp,
    /// The share.
    pub share: Share,
}

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everyone.
    pub const ALL: Self = Self(WHOLE);

    /// The share of `percent`, to the nearest 65,536th. Only nothing at all is nobody.
    pub fn of_percent(percent: f64) -> Result<Self, ShareError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(ShareError(percent));
        }
        let parts = (percent / 100.0 * f64::from(WHOLE)).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 65,536, as was just asked"
        )]
        let parts = parts as u32;
        Ok(Self(if percent > 0.0 { parts.max(1) } else { 0 }))
    }

    /// The share in percent.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(WHOLE) * 100.0
    }

    /// True if it has this client and repository, among those that `salt` orders.
    pub(super) const fn has(self, key: StickyKey, salt: u64) -> bool {
        key.is_among(self.0, salt)
    }
}

/// What orders the clients of a migration's phase: the same in all of its steps, so that a step
/// with a larger share takes in those that an earlier one had.
pub(super) fn salt(migration: &str, phase: Phase) -> u64 {
    StickyKey::new(1 << 32 | phase as u64, migration).number()
}
