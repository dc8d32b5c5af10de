//! `landbridge replicate`: from a registry to a published release, in every copy.
//!
//! gather → plan → apply → report, and again from the top if another publication came first. The
//! registry is compared with what is published; mirrors that fell behind are caught up by the way,
//! from the authority. State is in the copies alone: whatever stops a run, the next one repeats at
//! most what was under way.
//!
//! Invariant: a run only adds. What the registry no longer has stays published and is reported.

use std::collections::BTreeSet;

use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::pointer::Pointer;
use landbridge_store::Evidence;
use landbridge_store::publish::{Act, Base, Changes, Publication, PublishError};

use crate::apply::apply_objects;
use crate::copies::Copies;
use crate::destination::{Trust, gather_base, gather_copies, gather_current, gather_holdings};
use crate::error::ImportError;
use crate::gather_registry::{Found, RegistrySource, gather_registry};
use crate::import::{MAX_ATTEMPTS, mend_holdings, warning};
use crate::plan::{Plan, plan_replication};
use crate::progress::{Listener, Progress};
use crate::report::{Report, Tally, report};
use crate::supply::{RegistrySupply, Supply};

/// What is replicated, and to where.
pub struct Replication<'a> {
    /// The registry.
    pub source: RegistrySource<'a>,
    /// Where it is published.
    pub publication: &'a Publication,
    /// Makes the pointer's envelope, as `LocalKey::sign_pointer` does.
    pub sign: &'a (dyn Fn(&Pointer) -> Vec<u8> + Sync),
    /// The moment of publication.
    pub now: Timestamp,
    /// When the pointer begins to alarm.
    pub expires: Timestamp,
    /// How many objects are copied at once. Each needs up to 32 MiB for each copy.
    pub parallel: usize,
}

/// What [`replicate`] would do. Writes nothing.
pub async fn prepare_replication(request: &Replication<'_>) -> Result<Plan, ImportError> {
    let copies = Copies::new(request.publication);
    let mut looked = look(request, &copies).await?;
    looked.plan.warnings.extend(copies.failures());
    Ok(looked.plan)
}

/// Brings what is new in a registry into all copies, and publishes its names in one step.
///
/// A failure of the registry or the authority stops it with nothing visible. A mirror that fails is
/// reported in [`Report::warnings`] and not used for what it lacks; a later run catches it up.
pub async fn replicate(
    request: &Replication<'_>,
    listener: Listener<'_>,
) -> Result<Report, ImportError> {
    let copies = Copies::new(request.publication);
    let mut evidence = Evidence::default();
    let mut tally = Tally::default();
    for attempt in 1..=MAX_ATTEMPTS {
        if attempt > 1 {
            tally.rebases += 1;
            listener(Progress::Rebasing { attempt });
        }
        let Looked { found, plan, base, is_behind } = look(request, &copies).await?;
        let supply = RegistrySupply {
            client: request.source.client,
            authority: &request.publication.authority,
            homes: &found.homes,
            manifests: &found.manifests,
        };
        let supply = Supply::Registry(&supply);
        let parallel = request.parallel;
        apply_objects(&plan, &supply, &copies, parallel, listener, &mut tally, &mut evidence)
            .await?;
        if !plan.publishes() {
            tally.warnings.extend(copies.failures());
            if is_behind {
                let mended = mend_holdings(request.publication, &plan, &evidence, &copies).await?;
                tally.warnings.extend(mended);
            }
            return Ok(report(&plan, tally, None));
        }
        listener(Progress::Publishing { generation: plan.generation });
        let changes = Changes { put: plan.repositories.clone(), remove: Vec::new() };
        let reason = plan.reason("replicate");
        let (now, expires) = (request.now, request.expires);
        let act = Act { now, expires, reason: &reason, sign: request.sign };
        match request.publication.release(base, changes, evidence.clone(), &act).await {
            Ok(published) => {
                tally.warnings.extend(copies.failures());
                tally.warnings.extend(published.mirrors.iter().filter_map(warning));
                let sequence = published.pointer.content().sequence;
                return Ok(report(&plan, tally, Some(sequence)));
            }
            Err(PublishError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ImportError::AlwaysOvertaken { attempts: MAX_ATTEMPTS })
}

struct Looked {
    found: Found,
    plan: Plan,
    base: Base,
    /// Some mirror lacks something of what is published.
    is_behind: bool,
}

async fn look(request: &Replication<'_>, copies: &Copies<'_>) -> Result<Looked, ImportError> {
    let publication = request.publication;
    let base = gather_base(publication).await?;
    let mut found = gather_registry(&request.source, publication, &base).await?;
    let generation = base.pointer().map(|pointer| pointer.content().generation);
    let holdings = gather_holdings(copies, &publication.catalog, generation).await?;
    let has_all = |lacks: &Option<BTreeSet<Digest>>| lacks.as_ref().is_some_and(BTreeSet::is_empty);
    let is_behind = generation.is_some() && !holdings.iter().all(has_all);
    let new = found.targets.iter().map(|target| &target.repository);
    let new = new.chain(found.referrers.iter().map(|(name, _)| name)).cloned();
    let all = base.root().repositories.iter().map(|entry| entry.name.clone());
    let names = new.chain(all.filter(|_| is_behind));
    let current = gather_current(publication, &base, names).await?;
    if is_behind {
        found.content.add_published(&current);
    }
    let content = &found.content;
    let states = gather_copies(copies, content, &current, holdings, Trust::Holdings).await?;
    let mut plan = plan_replication(content, &found.targets, &found.referrers, &current, &states);
    let stays = |what| format!("{what} is published and not in the registry");
    plan.kept.extend(found.gone.drain(..).map(stays));
    Ok(Looked { found, plan, base, is_behind })
}
