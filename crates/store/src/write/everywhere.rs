//! One object into several buckets: read once, hashed once, written to all at the same time.
//!
//! The slowest bucket that still moves sets the pace, since only a few pieces wait for it: memory
//! does not grow with an object's size or the number of buckets, which share what is in memory. A
//! bucket that takes nothing for a while is left behind, so that it holds up nobody else.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{AbortHandle, Either, abortable, join_all, pending, select};
use futures::{Stream, StreamExt as _};
use landbridge_core::Digest;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Confirmed;
use super::checked::Passing;
use super::parts::Pieces;
use super::streamed::Signed;
use crate::bucket::Bucket;
use crate::error::{Place, PutError, StoreError};

/// Pieces that wait for a bucket, each as the source gave it.
const WAITING: usize = 2;
/// Bytes that wait for a bucket, at most: sources give no larger pieces, but for manifests.
const WAITING_BYTES: u64 = 1 << 20;
/// To make everything durable may take so many times as long as a bucket may stand still.
const TO_FINISH: u32 = 4;

/// What is copied.
#[derive(Debug, Clone, Copy)]
pub struct Object<'a> {
    /// Its digest.
    pub digest: &'a Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its type, for stores that keep one.
    pub media_type: &'a str,
}

/// Why an object was written nowhere.
#[derive(Debug, thiserror::Error)]
pub enum EverywhereError<E> {
    /// The source failed.
    #[error("the source failed")]
    Source(E),
    /// The source gave something else than the digest and the size promise.
    #[error("the source gave {0}")]
    Wrong(String),
}

/// Writes an object from `source` into all of `buckets`, and says of each, in their order, whether
/// it has it now, as [`Bucket::put_object`] does. What lies there is not looked at before.
///
/// A bucket that takes nothing for `stall` is [`StoreError::Stalled`] at once, and one that does
/// not finish in four times as long. `passed` is told of bytes that were handed on. The whole fails
/// only if the source does; nothing becomes visible then.
pub async fn put_everywhere<E: Send>(
    buckets: &[&Bucket],
    object: Object<'_>,
    stall: Duration,
    source: impl Stream<Item = Result<Bytes, E>> + Send,
    passed: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Result<Confirmed, StoreError>>, EverywhereError<E>> {
    let (mut takers, mut aborts, mut puts) = (Vec::new(), Vec::new(), Vec::new());
    for bucket in buckets {
        let (sender, receiver) = mpsc::channel(WAITING);
        let place = bucket.place(&bucket.object_key(object.digest));
        let fed = Fed { place: place.clone(), receiver };
        let (put, abort) = abortable(Box::pin(bucket.put_fed(object, fed)));
        aborts.push(abort.clone());
        takers.push(Taker { sender, abort });
        puts.push(async move {
            put.await.unwrap_or_else(|_| Err(StoreError::Stalled { place, patience: stall }.into()))
        });
    }
    let mut fed = Ok(());
    let puts = {
        let feeding = pin!(async {
            fed = feed(takers, object, stall, source, passed).await;
            sleep(stall * TO_FINISH).await;
            aborts.iter().for_each(AbortHandle::abort);
            pending::<Infallible>().await
        });
        match select(join_all(puts), feeding).await {
            Either::Left((puts, _)) => puts,
            Either::Right((never, _)) => match never {},
        }
    };
    fed?;
    let only_stores = |put: Result<_, PutError>| match put {
        Ok(confirmed) => Ok(confirmed),
        Err(PutError::Store(error)) => Err(error),
        // Cannot be: the source was whole. What can be done is the same.
        Err(PutError::Source { place, source }) => Err(StoreError::Unavailable { place, source }),
        Err(PutError::WrongSource { place, what }) => Err(StoreError::WrongBytes { place, what }),
    };
    Ok(puts.into_iter().map(only_stores).collect())
}

struct Taker {
    sender: mpsc::Sender<Piece>,
    abort: AbortHandle,
}

#[derive(Clone)]
enum Piece {
    Chunk(Bytes),
    /// All was right.
    End,
}

async fn feed<E>(
    mut takers: Vec<Taker>,
    object: Object<'_>,
    stall: Duration,
    source: impl Stream<Item = Result<Bytes, E>> + Send,
    passed: &(dyn Fn(u64) + Sync),
) -> Result<(), EverywhereError<E>> {
    let mut passing = Passing::new(object.digest, object.size);
    let mut source = pin!(source);
    while !takers.is_empty()
        && let Some(chunk) = source.next().await
    {
        let chunk = chunk.map_err(EverywhereError::Source)?;
        let bytes = chunk.len() as u64;
        if let Some(ready) = passing.next(chunk).map_err(EverywhereError::Wrong)? {
            give(&mut takers, &Piece::Chunk(ready), stall).await;
        }
        passed(bytes);
    }
    // Nobody listens any more: whether the rest were right is not known, and nobody needs it.
    if takers.is_empty() {
        return Ok(());
    }
    if let Some(last) = passing.end().map_err(EverywhereError::Wrong)? {
        give(&mut takers, &Piece::Chunk(last), stall).await;
    }
    give(&mut takers, &Piece::End, stall).await;
    Ok(())
}

/// Gives every bucket that still listens the next piece.
async fn give(takers: &mut Vec<Taker>, piece: &Piece, stall: Duration) {
    let mut listening = Vec::with_capacity(takers.len());
    for taker in takers.drain(..) {
        match timeout(stall, taker.sender.send(piece.clone())).await {
            Ok(Ok(())) => listening.push(taker),
            // It has failed, which it says itself.
            Ok(Err(_)) => {}
            Err(_) => taker.abort.abort(),
        }
    }
    *takers = listening;
}

/// What a bucket is fed with.
struct Fed {
    place: Place,
    receiver: mpsc::Receiver<Piece>,
}

impl Pieces for Fed {
    async fn next(&mut self) -> Result<Option<Bytes>, PutError> {
        match self.receiver.recv().await {
            Some(Piece::Chunk(chunk)) => Ok(Some(chunk)),
            Some(Piece::End) => Ok(None),
            None => {
                let source = "it broke off".into();
                Err(PutError::Source { place: self.place.clone(), source })
            }
        }
    }
}

impl Bucket {
    /// How many bytes of an object are in memory while it is written, at most.
    pub fn bytes_in_flight(&self, digest: &Digest, size: u64) -> u64 {
        let written = match self.signed() {
            Some(_) if Signed::takes(digest, size) => 0,
            Some(_) | None => self.bytes_in_parts(size),
        };
        size.min(written + WAITING_BYTES)
    }

    async fn put_fed(&self, object: Object<'_>, mut fed: Fed) -> Result<Confirmed, PutError> {
        let Object { digest, size, media_type } = object;
        let written = match self.signed() {
            Some(signed) if Signed::takes(digest, size) => signed.put(self, object, fed).await,
            Some(_) | None => self.write_pieces(digest, size, media_type, &mut fed).await,
        };
        self.confirm_written(digest, size, written).await
    }
}
