//! An authority and a mirror in directories, and how a test imports into them.

use std::path::Path;

use landbridge_core::Digest;
use landbridge_core::generation::{Repository, Root};
use landbridge_core::pointer::{Keys, Pointer, Verified};
use landbridge_core::reference::ImageName;
use landbridge_registry::{Source, SourceLimits};
use landbridge_replicate::{
    Import, ImportError, Pace, Plan, Progress, Publishing, Report, Stop, Tariff, import,
    prepare_import,
};
use landbridge_sign::{LocalKey, Signer};
use landbridge_store::publish::{Mirror, Publication};
use landbridge_store::{Bucket, BucketLayout, Require, Verify};
use landbridge_testkit::Layout;
use landbridge_testkit::image::{Image, Recipe};
use tempfile::TempDir;
use url::Url;

pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) publication: Publication,
    /// As usual, but for few objects at once, so that there is a middle to be stopped in.
    pub(crate) pace: Pace,
    pub(crate) verify: Verify,
    signers: Vec<Signer>,
    /// Asks every run of this world to end.
    pub(crate) stop: Stop,
    /// What runs of this world cost.
    pub(crate) tariff: Option<Tariff>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let bucket = |name: &str, layout| {
            let url = Url::from_directory_path(dir.path().join(name)).unwrap();
            Bucket::open(&url, layout).unwrap()
        };
        let key = LocalKey::generate().unwrap();
        let aws = bucket("aws", BucketLayout::ContainersImages);
        let publication = Publication {
            authority: bucket("origin", BucketLayout::Blobs),
            mirrors: vec![Mirror { name: "aws".to_owned(), provider: None, bucket: aws }],
            catalog: "test".to_owned(),
            keys: Keys::new(vec![key.public().clone()], 1).unwrap(),
            minimum_sequence: 0,
            require: Require::default(),
        };
        let pace = Pace { parallel: 2, ..Pace::USUAL };
        let signers = vec![Signer::Ed25519(Box::new(key))];
        Self {
            dir,
            publication,
            pace,
            verify: Verify::default(),
            signers,
            stop: Stop::new(),
            tariff: None,
        }
    }

    /// An empty layout with this name.
    pub(crate) fn layout(&self, name: &str) -> Layout {
        Layout::create(self.dir.path().join(name)).unwrap()
    }

    /// A layout with one image under a tag.
    pub(crate) fn image(&self, name: &str, seed: u64, tag: &str) -> (Layout, Image) {
        let layout = self.layout(name);
        let image = Recipe { seed, ..Recipe::default() }.pack().unwrap();
        layout.put_image(&image).unwrap();
        layout.tag(tag, &image.manifest).unwrap();
        (layout, image)
    }

    pub(crate) async fn import(&self, source: &str, name: &str) -> Result<Report, ImportError> {
        self.import_and_tell(source, name, &|_| {}).await
    }

    pub(crate) async fn import_and_tell(
        &self,
        source: &str,
        name: &str,
        listener: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Report, ImportError> {
        let source = Source::open(&source.parse().unwrap(), SourceLimits::default()).await?;
        let destination = destination(name);
        import(&self.request(&source, destination.as_ref()), listener).await
    }

    /// The same after it was asked to end.
    pub(crate) fn again(self) -> Self {
        Self { stop: Stop::new(), ..self }
    }

    /// Publishing on some day.
    pub(crate) fn publishing(&self) -> Publishing<'_> {
        let now = "2026-11-22T00:00:00Z".parse().unwrap();
        let expires = "2027-11-22T00:00:00Z".parse().unwrap();
        let (publication, stop) = (&self.publication, &self.stop);
        let signers = &self.signers;
        let (pace, verify, despite_gaps, renew) = (self.pace, self.verify, None, false);
        let tariff = self.tariff.as_ref();
        Publishing {
            publication,
            signers,
            now,
            expires,
            verify,
            pace,
            despite_gaps,
            renew,
            stop,
            tariff,
        }
    }

    /// What `--dry-run` shows.
    pub(crate) async fn prepare(&self, source: &str, name: &str) -> Result<Plan, ImportError> {
        let source = Source::open(&source.parse().unwrap(), SourceLimits::default()).await?;
        prepare_import(&self.request(&source, destination(name).as_ref())).await
    }

    fn request<'a>(&'a self, source: &'a Source, destination: Option<&'a ImageName>) -> Import<'a> {
        Import { source, destination, publishing: self.publishing() }
    }

    pub(crate) fn authority(&self) -> &Bucket {
        &self.publication.authority
    }

    pub(crate) fn mirror(&self) -> &Bucket {
        &self.publication.mirrors[0].bucket
    }

    pub(crate) async fn pointer(&self) -> Option<Verified<Pointer>> {
        let keys = &self.publication.keys;
        self.authority().latest_pointer(keys, "test").await.unwrap().latest
    }

    /// The published repository.
    pub(crate) async fn repository(&self, name: &str) -> Repository {
        let pointer = self.pointer().await.unwrap();
        let root: Root =
            self.authority().get_document(&pointer.content().generation).await.unwrap();
        let entry = root.repositories.iter().find(|entry| entry.name.as_str() == name).unwrap();
        self.authority().get_document(&entry.digest).await.unwrap()
    }

    /// What a published tag means.
    pub(crate) async fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        let repository = self.repository(repository).await;
        repository.tags.iter().find(|entry| entry.name.as_str() == tag).map(|entry| entry.digest)
    }

    /// Asserts that every copy has these bytes.
    pub(crate) async fn assert_everywhere(&self, digest: &str, bytes: &[u8]) {
        for bucket in [self.authority(), self.mirror()] {
            let found = bucket.get(&digest.parse().unwrap(), 1 << 30).await.unwrap();
            assert_eq!(found, bytes, "{digest} in {bucket:?}");
        }
    }

    /// Asserts that no copy has it.
    pub(crate) async fn assert_nowhere(&self, digest: &str) {
        for bucket in [self.authority(), self.mirror()] {
            let size = bucket.size_of(&digest.parse().unwrap()).await.unwrap();
            assert_eq!(size, None, "{digest} in {bucket:?}");
        }
    }
}

fn destination(name: &str) -> Option<ImageName> {
    Some(name).filter(|name| !name.is_empty()).map(|name| name.parse().unwrap())
}

pub(crate) fn oci(layout: &Layout) -> String {
    format!("oci:{}", layout.dir().display())
}

/// Archives a layout, cut after `size` bytes if that is less than all.
pub(crate) fn archive(layout: &Layout, file: &Path, size: usize) -> String {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", layout.dir()).unwrap();
    let bytes = builder.into_inner().unwrap();
    std::fs::write(file, &bytes[..size.min(bytes.len())]).unwrap();
    format!("oci-archive:{}", file.display())
}
