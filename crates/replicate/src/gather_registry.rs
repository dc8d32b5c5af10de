//! What a registry holds beyond what is published: looking at a source that others write to.
//!
//! Tags are compared with the published generation by their digests, so that a registry in which
//! nothing changed is asked for its lists and heads and nothing else. What is new is walked from
//! its tags through nested indexes to configurations and layers, referrers by the referrers API
//! included; those by tag (`sha256-….sig`, or the specification's fallback) are tags like others.
//! What the authority has already is read there. Manifests without a name are taken where a registry
//! lists them, as Google's do; elsewhere nothing leads to them.
//!
//! The registry may change meanwhile. Everything is fetched by digest after a tag was looked at
//! once, so that what is gathered is what some moment's names said.

mod list;
mod look;
mod walk;

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landbridge_core::Digest;
use landbridge_core::reference::{RepositoryName, Tag};
use landbridge_registry::client::{ClientError, RegistryClient};
use landbridge_store::publish::{Base, Publication};

use self::list::repositories;
use self::look::{Listed, Look};
use self::walk::Walk;
use crate::error::ImportError;
use crate::gather::Content;
use crate::naming::Target;
use crate::progress::{Listener, Progress, Stop};

/// Questions that are under way at once, of one repository.
const AT_ONCE: usize = 8;
/// Repositories that are looked at at once.
const REPOSITORIES_AT_ONCE: usize = 4;
/// Tags or repositories that are asked for in one page.
const PAGE: usize = 1_000;
/// Pages after which a list that never ends is given up.
const MOST_PAGES: usize = 10_000;
/// Tags of a repository, or repositories, after which it is given up too: they are held in memory.
const MOST_NAMES: usize = 1_000_000;
/// Manifests of this many bytes are kept until they are written; the rest are read again.
const KEPT_BYTES: usize = 32 << 20;

/// What is read of a registry.
#[derive(Debug, Clone, Copy)]
pub struct RegistrySource<'a> {
    /// The registry, with whatever lets us in.
    pub client: &'a RegistryClient,
    /// The same without: given if only repositories that everyone may read are to be copied.
    pub anonymous: Option<&'a RegistryClient>,
    /// The repositories; without them all that the registry's catalog lists.
    pub repositories: Option<&'a [RepositoryName]>,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Everything that new and moved names need.
    pub(crate) content: Content,
    /// The new and moved names.
    pub(crate) targets: Vec<Target>,
    /// New manifests without a name: referrers, and those that the registry lists without a tag.
    pub(crate) unnamed: Vec<(RepositoryName, Digest)>,
    /// A repository for each object.
    pub(crate) homes: BTreeMap<Digest, RepositoryName>,
    /// Manifests that were read, as many as are kept.
    pub(crate) manifests: BTreeMap<Digest, Bytes>,
    /// Published tags and repositories that the registry has not got.
    pub(crate) gone: Vec<String>,
    /// Repositories that were asked for and are not there.
    pub(crate) missing: Vec<RepositoryName>,
    kept_bytes: usize,
}

/// Looks at the registry, and compares it with what is published.
pub(crate) async fn gather_registry(
    source: &RegistrySource<'_>,
    publication: &Publication,
    base: &Base,
    listener: Listener<'_>,
    stop: &Stop,
) -> Result<Found, ImportError> {
    let names = match source.repositories {
        Some(names) => names.to_vec(),
        None => repositories(source.client).await?,
    };
    let mut found = Found::default();
    let mut looked = stream::iter(names.iter().cloned())
        .map(|name| Box::pin(look_at(source, publication, base, name)))
        .buffered(REPOSITORIES_AT_ONCE);
    let (mut repositories, of) = (0, names.len() as u64);
    while let Some(repository) = looked.try_next().await? {
        found.add(repository);
        repositories += 1;
        listener(Progress::Looked { repositories, of });
        if stop.is_asked() {
            let when = "before anything was copied".to_owned();
            return Err(ImportError::Stopped { when });
        }
    }
    drop(looked);
    if source.repositories.is_none() {
        let is_gone = |name: &&RepositoryName| !names.contains(*name);
        let published = base.root().repositories.iter().map(|entry| &entry.name);
        found.gone.extend(published.filter(is_gone).map(|name| format!("repository `{name}`")));
    }
    found.targets.sort();
    Ok(found)
}

