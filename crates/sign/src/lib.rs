//! The door for making signatures.
//!
//! A [`Signer`] signs what is published: with a key that this process has, or by a command that
//! asks a key management service. [`LocalKey`] is a key that Landbridge makes for itself.
//!
//! Invariant: a secret never leaves this crate, but for a key of Landbridge's own into its file, and
//! is never printed.
//!
//! DSSE: <https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md>.

mod command;
mod local_key;
mod signer;

pub use command::{CommandError, KeyCommand};
pub use local_key::{KeyFileError, LocalKey};
pub use signer::{SignError, Signer, SignerError, sign_envelope};
