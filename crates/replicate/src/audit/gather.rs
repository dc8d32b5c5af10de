//! What every copy should hold, and what each says that it holds.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::topology::CopyId;
use landbridge_store::Bucket;

use super::Audit;
use super::finding::{Finding, FindingKind};
use super::report::RegistryReport;
use crate::copies::Copies;
use crate::destination::{gather_base, gather_current};
use crate::error::ImportError;
use crate::gather_registry::gather_registry;
use crate::plan::Current;
use crate::progress::Listener;
use crate::withdraw::withdrawn;

/// What is known before anything is checked.
pub(super) struct World {
    /// The pointer in force.
    pub(super) sequence: u64,
    /// The generation that it names.
    pub(super) generation: Digest,
    /// Its documents.
    pub(super) current: Current,
    /// What it lists, each object once.
    pub(super) objects: Vec<Object>,
    /// The authority, then the mirrors.
    pub(super) copies: Vec<CopyWorld>,
    /// How the registry compares, if there is one.
    pub(super) registry: Option<RegistryReport>,
}

/// An object that every copy should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) media_type: Box<str>,
}

/// A copy, and what it says.
pub(super) struct CopyWorld {
    pub(super) id: CopyId,
    pub(super) name: String,
    pub(super) bucket: Bucket,
    /// Objects that its holding says it lacks.
    pub(super) lacks: BTreeSet<Digest>,
    /// Whether it is said to hold the generation; the authority always is.
    pub(super) names_generation: bool,
    /// Why it could not be asked what it holds, if so.
    pub(super) failed: Option<String>,
}

pub(super) async fn gather(
    audit: &Audit<'_>,
    listener: Listener<'_>,
) -> Result<World, ImportError> {
    let publication = audit.publication;
    let base = gather_base(publication).await?;
    let Some(pointer) = base.pointer() else {
        return Err(ImportError::NothingPublished {
            authority: publication.authority.name().to_owned(),
        });
    };
    let (sequence, generation) = (pointer.content().sequence, pointer.content().generation);
    let names = base.root().repositories.iter().map(|entry| entry.name.clone());
    let current = gather_current(publication, &base, names).await?;
    let registry = match &audit.registry {
        None => None,
        Some(source) => {
            Some(match gather_registry(source, publication, &base, listener, audit.stop).await {
                Ok(found) => compared(&found.targets, found.content.skipped, &current),
                Err(error) => RegistryReport::failed(chain(&error)),
            })
        }
    };
    let mut copies = Vec::new();
    for (id, name, bucket) in Copies::new(publication).all() {
        let mut copy = CopyWorld {
            id,
            name: name.to_owned(),
            bucket: bucket.clone(),
            lacks: BTreeSet::new(),
            names_generation: id.index() == 0,
            failed: None,
        };
        if id.index() > 0 {
            copy.read_holding(&publication.catalog, &generation).await;
        }
        copies.push(copy);
    }
    let objects = objects(&current, &withdrawn(publication).await?);
    Ok(World { sequence, generation, current, objects, copies, registry })
}

impl CopyWorld {
    async fn read_holding(&mut self, catalog: &str, generation: &Digest) {
        match self.bucket.get_holding().await {
            Ok(holding) => {
                let holding = holding.filter(|holding| holding.catalog == catalog);
                let names =
                    |it: &landbridge_core::holding::Holding| it.generations.contains(generation);
                self.names_generation = holding.as_ref().is_some_and(names);
                self.lacks = holding.into_iter().flat_map(|holding| holding.lacks).collect();
            }
            Err(error) => self.failed = Some(chain(&error)),
        }
    }
}

/// What is withdrawn need not be anywhere.
fn objects(current: &Current, withdrawn: &BTreeSet<Digest>) -> Vec<Object> {
    let mut all = BTreeMap::new();
    for repository in current.repositories.values() {
        let manifests = repository.manifests.iter().map(|it| (it.digest, it.size, &it.media_type));
        let blobs = repository.objects.iter().map(|it| (it.digest, it.size, &it.media_type));
        let all_of_it = manifests.chain(blobs).filter(|(digest, ..)| !withdrawn.contains(digest));
        for (digest, size, media_type) in all_of_it {
            all.entry(digest).or_insert_with(|| (size, media_type.as_str().into()));
        }
    }
    let object = |(digest, (size, media_type))| Object { digest, size, media_type };
    all.into_iter().map(object).collect()
}

fn compared(
    targets: &[crate::naming::Target],
    skipped: Vec<String>,
    current: &Current,
) -> RegistryReport {
    let finding = |target: &crate::naming::Target| {
        let repository = current.repositories.get(&target.repository);
        let tags = repository.into_iter().flat_map(|repository| &repository.tags);
        let published = tags.into_iter().find(|entry| entry.name == target.tag);
        let name = format!("{}:{}", target.repository, target.tag);
        let (kind, what) = match published {
            Some(entry) => {
                let (here, there) = (entry.digest, target.digest);
                let what = format!("{name} is {there} in the registry and published as {here}");
                (FindingKind::TagDiffers, what)
            }
            None => (FindingKind::TagUnpublished, format!("{name} is not published")),
        };
        Finding { digest: Some(target.digest), kind, what, repaired: false }
    };
    RegistryReport { findings: targets.iter().map(finding).collect(), skipped, failed: None }
}
