//! Copies: the places that hold objects, and sets of them.
//!
//! A copy is known by a small number, so that "who holds this object" is one integer and routing
//! is a few bit operations.

use std::fmt;

/// The most copies that one configuration may have.
pub const MAX_COPIES: usize = 32;

/// A copy's number: its place in the configuration's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyId(u8);

impl CopyId {
    /// The first copy of a list.
    pub const FIRST: Self = Self(0);

    /// The copy at `index`; `None` beyond [`MAX_COPIES`].
    pub fn new(index: usize) -> Option<Self> {
        u8::try_from(index).ok().filter(|&id| usize::from(id) < MAX_COPIES).map(Self)
    }

    /// Its place in the list.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A set of copies.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CopySet(u32);

impl CopySet {
    /// No copy.
    pub const EMPTY: Self = Self(0);
    /// Every copy that there could be.
    pub const ALL: Self = Self(u32::MAX);

    /// The set whose members are the bits of `bits`.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The members as bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set with `copy` in it.
    #[must_use]
    pub const fn with(self, copy: CopyId) -> Self {
        Self(self.0 | 1 << copy.0)
    }

    /// The set without `copy`.
    #[must_use]
    pub const fn without(self, copy: CopyId) -> Self {
        Self(self.0 & !(1 << copy.0))
    }

    /// Members of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Members of either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Members of this one that are not in `other`.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True if `copy` is a member.
    pub const fn contains(self, copy: CopyId) -> bool {
        self.0 & 1 << copy.0 != 0
    }

    /// True if there is no member.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many members there are.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The first member.
    pub fn first(self) -> Option<CopyId> {
        CopyId::new(self.0.trailing_zeros() as usize)
    }

    /// The members, in order.
    pub fn iter(self) -> impl Iterator<Item = CopyId> {
        let mut rest = self;
        std::iter::from_fn(move || {
            let next = rest.first()?;
            rest = rest.without(next);
            Some(next)
        })
    }
}

impl FromIterator<CopyId> for CopySet {
    fn from_iter<I: IntoIterator<Item = CopyId>>(copies: I) -> Self {
        copies.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for CopySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(CopyId::index)).finish()
    }
}
