//! `landbridge import`: from a source to a published release.
//!
//! gather → plan → apply → report, and again from the top if another publication came first. The
//! one atomic moment is the pointer's creation, at the very end: whatever stops an import before it
//! leaves the last good release in force, and objects that the next attempt finds.

use landbridge_core::reference::ImageName;
use landbridge_registry::Source;

use crate::copies::Copies;
use crate::destination::{Trust, gather_base, gather_copies, gather_current, gather_holdings};
use crate::error::ImportError;
use crate::gather::{Content, gather_content};
use crate::naming::{Target, name_images};
use crate::plan::{Plan, plan_import};
use crate::progress::Listener;
use crate::publishing::{Looked, Publishing};
use crate::report::Report;
use crate::supply::Supply;
use crate::withdraw::{leave_out, withdrawn};

/// What is imported, and to where.
pub struct Import<'a> {
    /// The images.
    pub source: &'a Source,
    /// What they shall be called; without it the source's own names are taken. See [`name_images`].
    pub destination: Option<&'a ImageName>,
    /// Where they are published.
    pub publishing: Publishing<'a>,
}

/// What [`import`] would do. Writes nothing.
pub async fn prepare_import(request: &Import<'_>) -> Result<Plan, ImportError> {
    let (content, targets) = look_at_source(request).await?;
    let copies = Copies::new(request.publishing.publication);
    let mut plan = look_at_destination(request, &content, &targets, &copies).await?.plan;
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
    let copies = Copies::new(request.publishing.publication);
    let look = || look_at_destination(request, &content, &targets, &copies);
    request.publishing.publish("import", &copies, listener, look).await
}

async fn look_at_source(request: &Import<'_>) -> Result<(Content, Vec<Target>), ImportError> {
    let content = gather_content(request.source).await?;
    let targets = name_images(&content.images, request.destination)?;
    Ok((content, targets))
}

async fn look_at_destination<'a>(
    request: &Import<'a>,
    content: &Content,
    targets: &[Target],
    copies: &Copies<'_>,
) -> Result<Looked<'a>, ImportError> {
    let publication = request.publishing.publication;
    let base = gather_base(publication).await?;
    let names = targets.iter().map(|target| target.repository.clone());
    let withdrawn = withdrawn(publication).await?;
    let (mut content, mut targets) = (content.clone(), targets.to_vec());
    leave_out(&withdrawn, &mut content, &mut targets);
    let (content, targets) = (&content, &*targets);
    let current = gather_current(publication, &base, names).await?.without(&withdrawn);
    let holdings = gather_holdings(copies, publication, &base).await?;
    let states = gather_copies(copies, content, &current, holdings, Trust::Nothing).await?;
    let mut plan = plan_import(content, targets, &current, &states);
    plan.read_back(copies, request.publishing.verify);
    let supply = Supply::Source(request.source);
    Looked { plan, base, supply, is_behind: true }.priced(request.publishing.tariff)
}
