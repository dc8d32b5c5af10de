//! Streaming a blob through the front: constant memory, and one copy after the other.
//!
//! When a copy fails in the middle, the stream goes on from the next one at the same offset. Over
//! a whole blob the digest is checked on the way; the last bytes are held back until it was, so
//! that a client never has all bytes of a blob that is not the one it asked for.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt as _;
use landbridge_core::Digest;
use landbridge_core::digest::Hasher;
use landbridge_core::topology::CopyId;
use tracing::{error, warn};

use crate::body::{BodyError, ByteStream};
use crate::reader::{Opened, ReadError};
use crate::world::Running;

/// A blob on its way from copies to a client.
pub(crate) struct Relay {
    running: Arc<Running>,
    repository: String,
    digest: Digest,
    /// Copies that were not tried yet, best first.
    rest: std::vec::IntoIter<CopyId>,
    /// The copy that the bytes come from.
    copy: CopyId,
    bytes: ByteStream,
    /// The whole blob's size.
    size: u64,
    /// The next byte to hand out, and the one where it ends.
    at: u64,
    to: u64,
    /// Set while the whole blob is read from its first byte.
    hasher: Option<Hasher>,
    /// Read, hashed, and waiting for the next chunk or the verdict.
    held: Option<Bytes>,
}

/// What no copy could give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoBlob {
    /// Every copy that was asked says that it does not exist.
    Absent,
    /// No copy that might have it answers.
    Unavailable,
}

impl Relay {
    /// Opens the blob from byte `from` on, at the first of `copies` that has it.
    pub(crate) async fn open(
        running: &Arc<Running>,
        repository: &str,
        digest: &Digest,
        copies: Vec<CopyId>,
        from: u64,
    ) -> Result<Self, NoBlob> {
        let mut rest = copies.into_iter();
        let mut result = NoBlob::Absent;
        while let Some(copy) = rest.next() {
            match open_at(running, copy, repository, digest, from).await {
                Ok(Opened { size, bytes }) => {
                    return Ok(Self {
                        running: Arc::clone(running),
                        repository: repository.to_owned(),
                        digest: *digest,
                        rest,
                        copy,
                        bytes,
                        size,
                        at: from,
                        to: size,
                        hasher: (from == 0).then(|| Hasher::new(digest.algorithm())),
                        held: None,
                    });
                }
                Err(ReadError::Absent) => {}
                Err(ReadError::WrongBytes(_) | ReadError::Failing(_)) => {
                    result = NoBlob::Unavailable;
                }
            }
        }
        Err(result)
    }

    /// The copy that the first bytes come from.
    pub(crate) fn copy(&self) -> CopyId {
        self.copy
    }

    /// The size of the whole blob.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes up to before `to`.
    pub(crate) fn until(mut self, to: u64) -> ByteStream {
        if to < self.size {
            self.hasher = None;
        }
        self.to = to;
        Box::pin(futures::stream::unfold(Some(self), |relay| async {
            let mut relay = relay?;
            match relay.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(relay))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        while self.at < self.to {
            match self.bytes.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(mut chunk)) => {
                    let left = self.to - self.at;
                    chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    self.at += chunk.len() as u64;
                    if let Some(hasher) = &mut self.hasher {
                        hasher.update(&chunk);
                    }
                    if let Some(ready) = self.held.replace(chunk) {
                        return Ok(Some(ready));
                    }
                }
                Some(Err(error)) => self.go_on_elsewhere(&error.to_string()).await?,
                None => self.go_on_elsewhere("the body ended early").await?,
            }
        }
        let Some(last) = self.held.take() else { return Ok(None) };
        if let Some(hasher) = self.hasher.take()
            && hasher.finish() != self.digest
        {
            let copy = self.copy.index();
            error!(digest = %self.digest, copy, "a copy served wrong bytes; the connection is cut");
            self.running.counters[copy].wrong_bytes.inc();
            self.running.suspects.insert(self.copy, self.digest);
            return Err(BodyError::WrongBytes);
        }
        Ok(Some(last))
    }

    async fn go_on_elsewhere(&mut self, why: &str) -> Result<(), BodyError> {
        warn!(digest = %self.digest, copy = self.copy.index(), at = self.at, why, "a copy failed in the middle of a blob");
        self.running.health.fail(self.copy, Instant::now());
        for copy in self.rest.by_ref() {
            let opened =
                open_at(&self.running, copy, &self.repository, &self.digest, self.at).await;
            if let Ok(Opened { size, bytes }) = opened
                && size == self.size
            {
                (self.copy, self.bytes) = (copy, bytes);
                return Ok(());
            }
        }
        Err(BodyError::Interrupted(why.to_owned()))
    }
}

/// Opens a blob at one copy, and tells the copy's health how it went.
async fn open_at(
    running: &Running,
    copy: CopyId,
    repository: &str,
    digest: &Digest,
    from: u64,
) -> Result<Opened, ReadError> {
    let opened = running.reader(copy).open(repository, digest, from).await;
    running.note(copy, digest, &opened);
    opened
}
