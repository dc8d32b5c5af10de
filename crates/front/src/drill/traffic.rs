//! What records add up to: counts for each while, site, place and repository.
//!
//! Times are kept in slots of a minute, the finest that rolled-up records tell. If all times are
//! whole multiples of something longer, records were rolled up to that, and so are the slots. More
//! combinations than fit into memory make slots longer, never the answer wrong.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;
use landbridge_core::record::StoredRecord;
use serde::Serialize;

use super::play::Amounts;

/// The shortest slot, in seconds.
const MINUTE: u64 = 60;
/// Slots that do not cross an hour, in minutes: caps are counted by hours.
const LENGTHS: [u64; 12] = [60, 30, 20, 15, 12, 10, 6, 5, 4, 3, 2, 1];
/// Different times that must agree before slots are longer than a minute.
const ENOUGH_TIMES: u64 = 24;
/// The most rows that are kept by one thread; above it slots grow.
const MOST_ROWS: usize = 4_000_000;
/// The most groups: each has routes of its own.
const MOST_GROUPS: usize = 500_000;
/// The most copies that are told of: as many as a configuration has, and some that it once had.
const MOST_COPIES: usize = 1_000;
/// The most malformed lines that are told one by one.
const TOLD: usize = 5;

/// Records, added up.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    /// What was read.
    pub recording: Recording,
    /// Who asked for what.
    pub(super) groups: Vec<Group>,
    /// In the order of slots, then of groups.
    pub(super) rows: Vec<Row>,
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recording {
    /// How many files.
    pub files: usize,
    /// Answers that the records stand for, without what is listed below.
    pub answers: u64,
    /// The first slot's begin, in seconds since 1970.
    pub from: u64,
    /// The last slot's end.
    pub until: u64,
    /// How long a slot is, in seconds.
    pub slot_seconds: u64,
    /// Probes of fronts, which are no clients.
    pub probes: u64,
    /// Answers that were errors or refusals already; they are not played.
    pub errors: u64,
    /// By copy, what was recorded; the copy without a name is the front itself.
    pub copies: BTreeMap<String, Amounts>,
    /// Lines that are no records.
    pub malformed: u64,
    /// The first of them.
    pub examples: Vec<Malformed>,
}

/// A line that is no record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Malformed {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

/// Whose traffic is counted together.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) site: String,
    pub(super) provider: String,
    pub(super) region: String,
    pub(super) repository: String,
}

/// What a group asked for in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    /// Slots since 1970.
    pub(super) slot: u32,
    pub(super) group: u32,
    pub(super) asked: Asked,
}

/// Counts of answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Manifests that were given.
    pub(super) manifests: Amounts,
    /// Blobs that were given.
    pub(super) blobs: Amounts,
    /// Whatever carries no bytes from a copy: `HEAD`, lists, pages.
    pub(super) others: u64,
}

impl Asked {
    /// All of them.
    pub(super) fn answers(&self) -> u64 {
        self.manifests.requests.saturating_add(self.blobs.requests).saturating_add(self.others)
    }

    fn add(&mut self, other: &Self) {
        self.manifests.add(other.manifests);
        self.blobs.add(other.blobs);
        self.others = self.others.saturating_add(other.others);
    }
}

/// Adds records up.
#[derive(Debug)]
pub(super) struct Fold {
    recording: Recording,
    /// Minutes in a slot.
    length: u64,
    groups: Vec<Group>,
    numbers: HashMap<Vec<u8>, u32, RandomState>,
    rows: HashMap<(u32, u32), Asked, RandomState>,
    most_rows: usize,
    /// What is looked up is written here first.
    key: Vec<u8>,
    clock: Clock,
}

/// The minute of the last record, since most records are of the same as the one before.
#[derive(Debug, Default)]
struct Clock {
    text: String,
    second: u64,
    /// What all times so far are whole multiples of, in seconds.
    common: u64,
    times: u64,
}

/// `2026-11-22T16:00`.
const UNTIL_MINUTE: usize = 16;

