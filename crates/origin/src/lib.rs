//! The room that takes pushes: a writable OCI registry over one bucket.
//!
//! Any number of processes may serve the same bucket; none of them keeps state of its own that
//! another would miss. What is stored and in which order is the store's business; here requests
//! are understood, allowed or refused, and answered.
//!
//! Invariant: every answer outside of 2xx and 3xx is the specification's JSON error, and what it
//! says holds nothing that only the operator may know.

pub mod access;
mod answer;
mod blobs;
mod body;
mod candidate;
mod deletions;
pub mod events;
mod failure;
pub mod gc;
pub mod limits;
mod lists;
mod manifests;
mod origin;
mod pushes;
mod referrers;
mod registry;
mod server;
mod service;
pub mod settings;
mod stall;
mod uploads;

pub use access::{Access, PatternError, RepositoryPattern, TextPattern};
pub use events::Events;
pub use origin::{Counters, Origin, StartError};
