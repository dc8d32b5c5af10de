//! The drill: an outage played on paper, with the traffic of days that were.
//!
//! [`gather`] reads access records into counts for each while, place and repository, [`Scenario`]
//! plays them against a configuration with the front's own routing, health and caps under a clock
//! of its own, and a [`Report`] says what users would have seen and what it would have cost.
//!
//! A record has no address, so clients are drawn: those of a place are so many networks, whose
//! sticky keys come from a seed. Nor does it say what a copy holds: each copy of a site counts as
//! holding everything.

mod gather;
mod money;
mod plan;
mod play;
mod plot;
mod report;
mod traffic;

pub use gather::{RecordsError, gather};
pub use money::Bill;
pub use plan::{DrillError, Failure, FailureError, Scenario};
pub use play::Amounts;
pub use report::{EdgeLine, Play, Report, WayLine};
pub use traffic::{Malformed, Recording, Traffic};

#[cfg(test)]
mod tests;
