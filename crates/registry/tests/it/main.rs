//! The crate against real files, the reference registry and hostile ones.

#[cfg(test)]
mod client;
mod source;
