//! The presence index: which copy holds an object, and how large it is, in one look-up.
//!
//! Half a million objects take 21 MiB: one array of packed entries, sorted by hash, and a table of
//! where each 16-bit prefix begins. A look-up touches the table and one or two neighbouring
//! entries. Entries are sorted in place, so that building needs no second copy.

use std::cmp::Ordering;

use crate::digest::{Algorithm, Digest};
use crate::topology::{CopyId, CopySet};

/// What is known of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Its size in bytes.
    pub size: u64,
    /// The copies that hold it.
    pub copies: CopySet,
}

/// An object's number in a [`PresenceIndex`]; objects are numbered in the order of their digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(u32);

/// Objects by digest. Made by [`PresenceBuilder`].
#[derive(Debug)]
pub struct PresenceIndex {
    sha256: Section<32>,
    sha512: Section<64>,
}

/// One algorithm's objects.
#[derive(Debug)]
struct Section<const N: usize> {
    entries: Box<[Entry<N>]>,
    /// `starts[p]` is the first entry whose hash begins with `p` or more; one more than prefixes.
    starts: Box<[u32]>,
}

/// Packed to four-byte alignment: 44 bytes for SHA-256.
#[derive(Debug, Clone, Copy)]
struct Entry<const N: usize> {
    hash: [u8; N],
    /// Little endian; as a number it would align the entry to 48 bytes.
    size: [u8; 8],
    copies: u32,
}

/// Set on the number of a SHA-512 object.
const SHA512: u32 = 1 << 31;

/// Collects objects in any order.
#[derive(Debug, Default)]
pub struct PresenceBuilder {
    sha256: Vec<Entry<32>>,
    sha512: Vec<Entry<64>>,
}

impl PresenceBuilder {
    /// A builder with room for `objects` SHA-256 objects.
    pub fn with_capacity(objects: usize) -> Self {
        Self { sha256: Vec::with_capacity(objects), sha512: Vec::new() }
    }

    /// Adds an object. One that is added again keeps its largest size (a schema 1 manifest tells
    /// none) and is held by the copies of either.
    pub fn add(&mut self, digest: &Digest, size: u64, copies: CopySet) {
        match digest.algorithm() {
            Algorithm::Sha256 => self.sha256.push(Entry::new(digest, size, copies)),
            Algorithm::Sha512 => self.sha512.push(Entry::new(digest, size, copies)),
        }
    }

    /// Sorts everything into an index.
    pub fn build(self) -> PresenceIndex {
        PresenceIndex { sha256: Section::new(self.sha256), sha512: Section::new(self.sha512) }
    }
}

impl PresenceIndex {
    /// The number of the object with this digest.
    pub fn find(&self, digest: &Digest) -> Option<ObjectId> {
        match digest.algorithm() {
            Algorithm::Sha256 => self.sha256.find(digest.hash()).map(ObjectId),
            Algorithm::Sha512 => self.sha512.find(digest.hash()).map(|at| ObjectId(at | SHA512)),
        }
    }

    /// What is known of the object with this digest.
    pub fn get(&self, digest: &Digest) -> Option<Presence> {
        self.find(digest).and_then(|id| self.presence(id))
    }

    /// What is known of an object.
    pub fn presence(&self, id: ObjectId) -> Option<Presence> {
        if id.0 & SHA512 == 0 {
            self.sha256.entries.get(id.0 as usize).map(Entry::presence)
        } else {
            self.sha512.entries.get((id.0 & !SHA512) as usize).map(Entry::presence)
        }
    }

    /// Notes that `copy` does not hold the object.
    pub fn remove(&mut self, digest: &Digest, copy: CopyId) {
        let entry = match self.find(digest) {
            Some(ObjectId(at)) if at & SHA512 == 0 => {
                self.sha256.entries.get_mut(at as usize).map(|entry| &mut entry.copies)
            }
            Some(ObjectId(at)) => {
                let entry = self.sha512.entries.get_mut((at & !SHA512) as usize);
                entry.map(|entry| &mut entry.copies)
            }
            None => None,
        };
        if let Some(copies) = entry {
            *copies = CopySet::from_bits(*copies).without(copy).bits();
        }
    }

    /// An object's digest.
    pub fn digest(&self, id: ObjectId) -> Option<Digest> {
        if id.0 & SHA512 == 0 {
            let entry = self.sha256.entries.get(id.0 as usize)?;
            Digest::from_hash(Algorithm::Sha256, &entry.hash)
        } else {
            let entry = self.sha512.entries.get((id.0 & !SHA512) as usize)?;
            Digest::from_hash(Algorithm::Sha512, &entry.hash)
        }
    }

