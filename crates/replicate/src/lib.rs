//! The room that brings images into copies and publishes them.
//!
//! [`import`] takes images from a layout or an archive into the authority and every mirror, and
//! publishes their names; [`replicate`] does so with what is new in a registry. [`audit`](fn@audit)
//! proves what each copy holds, and copies again what is bad. All are gather →
//! plan → apply → report; the plan is pure and is what [`prepare_import`] and
//! [`prepare_replication`] show.
//!
//! Invariant: a name is published only after everything that it needs was confirmed.

mod apply;
mod audit;
mod copies;
mod costs;
mod destination;
mod error;
mod fan_out;
mod gather;
mod gather_registry;
mod history;
mod holdings;
mod import;
mod lease;
mod naming;
mod patience;
mod pin;
mod plan;
mod progress;
mod prune;
mod publishing;
mod replicate;
mod report;
mod show;
mod supply;
mod withdraw;

pub use audit::{
    Audit, AuditReport, Budget, Choice, CopyReport, Depth, Effect, Finding, FindingKind,
    RegistryReport, Verdict, audit,
};
pub use costs::{Costs, Edge, Flow, Priced, Tariff};
pub use error::ImportError;
pub use gather::{Content, Held, gather_content};
pub use gather_registry::RegistrySource;
pub use history::{
    Difference, Kept, NoSuchRelease, Release, Said, TagDifference, compare, find_release, releases,
    roll_back,
};
pub use import::{Import, import, prepare_import};
pub use naming::{NamedImage, NamingError, Target, name_images};
pub use patience::Pace;
pub use pin::{pin, unpin};
pub use plan::{CopyState, Current, Plan, PlannedObject, TagChange, plan_import};
pub use progress::{CopyWork, Listener, Progress, Stop};
pub use prune::{Keep, KeptGeneration, PrunePlan, PruneReport, Why, prepare_prune, prune};
pub use publishing::Publishing;
pub use replicate::{Replication, prepare_replication, replicate};
pub use report::{Report, Size, TagReport};
pub use show::{Says, Shown, ShownMirror, ShownRepository, show};
pub use withdraw::{WithdrawalChange, WithdrawalReport, withdraw, withdrawals};
