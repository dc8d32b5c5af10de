//! Names that may go: old tags beyond the newest few, and old manifests without a tag.
//!
//! Without rules nothing does. A tag that no rule speaks of stays for ever.
//!
//! Invariant: what a kept tag leads to, and what says something about it, keeps its name.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::reference::{RepositoryName, Tag};
use semver::Version;

use super::gather::{Names, Repository, TagSeen};
use super::plan::{Link, Name};
use crate::access::{RepositoryPattern, TextPattern};

/// Which names may go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    /// For tags; the first rule that speaks of a tag decides.
    pub tags: Vec<TagRule>,
    /// Manifests go that no tag leads to, that say nothing about one that stays, and that were
    /// pushed longer ago than this.
    pub untagged: Option<Duration>,
}

/// How many of some tags stay in each repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRule {
    /// In which repositories.
    pub repositories: RepositoryPattern,
    /// Which tags.
    pub tags: TextPattern,
    /// How many stay.
    pub keep: usize,
    /// Which ones are the newest.
    pub order: Order,
}

/// What makes a tag newer than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Its version, as `1.2.3` or `v1.2.3` ([Semantic Versioning](https://semver.org), section
    /// 11). The rule does not speak of tags that are no version.
    Version,
    /// When it was pushed.
    Pushed,
}

/// The names that go.
#[derive(Debug, Default)]
pub(crate) struct Retired {
    pub(crate) tags: Vec<Name>,
    pub(crate) manifests: Vec<Link>,
    index: HashMap<RepositoryName, (HashSet<Tag>, HashSet<Digest>)>,
}

impl Retired {
    pub(crate) fn has_tag(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        self.index.get(repository).is_some_and(|(tags, _)| tags.contains(tag))
    }

    pub(crate) fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        self.index.get(repository).is_some_and(|(_, manifests)| manifests.contains(digest))
    }
}

impl Retention {
    /// The names that go at `now`.
    pub(crate) fn retire(&self, names: &Names, now: Timestamp) -> Retired {
        let mut retired = Retired::default();
        for repository in &names.repositories {
            let tags = self.old_tags(repository);
            let manifests = self.untagged(repository, names, &tags, now);
            if tags.is_empty() && manifests.is_empty() {
                continue;
            }
            let name = &repository.name;
            let gone = repository.tags.iter().filter(|seen| tags.contains(&seen.tag));
            retired.tags.extend(gone.map(|seen| Name {
                repository: name.clone(),
                tag: seen.tag.clone(),
                digest: seen.digest,
            }));
            retired.manifests.extend(manifests.iter().map(|digest| Link {
                repository: name.clone(),
                digest: *digest,
                subject: names.needs.get(digest).and_then(|needs| needs.subject),
            }));
            let manifests = manifests.into_iter().collect();
            retired.index.insert(name.clone(), (tags, manifests));
        }
        retired
    }

    fn old_tags(&self, repository: &Repository) -> HashSet<Tag> {
        let mut spoken_of: BTreeMap<usize, Vec<&TagSeen>> = BTreeMap::new();
        for seen in &repository.tags {
            let speaks = |rule: &TagRule| {
                rule.repositories.matches(repository.name.as_str())
                    && rule.tags.matches(seen.tag.as_str())
                    && (rule.order == Order::Pushed || version(&seen.tag).is_some())
            };
            if let Some(rule) = self.tags.iter().position(speaks) {
                spoken_of.entry(rule).or_default().push(seen);
            }
        }
        let mut old = HashSet::new();
        for (rule, mut tags) in spoken_of {
            let Some(rule) = self.tags.get(rule) else { continue };
            match rule.order {
                Order::Version => tags.sort_by_cached_key(|seen| version(&seen.tag)),
                Order::Pushed => tags.sort_by_key(|seen| seen.pushed),
            }
            let going = tags.len().saturating_sub(rule.keep);
            old.extend(tags.into_iter().take(going).map(|seen| seen.tag.clone()));
        }
        old
    }

    fn untagged(
        &self,
        repository: &Repository,
        names: &Names,
        old_tags: &HashSet<Tag>,
        now: Timestamp,
    ) -> Vec<Digest> {
        let Some(age) = self.untagged else { return Vec::new() };
        let young = now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let tags = repository.tags.iter().filter(|seen| !old_tags.contains(&seen.tag));
        let fresh = repository.manifests.iter().filter(|listed| listed.modified > young);
        let mut open: Vec<Digest> = tags.map(|seen| seen.digest).collect();
        open.extend(fresh.map(|listed| listed.item));
        let mut about: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for (subject, referrer) in &repository.referrers {
            about.entry(*subject).or_default().push(*referrer);
        }
        let mut staying = HashSet::new();
        while let Some(digest) = open.pop() {
            if staying.insert(digest) {
                let needs = names.needs.get(&digest);
                open.extend(needs.into_iter().flat_map(|needs| &needs.references));
                open.extend(about.get(&digest).into_iter().flatten());
            }
        }
        let linked = repository.manifests.iter().map(|listed| listed.item);
        linked.filter(|digest| !staying.contains(digest)).collect()
    }
}

fn version(tag: &Tag) -> Option<Version> {
    let text = tag.as_str();
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}
