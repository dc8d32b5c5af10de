//! What an import will do: a pure function of what was gathered.
//!
//! Invariant: a plan only adds. Tags are set or moved, nothing that a repository listed is lost, and
//! equal content gives the generation that is already there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use landbridge_core::Digest;
use landbridge_core::generation::{Document as _, Repository, Root, TagEntry};
use landbridge_core::reference::{RepositoryName, Tag};
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_store::{Bucket, Verify};

use crate::copies::Copies;
use crate::costs::Costs;
use crate::destination::listed;
use crate::gather::Content;
use crate::naming::Target;
use crate::report::Size;

/// The published generation, as far as an import touches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its root's digest; `None` if nothing was published yet.
    pub generation: Option<Digest>,
    /// Its root.
    pub root: Root,
    /// Those of its repositories that the import names.
    pub repositories: BTreeMap<RepositoryName, Repository>,
}

/// What a copy has of the objects that an import needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyState {
    /// How people call it.
    pub name: String,
    /// Objects that are there, by the size that the store tells.
    pub sizes: BTreeMap<Digest, u64>,
    /// What it lacks of the current generation, whose other objects were confirmed there when it was
    /// published; `None` if nothing was.
    pub lacks: Option<BTreeSet<Digest>>,
    /// Out of order: nothing is planned for it.
    pub is_failed: bool,
}

/// An object that the new generation needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedObject {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Its type.
    pub media_type: String,
    /// Copies that it will be written to.
    pub lacking: CopySet,
    /// Copies that have something of its size, which will be looked at to make sure.
    pub unconfirmed: CopySet,
    /// Those of them in which all of it is read for that.
    pub read_back: CopySet,
    /// Copies from which it can be read instead of the source: the authority if it has it, and
    /// mirrors that vouch for it.
    pub held: CopySet,
}

/// A tag and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagChange {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What it means now.
    pub from: Option<Digest>,
    /// What it will mean.
    pub to: Digest,
}

/// What an import will do. `Display` is the text of `--dry-run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The tags that the import names, changed or not.
    pub tags: Vec<TagChange>,
    /// The new documents of those repositories.
    pub repositories: Vec<Repository>,
    /// The new root.
    pub root: Root,
    /// Its digest.
    pub generation: Digest,
    /// The generation that it replaces.
    pub replaces: Option<Digest>,
    /// Everything that the import's images consist of.
    pub objects: Vec<PlannedObject>,
    /// The copies' names, in the order of their numbers.
    pub copies: Vec<String>,
    /// What the source lists and the import leaves out.
    pub skipped: Vec<String>,
    /// What is published, is not in the registry, and stays: a sentence for each.
    pub kept: Vec<String>,
    /// Copies that could not be looked at: a sentence for each.
    pub warnings: Vec<String>,
    /// Those of `repositories` that are published as they are.
    pub known: BTreeSet<RepositoryName>,
    /// What it costs, if anyone wants to know.
    pub costs: Option<Costs>,
}

impl Plan {
    /// What the pointer says of the publication.
    pub(crate) fn reason(&self, act: &str) -> String {
        const MOST: usize = 8;
        if !self.publishes() {
            return "renewed".to_owned();
        }
        let names =
            self.tags.iter().take(MOST).map(|tag| format!("{}:{}", tag.repository, tag.tag));
        let mut text = format!("{act} {}", names.collect::<Vec<_>>().join(", "));
        if self.tags.len() > MOST {
            text.push_str(", …");
        }
        text
    }

    /// Says which objects are read where they lie, to be verified like this.
    pub(crate) fn read_back(&mut self, copies: &Copies<'_>, verify: Verify) {
        for object in &mut self.objects {
            let digest = &object.digest;
            let is_read = |bucket: &Bucket| bucket.is_read_to_verify(digest, verify);
            let read = copies
                .all()
                .filter(|(id, _, bucket)| object.unconfirmed.contains(*id) && is_read(bucket));
            object.read_back = read.fold(CopySet::EMPTY, |read, (id, ..)| read.with(id));
        }
    }

    /// True if a new pointer is needed.
    pub fn publishes(&self) -> bool {
        self.replaces != Some(self.generation)
    }

    /// Objects that at least one copy lacks.
    pub fn lacking(&self) -> impl Iterator<Item = &PlannedObject> {
        self.objects.iter().filter(|object| !object.lacking.is_empty())
    }
}

