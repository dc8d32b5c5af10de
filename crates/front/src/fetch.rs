//! Answers that need somebody else first: a manifest's bytes, a live origin's word, a streamed blob.
//!
//! The steps are those of `pull`, with one await between resolving and answering. Which copy is
//! asked is decided by the same routing table that clients are sent by.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use landbridge_core::catalog::ManifestInfo;
use landbridge_core::cause::chain;
use landbridge_core::client_address::ClientNetwork;
use landbridge_core::condition::Wanted;
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::presence::Presence;
use landbridge_core::request::{ManifestReference, Request};
use landbridge_core::route::StickyKey;
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_core::{Digest, RepositoryName};
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::answer::{Answer, By, is_known};
use crate::body::Body;
use crate::live::{Known, LiveError, LiveOrigin};
use crate::metrics::Kind;
use crate::pull::{Asked, blob_unknown, manifest_unknown, no_copy, resolve};
use crate::relay::{NoBlob, Relay};
use crate::settings::Delivery;
use crate::snapshot::{Site, Target};
use crate::world::World;
use crate::{embedded, lists, union};

/// Answers what could not be answered at once.
pub(crate) async fn answer(world: &Arc<World>, asked: &Asked<'_>) -> Result<Answer, OciError> {
    if asked.kind() == Kind::mirror {
        return embedded::answer(world, asked).await;
    }
    let request = asked.request.as_ref().map_err(Clone::clone)?;
    let site = asked.site.ok_or_else(no_copy)?;
    match request {
        Request::Manifest { repository, reference } => {
            manifest_answer(world, asked, site, repository, *reference).await
        }
        Request::Blob { repository, digest } => {
            blob_answer(world, asked, site, repository, digest).await
        }
        Request::Tags { repository, page } => {
            union::tags(world, site, repository, asked.shown(repository), page).await
        }
        Request::Referrers { repository, subject, artifact_type, page: _ } => {
            union::referrers(world, site, repository, subject, artifact_type.as_deref()).await
        }
        Request::Catalog { page } => union::catalog(world, site, page).await,
        // Answered at once, always.
        Request::Ping | Request::Page { .. } => Err(no_copy()),
    }
}

/// A manifest with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct FoundManifest {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) bytes: Bytes,
    pub(crate) named_by: NamedBy,
}

/// Who says what a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamedBy {
    /// A generation.
    Generation,
    /// The origin's registry, asked live.
    Registry,
}

/// The manifest that a reference means at a site, for a client at `from`.
pub(crate) async fn manifest(
    world: &World,
    site: &Site,
    from: IpAddr,
    repository: &str,
    reference: ManifestReference<'_>,
) -> Result<FoundManifest, OciError> {
    if let ManifestReference::Digest(digest) = &reference
        && world.is_withdrawn(site, digest)
    {
        return Err(manifest_unknown());
    }
    if world.snapshot.is_live(site) {
        return live_manifest(world, site, repository, reference).await;
    }
    // Until a generation was read nobody knows what is published, and so what is not.
    let info = match resolve(world.catalog(site)?, repository, reference) {
        Ok((info, _)) => info,
        Err(error) if site.live_copy.is_none() => return Err(error),
        Err(_) => return live_manifest(world, site, repository, reference).await,
    };
    let place = world.snapshot.prefixes.locate(from);
    let key = StickyKey::new(ClientNetwork::of(from).key(), repository);
    let working = world.running.health.usable(Instant::now, || key);
    let copies: Vec<_> = site
        .routes
        .candidates(place, key, info.copies.and(site.copies), working)
        .map(|candidate| candidate.copy)
        .collect();
    let bytes = stored_manifest(world, repository, &info, copies).await?;
    Ok(FoundManifest {
        digest: info.digest,
        media_type: info.media_type.to_owned(),
        bytes,
        named_by: NamedBy::Generation,
    })
}

async fn live_manifest(
    world: &World,
    site: &Site,
    repository: &str,
    reference: ManifestReference<'_>,
) -> Result<FoundManifest, OciError> {
    let found = live(world, site)?.manifest(&name(repository)?, reference).await;
    let found =
        found.map_err(|error| unavailable(world, site, &error))?.ok_or_else(manifest_unknown)?;
    if world.is_withdrawn(site, &found.digest) {
        return Err(manifest_unknown());
    }
    Ok(FoundManifest {
        digest: found.digest,
        media_type: found.media_type.clone(),
        bytes: found.bytes.clone(),
        named_by: NamedBy::Registry,
    })
}