    /// The object at `at` of all, in no order that means anything.
    pub fn nth(&self, at: usize) -> Option<(Digest, Presence)> {
        let id = match self.sha256.entries.len() {
            of_sha256 if at < of_sha256 => ObjectId(u32::try_from(at).ok()?),
            of_sha256 => ObjectId(u32::try_from(at - of_sha256).ok()? | SHA512),
        };
        Some((self.digest(id)?, self.presence(id)?))
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.sha256.entries.len() + self.sha512.entries.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<const N: usize> Section<N> {
    fn new(mut entries: Vec<Entry<N>>) -> Self {
        entries.sort_unstable_by_key(|a| a.hash);
        entries.dedup_by(|again, kept| {
            let same = again.hash == kept.hash;
            if same {
                kept.absorb(again);
            }
            same
        });
        if entries.is_empty() {
            return Self { entries: Box::default(), starts: Box::default() };
        }
        // 2^31 entries would be 88 GiB, so that a number always fits beside the algorithm's bit.
        let mut starts = vec![0_u32; (1 << 16) + 1];
        for entry in &entries {
            starts[usize::from(prefix_and_next(&entry.hash).0) + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Self { entries: entries.into_boxed_slice(), starts: starts.into_boxed_slice() }
    }

    fn find(&self, hash: &[u8]) -> Option<u32> {
        let (prefix, next) = prefix_and_next(hash);
        let (start, end) =
            (*self.starts.get(usize::from(prefix))?, *self.starts.get(usize::from(prefix) + 1)?);
        let bucket = self.entries.get(start as usize..end as usize)?;
        // Hashes are spread evenly, so their next bits tell where in the bucket they are: there or
        // one beside. Halving would wait for memory once more at each step.
        let mut at = (bucket.len() * usize::from(next)) >> 16;
        let first = bucket.get(at)?.hash.as_slice().cmp(hash);
        let mut order = first;
        while order == first && order != Ordering::Equal {
            at = if order == Ordering::Less { at + 1 } else { at.checked_sub(1)? };
            order = bucket.get(at)?.hash.as_slice().cmp(hash);
        }
        // `at` is inside a bucket whose bounds are `u32`.
        u32::try_from(at).ok().filter(|_| order == Ordering::Equal).map(|at| start + at)
    }
}

/// The first 16 bits of a hash, and the 16 bits after them.
fn prefix_and_next(hash: &[u8]) -> (u16, u16) {
    match hash {
        [a, b, c, d, ..] => (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        _ => (0, 0),
    }
}

impl<const N: usize> Entry<N> {
    fn new(digest: &Digest, size: u64, copies: CopySet) -> Self {
        let mut hash = [0; N];
        hash.copy_from_slice(digest.hash());
        Self { hash, size: size.to_le_bytes(), copies: copies.bits() }
    }

    fn presence(&self) -> Presence {
        Presence { size: u64::from_le_bytes(self.size), copies: CopySet::from_bits(self.copies) }
    }

    fn absorb(&mut self, again: &Self) {
        self.copies |= again.copies;
        self.size = self.presence().size.max(again.presence().size).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_is_44_bytes() {
        assert_eq!(size_of::<Entry<32>>(), 44);
    }

    #[test]
    fn an_empty_index_knows_nothing() {
        let index = PresenceBuilder::default().build();
        assert!(index.is_empty());
        assert_eq!(index.get(&Digest::sha256_of(b"x")), None);
    }

    #[test]
    fn objects_that_crowd_one_bucket_are_all_found_and_nothing_between_them_is() {
        let digest = |third: u8, last: u8| {
            let mut hash = [0x77; 32];
            (hash[2], hash[31]) = (third, last);
            Digest::from_hash(Algorithm::Sha256, &hash).unwrap()
        };
        let mut builder = PresenceBuilder::default();
        // Unevenly spread, so that the first guess is wrong by many.
        for third in (0..40).chain(250..=255) {
            builder.add(&digest(third, 1), third.into(), CopySet::ALL);
        }
        let index = builder.build();
        for third in 0..=255 {
            let expected = !(40..250).contains(&third);
            let found = index.get(&digest(third, 1)).map(|presence| presence.size);
            assert_eq!(found, expected.then_some(third.into()), "{third}");
            assert_eq!(index.get(&digest(third, 0)), None, "{third}");
            assert_eq!(index.get(&digest(third, 2)), None, "{third}");
        }
    }

    proptest! {
        #[test]
        fn it_answers_as_a_map_does(objects in proptest::collection::vec((0u8..60, any::<bool>(), any::<u64>(), any::<u32>()), 0..120)) {
            let mut twin: BTreeMap<Digest, (u64, u32)> = BTreeMap::new();
            let mut builder = PresenceBuilder::default();
            let digest = |seed: u8, long| Digest::of(if long { Algorithm::Sha512 } else { Algorithm::Sha256 }, &[seed]);
            for (seed, long, size, copies) in objects {
                let digest = digest(seed, long);
                let known = twin.entry(digest).or_default();
                *known = (known.0.max(size), known.1 | copies);
                builder.add(&digest, size, CopySet::from_bits(copies));
            }
            let index = builder.build();
            prop_assert_eq!(index.len(), twin.len());
            for seed in 0..70 {
                for long in [false, true] {
                    let digest = digest(seed, long);
                    let expected = twin.get(&digest).map(|&(size, bits)| Presence { size, copies: CopySet::from_bits(bits) });
                    prop_assert_eq!(index.get(&digest), expected);
                    prop_assert_eq!(index.find(&digest).and_then(|id| index.digest(id)), expected.map(|_| digest));
                }
            }
        }
    }
}
