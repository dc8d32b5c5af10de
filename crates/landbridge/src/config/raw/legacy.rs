//! Old names as `landbridge.yaml` speaks of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalar::{FilePath, Moment, Name, Prefix, RepositoryPath};

/// How old names are left.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Migrations {
    /// The plan, by convention `migration.yaml`: phases and their dates.
    #[schemars(required)]
    pub(crate) plan: Option<FilePath>,
    /// A moment at which migrations are played as if the front had started then, as `2023-03-20`:
    /// a rehearsal. Everything else goes by the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rehearsal: Option<Moment>,
}

/// What makes a site the answer to an old name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Legacy {
    /// The move of the plan that says what becomes of requests.
    #[serde(rename = "move")]
    #[schemars(required)]
    pub(crate) planned: Option<Name>,
    /// What stands before repositories' names under the old name only, as `google-containers`.
    /// Requests without it are answered as for unknown repositories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) strip: Option<Prefix>,
    /// Repositories that are called otherwise under the successor: the old name, without what is
    /// stripped, and the new one.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "repository" }))]
    pub(crate) renames: BTreeMap<RepositoryPath, RepositoryPath>,
    /// How the successor is reached by clients that are redirected to it.
    #[serde(default)]
    pub(crate) scheme: Scheme,
}

/// Schemes of addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scheme {
    /// `https://SUCCESSOR`.
    #[default]
    Https,
    /// `http://SUCCESSOR`, for a rehearsal on one machine.
    Http,
}