/// Plans the replication of what is new in a registry, and of what mirrors lack of the current
/// generation: `content` lists that too, if `current` has all repositories.
pub(crate) fn plan_replication(
    content: &Content,
    targets: &[Target],
    referrers: &[(RepositoryName, Digest)],
    current: &Current,
    copies: &[CopyState],
) -> Plan {
    let mut plan = plan_additions(content, targets, referrers, current, copies);
    let is_planned = |name: &RepositoryName| plan.repositories.iter().any(|new| new.name == *name);
    let unchanged = current.repositories.values().filter(|old| !is_planned(&old.name));
    let unchanged: Vec<Repository> = unchanged.cloned().collect();
    let planned: BTreeSet<Digest> = plan.objects.iter().map(|object| object.digest).collect();
    let behind = current.repositories.values().flat_map(listed);
    let behind = behind.filter(|digest| !planned.contains(digest)).map(|digest| (digest, true));
    plan.objects.extend(
        plan_objects(content, &behind.collect(), copies)
            .into_iter()
            .filter(|object| !object.lacking.or(object.unconfirmed).is_empty()),
    );
    plan.known.extend(unchanged.iter().map(|repository| repository.name.clone()));
    plan.repositories.extend(unchanged);
    plan
}

/// Plans the import of `content` under the names of `targets`.
pub fn plan_import(
    content: &Content,
    targets: &[Target],
    current: &Current,
    copies: &[CopyState],
) -> Plan {
    plan_additions(content, targets, &[], current, copies)
}

/// Plans names, and manifests without a name.
fn plan_additions(
    content: &Content,
    targets: &[Target],
    unnamed: &[(RepositoryName, Digest)],
    current: &Current,
    copies: &[CopyState],
) -> Plan {
    let names = targets.iter().map(|target| &target.repository);
    let names: BTreeSet<_> = names.chain(unnamed.iter().map(|(name, _)| name)).cloned().collect();
    let mut tags = Vec::new();
    let mut repositories = Vec::new();
    let mut needed: BTreeMap<Digest, bool> = BTreeMap::new();
    for name in names {
        let new = Repository::empty(name.clone());
        let mut repository = current.repositories.get(&name).cloned().unwrap_or(new);
        let targets: Vec<_> = targets.iter().filter(|target| target.repository == name).collect();
        let own = unnamed.iter().filter(|(repository, _)| *repository == name);
        let own = own.map(|(_, digest)| *digest);
        let closure = closure(content, targets.iter().map(|target| target.digest).chain(own));
        for digest in &closure {
            // Only what the same repository listed before counts as confirmed.
            *needed.entry(*digest).or_insert(true) &= lists(&repository, digest);
        }
        add_content(&mut repository, content, &closure);
        for target in targets {
            let before = repository.tags.iter().find(|entry| entry.name == target.tag);
            let change = TagChange {
                repository: name.clone(),
                tag: target.tag.clone(),
                from: before.map(|entry| entry.digest),
                to: target.digest,
            };
            repository.tags.push(TagEntry { digest: target.digest, name: target.tag.clone() });
            tags.push(change);
        }
        repositories.push(repository.sorted());
    }
    let root = new_root(&current.root, &repositories);
    Plan {
        tags,
        generation: Digest::sha256_of(&root.encode()),
        root,
        repositories,
        replaces: current.generation,
        objects: plan_objects(content, &needed, copies),
        copies: copies.iter().map(|copy| copy.name.clone()).collect(),
        skipped: content.skipped.clone(),
        kept: Vec::new(),
        warnings: Vec::new(),
        known: BTreeSet::new(),
        costs: None,
    }
}

fn lists(repository: &Repository, digest: &Digest) -> bool {
    repository.manifest(digest).is_some()
        || repository.objects.binary_search_by_key(digest, |entry| entry.digest).is_ok()
}

/// Everything that these manifests need, and all that is about any of it.
fn closure(content: &Content, roots: impl Iterator<Item = Digest>) -> BTreeSet<Digest> {
    let mut about: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
    for (digest, held) in &content.manifests {
        if let Some(referrer) = &held.referrer {
            about.entry(referrer.subject).or_default().push(*digest);
        }
    }
    let mut closure = BTreeSet::new();
    let mut open: Vec<_> = roots.collect();
    while let Some(digest) = open.pop() {
        if !closure.insert(digest) {
            continue;
        }
        open.extend(about.get(&digest).into_iter().flatten());
        open.extend(content.manifests.get(&digest).iter().flat_map(|held| &held.references));
    }
    closure
}

