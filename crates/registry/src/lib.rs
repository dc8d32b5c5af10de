//! The door to images: registries, layouts and archives.
//!
//! It reads and never decides. What it hands out from a stranger is either verified or says that it
//! is not.

pub mod client;
mod credentials;
mod source;

pub use credentials::{Credentials, Secret};
pub use source::{
    ArchiveError, Selection, Source, SourceBlob, SourceError, SourceImage, SourceLimits,
    SourceReference, SourceReferenceError, Transport,
};
