//! Layouts and archives: real files, whole and broken.
#![allow(
    clippy::unwrap_used,
    reason = "fixtures are outside of `#[test]`, and a panic is a test's way to fail"
)]

mod archive;
mod docker;
mod layout;
