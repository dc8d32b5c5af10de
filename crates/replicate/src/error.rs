//! Why an import did not happen. In no case is anything of it visible.

use landbridge_core::Digest;
use landbridge_core::money::{Money, MoneyError};
use landbridge_registry::SourceError;
use landbridge_registry::client::ClientError;
use landbridge_sign::SignError;
use landbridge_store::publish::PublishError;
use landbridge_store::{CollectorError, StoreError};

use crate::naming::NamingError;

/// Why an import stopped. What was copied so far stays and is not copied again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source is damaged or unreadable: get it again.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The registry refuses, fails or talks nonsense: look at it, or try again later.
    #[error(transparent)]
    Registry(#[from] ClientError),
    /// The source says one thing and has another: it is damaged.
    #[error("{digest} in {place} is corrupt: {what}")]
    Corrupt {
        /// The object.
        digest: Digest,
        /// Where it was read.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// Something that the registry had a moment ago, or that its manifests refer to, is not there.
    #[error("{what} is not there: was it deleted meanwhile, or was the push not complete?")]
    Gone {
        /// What.
        what: String,
    },
    /// The images cannot be given these names: name them otherwise.
    #[error(transparent)]
    Naming(#[from] NamingError),
    /// A copy failed: repair it or wait, then import again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody signed it.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The release could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The release could not be published for want of mirrors that failed.
    #[error("{error}. {}", failures.join("; "))]
    Missed {
        /// What they lack.
        error: PublishError,
        /// How each failed: a sentence.
        failures: Vec<String>,
    },
    /// The authority is taken by somebody who deletes in it.
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// Somebody asked for it.
    #[error(
        "stopped as asked {when}; nothing was published, and the same command goes on from here"
    )]
    Stopped {
        /// How far it was.
        when: String,
    },
    /// It would cost more than it may: allow more, or replicate less at once.
    #[error(
        "the plan costs {total}, more than the {most} that it may; the dearest edges: {dearest}. Nothing was written"
    )]
    TooDear {
        /// What it costs.
        total: Money,
        /// What it may cost.
        most: Money,
        /// What costs the most.
        dearest: String,
    },
    /// It may cost more than it may: say what it costs.
    #[error(
        "the plan may cost more than {most}: {edge}. Write its `prices` into the configuration; nothing was written"
    )]
    Unpriced {
        /// What has no price.
        edge: String,
        /// What the plan may cost.
        most: Money,
    },
    /// Prices do not fit one another.
    #[error("what it costs cannot be told")]
    Money(#[from] MoneyError),
    /// Others publish all the time.
    #[error("{attempts} times another publication came first: try again when they are done")]
    AlwaysOvertaken {
        /// How many times it was tried.
        attempts: u32,
    },
    /// Something was published, but not by us.
    #[error(
        "the authority {authority} has pointers, but none that is signed by the trusted keys ({why}): check the keys and the catalog's name before publishing"
    )]
    NoTrustedPointer {
        /// The authority.
        authority: String,
        /// Why the newest one is not believed.
        why: String,
    },
    /// The authority shows an old state.
    #[error(
        "{mirror} has pointer {sequence}, signed by the trusted keys, and the authority {authority} ends with pointer {last}: it lost pointers, or shows an old state; bring them back from the mirror before publishing, since fronts that saw them believe no others with these numbers"
    )]
    LostPointer {
        /// The authority.
        authority: String,
        /// Who has it.
        mirror: String,
        /// The pointer's number.
        sequence: u64,
        /// The number of the authority's last one; 0 if it has none.
        last: u64,
    },
    /// Something was withdrawn, but it is not known what.
    #[error(
        "the authority {authority} has lists of withdrawals, but none that is signed by the trusted keys ({why}): check the keys and the catalog's name first"
    )]
    NoTrustedWithdrawals {
        /// The authority.
        authority: String,
        /// Why the newest one is not believed.
        why: String,
    },
    /// No front would obey the list.
    #[error(
        "the new list of withdrawals would not be believed: are the signers trusted, and enough?"
    )]
    WithdrawalsNotBelieved(#[source] landbridge_core::pointer::VerifyError),
    /// The list has to fit into one envelope.
    #[error(
        "a list of {entries} withdrawals is larger than fronts read: publish releases without what was withdrawn, and restore what nothing lists any more"
    )]
    WithdrawalsFull {
        /// How many it would have.
        entries: usize,
    },
    /// A reason is a sentence.
    #[error("a reason of {size} bytes is longer than the limit of {limit}: write less")]
    LongReason {
        /// Its size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// There is nothing to look at.
    #[error("nothing was published in {authority} yet")]
    NothingPublished {
        /// The authority.
        authority: String,
    },
    /// Indexes within indexes within indexes.
    #[error("index {digest} is nested deeper than {limit} levels: no image is made like that")]
    TooDeep {
        /// The index.
        digest: Digest,
        /// The limit.
        limit: usize,
    },
    /// More manifests than one import takes.
    #[error(
        "the source has more than {limit} manifests: import its images one by one, as `SOURCE:TAG`"
    )]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl ImportError {
    /// Whether to try again is of use.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Registry(error) => matches!(error, ClientError::Unavailable { .. }),
            Self::Store(error) => error.may_pass(),
            _ => false,
        }
    }

    /// How long the other side wants to be left alone, if it said so.
    pub(crate) fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Registry(ClientError::Unavailable { retry_after, .. }) => *retry_after,
            _ => None,
        }
    }
}
