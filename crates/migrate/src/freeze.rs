//! Whether an old registry still is what it was frozen as: every tag of the frozen generation, asked
//! where users pull it, and every tag that is there beyond.

use std::collections::BTreeMap;
use std::fmt;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use landbridge_core::generation::{Repository, Root};
use landbridge_core::request::ManifestReference;
use landbridge_core::{Digest, RepositoryName, Tag};
use landbridge_registry::client::{ClientError, RegistryClient};
use landbridge_store::{Bucket, StoreError};
use serde::Serialize;

/// Repositories that are asked about at once.
const AT_ONCE: usize = 8;
/// Tags of one answer.
const PAGE: usize = 1_000;

/// What tags of repositories mean.
pub type Names = BTreeMap<RepositoryName, BTreeMap<Tag, Digest>>;

/// How an old registry differs from what it was frozen as.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Thaw {
    /// Tags that were compared.
    pub tags: u64,
    /// What differs, in the order of names.
    pub differences: Vec<Difference>,
}

/// A tag that is not as it was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What it means in the frozen generation; nothing if it came later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Digest>,
    /// What it means in the old registry; nothing if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<Digest>,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// The authority does not give the frozen generation.
    #[error("the frozen generation cannot be read")]
    Store(#[from] StoreError),
    /// The old registry does not say what it has.
    #[error("the old registry cannot be read")]
    Registry(#[from] ClientError),
    /// It does not say which manifest a tag means.
    #[error("the old registry does not tell the digest of `{repository}:{tag}`")]
    NoDigest {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
    },
}

/// What a generation names.
pub async fn gather_frozen(authority: &Bucket, generation: &Digest) -> Result<Names, FreezeError> {
    let root: Root = authority.get_document(generation).await?;
    let documents = stream::iter(root.repositories.into_iter().map(|entry| async move {
        let repository: Repository = authority.get_document(&entry.digest).await?;
        let tags = repository.tags.into_iter().map(|tag| (tag.name, tag.digest)).collect();
        Ok::<_, FreezeError>((entry.name, tags))
    }));
    documents.buffer_unordered(AT_ONCE).try_collect().await
}

/// What the old registry says of these repositories. One that it does not have has no tags.
pub async fn gather_found(
    registry: &RegistryClient,
    repositories: impl Iterator<Item = &RepositoryName>,
) -> Result<Names, FreezeError> {
    let found = stream::iter(repositories.cloned().map(|name| async move {
        let mut tags = BTreeMap::new();
        let mut last = String::new();
        while let Some(page) = registry.tags(&name, Some(PAGE), &last).await? {
            for tag in &page.tags {
                let reference = ManifestReference::Tag(tag.as_str());
                // Between the list and this question it may have gone.
                let Some(head) = registry.head_manifest(&name, reference).await? else { continue };
                let no_digest =
                    || FreezeError::NoDigest { repository: name.clone(), tag: tag.clone() };
                tags.insert(tag.clone(), head.digest.ok_or_else(no_digest)?);
            }
            match page.tags.last().filter(|_| page.has_more) {
                Some(tag) => tag.as_str().clone_into(&mut last),
                None => break,
            }
        }
        Ok::<_, FreezeError>((name, tags))
    }));
    found.buffer_unordered(AT_ONCE).try_collect().await
}

/// What differs.
pub fn compare(frozen: &Names, found: &Names) -> Thaw {
    let mut names: BTreeMap<(&RepositoryName, &Tag), [Option<Digest>; 2]> = BTreeMap::new();
    for (side, names_of) in [frozen, found].into_iter().enumerate() {
        for (repository, tags) in names_of {
            for (tag, digest) in tags {
                names.entry((repository, tag)).or_default()[side] = Some(*digest);
            }
        }
    }
    let tags = names.len() as u64;
    let differences = names.into_iter().filter(|(_, [frozen, found])| frozen != found);
    let differences = differences.map(|((repository, tag), [frozen, found])| Difference {
        repository: repository.clone(),
        tag: tag.clone(),
        frozen,
        found,
    });
    Thaw { tags, differences: differences.collect() }
}

impl fmt::Display for Thaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Difference { repository, tag, frozen, found } in &self.differences {
            write!(f, "{repository}:{tag} ")?;
            match (frozen, found) {
                (Some(frozen), Some(found)) => writeln!(f, "was moved from {frozen} to {found}")?,
                (Some(frozen), None) => writeln!(f, "is gone; it was {frozen}")?,
                (None, Some(found)) => writeln!(f, "came after the freeze: {found}")?,
                (None, None) => writeln!(f, "is as it was")?,
            }
        }
        let s = |count: u64| if count == 1 { "" } else { "s" };
        match self.differences.len() as u64 {
            0 => write!(f, "{} tag{} as frozen", self.tags, s(self.tags)),
            count => write!(f, "{count} of {} tags differ from the frozen generation", self.tags),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_removed_and_added_is_told_apart() {
        let names = |tags: &[(&str, &str)]| -> Names {
            let tags = tags.iter().map(|(tag, content)| {
                (Tag::parse(tag).unwrap(), Digest::sha256_of(content.as_bytes()))
            });
            [(RepositoryName::parse("team/app").unwrap(), tags.collect())].into()
        };
        let frozen = names(&[("v1", "a"), ("v2", "b"), ("v3", "c")]);
        let found = names(&[("v1", "a"), ("v3", "other"), ("v4", "d")]);
        let thaw = compare(&frozen, &found);
        let told: Vec<_> = thaw.to_string().lines().map(ToOwned::to_owned).collect();
        assert!(told[0].starts_with("team/app:v2 is gone; it was sha256:"), "{told:?}");
        assert!(told[1].starts_with("team/app:v3 was moved from sha256:"), "{told:?}");
        assert!(told[2].starts_with("team/app:v4 came after the freeze: sha256:"), "{told:?}");
        assert_eq!(told[3], "3 of 4 tags differ from the frozen generation");
        assert_eq!(compare(&frozen, &frozen).to_string(), "3 tags as frozen");
    }
}
