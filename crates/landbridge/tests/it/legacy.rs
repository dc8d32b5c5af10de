//! Leaving an old name: what requests and real clients meet in each phase.

mod clients;
mod old_name;
mod phases;
