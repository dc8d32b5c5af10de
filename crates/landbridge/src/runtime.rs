//! The event loop of a command. The front's listeners have their own.

use std::future::Future;

use anyhow::Context as _;

use crate::exit::{OrExit as _, Outcome};

/// Threads for calls that block, such as reading files. Every thread keeps freed memory of its own,
/// so that a front which reads hundreds of documents wants few.
const BLOCKING_THREADS: usize = 4;

/// Runs `work` to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .context("cannot start the event loop")
        .or_failed()?;
    runtime.block_on(work)
}
