//! The table: Landbridge's words and rules.
//!
//! Everything here is pure. There is no IO, no async and no clock; time and randomness come in as
//! arguments, so that every rule can be tested by a table of cases. Rooms and doors share these
//! words and know nothing of one another.

pub mod breaker;
pub mod caps;
pub mod catalog;
pub mod cause;
pub mod client_address;
pub mod condition;
pub mod digest;
pub mod generation;
pub mod health;
pub mod holding;
pub mod limits;
pub mod manifest;
pub mod media_type;
pub mod migration;
pub mod money;
pub mod oci_error;
pub mod pattern;
pub mod place;
pub mod pointer;
pub mod presence;
pub mod price;
pub mod record;
pub mod reference;
pub mod request;
pub mod route;
pub mod topology;
pub mod withdrawal;

pub use digest::Digest;
pub use reference::{Reference, RepositoryName, Tag};