impl Clock {
    fn minute(&mut self, time: &str) -> Option<u64> {
        if time == self.text {
            return Some(self.second / MINUTE);
        }
        let is_same_minute = !self.text.is_empty()
            && time.get(..UNTIL_MINUTE) == self.text.get(..UNTIL_MINUTE)
            && matches!(time.as_bytes().get(UNTIL_MINUTE..), Some([b':', a, b, rest @ ..])
                if a.is_ascii_digit() && *a < b'6' && b.is_ascii_digit()
                    && matches!(rest, [b'Z'] | [b'.', .., b'Z'])
                    && rest.iter().filter(|it| !it.is_ascii_digit()).count() == rest.len().min(2));
        if is_same_minute && self.common == 1 {
            return Some(self.second / MINUTE);
        }
        let moment: jiff::Timestamp = time.parse().ok()?;
        self.second = u64::try_from(moment.as_second()).ok()?;
        self.text.clear();
        self.text.push_str(time);
        self.times += 1;
        let exact = if moment.subsec_nanosecond() == 0 { self.second } else { 1 };
        self.common = common_divisor(self.common, exact);
        Some(self.second / MINUTE)
    }
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// More groups than fit into memory: a line that is refused says so.
const TOO_MANY: &str = "one repository, place or site too many";

impl Fold {
    pub(super) fn new() -> Self {
        Self::with_most_rows(MOST_ROWS)
    }

    fn with_most_rows(most_rows: usize) -> Self {
        Self {
            recording: Recording::default(),
            length: 1,
            groups: Vec::new(),
            numbers: HashMap::default(),
            rows: HashMap::default(),
            most_rows,
            key: Vec::new(),
            clock: Clock::default(),
        }
    }

    /// Adds one line. Returns what is wrong with one that is no record.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<(), Cow<'static, str>> {
        let record: StoredRecord<'_> =
            serde_json::from_slice(line).map_err(|error| error.to_string())?;
        let wrong_time = || Cow::Borrowed("the time is not as in `2026-11-22T16:00:00Z`");
        let minute = self.clock.minute(&record.time).ok_or_else(wrong_time)?;
        let answers = record.answers;
        if record.kind == "probe" {
            self.recording.probes += answers;
            return Ok(());
        }
        if record.status >= 400 {
            self.recording.errors += answers;
            return Ok(());
        }
        let amounts = Amounts { requests: answers, bytes: record.bytes };
        let asked = match (&*record.kind, &*record.method) {
            ("manifest", "GET" | "") => Asked { manifests: amounts, ..Asked::default() },
            ("blob", "GET" | "") => Asked { blobs: amounts, ..Asked::default() },
            _ => Asked { others: answers, ..Asked::default() },
        };
        let group = self.group(&record).ok_or(TOO_MANY)?;
        let slot = u32::try_from(minute / self.length).map_err(|_| wrong_time())?;
        self.rows.entry((slot, group)).or_default().add(&asked);
        self.recording.answers += answers;
        let copies = &mut self.recording.copies;
        if let Some(sum) = copies.get_mut(&*record.copy) {
            sum.add(amounts);
        } else if copies.len() < MOST_COPIES {
            copies.insert(record.copy.into_owned(), amounts);
        }
        if self.rows.len() > self.most_rows {
            self.coarsen();
        }
        Ok(())
    }

    fn group(&mut self, record: &StoredRecord<'_>) -> Option<u32> {
        self.key.clear();
        for part in [&record.site, &record.provider, &record.region, &record.repository] {
            self.key.extend_from_slice(part.as_bytes());
            self.key.push(b'\n');
        }
        if let Some(&number) = self.numbers.get(&self.key) {
            return Some(number);
        }
        let number =
            u32::try_from(self.groups.len()).ok().filter(|_| self.groups.len() < MOST_GROUPS)?;
        self.groups.push(Group {
            site: record.site.clone().into_owned(),
            provider: record.provider.to_ascii_lowercase(),
            region: record.region.to_ascii_lowercase(),
            repository: record.repository.clone().into_owned(),
        });
        self.numbers.insert(self.key.clone(), number);
        Some(number)
    }

