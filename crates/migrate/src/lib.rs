//! The room for leaving an old name: what a project promised its users, what it bends, and how a
//! plan keeps to it.
//!
//! [`policy`] is the promise as data, and [`check`](check::check) holds a plan against it. What bends
//! it is an exception in the [`ledger`], which enough people have signed and nobody can change
//! afterwards. [`timeline`] draws the plan. What becomes of a request is not here but on the table
//! ([`landbridge_core::migration`]), since fronts decide by it too.
//!
//! [`freeze`] asks an old registry whether it still is what it was frozen as. All else is pure but
//! [`ledger::file`]; the moment is an argument.

pub mod check;
mod dates;
#[cfg(test)]
mod example;
pub mod freeze;
pub mod ledger;
pub mod policy;
pub mod timeline;

use std::sync::Arc;

use landbridge_core::migration::Migration;

/// One old name's way to its successor, and what was promised to those who use it.
#[derive(Debug, Clone)]
pub struct Move {
    /// The way.
    pub migration: Arc<Migration>,
    /// How stable the old name was said to be: which rules of the policy hold for it.
    pub stability: String,
}
