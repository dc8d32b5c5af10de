//! The copies that a run writes to: the authority, which must not fail, and mirrors, which may.
//!
//! A mirror that stands still, or fails again and again, falls behind alone: nobody waits for it any
//! more. When all others have everything it gets another chance, and is caught up from a copy. If it
//! fails then too, it is left alone for the rest of the run and reported; its holding then says what
//! it lacks, and the next run brings it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use landbridge_core::cause::chain;
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_store::publish::Publication;
use landbridge_store::{Bucket, StoreError};

/// So many failures in a row, of different objects, are no accident.
const MOST_STRIKES: u32 = 3;

/// The authority, which is number 0, and the mirrors in their order.
pub(crate) struct Copies<'a> {
    list: Vec<(&'a str, &'a Bucket)>,
    states: Mutex<BTreeMap<CopyId, State>>,
}

/// What went wrong with a mirror.
#[derive(Debug, Clone, Default)]
struct State {
    /// Failures since it last did what it was asked.
    strikes: u32,
    /// Nothing is sent to it.
    is_out: bool,
    /// It had its second chance.
    is_last_chance: bool,
    why: Option<String>,
}

impl<'a> Copies<'a> {
    pub(crate) fn new(publication: &'a Publication) -> Self {
        let mirrors = publication.mirrors.iter().map(|m| (m.name.as_str(), &m.bucket));
        let list = [("authority", &publication.authority)].into_iter().chain(mirrors).collect();
        Self { list, states: Mutex::default() }
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (CopyId, &'a str, &'a Bucket)> {
        let number = |(at, (name, bucket)): (usize, &(&'a str, &'a Bucket))| {
            Some((CopyId::new(at)?, *name, *bucket))
        };
        self.list.iter().enumerate().filter_map(number)
    }

    /// Those of `set` that something can be sent to.
    pub(crate) fn working(&self, set: CopySet) -> Vec<(CopyId, &'a Bucket)> {
        let states = self.states();
        let is_out = |id: &CopyId| states.get(id).is_some_and(|state| state.is_out);
        let works = |id: &CopyId| set.contains(*id) && !is_out(id);
        self.all().filter(|(id, ..)| works(id)).map(|(id, _, bucket)| (id, bucket)).collect()
    }

    /// Notes that a copy failed for good; gives the error back if it is one that must not.
    pub(crate) fn fail(&self, id: CopyId, error: StoreError) -> Result<(), StoreError> {
        self.note(id, error, |state, _| {
            state.is_out = true;
            state.is_last_chance = true;
        })
    }

    /// Notes that a copy failed with one object, which will be tried once more. One that stands
    /// still, or fails all the time, is left behind; one that refuses has failed for good.
    pub(crate) fn strike(&self, id: CopyId, error: StoreError) -> Result<(), StoreError> {
        self.note(id, error, |state, error| {
            state.strikes += 1;
            let is_still = matches!(error, StoreError::Stalled { .. });
            let is_hopeless = !error.may_pass();
            state.is_out = is_still || is_hopeless || state.strikes >= MOST_STRIKES;
            state.is_last_chance |= is_hopeless;
        })
    }

    fn note(
        &self,
        id: CopyId,
        error: StoreError,
        change: impl FnOnce(&mut State, &StoreError),
    ) -> Result<(), StoreError> {
        if id.index() == 0 {
            return Err(error);
        }
        let mut states = self.states();
        let state = states.entry(id).or_default();
        if !state.is_out {
            change(state, &error);
            state.why = Some(chain(&error));
        }
        Ok(())
    }

    /// Notes that a copy did what it was asked.
    pub(crate) fn praise(&self, id: CopyId) {
        if let Some(state) = self.states().get_mut(&id) {
            state.strikes = 0;
        }
    }

    /// Lets mirrors that fell behind try again, once.
    pub(crate) fn give_another_chance(&self) {
        for state in self.states().values_mut().filter(|state| !state.is_last_chance) {
            *state = State { is_last_chance: true, why: state.why.take(), ..State::default() };
        }
    }

    /// A sentence for each mirror that failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        let sentence =
            |name: &str, why: &str| format!("mirror `{name}` failed and was left out: {why}");
        self.told(true, sentence)
    }

    /// A sentence for each mirror that had trouble and got over it.
    pub(crate) fn recoveries(&self) -> Vec<String> {
        self.told(false, |name, why| {
            format!("mirror `{name}` fell behind and was caught up: {why}")
        })
    }

    fn told(&self, is_out: bool, sentence: impl Fn(&str, &str) -> String) -> Vec<String> {
        let states = self.states();
        let of = |(id, state): (&CopyId, &State)| {
            let (name, _) = self.list.get(id.index())?;
            let why = state.why.as_ref().filter(|_| state.is_out == is_out)?;
            Some(sentence(name, why))
        };
        states.iter().filter_map(of).collect()
    }

    fn states(&self) -> MutexGuard<'_, BTreeMap<CopyId, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
