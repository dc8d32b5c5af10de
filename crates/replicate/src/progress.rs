//! What a long import tells while it works.

use landbridge_core::Digest;

/// Something that happened. Whoever shows it draws bars or writes lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The plan is made; this much is to do. Told again if another publication came first.
    Planned {
        /// Objects that will be copied or checked.
        objects: u64,
        /// Bytes that will be read from the source.
        bytes: u64,
    },
    /// An object is being read.
    Started {
        /// Which.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// Some of an object was read and handed to the copies.
    Advanced {
        /// Which.
        digest: Digest,
        /// How many bytes more.
        bytes: u64,
    },
    /// Every copy that works has the object, whole and right.
    Finished {
        /// Which.
        digest: Digest,
    },
    /// All objects are in place; names follow.
    Publishing {
        /// The new generation.
        generation: Digest,
    },
    /// Another publication came first; the import starts over from it.
    Rebasing {
        /// Which attempt begins.
        attempt: u32,
    },
}

/// Where progress is told to: called from one task at a time.
pub type Listener<'a> = &'a (dyn Fn(Progress) + Send + Sync);