async fn manifest_answer(
    world: &World,
    asked: &Asked<'_>,
    site: &Site,
    repository: &str,
    reference: ManifestReference<'_>,
) -> Result<Answer, OciError> {
    let found = manifest(world, site, asked.address, repository, reference).await?;
    let by = match reference {
        ManifestReference::Tag(_) => By::Tag,
        ManifestReference::Digest(_) => By::Digest,
    };
    if is_known(asked.head.headers, &found.digest) {
        return Ok(Answer::not_modified(&found.digest, by));
    }
    let holders = match found.named_by {
        NamedBy::Generation => published(world, site, &found.digest).map(|it| it.copies),
        NamedBy::Registry => Ok(site.copies),
    };
    let usable = world.running.health.usable(Instant::now, || asked.key());
    world.admit(asked, site, holders.unwrap_or(site.copies), usable, &found.bytes)?;
    let info = ManifestInfo {
        digest: found.digest,
        media_type: &found.media_type,
        size: found.bytes.len() as u64,
        copies: CopySet::EMPTY,
    };
    Ok(Answer::manifest(&info, by, Some(found.bytes)))
}

/// Reads a manifest from the first of `copies` that has the right bytes, once however many clients
/// wait for it.
async fn stored_manifest(
    world: &World,
    repository: &str,
    info: &ManifestInfo<'_>,
    copies: Vec<CopyId>,
) -> Result<Bytes, OciError> {
    let running = &world.running;
    let digest = info.digest;
    let read = async {
        for copy in copies {
            if running.suspects.contains(copy, &digest) {
                continue;
            }
            let read = running.reader(copy).manifest(repository, &digest).await;
            running.note(copy, &digest, &read);
            if let Ok(bytes) = read {
                return Ok(bytes);
            }
        }
        Err(OciError::new(
            Code::Unavailable,
            "the manifest is listed, but no copy of it can be read now",
        ))
    };
    running.manifests.get_or_read(digest, read).await
}

async fn blob_answer(
    world: &Arc<World>,
    asked: &Asked<'_>,
    site: &Site,
    repository: &str,
    digest: &Digest,
) -> Result<Answer, OciError> {
    if world.is_withdrawn(site, digest) {
        return Err(blob_unknown());
    }
    let settings = world.snapshot.site_settings(site);
    let working = world.running.health.usable(Instant::now, || asked.key());
    let (copies, size) = if world.snapshot.is_live(site) {
        live_candidates(world, asked, site, repository, digest, working).await
    } else {
        match published(world, site, digest) {
            Ok(presence) => {
                let candidates = asked.candidates(site, repository, presence.copies, working);
                (candidates.map(|candidate| candidate.copy).collect(), Some(presence.size))
            }
            Err(error) => match site.live_copy {
                Some(registry) => {
                    let (copies, size) =
                        unpublished(world, site, registry, repository, digest).await?;
                    (copies, Some(size))
                }
                None => return Err(error),
            },
        }
    };
    let first = *copies.first().ok_or_else(no_copy)?;
    let own = site.routes.own_copies(asked.place);
    let is_usual = working == CopySet::ALL || (own.contains(first) && working.contains(first));
    let mut over = None;
    if !is_usual {
        // Own copies that fail were not asked whether they hold it: they count as if they did.
        let holders = copies.iter().copied().collect::<CopySet>().or(own.minus(working));
        let bytes = size.map_or(0, |size| asked.handed_out(digest, size));
        over = world.overflow(asked, site, holders, working, bytes)?;
    }
    // Nobody approved of going on from yet another copy if that one breaks off.
    let (first, copies) = over.map_or((first, copies), |copy| (copy, vec![copy]));
    let wants_token =
        Some(first) == site.live_copy && live(world, site).is_ok_and(LiveOrigin::wants_token);
    if settings.delivery == Delivery::Redirect
        && !wants_token
        && let Some(location) = world.snapshot.copy(first).target.location(repository, digest)
    {
        let mut answer = Answer::redirect(location);
        (answer.digest, answer.copy) = (Some(*digest), Some(first));
        answer.bytes = size.map_or(0, |size| asked.handed_out(digest, size));
        return Ok(answer);
    }
    streamed(world, asked, repository, digest, copies, size).await
}

/// A blob through the front.
async fn streamed(
    world: &Arc<World>,
    asked: &Asked<'_>,
    repository: &str,
    digest: &Digest,
    copies: Vec<CopyId>,
    known_size: Option<u64>,
) -> Result<Answer, OciError> {
    let running = &world.running;
    let copies: Vec<_> =
        copies.into_iter().filter(|copy| !running.suspects.contains(*copy, digest)).collect();
    let gone = |why: NoBlob| match why {
        NoBlob::Absent => blob_unknown(),
        NoBlob::Unavailable => OciError::new(Code::Unavailable, "no copy of this blob answers now"),
    };
    let size = match known_size {
        Some(size) => size,
        None => size_at_first(world, repository, digest, &copies).await.map_err(gone)?,
    };
    if is_known(asked.head.headers, digest) {
        return Ok(Answer::not_modified(digest, By::Digest));
    }
    let range = match asked.head.wanted(digest, size) {
        Wanted::Whole => None,
        Wanted::Part(from, to) => Some((from, to)),
        Wanted::Unsatisfiable => return Ok(Answer::range_not_satisfiable(size)),
    };
    if asked.head.is_head() {
        return Ok(Answer::object(digest, size, range, Body::Empty));
    }
    let (from, to) = range.unwrap_or((0, size));
    let relay = Relay::open(running, repository, digest, copies, from).await.map_err(gone)?;
    if relay.size() != size {
        warn!(%digest, copy = relay.copy().index(), size, other = relay.size(), "a copy's size is not the generation's");
        return Err(gone(NoBlob::Unavailable));
    }
    let copy = relay.copy();
    let body = Body::Stream { bytes: relay.until(to), left: to - from };
    let mut answer = Answer::object(digest, size, range, body);
    answer.copy = Some(copy);
    Ok(answer)
}

