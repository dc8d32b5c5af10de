//! What is to go, decided from the world as it was read. Pure.
//!
//! Invariant: nothing is condemned or due that a kept name, a kept digest or a young lease leads to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::reference::{RepositoryName, Tag};
use landbridge_store::UploadId;
use serde::Serialize;

use super::Collection;
use super::gather::{Inventory, Names};
use super::retention::Retired;

/// What one collection does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Tags that the retention rules let go.
    pub untag: Vec<Name>,
    /// Manifests that they do: their links and their entries among referrers.
    pub unlink: Vec<Link>,
    /// Objects that nothing refers to from now on.
    pub condemn: Vec<Object>,
    /// Condemned objects that are relied on again.
    pub withdraw: Vec<Digest>,
    /// Objects that have been condemned for the grace period.
    pub due: Vec<Object>,
    /// Objects whose grace period is not over.
    pub waiting: Vec<Waiting>,
    /// Uploads that were given up.
    #[serde(serialize_with = "as_texts")]
    pub uploads: Vec<UploadId>,
    /// Leases of objects that are not there.
    pub leases: Vec<Digest>,
    /// Manifests that a name leads to and that are not there.
    pub missing: Vec<Missing>,
    /// Objects that stay.
    pub kept: Sum,
    /// Repositories that link the objects that are due.
    #[serde(skip)]
    pub(crate) linked_in: HashMap<Digest, Vec<RepositoryName>>,
}

/// A tag and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
    /// What it means.
    pub digest: Digest,
}

/// A manifest in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The repository.
    pub repository: RepositoryName,
    /// The manifest.
    pub digest: Digest,
    /// What it is about, if it is a referrer.
    pub subject: Option<Digest>,
}

/// An object and its size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Object {
    /// The object.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// An object that can be deleted later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The object.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// When its grace period ends.
    pub due: Timestamp,
}

/// A name that leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The repository.
    pub repository: RepositoryName,
    /// The manifest that is not there.
    pub digest: Digest,
}

/// How many, and how many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

impl<'a> FromIterator<&'a Object> for Sum {
    fn from_iter<T: IntoIterator<Item = &'a Object>>(objects: T) -> Self {
        let mut sum = Self::default();
        objects.into_iter().for_each(|object| sum.add(object.size));
        sum
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} objects, {} bytes", self.objects, self.bytes)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} has a name and is not there", self.repository, self.digest)
    }
}

/// What is to be done, then sums.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.untag {
            writeln!(f, "untag       {}:{} (was {})", name.repository, name.tag, name.digest)?;
        }
        for link in &self.unlink {
            writeln!(f, "unlink      {}@{}", link.repository, link.digest)?;
        }
        for missing in &self.missing {
            writeln!(f, "missing     {missing}")?;
        }
        let waiting = self.waiting.iter().fold(Sum::default(), |sum, object| Sum {
            objects: sum.objects + 1,
            bytes: sum.bytes + object.size,
        });
        writeln!(f, "delete      {}", self.due.iter().collect::<Sum>())?;
        writeln!(f, "condemn     {}", self.condemn.iter().collect::<Sum>())?;
        write!(f, "waiting     {waiting}")?;
        if let Some(due) = self.waiting.iter().map(|object| object.due).min() {
            write!(f, ", the first one until {due:.0}")?;
        }
        writeln!(f, "\nkeep        {}", self.kept)?;
        if !self.withdraw.is_empty() {
            writeln!(f, "withdraw    {} condemnations", self.withdraw.len())?;
        }
        if !self.uploads.is_empty() {
            writeln!(f, "give up     {} uploads", self.uploads.len())?;
        }
        Ok(())
    }
}

fn as_texts<S: serde::Serializer>(ids: &[UploadId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(ToString::to_string))
}

