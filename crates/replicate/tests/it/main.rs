//! Imports from real files into real directories, really signed.
#![allow(
    clippy::unwrap_used,
    reason = "fixtures are outside of `#[test]`, and a panic is a test's way to fail"
)]

mod adopted;
mod audit;
mod collected;
mod faults;
mod import;
mod interrupted;
mod prune;
mod race;
mod refused;
mod replicate;
mod served;
mod withdraw;
mod world;
