//! Where an address is.

/// A place within one interner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(u16);

impl PlaceId {
    /// The place of an address that no range holds.
    pub const UNKNOWN: Self = Self(0);

    /// A position for tables by place.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}
