//! Reading and writing one fact of a repository.

use std::collections::BTreeMap;

use jiff::Timestamp;
use landbridge_core::manifest::{Descriptor, MAX_MANIFEST_BYTES};
use landbridge_core::reference::Tag;
use landbridge_core::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};

use super::{Repositories, keys};
use crate::error::{Malformed, StoreError};
use crate::facts::{Keep, MAX_FACT_BYTES};

/// A referrer repeats the annotations of a manifest, which may fill all of it.
const MAX_REFERRER_BYTES: u64 = MAX_MANIFEST_BYTES as u64 + MAX_FACT_BYTES;

/// What a tag means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagLink {
    /// The manifest.
    pub digest: Digest,
    /// The manifest's type.
    pub media_type: String,
    /// The manifest's size in bytes.
    pub size: u64,
    /// When it was pushed, by the clock of the process that took the push.
    pub pushed: Timestamp,
}

/// A manifest that a repository has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ManifestLink {
    /// Its type, as it was pushed and is served.
    pub media_type: String,
    /// Its size in bytes.
    pub size: u64,
    /// The kind of artifact, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifest that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlobLink {
    size: u64,
}

/// A descriptor as it is kept: what the referrers API answers, and nothing else.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Referrer {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Repositories {
    /// What the tag means; `None` if there is no such tag.
    pub async fn tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<TagLink>, StoreError> {
        self.fact(&keys::tag(repository, tag)).await
    }

    /// Lets the tag mean this manifest from now on.
    pub async fn put_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        link: &TagLink,
    ) -> Result<(), StoreError> {
        self.bucket().put_json(Keep::Durable, &keys::tag(repository, tag), link).await
    }

    /// Removes the tag; false if there was none.
    pub async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<bool, StoreError> {
        self.bucket().delete_fact(&keys::tag(repository, tag)).await
    }

    /// What the repository knows of a manifest; `None` if it does not have it.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestLink>, StoreError> {
        self.fact(&keys::manifest(repository, digest)).await
    }

    /// Gives a manifest, whose bytes the bucket holds, to the repository.
    pub async fn link_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        link: &ManifestLink,
    ) -> Result<(), StoreError> {
        self.bucket().put_json(Keep::Durable, &keys::manifest(repository, digest), link).await
    }

    /// Takes a manifest from the repository; false if it did not have it. Its bytes stay.
    pub async fn unlink_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        self.bucket().delete_fact(&keys::manifest(repository, digest)).await
    }

    /// The size in bytes of a blob that the repository has; `None` if it does not have it.
    pub async fn blob_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, StoreError> {
        let link: Option<BlobLink> = self.fact(&keys::blob(repository, digest)).await?;
        Ok(link.map(|link| link.size))
    }

    /// Gives a blob of `size` bytes, which the bucket holds, to the repository.
    pub async fn link_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: u64,
    ) -> Result<(), StoreError> {
        let key = keys::blob(repository, digest);
        self.bucket().put_json(Keep::Durable, &key, &BlobLink { size }).await
    }

    /// Takes a blob from the repository; false if it did not have it. Its bytes stay.
    pub async fn unlink_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        self.bucket().delete_fact(&keys::blob(repository, digest)).await
    }

    /// Notes that `referrer` is about `subject`, which need not exist. Type, digest, size, kind of
    /// artifact and annotations are kept.
    pub async fn put_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Descriptor,
    ) -> Result<(), StoreError> {
        let key = keys::referrer(repository, subject, &referrer.digest);
        let Descriptor { media_type, digest, size, artifact_type, annotations, .. } =
            referrer.clone();
        let referrer = Referrer { media_type, digest, size, artifact_type, annotations };
        self.bucket().put_json(Keep::Durable, &key, &referrer).await
    }

    /// Forgets that `referrer` is about `subject`; false if that was not known.
    pub async fn delete_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<bool, StoreError> {
        let existed =
            self.bucket().delete_fact(&keys::referrer(repository, subject, referrer)).await?;
        if let Some(directory) = self.bucket().file(&keys::referrers(repository, subject)) {
            // An empty directory costs its owner a little space, no more.
            let _ = crate::file::remove_empty_directory(directory).await;
        }
        Ok(existed)
    }

    /// What is noted of a referrer; `None` if it has gone.
    pub(super) async fn referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        digest: &Digest,
    ) -> Result<Option<Descriptor>, StoreError> {
        let key = keys::referrer(repository, subject, digest);
        let stored = self.bucket().get_json::<Referrer>(&key, MAX_REFERRER_BYTES).await?;
        let Some(found) = stored.map(|stored| stored.value) else { return Ok(None) };
        if found.digest != *digest {
            let what = format!("it describes {}", found.digest);
            return Err(self.bucket().malformed(&key, Malformed::Contradiction(what)));
        }
        Ok(Some(Descriptor {
            media_type: found.media_type,
            digest: found.digest,
            size: found.size,
            artifact_type: found.artifact_type,
            annotations: found.annotations,
            urls: Vec::new(),
            platform: None,
        }))
    }

    async fn fact<T: serde::de::DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let stored = self.bucket().get_json(key, MAX_FACT_BYTES).await?;
        Ok(stored.map(|stored| stored.value))
    }
}