/// Lists what is new. What is there already stays as it is, so that a second import changes nothing.
fn add_content(repository: &mut Repository, content: &Content, closure: &BTreeSet<Digest>) {
    for digest in closure {
        if let Some(held) = content.manifests.get(digest) {
            repository.manifests.push(held.entry.clone());
            repository.referrers.extend(held.referrer.clone());
        }
        repository.objects.extend(content.blobs.get(digest).cloned());
    }
}

fn new_root(current: &Root, repositories: &[Repository]) -> Root {
    let mut entries: Vec<_> = repositories.iter().map(Repository::entry).collect();
    let is_new = |name: &RepositoryName| repositories.iter().any(|new| new.name == *name);
    entries.extend(current.repositories.iter().filter(|old| !is_new(&old.name)).cloned());
    Root::new(entries)
}

/// `needed` tells of every object whether the current generation vouches for it.
fn plan_objects(
    content: &Content,
    needed: &BTreeMap<Digest, bool>,
    copies: &[CopyState],
) -> Vec<PlannedObject> {
    let blobs = needed.keys().filter_map(|digest| content.blobs.get(digest));
    let blobs = blobs.map(|entry| (entry.digest, entry.size, &entry.media_type));
    let manifests = needed.keys().filter_map(|digest| content.manifests.get(digest));
    let manifests =
        manifests.map(|held| (held.entry.digest, held.entry.size, &held.entry.media_type));
    let mut seen = BTreeSet::new();
    let mut objects = Vec::new();
    // Blobs first: a bucket that is looked at meanwhile rarely has a manifest without its layers.
    for (digest, size, media_type) in blobs.chain(manifests) {
        if !seen.insert(digest) {
            continue;
        }
        let is_listed = needed.get(&digest).copied().unwrap_or_default();
        let (mut lacking, mut unconfirmed) = (CopySet::EMPTY, CopySet::EMPTY);
        let mut held = CopySet::EMPTY;
        for (copy, state) in copies.iter().enumerate().filter(|(_, state)| !state.is_failed) {
            let Some(id) = CopyId::new(copy) else { break };
            let vouches = state.lacks.as_ref().is_some_and(|lacks| !lacks.contains(&digest));
            if state.sizes.get(&digest) != Some(&size) {
                lacking = lacking.with(id);
                continue;
            }
            if !(is_listed && vouches) {
                unconfirmed = unconfirmed.with(id);
            }
            if copy == 0 || (is_listed && vouches) {
                held = held.with(id);
            }
        }
        let (media_type, read_back) = (media_type.clone(), unconfirmed);
        objects.push(PlannedObject {
            digest,
            size,
            media_type,
            lacking,
            unconfirmed,
            read_back,
            held,
        });
    }
    objects
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in &self.tags {
            writeln!(f, "{change}")?;
        }
        let total: u64 = self.objects.iter().map(|object| object.size).sum();
        writeln!(f, "{} objects, {}", self.objects.len(), Size(total))?;
        for (copy, name) in self.copies.iter().enumerate() {
            let Some(id) = CopyId::new(copy) else { break };
            let sum = |set: fn(&PlannedObject) -> CopySet| {
                let of = self.objects.iter().filter(|object| set(object).contains(id));
                of.fold((0, 0), |(count, bytes), object| (count + 1, bytes + object.size))
            };
            let (lacking, lacking_bytes) = sum(|object| object.lacking);
            let (unconfirmed, unconfirmed_bytes) = sum(|object| object.unconfirmed);
            write!(f, "  {name}: write {lacking} ({})", Size(lacking_bytes))?;
            if unconfirmed > 0 {
                write!(f, ", check {unconfirmed} ({})", Size(unconfirmed_bytes))?;
            }
            writeln!(f)?;
        }
        for skipped in &self.skipped {
            writeln!(f, "left out: {skipped}")?;
        }
        for kept in &self.kept {
            writeln!(f, "kept: {kept}")?;
        }
        for warning in &self.warnings {
            writeln!(f, "warning: {warning}")?;
        }
        if let Some(costs) = &self.costs {
            writeln!(f, "{costs}")?;
        }
        match (self.publishes(), &self.replaces) {
            (false, _) => write!(f, "generation {} stays", self.generation),
            (true, Some(old)) => write!(f, "generation {} replaces {old}", self.generation),
            (true, None) => write!(f, "generation {} is the first", self.generation),
        }
    }
}

impl fmt::Display for TagChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, tag, from, to } = self;
        match from {
            None => write!(f, "{repository}:{tag} is new: {to}"),
            Some(from) if from == to => write!(f, "{repository}:{tag} stays: {to}"),
            Some(from) => write!(f, "{repository}:{tag} moves: {from} -> {to}"),
        }
    }
}

#[cfg(test)]
mod tests;
