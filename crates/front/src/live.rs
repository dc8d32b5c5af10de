//! What is asked while clients wait: names of live origins, and which mirrors hold an object.
//!
//! Both are bounded memories in front of somebody who may be slow or dead. The rules are the same:
//! a question is asked once however many clients wait for it; whoever goes away takes nothing from
//! the others; whoever is known to fail is not waited for.

mod flight;
mod memory;
mod origin;
mod presence;
#[cfg(test)]
mod tests;

pub(crate) use self::memory::LiveError;
pub(crate) use self::origin::LiveOrigin;
pub(crate) use self::presence::{Known, LivePresence};
