//! What a bucket had before anybody here wrote to it: what there is, and whether it is right.
//!
//! A bucket that is adopted may have a hundred thousand objects, so it is listed by pages rather
//! than asked for each, and verified as thoroughly as its owner wants.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use landbridge_core::Digest;

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::write::Confirmed;

/// Questions for sizes that are under way at once.
const QUESTIONS_AT_ONCE: usize = 16;
/// What clouds list in one page.
const PAGE: usize = 1_000;
/// A page costs as much as so many questions: 0.005 to 0.0004 USD for a thousand, in S3's standard
/// class and in Cloud Storage's alike.
/// <https://aws.amazon.com/s3/pricing/>, <https://cloud.google.com/storage/pricing>
const QUESTIONS_FOR_A_PAGE: usize = 12;

/// How an object that was there before is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// By its size, as the store tells it. Whoever wants this vouches for the bytes.
    Presence,
    /// By the store's own SHA-256 of all of it, where the store keeps one; otherwise by reading it.
    #[default]
    Checksum,
    /// By reading and hashing it.
    Full,
    /// So many of a million objects by reading them, the others by their size. Which ones is told by
    /// their digests, so that it is the same ones in every bucket and each time.
    Sample(u32),
}

impl Verify {
    /// What that means for one object: never [`Verify::Sample`].
    fn of(self, digest: &Digest) -> Self {
        const MILLION: u64 = 1_000_000;
        let Self::Sample(ppm) = self else { return self };
        let number = digest.hash().iter().take(8);
        let number = number.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        if number % MILLION < u64::from(ppm) { Self::Full } else { Self::Presence }
    }
}

/// How it is found out what a bucket has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inventory {
    /// By pages, as far as they cost no more than asking for each object: for a bucket of which
    /// nothing is known.
    Pages,
    /// By asking for each object.
    Questions,
}

impl Bucket {
    /// Makes sure that the bucket has the object, of this size and as right as `verify` wants. What
    /// is there and wrong is [`StoreError::WrongBytes`]. In a directory the object survives a power
    /// loss afterwards.
    pub async fn verify(
        &self,
        digest: &Digest,
        size: u64,
        verify: Verify,
    ) -> Result<Confirmed, StoreError> {
        match verify.of(digest) {
            Verify::Full => self.confirm(digest, size).await,
            Verify::Checksum => self.confirm_checksum(digest, size).await,
            Verify::Presence | Verify::Sample(_) => self.confirm_size(digest, size).await,
        }
    }

    /// Whether [`Bucket::verify`] reads all of the object, as far as that is known before.
    pub fn is_read_to_verify(&self, digest: &Digest, verify: Verify) -> bool {
        match verify.of(digest) {
            Verify::Full => true,
            Verify::Checksum => !self.tells_checksum_of(digest),
            Verify::Presence | Verify::Sample(_) => false,
        }
    }

    /// Which of `digests` the bucket has, with the sizes that the store tells.
    pub async fn sizes_of(
        &self,
        digests: &BTreeSet<Digest>,
        inventory: Inventory,
    ) -> Result<BTreeMap<Digest, u64>, StoreError> {
        let pages = match inventory {
            Inventory::Pages if self.lists_in_order() => digests.len() / QUESTIONS_FOR_A_PAGE,
            // A question to a directory costs next to nothing.
            Inventory::Pages | Inventory::Questions => 0,
        };
        let mut sizes = BTreeMap::new();
        let mut listed = self.list(self.layout().prefix(), None).take(pages * PAGE);
        let (mut entries, mut last) = (0, None);
        while let Some(entry) = listed.try_next().await? {
            entries += 1;
            if let Some(digest) = self.layout().parse_key(&entry.key)
                && digests.contains(&digest)
            {
                sizes.insert(digest, entry.size);
            }
            last = Some(entry.key);
        }
        if pages > 0 && entries < pages * PAGE {
            return Ok(sizes);
        }
        let is_open = |digest: &&Digest| last.as_ref() < Some(&self.object_key(digest));
        let open: Vec<Digest> = digests.iter().filter(is_open).copied().collect();
        let asked = stream::iter(open)
            .map(|digest| async move { Ok((digest, self.size_of(&digest).await?)) })
            .buffer_unordered(QUESTIONS_AT_ONCE);
        asked
            .try_fold(sizes, |mut sizes, (digest, size)| {
                sizes.extend(size.map(|size| (digest, size)));
                future::ready(Ok(sizes))
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use object_store::{ObjectStore, ObjectStoreExt as _};

    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::sha256_of(&number.to_be_bytes())
    }

    #[tokio::test]
    async fn pages_and_questions_find_the_same() {
        let store = Arc::new(InMemory::new());
        let bucket =
            Bucket::over("memory:///", Arc::<InMemory>::clone(&store) as Arc<dyn ObjectStore>);
        for number in 0..2_500 {
            let path = bucket.path(&bucket.object_key(&digest(number))).unwrap();
            store.put(&path, vec![0; number % 7].into()).await.unwrap();
        }
        // From none that is listed to all, with as many that are not there.
        for wanted in [0, 5, 12, 13, 24, 40, 500, 5_000] {
            let first = 2_500 - wanted / 2;
            let digests: BTreeSet<Digest> = (first..first + wanted).map(digest).collect();
            let [pages, questions] = [Inventory::Pages, Inventory::Questions]
                .map(|inventory| bucket.sizes_of(&digests, inventory));
            let pages = pages.await.unwrap();
            assert_eq!(pages, questions.await.unwrap(), "{wanted}");
            assert_eq!(pages.len(), wanted / 2);
        }
    }

    #[test]
    fn a_sample_is_the_share_that_it_says() {
        for (ppm, lowest, highest) in
            [(0, 0, 0), (50_000, 400, 600), (500_000, 4_800, 5_200), (1_000_000, 10_000, 10_000)]
        {
            let is_read = |number: &usize| Verify::Sample(ppm).of(&digest(*number)) == Verify::Full;
            let read = (0..10_000).filter(is_read).count();
            assert!((lowest..=highest).contains(&read), "{ppm}: {read}");
        }
    }
}