/// Decides.
pub(crate) fn plan(inventory: &Inventory, collection: &Collection) -> Plan {
    let retired = collection.retention.retire(&inventory.names, inventory.now);
    let reachable = reachable(&inventory.names, &retired, &collection.kept);
    let before = |grace| inventory.now.checked_sub(grace).unwrap_or(Timestamp::MIN);
    let young = before(collection.grace);
    let mut plan = Plan { uploads: inventory.uploads.clone(), ..Plan::default() };
    let mut present = HashSet::with_capacity(inventory.objects.len());
    for listed in &inventory.objects {
        let digest = listed.item;
        present.insert(digest);
        let object = Object { digest, size: listed.size };
        let leased = inventory.leases.get(&digest).copied();
        let condemned = inventory.condemned.get(&digest).copied();
        let is_reachable = reachable.contains(&digest);
        match condemned {
            None if is_reachable || listed.modified > young || leased > Some(young) => {
                plan.kept.add(listed.size);
            }
            None => plan.condemn.push(object),
            Some(since) if is_reachable || leased >= Some(since) || listed.modified >= since => {
                plan.withdraw.push(digest);
                plan.kept.add(listed.size);
            }
            Some(since) if since <= young => plan.due.push(object),
            Some(since) => {
                let due = since.checked_add(collection.grace).unwrap_or(Timestamp::MAX);
                plan.waiting.push(Waiting { digest, size: listed.size, due });
            }
        }
    }
    // A marker whose object is gone: the collection that deleted it did not come to its end.
    let forgotten = inventory.condemned.iter().filter(|(digest, _)| !present.contains(*digest));
    plan.due.extend(forgotten.map(|(digest, _)| Object { digest: *digest, size: 0 }));
    let leases = inventory.leases.iter().filter(|(digest, at)| {
        !present.contains(*digest) && !inventory.condemned.contains_key(*digest) && **at <= young
    });
    plan.leases = leases.map(|(digest, _)| *digest).collect();
    plan.leases.sort_unstable();
    plan.linked_in = linked_in(&inventory.names, &plan.due);
    plan.missing = missing(&inventory.names);
    (plan.untag, plan.unlink) = (retired.tags, retired.manifests);
    plan
}

/// Everything that names and generations lead to, but for the retired names.
pub(crate) fn reachable(
    names: &Names,
    retired: &Retired,
    kept: &HashSet<Digest>,
) -> HashSet<Digest> {
    let mut roots: Vec<Digest> = kept.union(&names.published).copied().collect();
    for repository in &names.repositories {
        let name = &repository.name;
        let tags = repository.tags.iter().filter(|seen| !retired.has_tag(name, &seen.tag));
        roots.extend(tags.map(|seen| seen.digest));
        let links = repository.manifests.iter().map(|listed| listed.item);
        roots.extend(links.filter(|digest| !retired.has_manifest(name, digest)));
        let referrers = repository.referrers.iter();
        let staying = referrers.filter(|(_, referrer)| !retired.has_manifest(name, referrer));
        roots.extend(staying.map(|(subject, _)| *subject));
    }
    let mut reachable = HashSet::with_capacity(2 * roots.len());
    while let Some(digest) = roots.pop() {
        if reachable.insert(digest)
            && let Some(needs) = names.needs.get(&digest)
        {
            roots.extend_from_slice(&needs.references);
        }
    }
    reachable
}

/// Which repositories link what is due, so that the links go with it.
fn linked_in(names: &Names, due: &[Object]) -> HashMap<Digest, Vec<RepositoryName>> {
    let mut linked: HashMap<Digest, Vec<RepositoryName>> =
        due.iter().map(|object| (object.digest, Vec::new())).collect();
    for repository in &names.repositories {
        for digest in &repository.blob_links {
            if let Some(repositories) = linked.get_mut(digest) {
                repositories.push(repository.name.clone());
            }
        }
    }
    linked
}

/// Manifests that a name leads to and that could not be read. The objects that were listed do not
/// count: a manifest may have been pushed between their listing and that of the names.
fn missing(names: &Names) -> Vec<Missing> {
    let mut missing = BTreeMap::new();
    for repository in &names.repositories {
        let linked = repository.manifests.iter().map(|listed| listed.item);
        let named = linked.chain(repository.tags.iter().map(|seen| seen.digest));
        for digest in named.filter(|digest| !names.needs.contains_key(digest)) {
            let repository = repository.name.clone();
            missing.insert((repository.clone(), digest), Missing { repository, digest });
        }
    }
    missing.into_values().collect()
}

#[cfg(test)]
mod tests;
