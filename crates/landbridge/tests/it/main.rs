//! The program as its users meet it: started, asked, pulled from, broken and started again; and the shape of the
//! workspace.

#![allow(clippy::unwrap_used, reason = "a test whose means fail has failed")]

mod access;
mod answers;
mod appears;
mod audit;
mod cache;
mod cli;
mod client;
mod config;
mod conformance;
mod content;
mod drill;
mod endures;
mod failover;
mod failures;
mod faults;
mod follows;
mod generation;
mod hostile;
mod key;
mod layers;
mod legacy;
mod limits;
mod operating;
mod outage;
mod own;
mod plan;
mod program;
mod pull;
mod random;
mod receiver;
mod replicate;
mod running;
mod serve;
mod status;
mod withdraw;
