//! The `replicate` section as it is written: how what a registry holds becomes a release.

use landbridge_store::Verify;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalar::{FilePath, Name, Period, PlaceName, RepositoryPath, Verification};

/// How `landbridge replicate` brings what a registry holds into the authority and all mirrors, and
/// publishes it. A front does not read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replicate {
    /// Who signs what is published, as many different ones as the `threshold` of the origin's
    /// `store` wants. The public half of each is one of its `keys`.
    #[schemars(required)]
    pub(crate) signers: Option<Vec<Signer>>,
    /// One of the `origins`, with a `registry` that is read and a `store` in which is published.
    /// Without it, the only one that has both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) origin: Option<Name>,
    /// The repositories that are replicated. Without it, those of `promotions`, or all that the
    /// registry lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repositories: Option<Vec<RepositoryPath>>,
    /// A directory of promotion manifests in the thin layout (`manifests` and `images`): what they
    /// promote to the origin's `registry` is replicated. Read at each run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) promotions: Option<FilePath>,
    /// The mirrors that must have all of a release before it is published, besides the origin's
    /// `store`. Without it, one mirror of each provider that has any; an empty list: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) require: Option<Vec<Name>>,
    /// How an object that lies in a bucket already is verified before a release relies on it:
    /// `checksum` by the store's own SHA-256, where it keeps one, otherwise by reading it; `full` by
    /// reading it; `presence` by its size, if the bucket's owner vouches for the bytes; a share such
    /// as `5%` by reading that many and the size of the others. What is wrong is copied again.
    #[serde(default = "Replicate::verify")]
    pub(crate) verify: Verification,
    /// In whose cloud `landbridge replicate` runs, so that it is known what costs nothing there.
    /// Without it, it runs elsewhere, where sending is free and to where all others send over the
    /// internet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// In which of the provider's regions it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// After this the release begins to alarm, unless another one has taken its place.
    #[serde(default = "Replicate::expiry")]
    pub(crate) expires: Period,
    /// How many objects are copied at once. Large ones are fewer: all together take 64 MiB of
    /// memory at most.
    #[schemars(range(min = 1, max = 256))]
    #[serde(default = "Replicate::parallel")]
    pub(crate) parallel: u16,
    /// A mirror that takes nothing for this long is left behind, and caught up when all others have
    /// everything.
    #[serde(default = "Replicate::stall")]
    pub(crate) stall: Period,
    /// How long a run waits in all for what failed and may pass.
    #[serde(default = "Replicate::retries")]
    pub(crate) retries: Period,
}

/// Who signs: exactly one of `key_file`, `key_variable` and `command`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signer {
    /// A file with a private key of Ed25519 or ECDSA P-256: PEM, PKCS#8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<FilePath>,
    /// A variable that holds such a PEM text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key_variable: Option<String>,
    /// A program and its arguments, which no shell reads, for keys in a key management service. It
    /// gets the bytes to sign on standard input (DSSE's pre-authentication encoding, not a hash)
    /// and prints the signature: as it is, in DER, or either in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<Vec<String>>,
    /// How long the command may take.
    #[serde(default = "Signer::timeout")]
    pub(crate) timeout: Period,
}

impl Signer {
    pub(crate) const fn timeout() -> Period {
        Period::seconds(30)
    }
}

impl Replicate {
    pub(crate) const fn verify() -> Verification {
        Verification(Verify::Checksum)
    }

    pub(crate) const fn expiry() -> Period {
        Period::seconds(90 * 24 * 60 * 60)
    }

    pub(crate) const fn parallel() -> u16 {
        32
    }

    pub(crate) const fn stall() -> Period {
        Period::seconds(30)
    }

    pub(crate) const fn retries() -> Period {
        Period::seconds(10 * 60)
    }
}
