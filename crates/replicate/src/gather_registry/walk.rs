//! From a repository's names to everything that they need.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landbridge_core::Digest;
use landbridge_core::generation::{ObjectEntry, Repository};
use landbridge_core::manifest::{Descriptor, Kind, MAX_MANIFEST_BYTES, Manifest};
use landbridge_core::media_type::{OCTET_STREAM, is_media_type};

use super::AT_ONCE;
use super::look::Look;
use crate::error::ImportError;
use crate::gather::{Content, Held, MAX_DEPTH, is_manifest};
use crate::patience::patiently;

/// From names to everything that they need.
pub(super) struct Walk<'a> {
    look: &'a Look<'a>,
    published: Option<&'a Repository>,
    pub(super) content: Content,
    pub(super) fetched: BTreeMap<Digest, Bytes>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(look: &'a Look<'a>, published: Option<&'a Repository>) -> Self {
        Self { look, published, content: Content::default(), fetched: BTreeMap::new() }
    }

    /// Adds a manifest and all that it refers to.
    pub(super) async fn walk(&mut self, root: Digest) -> Result<(), ImportError> {
        let mut open = vec![(root, 0)];
        while let Some((digest, depth)) = open.pop() {
            if self.content.manifests.contains_key(&digest) {
                continue;
            }
            if depth > MAX_DEPTH {
                return Err(ImportError::TooDeep { digest, limit: MAX_DEPTH });
            }
            let (size, manifest) = self.manifest(digest).await?;
            for reference in manifest.references() {
                if manifest.kind == Kind::Index && is_manifest(reference) {
                    open.push((reference.digest, depth + 1));
                } else {
                    self.add_blob(reference).await?;
                }
            }
            self.content.manifests.insert(digest, Held::new(digest, size, manifest));
        }
        Ok(())
    }

    /// Adds a manifest unless it is published or was added; says whether it did.
    pub(super) async fn add(&mut self, digest: Digest) -> Result<bool, ImportError> {
        let is_published = self.published.is_some_and(|it| it.manifest(&digest).is_some());
        let is_known = is_published || self.content.manifests.contains_key(&digest);
        if !is_known {
            self.walk(digest).await?;
        }
        Ok(!is_known)
    }

    async fn manifest(&mut self, digest: Digest) -> Result<(u64, Manifest), ImportError> {
        let known = self.published.and_then(|published| published.manifest(&digest));
        let (bytes, media_type) = if let Some(entry) = known {
            let bytes = self.look.authority.get(&digest, MAX_MANIFEST_BYTES as u64).await?;
            (bytes, entry.media_type.clone())
        } else {
            let (bytes, media_type) = self.look.fetch(digest).await?;
            self.fetched.insert(digest, bytes.clone());
            (bytes, media_type)
        };
        let manifest = Manifest::parse(&bytes, Some(&media_type)).map_err(|error| {
            let place = format!("the registry's `{}`", self.look.name);
            ImportError::Corrupt { digest, place, what: error.to_string() }
        })?;
        Ok((bytes.len() as u64, manifest))
    }

    async fn add_blob(&mut self, descriptor: &Descriptor) -> Result<(), ImportError> {
        let digest = descriptor.digest;
        if self.content.blobs.contains_key(&digest) {
            return Ok(());
        }
        let size = match descriptor.size {
            // Schema 1 tells no sizes.
            0 if digest != Digest::of(digest.algorithm(), b"") => {
                let Look { client, name, .. } = self.look;
                let size =
                    patiently(|| async { Ok(client.head_blob(name, &digest).await?) }).await?;
                size.ok_or_else(|| self.look.gone(&digest))?
            }
            size => size,
        };
        let known = is_media_type(&descriptor.media_type);
        let media_type = if known { &descriptor.media_type } else { OCTET_STREAM };
        let entry = ObjectEntry { digest, media_type: media_type.to_owned(), size };
        self.content.blobs.insert(digest, entry);
        Ok(())
    }

    /// Adds what refers to any manifest of the repository, and what refers to that; returns those
    /// that are not published.
    pub(super) async fn add_referrers(&mut self) -> Result<Vec<Digest>, ImportError> {
        let published = self.published;
        let listed = published.iter().flat_map(|it| &it.manifests).map(|entry| entry.digest);
        let mut open: BTreeSet<Digest> = listed.collect();
        open.extend(self.content.manifests.keys());
        let mut known = open.clone();
        let mut new = Vec::new();
        // The first one goes alone: its answer tells whether the registry has the interface at all.
        let mut next = open.pop_first().into_iter().collect();
        while !BTreeSet::is_empty(&next) {
            let Look { client, name, .. } = self.look;
            let ask = |subject: Digest| async move {
                patiently(|| async { Ok(client.listed_referrers(name, &subject).await?) }).await
            };
            let answers: Vec<_> = stream::iter(next)
                .map(|subject| Box::pin(ask(subject)))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            for referrers in answers {
                // Without the interface its fallback is a tag, and tags are all looked at.
                let Some(referrers) = referrers else { return Ok(new) };
                for digest in referrers {
                    if published.is_none_or(|it| it.manifest(&digest).is_none()) {
                        self.walk(digest).await?;
                        new.push(digest);
                    }
                    if known.insert(digest) {
                        open.insert(digest);
                    }
                }
            }
            next = std::mem::take(&mut open);
        }
        Ok(new)
    }
}
