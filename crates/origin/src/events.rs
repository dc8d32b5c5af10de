//! What happened: pushes, mounts and deletions that were acknowledged, told to whoever asked.
//!
//! Telling never waits: an event is put into a bounded queue for each receiver, and one that finds
//! its queue full is dropped and counted. So a receiver gets an event once, or several times if it
//! did not answer in time, or not at all if it was away for long or this process was killed: who
//! must know everything compares with the lists of tags now and then.
//!
//! Invariant: an event never delays or fails the push that it is about.

mod file;
mod webhook;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use landbridge_core::{Digest, RepositoryName, Tag};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

pub use self::webhook::WebhookSettings;

/// Events that wait for the file, which only a stalled disk makes many.
const FILE_QUEUE: usize = 10_000;

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventSettings {
    /// A file of JSON lines.
    pub file: Option<EventFile>,
    /// Servers that are sent each event.
    pub webhooks: Vec<WebhookSettings>,
}

/// Where events are written: `events.jsonl` in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFile {
    /// The directory; made if it is absent.
    pub directory: PathBuf,
    /// The size at which the file is put aside.
    pub rotate_bytes: u64,
    /// How many of those are kept.
    pub keep_files: usize,
}

/// Why nobody can be told.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// The file cannot be written.
    #[error("events cannot be written to `{}`", directory.display())]
    File {
        /// The directory.
        directory: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// There is no HTTP client.
    #[error("the TLS of an HTTP client for webhooks cannot be set up")]
    Tls(#[source] reqwest::Error),
}

/// Where events go. Cheap to clone.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<Inner>>);

struct Inner {
    queues: Vec<Queue>,
    stop: CancellationToken,
    tasks: TaskTracker,
    running: Vec<AbortHandle>,
}

/// The way to one receiver.
struct Queue {
    sender: mpsc::Sender<Told>,
    lost: Arc<Lost>,
}

/// An event as it is sent.
#[derive(Debug, Clone)]
struct Told {
    id: Arc<str>,
    action: &'static str,
    json: Bytes,
}

/// Events that a receiver did not get.
#[derive(Debug, Default)]
struct Lost {
    count: AtomicU64,
    reported: AtomicU64,
}

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
    pub(crate) actor: String,
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

impl EventAction {
    /// The `action` and the `kind` of the document.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::PushManifest => ("push", "manifest"),
            Self::PushBlob => ("push", "blob"),
            Self::MountBlob => ("mount", "blob"),
            Self::DeleteManifest => ("delete", "manifest"),
            Self::DeleteTag => ("delete", "tag"),
            Self::DeleteBlob => ("delete", "blob"),
        }
    }
}

impl Event {
    /// The document, on one line without its end.
    fn to_json(&self, id: &str) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document<'a> {
            id: &'a str,
            time: Timestamp,
            action: &'a str,
            kind: &'a str,
            repository: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            tag: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            digest: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            media_type: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            size: Option<u64>,
            actor: &'a str,
        }
        let (action, kind) = self.action.words();
        let document = Document {
            id,
            time: self.at,
            action,
            kind,
            repository: self.repository.as_str(),
            tag: self.tag.as_ref().map(Tag::as_str),
            digest: self.digest.as_ref().map(ToString::to_string),
            media_type: self.media_type.as_deref(),
            size: self.size_bytes,
            actor: &self.actor,
        };
        // Strings and numbers always have an encoding.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

impl Events {
    /// Tells nobody.
    pub fn none() -> Self {
        Self(None)
    }

    /// Opens the file and begins to serve the queues, on the caller's runtime.
    ///
    /// # Panics
    /// With webhooks, the process must have installed a default provider of `rustls` before.
    pub fn open(settings: EventSettings) -> Result<Self, EventsError> {
        let EventSettings { file, webhooks } = settings;
        if file.is_none() && webhooks.is_empty() {
            return Ok(Self::none());
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (mut queues, mut running) = (Vec::new(), Vec::new());
        if let Some(file) = file {
            let (queue, receiver, lost) = queue(FILE_QUEUE);
            let writer = file::open(&file).map_err(|source| EventsError::File {
                directory: file.directory.clone(),
                source,
            })?;
            let task = tasks.spawn(file::write_all(writer, receiver, lost, stop.clone()));
            running.push(task.abort_handle());
            queues.push(queue);
        }
        for settings in webhooks {
            let (queue, receiver, lost) = queue(settings.queue.max(1));
            let webhook = webhook::Webhook::new(settings).map_err(EventsError::Tls)?;
            let task = tasks.spawn(webhook.deliver_all(receiver, lost, stop.clone()));
            running.push(task.abort_handle());
            queues.push(queue);
        }
        tasks.close();
        Ok(Self(Some(Arc::new(Inner { queues, stop, tasks, running }))))
    }

    /// Tells what happened. Returns at once.
    pub(crate) fn tell(&self, event: &Event) {
        let Some(inner) = &self.0 else { return };
        let mut random = [0; 16];
        if aws_lc_rs::rand::fill(&mut random).is_err() {
            warn!("no random bytes for the name of an event");
        }
        let id: Arc<str> = format!("{:032x}", u128::from_be_bytes(random)).into();
        let json = event.to_json(&id).into();
        let told = Told { id, action: event.action.words().0, json };
        for queue in &inner.queues {
            if queue.sender.try_send(told.clone()).is_err() {
                queue.lost.add(1);
            }
        }
    }

    /// Events that some receiver did not get, since the start.
    pub fn dropped(&self) -> u64 {
        let queues = self.0.iter().flat_map(|inner| &inner.queues);
        queues.map(|queue| queue.lost.count.load(Ordering::Relaxed)).sum()
    }

    /// Takes no more events, and returns when all that wait have been told, at the latest after
    /// `deadline`. What is left then is dropped and reported.
    pub async fn close(&self, deadline: Duration) {
        let Some(inner) = &self.0 else { return };
        inner.stop.cancel();
        if tokio::time::timeout(deadline, inner.tasks.wait()).await.is_ok() {
            return;
        }
        for task in &inner.running {
            task.abort();
        }
        let waiting = |queue: &Queue| queue.sender.max_capacity() - queue.sender.capacity();
        let lost: usize = inner.queues.iter().map(waiting).sum();
        warn!(lost, "the receivers of events did not take all of them before the origin stopped");
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let receivers = self.0.as_ref().map_or(0, |inner| inner.queues.len());
        write!(f, "Events({receivers} receivers)")
    }
}

impl Lost {
    fn add(&self, events: u64) {
        self.count.fetch_add(events, Ordering::Relaxed);
    }

    /// Reports what has been lost since the last time.
    fn report(&self, receiver: &str) {
        let count = self.count.load(Ordering::Relaxed);
        let lost = count.saturating_sub(self.reported.swap(count, Ordering::Relaxed));
        if lost > 0 {
            warn!(receiver, lost, total = count, "events were dropped");
        }
    }
}

fn queue(bound: usize) -> (Queue, mpsc::Receiver<Told>, Arc<Lost>) {
    let (sender, receiver) = mpsc::channel(bound);
    let lost = Arc::new(Lost::default());
    (Queue { sender, lost: Arc::clone(&lost) }, receiver, lost)
}

/// The next event; after `stop` only those that wait already.
async fn next(receiver: &mut mpsc::Receiver<Told>, stop: &CancellationToken) -> Option<Told> {
    tokio::select! {
        biased;
        told = receiver.recv() => told,
        () = stop.cancelled() => {
            receiver.close();
            receiver.recv().await
        }
    }
}

#[cfg(test)]
mod tests;
