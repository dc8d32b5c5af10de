//! The pull checks of the distribution specification's conformance suite, as tests of our own.
//!
//! Why: the suite is a program of its own that a build cannot bring along. These are its checks, grouped as it groups
//! them, over the content that it pushes where it may push.
//!
//! <https://github.com/opencontainers/distribution-spec/tree/main/conformance>

mod checks;
mod pushed;
