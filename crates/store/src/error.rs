//! What can go wrong with a bucket, named by what the caller can do about it.
//!
//! Every message names the bucket and the key. Causes are kept as sources and not repeated.

use std::error::Error;
use std::io;
use std::time::Duration;

use landbridge_core::generation::DocumentError;
use landbridge_core::holding::HoldingError;

/// A cause of any kind.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Where something went wrong: a bucket, and a key in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` in {bucket}")]
pub struct Place {
    /// The bucket's address, without credentials.
    pub bucket: String,
    /// The key.
    pub key: String,
}

/// Why a bucket did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is nothing under the key.
    #[error("{0} does not exist")]
    NotFound(Place),
    /// What is stored is not what its name says: do not use it, and repair the copy.
    #[error("{place} is wrong: {what}")]
    WrongBytes {
        /// Where.
        place: Place,
        /// What was found, and what was expected.
        what: String,
    },
    /// Larger than the caller wants to have in memory.
    #[error("{place} has {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Where.
        place: Place,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A list that never ends, or a directory in which somebody put what does not belong there.
    #[error("{place} has more than {limit} entries: remove those that do not belong there")]
    TooMany {
        /// The directory.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// The range begins at or after the object's end.
    #[error("{place} has only {size} bytes")]
    BadRange {
        /// Where.
        place: Place,
        /// Its size in bytes.
        size: u64,
    },
    /// Stored whole, but not what it should be.
    #[error("{place} cannot be read")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong with it.
        #[source]
        source: Malformed,
    },
    /// It exists already and is never overwritten.
    #[error("{0} exists already")]
    Taken(Place),
    /// The store refuses these credentials, or this file's permissions do.
    #[error("{place} is denied: check the credentials and the permissions")]
    Denied {
        /// Where.
        place: Place,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// No room is left.
    #[error("no space is left for {place}: free some or move the bucket")]
    Full {
        /// Where.
        place: Place,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// The file system does not allow writing.
    #[error("{place} cannot be written: the file system is read-only")]
    ReadOnly {
        /// Where.
        place: Place,
        /// What the store said.
        #[source]
        source: Cause,
    },
    /// The store lacks what is needed, such as conditional writes.
    #[error("{place}: the store cannot do this")]
    Unsupported {
        /// Where.
        place: Place,
        /// What it lacks.
        #[source]
        source: Cause,
    },
    /// It takes nothing and does not fail either: do not wait for it.
    #[error("{place} stands still: nothing was taken for {} seconds", .patience.as_secs_f32())]
    Stalled {
        /// Where.
        place: Place,
        /// How long it was waited for.
        patience: Duration,
    },
    /// Out of reach or failing: try again later.
    #[error("{place} is out of reach: try again later")]
    Unavailable {
        /// Where.
        place: Place,
        /// What happened.
        #[source]
        source: Cause,
    },
}

/// Why what was read is not the document that it should be.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// A document of a generation.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A mirror's holding.
    #[error(transparent)]
    Holding(#[from] HoldingError),
    /// A small document: not JSON of the expected shape.
    #[error("it is not the document that belongs there")]
    Json(#[from] serde_json::Error),
    /// A small document that contradicts its own key or its own bytes.
    #[error("{0}")]
    Contradiction(String),
}

/// Why a bucket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No address of a bucket.
    #[error("`{0}` is no bucket: use file:///DIR, memory:///, s3://, gs:// or az://NAME[/PREFIX]")]
    Unknown(String),
    /// An option that is missing or wrong.
    #[error("bucket {bucket} cannot be opened: check its address and options")]
    Options {
        /// The bucket's address.
        bucket: String,
        /// What is wrong.
        #[source]
        source: Cause,
    },
    /// The directory cannot be made or entered.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an object was not written. In no case is anything visible under its key that was not
/// there before.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The source broke off; what it had given so far is discarded.
    #[error("the source of {place} failed")]
    Source {
        /// What was being written.
        place: Place,
        /// Why the source failed.
        #[source]
        source: Cause,
    },
    /// The source gave other bytes than the digest and the size promise.
    #[error("the source of {place} gave {what}")]
    WrongSource {
        /// What was being written.
        place: Place,
        /// What was given, and what was expected.
        what: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StoreError {
    /// Sorts what `object_store` says by what can be done about it.
    pub(crate) fn new(place: Place, error: object_store::Error) -> Self {
        use object_store::Error as E;
        match error {
            E::NotFound { .. } => Self::NotFound(place),
            E::AlreadyExists { .. } | E::Precondition { .. } => Self::Taken(place),
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                Self::Denied { place, source: error.into() }
            }
            E::NotImplemented { .. }
            | E::NotSupported { .. }
            | E::InvalidPath { .. }
            | E::UnknownConfigurationKey { .. } => {
                Self::Unsupported { place, source: error.into() }
            }
            other => Self::from_cause(place, other.into()),
        }
    }

    /// Sorts an error by the system's own code, if there is one in its chain.
    pub(crate) fn from_cause(place: Place, source: Cause) -> Self {
        match io_kind(&*source) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                Self::Full { place, source }
            }
            Some(io::ErrorKind::ReadOnlyFilesystem) => Self::ReadOnly { place, source },
            Some(io::ErrorKind::PermissionDenied) => Self::Denied { place, source },
            _ => Self::Unavailable { place, source },
        }
    }

    /// True if it may succeed when it is tried again.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Stalled { .. })
    }

    /// True if there is nothing under the key.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}
