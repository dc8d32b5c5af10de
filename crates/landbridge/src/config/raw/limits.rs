//! How much a client's network may ask for, as it is written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::failover::Mode;
use crate::config::scalar::{ByteRate, Network, RequestRate, Size};

/// Limits of client networks, so that one of them does not use up what was given for all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ClientLimits {
    /// Whether a network that is over a limit is refused (429 with `Retry-After`), and only where
    /// a manifest is asked for: a pull that has begun is not broken off. To observe, bytes are
    /// counted that would not have been handed out, so enforcing refuses less than is observed.
    pub(crate) mode: Mode,
    /// How much of a client's address is its network.
    pub(crate) networks: NetworkLengths,
    /// What each network may ask for, over all repositories of all sites.
    pub(crate) network: Allowances,
    /// What each network may ask for in each repository.
    pub(crate) repository: Allowances,
    /// Networks that are neither limited nor counted: one's own, or those of mirrors.
    pub(crate) exempt: Vec<Network>,
    /// How much memory it takes to remember networks; `64MiB` are 524,288 networks and 1,398,101
    /// uses of a repository. If there are more, the ones that owe the least make room, and begin
    /// anew when they come back.
    pub(crate) memory: Size,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            networks: NetworkLengths::default(),
            network: Allowances::default(),
            repository: Allowances::default(),
            exempt: Vec::new(),
            memory: Size(64 << 20),
        }
    }
}

/// How much of an address is a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct NetworkLengths {
    /// Of the 32 bits of IPv4.
    #[schemars(range(min = 8, max = 32))]
    pub(crate) ipv4: u8,
    /// Of the 128 bits of IPv6.
    #[schemars(range(min = 16, max = 64))]
    pub(crate) ipv6: u8,
}

impl Default for NetworkLengths {
    fn default() -> Self {
        Self { ipv4: 24, ipv6: 56 }
    }
}

/// What may be asked for; what is not written is not limited.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Allowances {
    /// Manifests (`GET`, not `HEAD`): a pull asks for one, and for a second one if the image is
    /// for several platforms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests: Option<RequestAllowance>,
    /// Bytes that are handed out, by the front or by the copy to which it sends a client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes: Option<ByteAllowance>,
}

/// Requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestAllowance {
    /// In the long run, as in `600/min`.
    #[schemars(required)]
    pub(crate) rate: Option<RequestRate>,
    /// At once, after a pause. Without it, as many as the rate has in its time. The last eighth
    /// of it is for manifests by digest, so that who was given an index by its tag gets the
    /// manifest of a platform too.
    #[schemars(range(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) burst: Option<u32>,
}

/// Bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ByteAllowance {
    /// In the long run, as in `50GiB/h`.
    #[schemars(required)]
    pub(crate) rate: Option<ByteRate>,
    /// At once, after a pause. Without it, as many as the rate has in its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) burst: Option<Size>,
}
