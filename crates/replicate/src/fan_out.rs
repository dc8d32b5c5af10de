//! One object from the source into several copies, read once.

use std::time::Duration;

use landbridge_core::Digest;
use landbridge_store::{Bucket, Confirmed, EverywhereError, Object, StoreError, put_everywhere};

use crate::error::ImportError;
use crate::progress::{Listener, Progress};
use crate::supply::Reading;

/// Copies an object into every one of `copies`, and says of each, in their order, whether it has it.
/// The whole fails only if the source does.
pub(crate) async fn copy_object(
    reading: Reading,
    object: Object<'_>,
    copies: &[&Bucket],
    stall: Duration,
    listener: Listener<'_>,
) -> Result<Vec<Result<Confirmed, StoreError>>, ImportError> {
    let digest = *object.digest;
    let Reading { place, chunks, .. } = reading;
    let passed = |bytes| listener(Progress::Advanced { digest, bytes });
    match put_everywhere(copies, object, stall, chunks, &passed).await {
        Ok(puts) => Ok(puts),
        Err(EverywhereError::Source(error)) => Err(error),
        // Wrong bytes are the source's fault, and the user must know where they came from.
        Err(EverywhereError::Wrong(what)) => Err(corrupt(digest, place, &what)),
    }
}

fn corrupt(digest: Digest, place: String, what: &str) -> ImportError {
    ImportError::Corrupt { digest, place, what: format!("it gave {what}") }
}
