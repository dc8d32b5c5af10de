//! An old name, as the front is told of it.

use landbridge_core::migration::Migration;
use std::sync::Arc;
use url::Url;

/// What makes a site the answer to an old name.
#[derive(Debug, Clone, PartialEq)]
pub struct LegacySettings {
    /// What is planned.
    pub migration: Arc<Migration>,
    /// Scheme and host of the successor, without a slash at the end.
    pub successor: String,
    /// What stands before repositories' names under the old name only; may be empty, has no slash
    /// at its ends.
    pub strip: String,
    /// Repositories that have another name under the successor: the old one (without what is
    /// stripped), and the new one.
    pub renames: Vec<(String, String)>,
    /// Where users can read more.
    pub guide: Option<Url>,
}
