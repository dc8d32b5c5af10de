//! Manifests in memory: bounded by bytes, by digest, verified before they get in.

use bytes::Bytes;
use futures::FutureExt as _;
use landbridge_core::Digest;
use landbridge_core::oci_error::OciError;
use moka::future::Cache;

/// What an entry costs beside its bytes: key, bookkeeping, allocations.
const ENTRY_BYTES: usize = 300;

/// The bytes of manifests that were asked for lately.
#[derive(Debug, Clone)]
pub(crate) struct ManifestCache {
    cache: Cache<Digest, Bytes>,
}

impl ManifestCache {
    /// A cache of at most `bytes`, bookkeeping included.
    pub(crate) fn new(bytes: u64) -> Self {
        let cache = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, manifest: &Bytes| {
                u32::try_from(manifest.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
            })
            .build();
        Self { cache }
    }

    /// The manifest with this digest, if it is here.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Bytes> {
        // Nothing is awaited when the entry is there; when it is not, that is an answer too.
        self.cache.get(digest).now_or_never().flatten()
    }

    /// The manifest, or what `read` brings: bytes that were checked against `digest`. Of many that
    /// wait for one manifest only one reads; an error is shared by them and not kept.
    pub(crate) async fn get_or_read(
        &self,
        digest: Digest,
        read: impl Future<Output = Result<Bytes, OciError>>,
    ) -> Result<Bytes, OciError> {
        self.cache.try_get_with(digest, read).await.map_err(|error| (*error).clone())
    }
}