async fn size_at_first(
    world: &World,
    repository: &str,
    digest: &Digest,
    copies: &[CopyId],
) -> Result<u64, NoBlob> {
    let mut result = NoBlob::Absent;
    for &copy in copies {
        let size = world.running.reader(copy).size(repository, digest).await;
        world.running.note(copy, digest, &size);
        match size {
            Ok(Some(size)) => return Ok(size),
            Ok(None) => {}
            Err(_) => result = NoBlob::Unavailable,
        }
    }
    Err(result)
}

pub(crate) fn live<'a>(world: &'a World, site: &Site) -> Result<&'a LiveOrigin, OciError> {
    world.running.live[site.origin].as_ref().ok_or_else(no_copy)
}

pub(crate) fn name(repository: &str) -> Result<RepositoryName, OciError> {
    RepositoryName::parse(repository).map_err(|_| lists::name_unknown())
}

/// What a client is told when a live origin fails; the log has the rest.
pub(crate) fn unavailable(world: &World, site: &Site, error: &LiveError) -> OciError {
    let origin = &world.snapshot.settings.origins[site.origin];
    warn!(origin = origin.name, error = chain(error), "a live origin does not answer");
    match error {
        LiveError::Denied(_) => {
            OciError::new(Code::Denied, "the origin does not give this repository to the public")
        }
        LiveError::Failed(_) | LiveError::LeftAlone => {
            OciError::new(Code::Unavailable, "the origin does not answer now")
        }
    }
}

/// Who may serve a blob of a live origin, best first, and its size if somebody told it.
///
/// Mirrors are asked in the order of the route, only until one has it; the origin is believed.
async fn live_candidates(
    world: &World,
    asked: &Asked<'_>,
    site: &Site,
    repository: &str,
    digest: &Digest,
    working: CopySet,
) -> (Vec<CopyId>, Option<u64>) {
    let mut holders = Vec::new();
    let mut known_size = None;
    for candidate in asked.candidates(site, repository, site.copies, working) {
        let copy = candidate.copy;
        if copy == site.origin_copy {
            holders.push(copy);
        } else if known_size.is_none() && !candidate.is_failing {
            let reader = world.running.reader(copy);
            if let Known::Present(size) =
                world.running.presence.holds(copy, reader, repository, digest).await
            {
                holders.push(copy);
                known_size = Some(size);
            }
        }
        if holders.contains(&site.origin_copy) {
            break;
        }
    }
    (holders, known_size)
}

/// What the generations know of a blob.
pub(crate) fn published(world: &World, site: &Site, digest: &Digest) -> Result<Presence, OciError> {
    world.catalog(site)?.object(digest).ok_or_else(blob_unknown)
}

/// Who may serve a blob that no generation knows, best first, and its size: the origin's registry,
/// if it gives the blob to this repository; before it the origin's bucket, if clients can be sent
/// there and the bytes are in it already. Each is asked once, and remembered.
pub(crate) async fn unpublished(
    world: &World,
    site: &Site,
    registry: CopyId,
    repository: &str,
    digest: &Digest,
) -> Result<(Vec<CopyId>, u64), OciError> {
    world.catalog(site)?;
    let holds = |copy| {
        let reader = world.running.reader(copy);
        world.running.presence.holds(copy, reader, repository, digest)
    };
    let size = match holds(registry).await {
        Known::Present(size) => size,
        Known::Absent => return Err(blob_unknown()),
        Known::Failing => {
            let message = "no generation has this blob, and the origin's registry does not answer";
            return Err(OciError::new(Code::Unavailable, message));
        }
    };
    let origin = site.origin_copy;
    let is_public = !matches!(world.snapshot.copy(origin).target, Target::Streamed);
    if is_public && holds(origin).await == Known::Present(size) {
        return Ok((vec![origin, registry], size));
    }
    Ok((vec![registry], size))
}

/// All copies of a live site that say that they hold a blob, and the origin: for explanations.
pub(crate) async fn live_holders(
    world: &World,
    site: &Site,
    repository: &str,
    digest: &Digest,
) -> CopySet {
    let mut holders = CopySet::EMPTY.with(site.origin_copy);
    for copy in site.copies.without(site.origin_copy).iter() {
        let reader = world.running.reader(copy);
        if let Known::Present(_) =
            world.running.presence.holds(copy, reader, repository, digest).await
        {
            holders = holders.with(copy);
        }
    }
    holders
}
