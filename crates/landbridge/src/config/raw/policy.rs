//! What a project promises its users, as it is written: `policy.yaml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::raw::plan::RawPhase;
use crate::config::scalar::{ContentDigest, FilePath, Name};

/// What a project promises, and who may bend it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPolicy {
    /// The promises.
    #[schemars(required)]
    pub(crate) rules: Option<Vec<RawRule>>,
    /// Who may except a change from a rule. Without them nobody can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approvers: Option<RawApprovers>,
    /// The file of exceptions, which is only ever added to; beside the policy, under review like it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ledger: Option<FilePath>,
    /// How the ledger ends, as `landbridge migrate ledger append` says. Entries that are missing at
    /// its end are noticed by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) head: Option<RawHead>,
}

/// One promise. Where it names days and releases, the longer counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    /// Its name, which exceptions refer to.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// For moves of which `stability` it holds. Without it, of that which is called as the rule is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stability: Option<Name>,
    /// For which phases. Without them, all that take something away: all but `announce` and `dual`.
    #[serde(default)]
    pub(crate) phases: Vec<RawPhase>,
    /// Days of notice, from when users were told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) days: Option<u32>,
    /// Releases after users were told; when they are made, the plan's `releases` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) releases: Option<u32>,
}

/// Who may bend a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawApprovers {
    /// Their public keys: each a PEM file, or the PEM text itself.
    #[schemars(required)]
    pub(crate) keys: Option<Vec<String>>,
    /// How many different ones of them must sign an exception.
    #[schemars(required, range(min = 1))]
    pub(crate) threshold: Option<u16>,
}

/// How a ledger ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawHead {
    /// How many entries it has.
    #[schemars(required)]
    pub(crate) entries: Option<u32>,
    /// The digest of its last line.
    #[schemars(required)]
    pub(crate) digest: Option<ContentDigest>,
}
