//! Which bucket is known to hold which objects, because each was confirmed there.

use std::collections::{BTreeMap, HashMap};

use landbridge_core::Digest;

use crate::bucket::Bucket;
use crate::write::Confirmed;

/// What was confirmed, bucket by bucket.
#[derive(Debug, Clone, Default)]
pub struct Evidence(BTreeMap<Box<str>, HashMap<Digest, u64>>);

impl Evidence {
    /// Adds one object in one bucket.
    pub fn add(&mut self, confirmed: &Confirmed) {
        let bucket = self.0.entry(confirmed.bucket().into()).or_default();
        bucket.insert(*confirmed.digest(), confirmed.size());
    }

    /// The size with which the object was confirmed in `bucket`, if it was.
    pub fn size(&self, bucket: &Bucket, digest: &Digest) -> Option<u64> {
        self.0.get(bucket.name())?.get(digest).copied()
    }
}

impl Extend<Confirmed> for Evidence {
    fn extend<I: IntoIterator<Item = Confirmed>>(&mut self, confirmed: I) {
        for one in confirmed {
            self.add(&one);
        }
    }
}

impl FromIterator<Confirmed> for Evidence {
    fn from_iter<I: IntoIterator<Item = Confirmed>>(confirmed: I) -> Self {
        let mut evidence = Self::default();
        evidence.extend(confirmed);
        evidence
    }
}
