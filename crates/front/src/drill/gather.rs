//! Reading records: one thread reads files and cuts them at line ends, the others parse.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::traffic::{Fold, Malformed, Traffic};

/// What is parsed at once; no record is as long.
const BLOCK: usize = 1 << 20;
/// Blocks that wait for each thread.
const WAITING: usize = 2;

/// Why records cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// A file or directory.
    #[error("cannot read the records in `{path}`")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There are none.
    #[error(
        "there are no records in `{0}`: name files that a front has written (`records.directory`), as they are or packed as `.gz` or `.zst`"
    )]
    None(String),
}

/// Reads the records in `paths`, files or directories of files that a front has written, with
/// `threads` that parse.
///
/// Lines that are no records are counted in [`Traffic::recording`].
pub fn gather(paths: &[PathBuf], threads: usize) -> Result<Traffic, RecordsError> {
    let files = list(paths)?;
    let (sender, receiver) = sync_channel(threads.max(1) * WAITING);
    let receiver = Mutex::new(receiver);
    let (read, folds) = thread::scope(|scope| {
        let parsers: Vec<_> =
            (0..threads.max(1)).map(|_| scope.spawn(|| parse(&files, &receiver))).collect();
        let mut read = Ok(());
        for (number, path) in files.iter().enumerate() {
            let sent = open(path).and_then(|mut from| {
                cut(&mut from, |first_line, lines| {
                    // Parsers go on until this end is dropped.
                    let _ = sender.send(Block { file: number, first_line, lines });
                })
            });
            if let Err(source) = sent {
                read = Err(RecordsError::Io { path: path.clone(), source });
                break;
            }
        }
        drop(sender);
        let folds: Vec<_> = parsers
            .into_iter()
            .map(|parser| parser.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        (read, folds)
    });
    read?;
    let traffic = Fold::finish(folds, files.len());
    if traffic.rows.is_empty() && traffic.recording.malformed == 0 {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(RecordsError::None(names.join("`, `")));
    }
    Ok(traffic)
}

/// Whole lines of a file.
struct Block {
    file: usize,
    first_line: u64,
    lines: Vec<u8>,
}

fn parse(files: &[PathBuf], blocks: &Mutex<Receiver<Block>>) -> Fold {
    let mut fold = Fold::new();
    loop {
        let block = blocks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Block { file, first_line, lines }) = block else { return fold };
        for (line, text) in (first_line..).zip(lines.split(|byte| *byte == b'\n')) {
            let text = text.trim_ascii_end();
            if text.is_empty() {
                continue;
            }
            if let Err(why) = fold.line(text) {
                let file = files.get(file).map(|it| it.display().to_string()).unwrap_or_default();
                fold.malformed(Malformed { file, line, why: why.into_owned() });
            }
        }
    }
}

/// Hands over what `from` has in blocks that end with a line; a line that is longer than a block
/// is handed over as a piece of one, which is no record.
fn cut(from: &mut impl Read, mut block: impl FnMut(u64, Vec<u8>)) -> io::Result<()> {
    let mut line = 1;
    let mut rest = Vec::new();
    loop {
        let mut bytes = std::mem::take(&mut rest);
        let had = bytes.len();
        bytes.reserve_exact(BLOCK);
        let read =
            from.by_ref().take((BLOCK - had.min(BLOCK / 2)) as u64).read_to_end(&mut bytes)?;
        if read == 0 {
            if !bytes.is_empty() {
                block(line, bytes);
            }
            return Ok(());
        }
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => {
                rest = bytes.split_off(end + 1);
            }
            // Half a block without an end is no line of ours: what follows is told as another.
            None if bytes.len() < BLOCK / 2 => {
                rest = bytes;
                continue;
            }
            None => bytes.truncate(64),
        }
        let lines = memchr::memchr_iter(b'\n', &bytes).count() as u64;
        block(line, bytes);
        line += lines;
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(match path.extension().and_then(|it| it.to_str()) {
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(file))),
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        _ => Box::new(file),
    })
}

/// All files that `paths` name, each directory's in the order of their names.
fn list(paths: &[PathBuf]) -> Result<Vec<PathBuf>, RecordsError> {
    let mut files = Vec::new();
    for path in paths {
        let failed = |source| RecordsError::Io { path: path.clone(), source };
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?.path();
            let name = entry.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            if name.contains(".jsonl") && entry.is_file() {
                found.push(entry);
            }
        }
        found.sort_unstable();
        files.append(&mut found);
    }
    Ok(files)
}
