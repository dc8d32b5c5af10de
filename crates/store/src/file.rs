//! What a directory can do beyond `object_store`: reading a file as a stream in pieces that are
//! large enough to be fast, making names survive a power loss, and giving bytes a second name.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;

/// One hop to the blocking threads for this many bytes.
const PIECE: u64 = 256 << 10;
/// The same as long as nobody has taken [`SLOW_BYTES`]: most of those who stop reading do so early, and
/// what waits for them should be little.
const FIRST_PIECE: u64 = 64 << 10;
const SLOW_BYTES: u64 = 1 << 20;

/// The bytes of `file` in `range`. A file that is shorter is an error.
pub(crate) fn stream(file: File, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> {
    let slow_until = range.start.saturating_add(SLOW_BYTES);
    futures::stream::try_unfold((Arc::new(file), range), move |(file, rest)| async move {
        if rest.is_empty() {
            return Ok(None);
        }
        let piece = if rest.start < slow_until { FIRST_PIECE } else { PIECE };
        let end = rest.end.min(rest.start + piece);
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

/// Makes the names in a directory, and those that were removed, survive a power loss.
pub(crate) async fn sync_directory(path: PathBuf) -> io::Result<()> {
    blocking(move || match File::open(path) {
        // Whoever removed it removed its names.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_all(),
    })
    .await
}

/// Gives a file a second name, which survives a power loss, as do its bytes. Whatever had that
/// name before loses it in one step.
pub(crate) async fn link(from: PathBuf, to: PathBuf) -> io::Result<()> {
    blocking(move || {
        // The bytes first: the name must never promise what a power loss can take away.
        File::open(&from)?.sync_all()?;
        let directory = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
        crate::open::make_directory(directory)?;
        if let Err(error) = std::fs::hard_link(&from, &to) {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return Err(error);
            }
            replace(&from, &to)?;
        }
        File::open(directory)?.sync_all()
    })
    .await
}

fn replace(from: &Path, to: &Path) -> io::Result<()> {
    // Named as the store names its drafts, which are never listed.
    let number = getrandom::u64().map_err(io::Error::other)?;
    let mut draft = to.as_os_str().to_owned();
    draft.push(format!("#{number}"));
    let draft = PathBuf::from(draft);
    std::fs::hard_link(from, &draft)?;
    let renamed = std::fs::rename(&draft, to);
    // Renaming between two names of one file does nothing, and the draft stays.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => renamed.and(Err(error)),
        _ => renamed,
    }
}

/// Removes a directory and all that is in it; it is no error if there is none.
pub(crate) async fn remove_directory(path: PathBuf) -> io::Result<()> {
    blocking(move || {
        // Somebody may write into it at the same time, but not for long.
        for _ in 0..3 {
            match std::fs::remove_dir_all(&path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                removed => return removed,
            }
        }
        std::fs::remove_dir_all(&path)
    })
    .await
}

/// Removes a directory that is empty; one that is not, or is not there, is left as it is.
pub(crate) async fn remove_empty_directory(path: PathBuf) -> io::Result<()> {
    blocking(move || match std::fs::remove_dir(path) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Ok(())
        }
        removed => removed,
    })
    .await
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
