//! The testkit held against itself: what a real client pushed, the real clients pull back, byte for byte.
//!
//! Why: every other test believes these fixtures. Here only Debian's own programs speak to each other.

mod clients;
mod fixtures;
mod gcs;
mod network;
