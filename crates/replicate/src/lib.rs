//! The room that brings images into copies and publishes them.
//!
//! [`import`] takes images from a layout or an archive into the authority and every mirror, and
//! publishes their names. It is gather → plan → apply → report; the plan is pure and is what
//! [`prepare_import`] shows.
//!
//! Invariant: a name is published only after everything that it needs was confirmed.

mod apply;
mod copies;
mod destination;
mod error;
mod fan_out;
mod gather;
mod holdings;
mod import;
mod naming;
mod plan;
mod progress;
mod report;

pub use error::ImportError;
pub use gather::{Content, Held, gather_content};
pub use import::{Import, import, prepare_import};
pub use naming::{NamedImage, NamingError, Target, name_images};
pub use plan::{CopyState, Current, Plan, PlannedObject, TagChange, plan_import};
pub use progress::{Listener, Progress};
pub use report::{Report, TagReport};
