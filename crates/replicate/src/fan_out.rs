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
use landbridge_store::{Bucket, Confirmed, PutError, StoreError};

use crate::error::ImportError;
use crate::progress::{Listener, Progress};
use crate::supply::{Bytestream, Supply};

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

/// Copies an object from `chunks` into every one of `copies`, and says of each, in their order,
/// whether it has it. The whole fails only if the source does.
pub(crate) async fn copy_object(
    supply: &Supply<'_>,
    mut chunks: Bytestream,
    object: Object<'_>,
    copies: &[&Bucket],
    listener: Listener<'_>,
) -> Result<Vec<Result<Confirmed, StoreError>>, ImportError> {
    let Object { digest, size, media_type } = object;
    let (mut senders, mut puts) = (Vec::new(), Vec::new());
    for copy in copies {
        let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
        senders.push(sender);
        puts.push(Box::pin(copy.put_object(digest, size, media_type, receiver)));
    }
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
            Err(PutError::WrongSource { what, .. }) => Err(corrupt(supply, digest, &what)),
            Err(PutError::Source { source: cause, .. }) => {
                let place = supply.place(digest);
                Err(ImportError::Broken { place, source: io::Error::other(cause) })
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

/// Wrong bytes are the source's fault, and the user must know where they came from.
fn corrupt(supply: &Supply<'_>, digest: &Digest, what: &str) -> ImportError {
    let place = supply.place(digest);
    ImportError::Corrupt { digest: *digest, place, what: format!("it gave {what}") }
}
