//! What happened: told to whoever asked to know, never waited for.

use jiff::Timestamp;
use landbridge_core::{Digest, RepositoryName, Tag};
use tracing::debug;

/// Where events go.
#[derive(Debug, Clone, Default)]
pub struct Events;

/// A push or a deletion that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What was done.
    pub(crate) action: EventAction,
    /// Where.
    pub(crate) repository: RepositoryName,
    /// To which object; a deleted tag has none.
    pub(crate) digest: Option<Digest>,
    /// To which tag, if to one.
    pub(crate) tag: Option<Tag>,
    /// The manifest's type.
    pub(crate) media_type: Option<String>,
    /// The object's size in bytes.
    pub(crate) size_bytes: Option<u64>,
    /// By whom.
    pub(crate) actor: Option<String>,
    /// When.
    pub(crate) at: Timestamp,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventAction {
    /// A manifest was pushed, and perhaps a tag with it.
    PushManifest,
    /// A blob was uploaded.
    PushBlob,
    /// A blob was mounted from another repository.
    MountBlob,
    /// A manifest was deleted, with all of its tags.
    DeleteManifest,
    /// A tag was deleted.
    DeleteTag,
    /// A blob was deleted from a repository.
    DeleteBlob,
}

impl Events {
    /// Tells nobody.
    pub fn none() -> Self {
        Self
    }

    /// Tells what happened. Returns at once.
    #[expect(clippy::unused_self, reason = "whoever listens is known to the value")]
    pub(crate) fn tell(&self, event: Event) {
        let Event { action, repository, digest, tag, media_type, size_bytes, actor, at } = event;
        debug!(?action, %repository, ?digest, ?tag, media_type, size_bytes, actor, %at, "event");
    }
}
