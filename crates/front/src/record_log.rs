//! Where access records go: buffered by the threads that answer, written by one that does not.
//!
//! Each thread appends to a buffer of its own; every quarter of a second, and whenever one has
//! grown beyond what a processor's cache holds, a writer takes all of them and writes to the file.
//! So a crash loses at most that, an answer never waits for a disk, and memory is bounded: a
//! buffer that is full drops records and counts them.
//!
//! In minute mode the threads count instead, and the writer writes each finished minute.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::fast::RandomState;
use landbridge_core::record::AccessRecord;
use landbridge_store::RotatingFile;
use tokio::sync::Notify;

use crate::settings::{RecordMode, RecordSettings};

/// How often buffers are written.
const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// A buffer of this size is written at once.
const BUFFER_ENOUGH: usize = 256 << 10;
/// A larger buffer is not kept for the next records.
const BUFFER_KEPT: usize = 2 * BUFFER_ENOUGH;
/// The most that a thread's buffer holds: a quarter of a second at a hundred thousand a second is
/// a third of it.
const BUFFER_BYTES: usize = 32 << 20;
/// The most combinations that are counted in one minute by one thread.
const MINUTE_ROWS: usize = 50_000;

/// A log of access records.
#[derive(Debug)]
pub(crate) struct RecordLog {
    mode: RecordMode,
    shards: Box<[Mutex<Shard>]>,
    dropped: AtomicU64,
    file: Mutex<Option<RotatingFile>>,
    enough: Notify,
}

#[derive(Debug, Default)]
struct Shard {
    lines: Vec<u8>,
    /// The other buffer, empty: lines go there while this one's are written.
    spare: Vec<u8>,
    clock: ClockText,
    minute: u64,
    /// Hashed for each answer, so not by the standard library's hasher, which takes thrice as long.
    rows: HashMap<Vec<u8>, Row, RandomState>,
    /// Where a row's name is written before it is looked up.
    key: Vec<u8>,
}

/// What one minute's row counts.
#[derive(Debug, Default, Clone, Copy)]
struct Row {
    answers: u64,
    bytes: u64,
}

impl RecordLog {
    /// Opens the log's file for appending, with one buffer for each of `threads`.
    pub(crate) fn open(settings: &RecordSettings, threads: usize) -> io::Result<Self> {
        let file = match settings.mode {
            RecordMode::Off => None,
            RecordMode::Each | RecordMode::Minute => {
                let RecordSettings { directory, rotate_bytes, keep_files, .. } = settings;
                Some(RotatingFile::open(directory, "access.jsonl", *rotate_bytes, *keep_files)?)
            }
        };
        Ok(Self {
            mode: settings.mode,
            shards: (0..threads.max(1)).map(|_| Mutex::default()).collect(),
            dropped: AtomicU64::new(0),
            file: Mutex::new(file),
            enough: Notify::new(),
        })
    }

