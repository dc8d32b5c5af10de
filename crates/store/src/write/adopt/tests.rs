//! Copies that are made later, by a store that behaves as Azure's documentation says of it. The
//! emulator copies at once, so nothing else shows them.
//! <https://learn.microsoft.com/rest/api/storageservices/copy-blob>

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::*;

/// What becomes of a copy that was taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is made when somebody has looked so often.
    Made(u32),
    /// It goes on and on.
    Endless,
    /// It came to nothing; what is empty stays so.
    Failed,
}

#[derive(Debug)]
struct Slow {
    inner: InMemory,
    fate: Fate,
    copies: Mutex<Vec<(Path, Path)>>,
    looks: Mutex<u32>,
}

impl Slow {
    fn new(fate: Fate) -> Arc<Self> {
        let (copies, looks) = (Mutex::default(), Mutex::default());
        Arc::new(Self { inner: InMemory::new(), fate, copies, looks })
    }

    fn copied(&self) -> usize {
        self.copies.lock().unwrap().len()
    }

    fn pending(&self, to: &Path) -> Option<Path> {
        let copies = self.copies.lock().unwrap();
        let (from, _) = copies.iter().find(|(_, known)| known == to)?;
        (self.fate != Fate::Failed).then(|| from.clone())
    }
}

impl fmt::Display for Slow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[async_trait]
impl ObjectStore for Slow {
    async fn put_opts(&self, to: &Path, bytes: PutPayload, how: PutOptions) -> Result<PutResult> {
        if self.pending(to).is_some() {
            let source = "409 PendingCopyOperation".into();
            return Err(Error::AlreadyExists { path: to.to_string(), source });
        }
        self.inner.put_opts(to, bytes, how).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, how).await
    }

    async fn get_opts(&self, location: &Path, how: GetOptions) -> Result<GetResult> {
        if let (Some(from), Fate::Made(after)) = (self.pending(location), self.fate) {
            let seen = {
                let mut looks = self.looks.lock().unwrap();
                *looks += 1;
                *looks
            };
            if seen >= after {
                self.inner.copy_opts(&from, location, CopyOptions::default()).await?;
            }
        }
        self.inner.get_opts(location, how).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, _: CopyOptions) -> Result<()> {
        self.inner.put_opts(to, PutPayload::new(), PutOptions::default()).await?;
        self.copies.lock().unwrap().push((from.clone(), to.clone()));
        Ok(())
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
}

const BYTES: &[u8] = b"a blob that somebody pushed";
const TYPE: &str = "application/octet-stream";

async fn adopt(bucket: &Bucket, bytes: &'static [u8]) -> std::result::Result<Digest, PutError> {
    let payload = PutPayload::from_static(bytes);
    let written = bucket.store().put(&Path::from("uploads/data"), payload).await.unwrap();
    let (digest, size) = (Digest::sha256_of(bytes), bytes.len() as u64);
    bucket.adopt("uploads/data", written.e_tag.as_deref(), &digest, size, TYPE).await?;
    assert_eq!(bucket.get(&digest, size).await.unwrap(), bytes);
    Ok(digest)
}

fn azure(store: &Arc<Slow>) -> Bucket {
    let store: Arc<dyn ObjectStore> = Arc::<Slow>::clone(store);
    Bucket::over("az://container/", store)
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_made_later_is_waited_for() {
    for looks in [1, 2, 20] {
        let store = Slow::new(Fate::Made(looks));
        adopt(&azure(&store), BYTES).await.unwrap();
        assert_eq!(store.copied(), 1);
    }
    let store = Slow::new(Fate::Made(3));
    adopt(&azure(&store), b"").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_is_in_place_is_not_emptied_by_a_copy() {
    let store = Slow::new(Fate::Endless);
    let bucket = azure(&store);
    let source = futures::stream::iter([Ok::<_, std::io::Error>(BYTES.into())]);
    let (digest, size) = (Digest::sha256_of(BYTES), BYTES.len() as u64);
    bucket.put_object(&digest, size, TYPE, source).await.unwrap();
    assert_eq!(adopt(&bucket, BYTES).await.unwrap(), digest);
    assert_eq!(store.copied(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_does_not_end_is_to_be_tried_again_later() {
    let store = Slow::new(Fate::Endless);
    let error = adopt(&azure(&store), BYTES).await.unwrap_err();
    let PutError::Store(StoreError::Unavailable { source, .. }) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(source.to_string(), "the store is still copying it");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_came_to_nothing_is_written_instead() {
    let store = Slow::new(Fate::Failed);
    adopt(&azure(&store), BYTES).await.unwrap();
    assert_eq!(store.copied(), 1);
}
