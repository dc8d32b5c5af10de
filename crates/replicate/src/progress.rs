//! What a long run tells while it works, and how it is asked to stop.

use std::sync::atomic::{AtomicBool, Ordering};

use landbridge_core::Digest;
use landbridge_core::topology::CopyId;

use crate::costs::Costs;

/// Something that happened. Whoever shows it draws bars or writes lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// This many of the registry's repositories were compared with what is published.
    Looked {
        /// How many.
        repositories: u64,
        /// Of how many.
        of: u64,
    },
    /// The plan is made; this much is to do. Told again if another publication came first.
    Planned {
        /// Objects that will be copied or checked.
        objects: u64,
        /// Bytes that will be read from the source.
        bytes: u64,
        /// What each copy has to get, in the order of their numbers.
        copies: Vec<CopyWork>,
    },
    /// What the plan costs, before anything moves.
    Priced {
        /// Edge by edge.
        costs: Costs,
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
    /// A copy has an object, whole and right.
    Placed {
        /// Which copy.
        copy: CopyId,
        /// The object's size in bytes.
        size: u64,
    },
    /// Every copy that works has the object.
    Finished {
        /// Which.
        digest: Digest,
    },
    /// All objects are in place; names follow.
    Publishing {
        /// The new generation.
        generation: Digest,
    },
    /// Another publication came first; the run starts over from it.
    Rebasing {
        /// Which attempt begins.
        attempt: u32,
    },
}

/// What one copy has to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyWork {
    /// How people call it.
    pub name: String,
    /// Objects that it lacks, or that are read there to make sure.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Where progress is told to: called from one task at a time.
pub type Listener<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Asks a run to finish what is in flight, begin nothing more and publish nothing.
#[derive(Debug, Default)]
pub struct Stop(AtomicBool);

impl Stop {
    /// Nobody has asked yet.
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Asks, and returns true if somebody had asked before.
    pub fn ask(&self) -> bool {
        self.0.swap(true, Ordering::Relaxed)
    }

    /// True once somebody has asked.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
