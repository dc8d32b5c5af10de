//! Questions about one repository, each asked again if its failure may pass.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landbridge_core::Digest;
use landbridge_core::reference::{RepositoryName, Tag};
use landbridge_core::request::ManifestReference;
use landbridge_registry::client::{ClientError, RegistryClient};
use landbridge_store::Bucket;

use super::{AT_ONCE, MOST_NAMES, MOST_PAGES, PAGE, malformed};
use crate::error::ImportError;
use crate::patience::patiently;

/// What a registry lists of a repository.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Its tags, with what they mean if it said so.
    pub(super) tags: Vec<(Tag, Option<Digest>)>,
    /// Manifests without a tag, if it tells of them.
    pub(super) untagged: Vec<Digest>,
}

/// Asking about one repository.
pub(super) struct Look<'a> {
    pub(super) client: &'a RegistryClient,
    pub(super) authority: &'a Bucket,
    pub(super) name: &'a RepositoryName,
}

impl Look<'_> {
    /// Its tags, and manifests without one as far as the registry tells; `None` if there is no such
    /// repository.
    pub(super) async fn list(&self) -> Result<Option<Listed>, ImportError> {
        let what = || format!("tag list of `{}`", self.name);
        let mut listed = Listed::default();
        let mut known = BTreeSet::new();
        let mut meanings: BTreeMap<Tag, Digest> = BTreeMap::new();
        for _ in 0..MOST_PAGES {
            let last = listed.tags.last().map(|(tag, _)| tag.to_string()).unwrap_or_default();
            let page =
                patiently(|| async { Ok(self.client.tags(self.name, Some(PAGE), &last).await?) })
                    .await?;
            let Some(page) = page else { return Ok(None) };
            let before = known.len();
            for (digest, tags) in page.manifests.into_iter().flatten() {
                if tags.is_empty() {
                    listed.untagged.push(digest);
                }
                meanings.extend(tags.into_iter().map(|tag| (tag, digest)));
            }
            for tag in page.tags {
                if known.insert(tag.clone()) {
                    let meaning = meanings.get(&tag).copied();
                    listed.tags.push((tag, meaning));
                }
            }
            if known.len() + listed.untagged.len() + meanings.len() > MOST_NAMES {
                break;
            }
            if !page.has_more {
                return Ok(Some(listed));
            }
            if known.len() == before {
                return Err(malformed(&what(), "its pages repeat themselves"));
            }
        }
        Err(malformed(&what(), "it never ends"))
    }

    /// Why a repository is not for everyone, if it is not.
    pub(super) async fn hidden(
        &self,
        anonymous: &RegistryClient,
        tag: &Tag,
    ) -> Result<Option<String>, ImportError> {
        let reference = ManifestReference::Tag(tag.as_str());
        let head = patiently(|| async {
            match anonymous.head_manifest(self.name, reference).await {
                Err(ClientError::Denied { .. }) => Ok(None),
                answer => Ok(answer?),
            }
        });
        let why = || format!("`{}`: not everyone may read it, and copies are public", self.name);
        Ok(head.await?.is_none().then(why))
    }

    /// What each tag means. One that went since the list was made is left out.
    pub(super) async fn heads(
        &self,
        tags: Vec<(Tag, Option<Digest>)>,
    ) -> Result<Vec<(Tag, Digest)>, ImportError> {
        let heads: Vec<Option<(Tag, Digest)>> = stream::iter(tags)
            .map(|(tag, meaning)| Box::pin(self.head(tag, meaning)))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(heads.into_iter().flatten().collect())
    }

    async fn head(
        &self,
        tag: Tag,
        meaning: Option<Digest>,
    ) -> Result<Option<(Tag, Digest)>, ImportError> {
        if let Some(digest) = meaning {
            return Ok(Some((tag, digest)));
        }
        let digest = patiently(|| async {
            let reference = ManifestReference::Tag(tag.as_str());
            match self.client.head_manifest(self.name, reference).await? {
                None => Ok(None),
                Some(head) if head.digest.is_some() => Ok(head.digest),
                // A registry that promises no digest is believed its bytes.
                Some(_) => {
                    let manifest = self.client.manifest(self.name, reference).await?;
                    Ok(manifest.map(|manifest| manifest.digest))
                }
            }
        });
        Ok(digest.await?.map(|digest| (tag, digest)))
    }

    pub(super) async fn fetch(&self, digest: Digest) -> Result<(Bytes, String), ImportError> {
        patiently(|| async {
            let reference = ManifestReference::Digest(digest);
            let manifest = self.client.manifest(self.name, reference).await?;
            let manifest = manifest.ok_or_else(|| self.gone(&digest))?;
            Ok((manifest.bytes, manifest.media_type))
        })
        .await
    }

    pub(super) fn gone(&self, digest: &Digest) -> ImportError {
        ImportError::Gone { what: format!("`{}@{digest}` in the registry", self.name) }
    }
}
