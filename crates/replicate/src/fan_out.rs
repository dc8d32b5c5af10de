//! One object from the source into several copies, read once.
//!
//! Every copy hashes what it gets and shows nothing that is not right. The slowest copy sets the
//! pace, since only a few chunks wait for it: memory does not grow with an object's size.

use std::io;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::{join, join_all};
use futures::{SinkExt as _, TryStreamExt as _};
use landbridge_core::Digest;
use landbridge_registry::{Source, SourceError};
use landbridge_store::{Bucket, Confirmed, PutError, StoreError};

use crate::error::ImportError;
use crate::progress::{Listener, Progress};

/// Chunks that wait for a copy, each of at most 256 KiB.
const WAITING_CHUNKS: usize = 2;

/// What is copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Object<'a> {
    pub(crate) digest: &'a Digest,
    pub(crate) size: u64,
    pub(crate) media_type: &'a str,
}

/// The source broke off. Copies only need to know that; the reason is told once.
#[derive(Debug, thiserror::Error)]
#[error("the source broke off")]
struct BrokeOff;

/// Copies an object into every one of `copies`, and says of each, in their order, whether it has it.
/// The whole fails only if the source does.
pub(crate) async fn copy_object(
    source: &Source,
    object: Object<'_>,
    copies: &[&Bucket],
    listener: Listener<'_>,
) -> Result<Vec<Result<Confirmed, StoreError>>, ImportError> {
    let Object { digest, size, media_type } = object;
    let blob = source.read(digest).await?;
    let (mut senders, mut puts) = (Vec::new(), Vec::new());
    for copy in copies {
        let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
        senders.push(sender);
        puts.push(Box::pin(copy.put_object(digest, size, media_type, receiver)));
    }
    let mut chunks = Box::pin(blob.into_stream());
    let feed = async move {
        // A copy that no longer listens has failed, which it says itself, or has the object.
        while !senders.is_empty() {
            match chunks.try_next().await {
                Ok(None) => break,
                Ok(Some(chunk)) => {
                    send(&mut senders, &Ok(chunk.clone())).await;
                    let bytes = chunk.len() as u64;
                    listener(Progress::Advanced { digest: *digest, bytes });
                }
                Err(error) => {
                    send(&mut senders, &Err(())).await;
                    return Err(error);
                }
            }
        }
        Ok(())
    };
    let (fed, put) = join(feed, join_all(puts)).await;
    fed?;
    put.into_iter()
        .map(|put| match put {
            Ok(confirmed) => Ok(Ok(confirmed)),
            Err(PutError::Store(error)) => Ok(Err(error)),
            Err(PutError::WrongSource { what, .. }) => Err(corrupt(source, digest, &what)),
            Err(PutError::Source { source: cause, .. }) => {
                let file = source.file_of(digest);
                Err(SourceError::Read { file, source: io::Error::other(cause) }.into())
            }
        })
        .collect()
}

/// Gives every copy that still listens the next chunk.
async fn send(senders: &mut Vec<mpsc::Sender<Result<Bytes, BrokeOff>>>, item: &Result<Bytes, ()>) {
    let mut listening = Vec::with_capacity(senders.len());
    for mut sender in senders.drain(..) {
        if sender.send(item.clone().map_err(|()| BrokeOff)).await.is_ok() {
            listening.push(sender);
        }
    }
    *senders = listening;
}

/// Wrong bytes are the source's fault, and the user must know which file has them.
fn corrupt(source: &Source, digest: &Digest, what: &str) -> ImportError {
    let file = source.file_of(digest);
    SourceError::Corrupt { digest: *digest, file, what: format!("it gave {what}") }.into()
}
