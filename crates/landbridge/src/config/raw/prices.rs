//! Prices as they are written: what leaves a place, and requests to it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalar::{PlaceName, Requests, Volume};

/// What a provider charges, or one of its regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderPrices {
    /// The provider.
    #[schemars(required)]
    pub(crate) provider: Option<PlaceName>,
    /// The region. Without it, every region for which nothing else is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// Its prices.
    #[serde(default)]
    pub(crate) rates: Prices,
}

/// Prices. What is not written is as for the region, else as for the provider, else as in the
/// provider's public list.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Prices {
    /// For what goes to the same region of the same provider, as in `0 USD/GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) same_region: Option<Volume>,
    /// For what goes to another region of the same provider, or to one that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) same_provider: Option<Volume>,
    /// For what goes to certain other providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) to: Vec<PriceTo>,
    /// For what goes to everyone else. Bytes are billed by 2^30 (`0.12 USD/GiB`) or by 10^9
    /// (`0.12 USD/GB`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) internet: Option<Volume>,
    /// For requests that read, as in `0.0004 USD/1000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reads: Option<Requests>,
    /// For requests that write, copy or list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) writes: Option<Requests>,
}

/// A price for what goes to a certain provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceTo {
    /// The provider that receives.
    #[schemars(required)]
    pub(crate) provider: Option<PlaceName>,
    /// What it costs.
    #[schemars(required)]
    pub(crate) price: Option<Volume>,
}
