//! The command as a user meets it, and the shape of the workspace.

#![allow(clippy::unwrap_used, reason = "a test whose means fail has failed")]

mod cli;
mod config;
mod layers;
mod program;
mod serve;
