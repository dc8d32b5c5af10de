//! `landbridge replicate`: from a registry to a published release, in every copy.
//!
//! gather → plan → apply → report, and again from the top if another publication came first. The
//! registry is compared with what is published; mirrors that fell behind are caught up by the way,
//! from the cheapest copy that has what they lack. State is in the copies alone: whatever stops a run, the next one repeats at
//! most what was under way.
//!
//! Invariant: a run only adds. What the registry no longer has stays published and is reported.

use std::collections::BTreeSet;

use landbridge_core::Digest;
use landbridge_core::topology::CopyId;
use landbridge_store::Bucket;
use landbridge_store::publish::Publication;

use crate::copies::Copies;
use crate::destination::{Trust, gather_base, gather_copies, gather_current, gather_holdings};
use crate::error::ImportError;
use crate::gather_registry::{RegistrySource, gather_registry};
use crate::plan::{Plan, plan_replication};
use crate::progress::Listener;
use crate::publishing::{Looked, Publishing};
use crate::report::Report;
use crate::supply::{RegistrySupply, Supply};
use crate::withdraw::{leave_out, withdrawn};

/// What is replicated, and to where.
pub struct Replication<'a> {
    /// The registry.
    pub source: RegistrySource<'a>,
    /// Where it is published.
    pub publishing: Publishing<'a>,
}

/// What [`replicate`] would do. Writes nothing.
pub async fn prepare_replication(request: &Replication<'_>) -> Result<Plan, ImportError> {
    let copies = Copies::new(request.publishing.publication);
    let mut plan = look(request, &copies, &|_| {}).await?.plan;
    plan.warnings.extend(copies.failures());
    Ok(plan)
}

/// Brings what is new in a registry into all copies, and publishes its names in one step.
///
/// A failure of the registry or the authority stops it with nothing visible. A mirror that fails is
/// reported in [`Report::warnings`] and not used for what it lacks; a later run catches it up.
pub async fn replicate(
    request: &Replication<'_>,
    listener: Listener<'_>,
) -> Result<Report, ImportError> {
    let copies = Copies::new(request.publishing.publication);
    let look = || look(request, &copies, listener);
    request.publishing.publish("replicate", &copies, listener, look).await
}

async fn look<'a>(
    request: &Replication<'a>,
    copies: &Copies<'_>,
    listener: Listener<'_>,
) -> Result<Looked<'a>, ImportError> {
    let Publishing { publication, verify, stop, tariff, .. } = request.publishing;
    let base = gather_base(publication).await?;
    let mut found = gather_registry(&request.source, publication, &base, listener, stop).await?;
    let withdrawn = withdrawn(publication).await?;
    leave_out(&withdrawn, &mut found.content, &mut found.targets);
    let content = &found.content;
    found.unnamed.retain(|(_, digest)| content.manifests.contains_key(digest));
    let generation = base.pointer().map(|pointer| pointer.content().generation);
    let holdings = gather_holdings(copies, publication, &base).await?;
    let has_all = |lacks: &Option<BTreeSet<Digest>>| lacks.as_ref().is_some_and(BTreeSet::is_empty);
    let is_behind = generation.is_some() && !holdings.iter().all(has_all);
    let new = found.targets.iter().map(|target| &target.repository);
    let new = new.chain(found.unnamed.iter().map(|(name, _)| name)).cloned();
    let all = base.root().repositories.iter().map(|entry| entry.name.clone());
    let names = new.chain(all.filter(|_| is_behind));
    let current = gather_current(publication, &base, names).await?.without(&withdrawn);
    if is_behind {
        found.content.add_published(&current);
    }
    let content = &found.content;
    let states = gather_copies(copies, content, &current, holdings, Trust::Holdings).await?;
    let mut plan = plan_replication(content, &found.targets, &found.unnamed, &current, &states);
    plan.read_back(copies, verify);
    let stays = |what| format!("{what} is published and not in the registry");
    plan.kept.extend(found.gone.drain(..).map(stays));
    let is_missing = |name| format!("`{name}`: the registry has no such repository");
    plan.warnings.extend(found.missing.iter().map(is_missing));
    let buckets: Vec<_> = copies_of(publication).collect();
    let order = match tariff {
        Some(tariff) => tariff.cheapest_first(buckets.len()),
        None => (0..buckets.len()).filter_map(CopyId::new).collect(),
    };
    let cheapest = order.into_iter().filter_map(|id| Some((id, *buckets.get(id.index())?)));
    let supply = Supply::Registry(Box::new(RegistrySupply {
        client: request.source.client,
        copies: cheapest.collect(),
        homes: found.homes,
        manifests: found.manifests,
    }));
    Looked { plan, base, supply, is_behind }.priced(tariff)
}

/// The authority and the mirrors, as they are numbered.
fn copies_of(publication: &Publication) -> impl Iterator<Item = &Bucket> {
    let mirrors = publication.mirrors.iter().map(|mirror| &mirror.bucket);
    std::iter::once(&publication.authority).chain(mirrors)
}
