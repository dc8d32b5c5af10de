//! Who holds what: the copies' holdings, asked at once and remembered.

use std::time::Duration;

use futures::StreamExt as _;
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::holding::Holding;
use landbridge_core::topology::{CopyId, CopySet};

use crate::documents::{HoldingRead, ReadHolding};
use crate::read::{CopySource, HoldingSource};

/// Copies that are asked at once.
const AT_ONCE: usize = 8;

/// What one copy says that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyHolding {
    /// The copy.
    pub copy: CopyId,
    pub(crate) read: Option<ReadHolding>,
}

impl CopyHolding {
    /// The holding; `None` if the copy has none that could be read.
    pub fn holding(&self) -> Option<&Holding> {
        self.read.as_ref().map(|read| &read.holding)
    }

    /// Whether the copy says that it holds this generation, perhaps but for some objects.
    pub fn holds(&self, generation: &Digest) -> bool {
        self.holding().is_some_and(|holding| holding.generations.contains(generation))
    }

    /// Objects that it says it lacks.
    pub fn lacks(&self) -> &[Digest] {
        self.holding().map_or(&[], |holding| &holding.lacks)
    }

    /// Which pointer it says that it has a copy of.
    pub(crate) fn pointer(&self) -> Option<u64> {
        self.holding()?.pointer
    }

    /// Whether the copy says the same as `before`.
    pub(crate) fn is_among(&self, before: &[Self]) -> bool {
        before.iter().any(|held| Self::same(std::slice::from_ref(held), std::slice::from_ref(self)))
    }

    /// Whether the same copies say the same.
    pub(crate) fn same(before: &[Self], now: &[Self]) -> bool {
        let said = |held: &Self| (held.copy, held.read.as_ref().map(|read| read.digest));
        before.iter().map(said).eq(now.iter().map(said))
    }
}

/// The copies that hold the generation.
pub(crate) fn of(generation: &Digest, holdings: &[CopyHolding]) -> CopySet {
    holdings.iter().filter(|held| held.holds(generation)).map(|held| held.copy).collect()
}

/// One copy's answer: what it holds, or what it held before and why that is not known anew.
pub(crate) struct Answer {
    held: CopyHolding,
    /// Whether the copy answered at all.
    pub(crate) is_heard: bool,
    note: Option<String>,
}

/// Asks all copies, each with its own deadline.
pub(crate) async fn ask(
    copies: &[CopySource],
    before: Option<&[CopyHolding]>,
    deadline: Duration,
) -> Vec<Answer> {
    let asked = copies.iter().map(|CopySource { copy, source, .. }| {
        let before = before.unwrap_or_default().iter().find(|held| held.copy == *copy);
        ask_one(*copy, source, before.and_then(|held| held.read.as_ref()), deadline)
    });
    // The futures are made first: a closure that borrows must not live inside the stream.
    let asked: Vec<_> = asked.collect();
    futures::stream::iter(asked).buffered(AT_ONCE).collect().await
}

async fn ask_one(
    copy: CopyId,
    source: &HoldingSource,
    before: Option<&ReadHolding>,
    deadline: Duration,
) -> Answer {
    let etag = before.and_then(|read| read.etag.as_deref());
    let reading = async {
        match source {
            HoldingSource::Bucket(bucket) => {
                let read = bucket.get_holding_unless(etag).await;
                read.map_err(|error| chain(&error))
            }
            HoldingSource::Face(face) => {
                face.holding_unless(etag).await.map_err(|error| chain(&error))
            }
        }
    };
    let name = source.name();
    let answered = tokio::time::timeout(deadline, reading).await;
    let is_heard = matches!(answered, Ok(Ok(_)));
    let (read, note) = match answered {
        Ok(Ok(HoldingRead::Found(read))) => (Some(read), None),
        Ok(Ok(HoldingRead::Unchanged)) => (before.cloned(), None),
        Ok(Ok(HoldingRead::Absent)) => {
            (None, Some(format!("{name} has no holding, so nothing is sought there")))
        }
        Ok(Err(why)) => (before.cloned(), Some(format!("holding is not known anew: {why}"))),
        Err(_) => {
            let why = format!("{name} did not give its holding within {deadline:?}");
            (before.cloned(), Some(why))
        }
    };
    Answer { held: CopyHolding { copy, read }, is_heard, note }
}

/// The holdings of `catalog`; what is to be said about the others goes to `notes`.
pub(crate) fn noted(
    answers: Vec<Answer>,
    catalog: &str,
    notes: &mut Vec<String>,
) -> Vec<CopyHolding> {
    let mut holdings = Vec::with_capacity(answers.len());
    for Answer { mut held, note, .. } in answers {
        notes.extend(note);
        if let Some(other) = held.holding().map(|holding| &holding.catalog)
            && other != catalog
        {
            notes.push(format!(
                "copy {} holds catalog `{other}`, not `{catalog}`, so nothing is sought there",
                held.copy.index()
            ));
            held.read = None;
        }
        holdings.push(held);
    }
    holdings
}
