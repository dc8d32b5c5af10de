//! What a killed process leaves in a directory.
//!
//! A file is written as `NAME#NUMBER` and gets its name when it is whole. Such a draft is in no
//! list and is no object, but it takes space, perhaps that of a whole layer. A cloud's half
//! uploads are removed by its own lifecycle rules.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;

use crate::error::StoreError;
use crate::repositories::Repositories;

/// Drafts that were deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Drafts {
    /// How many.
    pub count: u64,
    /// Their bytes. One that shares its bytes with a file that stays is counted all the same.
    pub bytes: u64,
}

impl Repositories {
    /// Deletes the drafts of a directory that were not written to since `before`, by the store's
    /// clock; those of writers at work are younger. Any other store has none.
    pub async fn delete_drafts(&self, before: Timestamp) -> Result<Drafts, StoreError> {
        let Some(root) = self.bucket().file("") else { return Ok(Drafts::default()) };
        let deleted = crate::file::blocking(move || {
            let mut drafts = Drafts::default();
            delete_below(&root, before.into(), &mut drafts)?;
            Ok(drafts)
        });
        deleted.await.map_err(|error| StoreError::from_cause(self.bucket().place(""), error.into()))
    }
}

fn delete_below(directory: &Path, before: SystemTime, drafts: &mut Drafts) -> io::Result<()> {
    for entry in unless_gone(fs::read_dir(directory))?.into_iter().flatten() {
        let entry = entry?;
        // Links are not followed: nothing outside is touched.
        let Some(meta) = unless_gone(entry.metadata())? else { continue };
        if meta.is_dir() {
            delete_below(&entry.path(), before, drafts)?;
        } else if entry.file_name().to_str().is_some_and(is_draft)
            && meta.modified()? < before
            && unless_gone(fs::remove_file(entry.path()))?.is_some()
        {
            drafts.count += 1;
            drafts.bytes += meta.len();
        }
    }
    Ok(())
}

fn is_draft(name: &str) -> bool {
    let number = name.split_once('#').map(|(_, number)| number);
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Others delete at the same time.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}
