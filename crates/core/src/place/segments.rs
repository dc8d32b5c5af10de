//! Nested prefixes flattened into segments, which a plain binary search finds.
//!
//! Prefixes either nest or are apart, so one pass over them in order, with a stack of those that
//! are open, gives the innermost place of every address. A look-up then compares integers in one
//! array; it follows no pointers and allocates nothing.
//!
//! Invariant: starts are strictly ascending and the first is 0; a segment ends where the next one
//! starts, and neighbours differ in place.

use super::PlaceId;

/// What a prefix covers, first and last address included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) first: u128,
    pub(super) last: u128,
    pub(super) place: PlaceId,
}

/// Gives every address of a family the place of the innermost block that holds it.
///
/// `blocks` nest or are apart, in ascending order, an outer one before those within it.
fn flatten(blocks: impl Iterator<Item = Block>) -> Vec<(u128, PlaceId)> {
    let mut segments = vec![(0, PlaceId::UNKNOWN)];
    let mut open: Vec<Block> = Vec::new();
    for block in blocks {
        while let Some(ended) = open.pop_if(|outer| outer.last < block.first) {
            resume(&mut segments, ended, &open);
        }
        start(&mut segments, block.first, block.place);
        open.push(block);
    }
    while let Some(ended) = open.pop() {
        resume(&mut segments, ended, &open);
    }
    segments
}

/// After a block the one around it goes on.
fn resume(segments: &mut Vec<(u128, PlaceId)>, ended: Block, open: &[Block]) {
    if let Some(next) = ended.last.checked_add(1) {
        start(segments, next, open.last().map_or(PlaceId::UNKNOWN, |outer| outer.place));
    }
}

/// Starts a segment, in the stead of one that would be empty, and none where nothing changes.
fn start(segments: &mut Vec<(u128, PlaceId)>, at: u128, place: PlaceId) {
    segments.pop_if(|(start, _)| *start == at);
    if segments.last().is_none_or(|(_, before)| *before != place) {
        segments.push((at, place));
    }
}

/// The places of all IPv4 addresses.
///
/// An index by the upper 16 bits leaves the binary search a handful of segments, most often none.
#[derive(Debug)]
pub(super) struct Ipv4Segments {
    starts: Vec<u32>,
    places: Vec<PlaceId>,
    /// At `n`: how many segments start at or below `n << 16`; one entry more for the end.
    started: Vec<u32>,
}

impl Ipv4Segments {
    pub(super) fn new(blocks: impl Iterator<Item = Block>) -> Self {
        // A segment that starts behind the last IPv4 address is dropped here.
        let segments = flatten(blocks).into_iter();
        let (starts, places): (Vec<u32>, Vec<PlaceId>) =
            segments.filter_map(|(start, place)| Some((u32::try_from(start).ok()?, place))).unzip();
        let mut started = Vec::with_capacity((1 << 16) + 1);
        let mut count = 0;
        for n in 0..=u32::from(u16::MAX) {
            while starts.get(count).is_some_and(|&start| start <= n << 16) {
                count += 1;
            }
            started.push(saturated(count));
        }
        started.push(saturated(starts.len()));
        Self { starts, places, started }
    }

    pub(super) fn locate(&self, address: u32) -> PlaceId {
        let upper = (address >> 16) as usize;
        let (from, to) = (self.started[upper] as usize, self.started[upper + 1] as usize);
        let segment = from + self.starts[from..to].partition_point(|&start| start <= address);
        self.places[segment - 1]
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
}

/// Four thousand million segments do not fit in a machine that reads them from a file.
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The places of all IPv6 addresses.
#[derive(Debug)]
pub(super) struct Ipv6Segments {
    starts: Vec<u128>,
    places: Vec<PlaceId>,
}

impl Ipv6Segments {
    pub(super) fn new(blocks: impl Iterator<Item = Block>) -> Self {
        let (starts, places) = flatten(blocks).into_iter().unzip();
        Self { starts, places }
    }

    pub(super) fn locate(&self, address: u128) -> PlaceId {
        self.places[self.starts.partition_point(|&start| start <= address) - 1]
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: PlaceId = PlaceId(1);
    const INNER: PlaceId = PlaceId(2);

    fn flat(blocks: &[(u128, u128, PlaceId)]) -> Vec<(u128, PlaceId)> {
        flatten(blocks.iter().map(|&(first, last, place)| Block { first, last, place }))
    }

    #[test]
    fn blocks_become_segments() {
        let unknown = PlaceId::UNKNOWN;
        assert_eq!(flat(&[]), [(0, unknown)]);
        // Apart, adjacent, and adjacent in the same place.
        assert_eq!(
            flat(&[(4, 7, OUTER), (12, 15, OUTER)]),
            [(0, unknown), (4, OUTER), (8, unknown), (12, OUTER), (16, unknown)]
        );
        assert_eq!(
            flat(&[(4, 7, OUTER), (8, 15, INNER)]),
            [(0, unknown), (4, OUTER), (8, INNER), (16, unknown)]
        );
        assert_eq!(
            flat(&[(4, 7, OUTER), (8, 15, OUTER)]),
            [(0, unknown), (4, OUTER), (16, unknown)]
        );
        // Nested: in the middle, at both edges, and to no effect.
        assert_eq!(
            flat(&[(0, 15, OUTER), (4, 7, INNER)]),
            [(0, OUTER), (4, INNER), (8, OUTER), (16, unknown)]
        );
        assert_eq!(
            flat(&[(0, 15, OUTER), (0, 3, INNER), (12, 15, INNER)]),
            [(0, INNER), (4, OUTER), (12, INNER), (16, unknown)]
        );
        assert_eq!(flat(&[(0, 15, OUTER), (4, 7, OUTER)]), [(0, OUTER), (16, unknown)]);
        // One address, the first or the last of the block around it.
        assert_eq!(
            flat(&[(4, 7, OUTER), (4, 4, INNER), (7, 7, INNER)]),
            [(0, unknown), (4, INNER), (5, OUTER), (7, INNER), (8, unknown)]
        );
        // Up to the last address there is.
        assert_eq!(
            flat(&[(0, u128::MAX, OUTER), (u128::MAX, u128::MAX, INNER)]),
            [(0, OUTER), (u128::MAX, INNER)]
        );
    }
}
