//! Reading a file as a stream, in pieces that are large enough to be fast.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;

/// One hop to the blocking threads for this many bytes.
const PIECE: u64 = 256 << 10;

/// The bytes of `file` in `range`. A file that is shorter is an error.
pub(crate) fn stream(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> {
    futures::stream::try_unfold((Arc::new(file), range), |(file, rest)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let end = rest.end.min(rest.start + PIECE);
        let source = Arc::clone(&file);
        let piece = blocking(move || {
            let mut piece = vec![0; usize::try_from(end - rest.start).unwrap_or_default()];
            source.read_exact_at(&mut piece, rest.start)?;
            Ok(piece)
        });
        Ok(Some((Bytes::from(piece.await?), (file, end..rest.end))))
    })
}

/// Makes a file that already has its name survive a power loss.
pub(crate) async fn sync(path: PathBuf) -> io::Result<()> {
    blocking(move || {
        File::open(&path)?.sync_all()?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
