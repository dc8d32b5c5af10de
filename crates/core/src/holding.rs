//! A holding: a mirror's own note of what it has.
//!
//! It is not signed: mirrors are not trusted. A false one costs a failed download, never wrong
//! bytes, since clients check every object by its digest.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The largest holding that is read, in bytes.
pub const MAX_HOLDING_BYTES: usize = 16 << 20;

/// What a mirror has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Holding {
    /// The catalog that the generations belong to.
    pub catalog: String,
    /// The generations whose objects were all confirmed in the mirror, but for `lacks`.
    pub generations: Vec<Digest>,
    /// Objects that are known to be absent or to have wrong bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Digest>,
    /// The sequence of the newest pointer of which the mirror has a copy: a hint where to look, for
    /// those who cannot list. What is found there must be signed like any other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<u64>,
}

/// Why bytes are not a holding.
#[derive(Debug, thiserror::Error)]
pub enum HoldingError {
    /// Larger than is read.
    #[error("holding of {0} bytes is larger than the limit of {MAX_HOLDING_BYTES} bytes")]
    TooLarge(usize),
    /// Not JSON of the expected shape.
    #[error("holding is malformed")]
    Malformed(#[from] serde_json::Error),
}

impl Holding {
    /// That of a mirror which has nothing of `catalog`.
    pub fn empty(catalog: &str) -> Self {
        let (generations, lacks) = (Vec::new(), Vec::new());
        Self { catalog: catalog.to_owned(), generations, lacks, pointer: None }
    }

    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a holding.
    pub fn decode(bytes: &[u8]) -> Result<Self, HoldingError> {
        if bytes.len() > MAX_HOLDING_BYTES {
            return Err(HoldingError::TooLarge(bytes.len()));
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}
