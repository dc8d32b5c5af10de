//! Events as lines of a file.
//!
//! Invariant: a line is whole, and written before the next event is taken from the queue.

use std::io;
use std::sync::Arc;

use landbridge_store::RotatingFile;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{EventFile, Lost, Told, next};

/// Lines that are written at once.
const MOST_LINES: usize = 256;

pub(super) fn open(settings: &EventFile) -> io::Result<RotatingFile> {
    let EventFile { directory, rotate_bytes, keep_files } = settings;
    RotatingFile::open(directory, "events.jsonl", *rotate_bytes, *keep_files)
}

/// Writes what comes until the queue is closed and empty.
pub(super) async fn write_all(
    mut file: RotatingFile,
    mut queue: mpsc::Receiver<Told>,
    lost: Arc<Lost>,
    stop: CancellationToken,
) {
    while let Some(first) = next(&mut queue, &stop).await {
        let mut lines = Vec::new();
        let mut count = 0;
        let mut told = Some(first);
        while let Some(Told { json, .. }) = told {
            lines.extend_from_slice(&json);
            lines.push(b'\n');
            count += 1;
            told = if count < MOST_LINES { queue.try_recv().ok() } else { None };
        }
        let written = tokio::task::spawn_blocking(move || {
            let written = file.append(&lines);
            (file, written)
        });
        let written = match written.await {
            Ok((back, written)) => {
                file = back;
                written
            }
            // The file is gone with the thread.
            Err(_) => return,
        };
        if let Err(problem) = written {
            error!(%problem, "events cannot be written");
            lost.add(u64::try_from(count).unwrap_or(u64::MAX));
        }
        lost.report("file");
    }
    lost.report("file");
}
