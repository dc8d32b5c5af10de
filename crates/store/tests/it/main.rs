//! The door to object stores, against real ones.

mod conformance;
mod s3;
