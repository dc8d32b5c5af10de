//! The copies that an import writes to: the authority, which must not fail, and mirrors, which may.
//!
//! A mirror that fails is left alone for the rest of the import and reported; its holding then says
//! what it lacks, and importing again brings it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use landbridge_core::cause::chain;
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_store::publish::Publication;
use landbridge_store::{Bucket, StoreError};

/// The authority, which is number 0, and the mirrors in their order.
pub(crate) struct Copies<'a> {
    list: Vec<(&'a str, &'a Bucket)>,
    failed: Mutex<BTreeMap<CopyId, String>>,
}

impl<'a> Copies<'a> {
    pub(crate) fn new(publication: &'a Publication) -> Self {
        let mirrors = publication.mirrors.iter().map(|m| (m.name.as_str(), &m.bucket));
        let list = [("authority", &publication.authority)].into_iter().chain(mirrors).collect();
        Self { list, failed: Mutex::default() }
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (CopyId, &'a str, &'a Bucket)> {
        let number = |(at, (name, bucket)): (usize, &(&'a str, &'a Bucket))| {
            Some((CopyId::new(at)?, *name, *bucket))
        };
        self.list.iter().enumerate().filter_map(number)
    }

    /// Those of `set` that have not failed.
    pub(crate) fn working(&self, set: CopySet) -> Vec<(CopyId, &'a Bucket)> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let works = |id: &CopyId| set.contains(*id) && !failed.contains_key(id);
        self.all().filter(|(id, ..)| works(id)).map(|(id, _, bucket)| (id, bucket)).collect()
    }

    /// Notes that a copy failed; gives the error back if it is one that must not.
    pub(crate) fn fail(&self, id: CopyId, error: StoreError) -> Result<(), StoreError> {
        if id.index() == 0 {
            return Err(error);
        }
        let name = self.list.get(id.index()).map_or("", |(name, _)| name);
        let why = format!("mirror `{name}` failed and was left out: {}", chain(&error));
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.entry(id).or_insert(why);
        Ok(())
    }

    /// A sentence for each mirror that failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.values().cloned().collect()
    }
}