    /// Makes slots longer, until at most half of the rows are left or there is nothing longer.
    fn coarsen(&mut self) {
        while self.length < LENGTHS[0] && self.rows.len() > self.most_rows / 2 {
            let longer =
                LENGTHS.iter().rev().find(|it| **it > self.length && **it % self.length == 0);
            self.lengthen(longer.copied().unwrap_or(LENGTHS[0]));
        }
        // An hour's rows are what they are: beyond it, only memory is the limit.
        if self.length == LENGTHS[0] {
            self.most_rows = usize::MAX;
        }
    }

    fn lengthen(&mut self, length: u64) {
        let rows = std::mem::take(&mut self.rows);
        let factor = u32::try_from(length / self.length).unwrap_or(1);
        let mut coarse: HashMap<_, Asked, _> = HashMap::default();
        #[expect(clippy::iter_over_hash_type, reason = "sums do not depend on the order")]
        for ((slot, group), asked) in rows {
            coarse.entry((slot / factor, group)).or_default().add(&asked);
        }
        (self.rows, self.length) = (coarse, length);
    }

    /// Notes a line that is no record.
    pub(super) fn malformed(&mut self, malformed: Malformed) {
        self.recording.malformed += 1;
        let examples = &mut self.recording.examples;
        examples.push(malformed);
        examples.sort_unstable();
        examples.truncate(TOLD);
    }

    /// All that was added up by several, as one.
    pub(super) fn finish(folds: Vec<Self>, files: usize) -> Traffic {
        let mut common = 0;
        let mut times = 0;
        let mut length = 1;
        let mut recording = Recording { files, ..Recording::default() };
        for fold in &folds {
            common = common_divisor(common, fold.clock.common);
            times += fold.clock.times;
            length = common_multiple(length, fold.length);
            let Recording { answers, probes, errors, malformed, .. } = fold.recording;
            recording.answers += answers;
            recording.probes += probes;
            recording.errors += errors;
            recording.malformed += malformed;
            recording.examples.extend_from_slice(&fold.recording.examples);
            for (copy, sum) in &fold.recording.copies {
                recording.copies.entry(copy.clone()).or_default().add(*sum);
            }
        }
        recording.examples.sort_unstable();
        recording.examples.truncate(TOLD);
        if times >= ENOUGH_TIMES {
            let told = LENGTHS.iter().find(|minutes| common % (**minutes * MINUTE) == 0);
            length = common_multiple(length, told.copied().unwrap_or(1));
        }
        let mut all: BTreeMap<Group, u32> = BTreeMap::new();
        for group in folds.iter().flat_map(|fold| &fold.groups) {
            all.entry(group.clone()).or_default();
        }
        for (number, group) in (0..).zip(all.values_mut()) {
            *group = number;
        }
        let mut rows = Vec::with_capacity(folds.iter().map(|fold| fold.rows.len()).sum());
        for mut fold in folds {
            if fold.length < length {
                fold.lengthen(length);
            }
            let numbers: Vec<u32> = fold.groups.iter().map(|group| all[group]).collect();
            rows.extend(fold.rows.into_iter().map(|((slot, group), asked)| {
                let group = numbers.get(group as usize).copied().unwrap_or_default();
                Row { slot, group, asked }
            }));
        }
        rows.sort_unstable_by_key(|row| (row.slot, row.group));
        rows.dedup_by(|later, first| {
            let is_same = (later.slot, later.group) == (first.slot, first.group);
            if is_same {
                first.asked.add(&later.asked);
            }
            is_same
        });
        let seconds = length * MINUTE;
        recording.slot_seconds = seconds;
        recording.from = rows.first().map_or(0, |row| u64::from(row.slot) * seconds);
        recording.until = rows.last().map_or(0, |row| (u64::from(row.slot) + 1) * seconds);
        Traffic { recording, groups: all.into_keys().collect(), rows }
    }
}

fn common_multiple(a: u64, b: u64) -> u64 {
    a / common_divisor(a, b).max(1) * b
}
