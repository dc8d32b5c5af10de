//! The door to object stores, against real ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod conformance;
mod disk;
mod face;
mod faults;
mod leases;
mod release;
mod repositories;
mod uploads;
