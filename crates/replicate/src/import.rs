//! `landbridge import`: from a source to a published release.
//!
//! gather → plan → apply → report, and again from the top if another publication came first. The
//! one atomic moment is the pointer's creation, at the very end: whatever stops an import before it
//! leaves the last good release in force, and objects that the next attempt finds.

use jiff::Timestamp;
use landbridge_core::pointer::Pointer;
use landbridge_core::reference::ImageName;
use landbridge_registry::Source;
use landbridge_store::publish::{Act, Base, Changes, Publication, PublishError, Published};
use landbridge_store::{Evidence, MirrorState};

use crate::apply::apply_objects;
use crate::copies::Copies;
use crate::destination::{Trust, gather_base, gather_copies, gather_current, gather_holdings};
use crate::error::ImportError;
use crate::gather::{Content, gather_content};
use crate::holdings::mend_holding;
use crate::naming::{Target, name_images};
use crate::plan::{Plan, plan_import};
use crate::progress::{Listener, Progress};
use crate::report::{Report, Tally, report};
use crate::supply::Supply;

/// How many times an import starts over because others were faster. Each time one of them ended.
pub(crate) const MAX_ATTEMPTS: u32 = 64;

/// What is imported, and to where.
pub struct Import<'a> {
    /// The images.
    pub source: &'a Source,
    /// What they shall be called; without it the source's own names are taken. See [`name_images`].
    pub destination: Option<&'a ImageName>,
    /// Where they are published.
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

/// What [`import`] would do. Writes nothing.
pub async fn prepare_import(request: &Import<'_>) -> Result<Plan, ImportError> {
    let (content, targets) = look_at_source(request).await?;
    let copies = Copies::new(request.publication);
    let (mut plan, _) = look_at_destination(request, &content, &targets, &copies).await?;
    plan.warnings = copies.failures();
    Ok(plan)
}

/// Imports images: all their objects into all copies, then their names in one publication.
///
/// An object that is refused, and any failure of the authority, stops it with nothing visible. A
/// mirror that fails is reported in [`Report::warnings`] and not used for what it lacks. Everything
/// can be repeated: what a copy has is not sent to it again.
pub async fn import(request: &Import<'_>, listener: Listener<'_>) -> Result<Report, ImportError> {
    let (content, targets) = look_at_source(request).await?;
    let copies = Copies::new(request.publication);
    let mut evidence = Evidence::default();
    let mut tally = Tally::default();
    for attempt in 1..=MAX_ATTEMPTS {
        if attempt > 1 {
            tally.rebases += 1;
            listener(Progress::Rebasing { attempt });
        }
        let (plan, base) = look_at_destination(request, &content, &targets, &copies).await?;
        apply_objects(
            &plan,
            &Supply::Source(request.source),
            &copies,
            request.parallel,
            listener,
            &mut tally,
            &mut evidence,
        )
        .await?;
        if !plan.publishes() {
            tally.warnings.extend(copies.failures());
            tally
                .warnings
                .extend(mend_holdings(request.publication, &plan, &evidence, &copies).await?);
            return Ok(report(&plan, tally, None));
        }
        listener(Progress::Publishing { generation: plan.generation });
        match publish(request, &plan, base, evidence.clone()).await {
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

async fn look_at_source(request: &Import<'_>) -> Result<(Content, Vec<Target>), ImportError> {
    let content = gather_content(request.source).await?;
    let targets = name_images(&content.images, request.destination)?;
    Ok((content, targets))
}

async fn look_at_destination(
    request: &Import<'_>,
    content: &Content,
    targets: &[Target],
    copies: &Copies<'_>,
) -> Result<(Plan, Base), ImportError> {
    let publication = request.publication;
    let base = gather_base(publication).await?;
    let names = targets.iter().map(|target| target.repository.clone());
    let current = gather_current(publication, &base, names).await?;
    let holdings = gather_holdings(copies, &publication.catalog, current.generation).await?;
    let states = gather_copies(copies, content, &current, holdings, Trust::Nothing).await?;
    Ok((plan_import(content, targets, &current, &states), base))
}

async fn publish(
    request: &Import<'_>,
    plan: &Plan,
    base: Base,
    evidence: Evidence,
) -> Result<Published, PublishError> {
    let changes = Changes { put: plan.repositories.clone(), remove: Vec::new() };
    let act = Act {
        now: request.now,
        expires: request.expires,
        reason: &plan.reason("import"),
        sign: request.sign,
    };
    request.publication.release(base, changes, evidence, &act).await
}

pub(crate) async fn mend_holdings(
    publication: &Publication,
    plan: &Plan,
    evidence: &Evidence,
    copies: &Copies<'_>,
) -> Result<Vec<String>, ImportError> {
    let mut sentences = Vec::new();
    let working = copies.working(landbridge_core::topology::CopySet::ALL);
    for (mirror, number) in publication.mirrors.iter().zip(1..) {
        if !working.iter().any(|(id, _)| id.index() == number) {
            continue;
        }
        match mend_holding(mirror, &publication.catalog, plan, evidence).await {
            Ok(sentence) => sentences.extend(sentence),
            Err(error) => sentences.push(format!("mirror `{}`: {error}", mirror.name)),
        }
    }
    Ok(sentences)
}

pub(crate) fn warning((name, state): &(String, MirrorState)) -> Option<String> {
    match state {
        MirrorState::Complete => None,
        MirrorState::Lacks(count) => Some(format!("mirror `{name}` lacks {count} objects")),
        MirrorState::Behind(why) => Some(format!("mirror `{name}` is behind: {why}")),
    }
}
