//! The origin as its clients meet it: a real server over real stores.
//!
//! The checks of the OCI conformance suite, grouped as it groups them, and then what the suite does
//! not ask. Every check runs over memory, a directory, an S3 server and a double of Google's storage,
//! and over azurite or garage if that is asked for.

#![allow(clippy::unwrap_used, reason = "a test whose means fail has failed")]

mod access;
mod blobs;
mod broken;
mod clients;
mod content;
mod data;
mod deletions;
mod empty;
mod garbage;
mod manifests;
mod referrers;
mod refusals;
mod running;
mod served;
mod tags;
mod together;
