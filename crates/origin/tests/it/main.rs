//! The origin as its clients meet it: a real server over a real store.

#![allow(clippy::unwrap_used, reason = "a test whose means fail has failed")]
