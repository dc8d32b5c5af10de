//! The door to images: layouts and archives.
//!
//! It reads and never decides. What it hands out from a stranger is either verified or says that it
//! is not.

mod source;

pub use source::{
    ArchiveError, Selection, Source, SourceBlob, SourceError, SourceImage, SourceLimits,
    SourceReference, SourceReferenceError, Transport,
};
