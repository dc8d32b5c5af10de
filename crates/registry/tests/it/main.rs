//! The crate against real files.

mod source;