    /// Appends a record at `now`; its `time` is filled in here. Never waits for a disk.
    pub(crate) fn write(&self, thread: usize, now: SystemTime, record: AccessRecord<'_>) {
        if self.mode == RecordMode::Off {
            return;
        }
        let shard = &self.shards[thread % self.shards.len()];
        let mut guard = lock(shard);
        let shard = &mut *guard;
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.mode == RecordMode::Minute {
            let minute = since_epoch.as_secs() / 60;
            if shard.minute != minute {
                shard.finish_minute();
                shard.minute = minute;
            }
            self.count(shard, record);
            return;
        }
        if shard.lines.len() >= BUFFER_BYTES {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let time = shard.clock.at(since_epoch);
        let before = shard.lines.len();
        AccessRecord { time, ..record }.append_json(&mut shard.lines);
        if before < BUFFER_ENOUGH && shard.lines.len() >= BUFFER_ENOUGH {
            self.enough.notify_one();
        }
    }

    fn count(&self, shard: &mut Shard, record: AccessRecord<'_>) {
        let key = &mut shard.key;
        key.clear();
        // A digest would make every row its own; the tag is what people count.
        AccessRecord { digest: None, ..record }.append_fields(key);
        if let Some(row) = shard.rows.get_mut(key) {
            row.answers += 1;
            row.bytes += record.bytes;
        } else if shard.rows.len() < MINUTE_ROWS {
            shard.rows.insert(key.clone(), Row { answers: 1, bytes: record.bytes });
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that were lost because a buffer was full or the file could not be written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes every buffer to the file. Called from one thread that may block.
    pub(crate) fn flush(&self, now: SystemTime) -> io::Result<()> {
        let minute = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in &self.shards {
            let mut lines = {
                let mut shard = lock(shard);
                if self.mode == RecordMode::Minute && shard.minute != minute {
                    shard.finish_minute();
                }
                if shard.lines.is_empty() {
                    continue;
                }
                let spare = std::mem::take(&mut shard.spare);
                std::mem::replace(&mut shard.lines, spare)
            };
            if let Some(file) = &mut *file
                && let Err(error) = file.append(&lines)
            {
                let lost = lines.split(|byte| *byte == b'\n').count() as u64 - 1;
                self.dropped.fetch_add(lost, Ordering::Relaxed);
                return Err(error);
            }
            if lines.capacity() <= BUFFER_KEPT {
                lines.clear();
                lock(shard).spare = lines;
            }
        }
        Ok(())
    }

    /// Writes what is left, the unfinished minute too. For a stopping front.
    pub(crate) fn close(&self) -> io::Result<()> {
        for shard in &self.shards {
            lock(shard).finish_minute();
        }
        self.flush(UNIX_EPOCH)
    }

    /// Waits until [`RecordLog::flush`] should be called again.
    pub(crate) async fn due(&self) {
        // What was urged while nobody waited is remembered; once too often does no harm.
        let _ = tokio::time::timeout(FLUSH_EVERY, self.enough.notified()).await;
    }
}

/// A poisoned buffer holds whole lines all the same: appending does not panic half-way.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Turns the minute's counts into lines: the row's fields, then the counts.
    fn finish_minute(&mut self) {
        let Self { lines, clock, minute, rows, .. } = self;
        let time = clock.at(Duration::from_secs(*minute * 60)).to_owned();
        let mut finished: Vec<_> = rows.drain().collect();
        finished.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (fields, row) in finished {
            lines.extend_from_slice(b"{\"time\":\"");
            lines.extend_from_slice(time.as_bytes());
            lines.push(b'"');
            lines.extend_from_slice(&fields);
            let Row { answers, bytes } = row;
            lines.extend_from_slice(
                format!(",\"bytes\":{bytes},\"answers\":{answers}}}\n").as_bytes(),
            );
        }
    }
}

/// The moment as RFC 3339 with milliseconds, of which only the milliseconds are written each time.
#[derive(Debug, Default)]
struct ClockText {
    second: Option<u64>,
    text: String,
}

impl ClockText {
    fn at(&mut self, since_epoch: Duration) -> &str {
        let second = since_epoch.as_secs();
        if self.second != Some(second) {
            let moment =
                i64::try_from(second).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
            self.text = moment.map(|m| m.to_string()).unwrap_or_default();
            self.text.truncate("2026-11-22T16:00:00".len());
            self.text.push_str(".000Z");
            self.second = Some(second);
        }
        let at = self.text.len().saturating_sub(4);
        let millis = since_epoch.subsec_millis();
        let digits = [millis / 100, millis / 10 % 10, millis % 10]
            .map(|digit| char::from_digit(digit, 10).unwrap_or('0'));
        self.text.truncate(at);
        self.text.extend(digits);
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use landbridge_core::record::StoredRecord;

    use super::*;

    fn settings(directory: &Path, mode: RecordMode) -> RecordSettings {
        let directory = directory.to_owned();
        RecordSettings { mode, directory, rotate_bytes: 1_000, keep_files: 2 }
    }

    fn record(tag: &str) -> AccessRecord<'_> {
        AccessRecord {
            time: "",
            site: "demo",
            method: "GET",
            kind: "manifest",
            repository: "a/b",
            tag,
            digest: None,
            provider: "aws",
            region: "us-east-2",
            copy: "",
            status: 200,
            bytes: 7,
            agent: "skopeo",
        }
    }

    #[test]
    fn lines_are_written_whole_and_old_files_go() {
        let directory = tempfile::tempdir().unwrap();
        let log = RecordLog::open(&settings(directory.path(), RecordMode::Each), 2).unwrap();
        let moment = UNIX_EPOCH + Duration::from_millis(1_795_363_200_042);
        for round in 0..60 {
            log.write(round, moment, record("v1"));
            log.flush(moment).unwrap();
        }
        let mut names: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["access.jsonl", "access.jsonl.1", "access.jsonl.2"]);
        let text = std::fs::read_to_string(directory.path().join("access.jsonl.1")).unwrap();
        for line in text.lines() {
            let read: StoredRecord<'_> = serde_json::from_str(line).unwrap();
            assert_eq!(read.time, "2026-11-22T16:00:00.042Z");
        }
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn a_minute_becomes_one_line_for_each_combination() {
        let directory = tempfile::tempdir().unwrap();
        let log = RecordLog::open(&settings(directory.path(), RecordMode::Minute), 1).unwrap();
        let moment = UNIX_EPOCH + Duration::from_secs(1_795_363_201);
        for tag in ["v1", "v2", "v1"] {
            log.write(0, moment, record(tag));
        }
        log.flush(moment).unwrap();
        let path = directory.path().join("access.jsonl");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "", "the minute is not over");
        log.close().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut counts: Vec<_> = text
            .lines()
            .map(|line| {
                let row: StoredRecord<'_> = serde_json::from_str(line).unwrap();
                assert_eq!(row.time, "2026-11-22T16:00:00.000Z");
                (row.tag.into_owned(), row.answers, row.bytes)
            })
            .collect();
        counts.sort();
        assert_eq!(counts, [("v1".to_owned(), 2, 14), ("v2".to_owned(), 1, 7)]);
    }
}