impl Found {
    fn add(&mut self, seen: Seen) {
        let Seen { name, content, targets, unnamed, manifests, gone, is_missing } = seen;
        if is_missing {
            self.missing.push(name.clone());
        }
        for digest in content.manifests.keys().chain(content.blobs.keys()) {
            self.homes.entry(*digest).or_insert_with(|| name.clone());
        }
        for (digest, bytes) in manifests {
            if self.kept_bytes + bytes.len() <= KEPT_BYTES {
                self.kept_bytes += bytes.len();
                self.manifests.insert(digest, bytes);
            }
        }
        self.content.manifests.extend(content.manifests);
        self.content.blobs.extend(content.blobs);
        self.content.skipped.extend(content.skipped);
        self.targets.extend(targets);
        self.unnamed.extend(unnamed.into_iter().map(|digest| (name.clone(), digest)));
        self.gone.extend(gone);
    }
}

fn malformed(what: &str, problem: &str) -> ImportError {
    ClientError::Malformed { what: what.to_owned(), problem: problem.to_owned() }.into()
}

/// One repository, as far as it is new.
struct Seen {
    name: RepositoryName,
    content: Content,
    targets: Vec<Target>,
    unnamed: Vec<Digest>,
    manifests: BTreeMap<Digest, Bytes>,
    gone: Vec<String>,
    is_missing: bool,
}

async fn look_at(
    source: &RegistrySource<'_>,
    publication: &Publication,
    base: &Base,
    name: RepositoryName,
) -> Result<Seen, ImportError> {
    let published = publication.repository(base, &name).await?;
    let look = Look { client: source.client, authority: &publication.authority, name: &name };
    let mut seen = Seen {
        name: name.clone(),
        content: Content::default(),
        targets: Vec::new(),
        unnamed: Vec::new(),
        manifests: BTreeMap::new(),
        gone: Vec::new(),
        is_missing: false,
    };
    let Some(Listed { tags, untagged }) = look.list().await? else {
        // A catalog may go on listing what has no tag any more.
        if source.repositories.is_some() {
            seen.is_missing = true;
        } else {
            seen.content.skipped.push(format!("`{name}`: the registry has no such repository"));
        }
        return Ok(seen);
    };
    if let (Some(anonymous), Some((tag, _))) = (source.anonymous, tags.first())
        && let Some(why) = look.hidden(anonymous, tag).await?
    {
        seen.content.skipped.push(why);
        return Ok(seen);
    }
    let heads = look.heads(tags).await?;
    let before: BTreeMap<&Tag, Digest> = (published.iter().flat_map(|it| &it.tags))
        .map(|entry| (&entry.name, entry.digest))
        .collect();
    let is_listed = |tag: &&&Tag| !heads.iter().any(|(listed, _)| listed == **tag);
    seen.gone.extend(before.keys().filter(is_listed).map(|tag| format!("tag `{name}:{tag}`")));

    let mut walk = Walk::new(&look, published.as_ref());
    for (tag, digest) in heads.iter().filter(|(tag, digest)| before.get(tag) != Some(digest)) {
        walk.walk(*digest).await?;
        let target = Target { repository: name.clone(), tag: tag.clone(), digest: *digest };
        seen.targets.push(target);
    }
    for digest in untagged {
        if walk.add(digest).await? {
            seen.unnamed.push(digest);
        }
    }
    seen.unnamed.extend(walk.add_referrers().await?);
    (seen.content, seen.manifests) = (walk.content, walk.fetched);
    Ok(seen)
}
