//! The door to object stores and to a copy's public face.
//!
//! A [`Bucket`] holds objects, and perhaps the documents, pointers and holdings that make it a
//! repository. [`publish`] writes a release in five steps that cannot be skipped; [`read`] follows
//! releases for a front; a [`PublicFace`] is the same bucket as clients see it. [`Repositories`]
//! makes it the only state of a registry that takes pushes.
//!
//! Invariant: whatever is read here whole was verified, by its digest or by its signatures.

mod ascent;
mod bucket;
mod delete;
mod documents;
mod drafts;
mod error;
mod evidence;
mod face;
mod facts;
mod file;
mod generations;
mod holders;
mod layout;
mod leases;
mod mirrors;
mod open;
mod pins;
mod polite;
pub mod publish;
mod published;
pub mod read;
mod repositories;
mod require;
mod restore;
mod rotating;
mod uploads;
mod verify;
mod withdrawals;
mod write;

pub use ascent::MOST_AHEAD;
pub use bucket::{Bucket, ObjectBody};
pub use documents::{HoldingRead, PointerSearch, ReadHolding};
pub use drafts::Drafts;
pub use error::{Cause, Malformed, OpenError, Place, PutError, StoreError};
pub use evidence::Evidence;
pub use face::{FaceBody, FaceError, FaceHead, FaceTimeouts, FaceWhole, PublicFace, RangeAnswer};
pub use generations::AnyDocument;
pub use holders::CopyHolding;
pub use layout::{BucketLayout, UnknownLayout};
pub use leases::{
    Collections, Collector, CollectorError, Condemned, Leases, PrepareError, Presence, Reprieve,
    SweepError, Swept,
};
pub use mirrors::MirrorState;
pub use pins::Pin;
pub use repositories::{Creation, Listed, ManifestLink, Page, Repositories, TagLink};
pub use require::{Gap, Require};
pub use rotating::RotatingFile;
pub use uploads::{
    AppendError, Chunk, FinishError, UnknownUpload, UploadId, UploadStatus, Uploads,
};
pub use verify::{Inventory, Verify};
pub use withdrawals::WithdrawalSearch;
pub use write::{Confirmed, EverywhereError, Object, put_everywhere};
