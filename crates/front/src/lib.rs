//! The front: one name for a project's releases, answered from the copy that is closest.
//!
//! `pull` is the heart: locate, understand, resolve, route, answer, record, without waiting for
//! anything. `fetch` is the same with one await. Everything else feeds them (`keeper`, `ranges`,
//! `live`) or carries them (`server`, `service`, `admin`).
//!
//! Invariant: a decision reads one immutable snapshot; nothing in a request chooses a host.

mod admin;
mod answer;
mod body;
mod connections;
pub mod drill;
mod embedded;
mod explain;
mod failover;
mod fetch;
mod front;
mod health;
mod keeper;
mod legacy;
mod limits;
mod lists;
mod live;
mod manifests;
mod metrics;
mod newer;
mod probe;
mod pull;
mod ranges;
mod reader;
mod record_log;
mod relay;
mod server;
mod service;
pub mod settings;
mod shared;
mod snapshot;
mod status;
mod timed_io;
mod union;
mod world;

pub use body::BodyError;
pub use explain::{
    Client, Data, ExplainError, Explanation, Migrated, Object, Question, RangeData, Verdict,
};
pub use fetch::NamedBy;
pub use front::{Front, OfflineError, ReloadError, StartError, explain_offline};
pub use keeper::GatherError;
pub use ranges::RangesError;
pub use snapshot::SnapshotError;
pub use world::OpenError;
