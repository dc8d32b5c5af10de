//! What every request may use.

use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::BoxFuture;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use landbridge_core::oci_error::Code;
use landbridge_core::{Digest, RepositoryName, Tag};
use landbridge_store::{Bucket, Leases, Presence, Repositories, StoreError, Uploads};

use crate::access::{Access, Action, Caller};
use crate::events::{Event, EventAction, Events};
use crate::failure::Failure;
use crate::limits::Limits;
use crate::settings::{ClientSettings, PushRules, Writes};

/// An origin without its listener.
#[derive(Debug)]
pub(crate) struct Registry {
    /// Everything that is stored.
    pub(crate) repositories: Repositories,
    /// Who may do what, at this moment.
    pub(crate) policy: ArcSwap<Policy>,
    /// Who is told.
    pub(crate) events: Events,
    /// How much one client may ask for.
    pub(crate) limits: Limits,
    /// How a client's address is found.
    pub(crate) clients: ClientSettings,
    /// What may be pushed.
    pub(crate) rules: PushRules,
    /// How long a blob that was reported present is kept at least.
    pub(crate) grace: Duration,
    /// How long nothing may come of a body.
    pub(crate) stall: Duration,
}

/// Who may do what: all that may change while an origin runs.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// The access rules.
    pub(crate) access: Access,
    /// Whether anything may be written.
    pub(crate) writes: Writes,
}

impl Registry {
    /// True if somebody who was let in may do this too.
    pub(crate) fn allows(&self, caller: &Caller, action: Action<'_>) -> bool {
        self.policy.load().access.allows(caller, action)
    }

    /// The objects.
    pub(crate) fn bucket(&self) -> &Bucket {
        self.repositories.bucket()
    }

    /// Uploads that are under way.
    pub(crate) fn uploads(&self) -> &Uploads {
        self.repositories.uploads()
    }

    /// What was reported present.
    pub(crate) fn leases(&self) -> &Leases {
        self.repositories.leases()
    }

    /// The blob's size in bytes if the repository has it and it will stay for a while; `None` if
    /// it has it not, or no longer.
    pub(crate) async fn report_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, StoreError> {
        if self.repositories.blob_link(repository, digest).await?.is_none() {
            return Ok(None);
        }
        Ok(match self.leases().report_present(digest, self.grace).await? {
            Presence::Present { size } => Some(size),
            Presence::Absent | Presence::Deleting => None,
        })
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, caller: &Caller, action: EventAction, about: About<'_>) {
        self.events.tell(&Event {
            action,
            repository: about.repository.clone(),
            digest: about.digest,
            tag: about.tag.cloned(),
            media_type: about.media_type.map(str::to_owned),
            size_bytes: about.size_bytes,
            actor: caller.actor(),
            at: Timestamp::now(),
        });
    }
}

/// What an event is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) repository: &'a RepositoryName,
    pub(crate) digest: Option<Digest>,
    pub(crate) tag: Option<&'a Tag>,
    pub(crate) media_type: Option<&'a str>,
    pub(crate) size_bytes: Option<u64>,
}

impl<'a> About<'a> {
    /// Nothing but the repository.
    pub(crate) fn repository(repository: &'a RepositoryName) -> Self {
        Self { repository, digest: None, tag: None, media_type: None, size_bytes: None }
    }

    /// A blob.
    pub(crate) fn blob(repository: &'a RepositoryName, digest: Digest, size: Option<u64>) -> Self {
        Self { digest: Some(digest), size_bytes: size, ..Self::repository(repository) }
    }
}

/// Look-ups that are under way at once for one request.
pub(crate) const LOOKED_UP_AT_ONCE: usize = 16;

/// The results of look-ups, in their order.
pub(crate) async fn look_up<T>(
    looks: Vec<BoxFuture<'_, Result<T, StoreError>>>,
) -> Result<Vec<T>, StoreError> {
    futures::stream::iter(looks).buffered(LOOKED_UP_AT_ONCE).try_collect().await
}

/// A name that the grammar of requests has checked, as a value of its own.
pub(crate) fn repository(name: &str) -> Result<RepositoryName, Failure> {
    RepositoryName::parse(name).map_err(|_| {
        Failure::new(Code::NameInvalid, "the repository name is not in the grammar of names")
    })
}

/// A tag that the grammar of requests has checked, as a value of its own.
pub(crate) fn tag(tag: &str) -> Result<Tag, Failure> {
    Tag::parse(tag)
        .map_err(|_| Failure::new(Code::TagInvalid, "the tag is not in the grammar of tags"))
}
