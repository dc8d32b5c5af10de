//! A pull, step by step: locate, understand, resolve, route, answer, record.
//!
//! Most requests are decided and answered without waiting for anything: [`World::answer_now`]
//! covers them all the way. What needs bytes or somebody else's word goes to `fetch`, which takes
//! the same steps with one await between resolving and answering.

use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, HOST, RANGE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use landbridge_core::Digest;
use landbridge_core::catalog::{Catalog, ManifestInfo};
use landbridge_core::client_address::{ClientNetwork, client_address};
use landbridge_core::condition::Wanted;
use landbridge_core::migration::Client;
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::place::PlaceId;
use landbridge_core::request::{self, ManifestReference, Request};
use landbridge_core::route::{Candidates, StickyKey};
use landbridge_core::topology::CopySet;

use crate::answer::{Answer, By, is_known, is_read, wanted};
use crate::legacy::{Legacy, Stands};
use crate::lists;
use crate::metrics::Kind;
use crate::settings::{Delivery, PageAnswer};
use crate::snapshot::{Site, Snapshot};
use crate::status::Form;
use crate::world::World;

/// The part of a request that decides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// The other end of the connection.
    pub(crate) peer: IpAddr,
    pub(crate) method: &'a Method,
    pub(crate) version: Version,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

/// The fields that every decision reads, found in one pass over the head: to look one up costs
/// more than to walk past all that a client sends.
#[derive(Debug, Clone, Copy, Default)]
struct Fields<'a> {
    host: Option<&'a HeaderValue>,
    /// How many there are of `Host`.
    hosts: usize,
    /// The last line of the header that names the client.
    forwarded: Option<&'a HeaderValue>,
    /// How many lines it has.
    forwarded_lines: usize,
    content_length: Option<&'a HeaderValue>,
    agent: Option<&'a HeaderValue>,
    has_range: bool,
}

impl<'a> Fields<'a> {
    fn of(headers: &'a HeaderMap, forwarded: &str) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            if name == HOST {
                fields.hosts += 1;
                fields.host = fields.host.or(Some(value));
            } else if name == USER_AGENT {
                fields.agent = fields.agent.or(Some(value));
            } else if name == CONTENT_LENGTH {
                fields.content_length = fields.content_length.or(Some(value));
            } else if name == RANGE {
                fields.has_range = true;
            } else if name.as_str() == forwarded {
                fields.forwarded_lines += 1;
                fields.forwarded = Some(value);
            }
        }
        fields
    }
}

impl<'a> Head<'a> {
    /// The host that is asked for.
    fn host(&self, fields: &Fields<'a>) -> &'a str {
        let authority = self.uri.authority().map(http::uri::Authority::as_str);
        let header = || fields.host.and_then(|host| host.to_str().ok());
        authority.or_else(header).unwrap_or_default()
    }

    /// Whether it names one host, as HTTP/1.1 wants it (RFC 9112, section 3.2). Of two, whoever
    /// stands in between may have believed the other one.
    fn names_one_host(&self, fields: &Fields<'_>) -> bool {
        fields.hosts == 1 || (fields.hosts == 0 && self.version != Version::HTTP_11)
    }

    /// The client's address, as far as `snapshot` trusts who told it.
    fn client(&self, fields: &Fields<'_>, snapshot: &Snapshot) -> IpAddr {
        let header = snapshot.settings.forwarded_header;
        let trusted = &snapshot.settings.trusted_proxies;
        if fields.forwarded_lines > 1 {
            let lines = self.headers.get_all(header.name());
            let lines = lines.iter().map(HeaderValue::as_bytes);
            return client_address(self.peer, header, lines, trusted);
        }
        let line = fields.forwarded.map(HeaderValue::as_bytes);
        client_address(self.peer, header, line, trusted)
    }

    /// The part of an object that is asked for. Only `GET` can ask for one (RFC 9110, section 14.2).
    pub(crate) fn wanted(&self, digest: &Digest, size: u64) -> Wanted {
        if self.is_head() { Wanted::Whole } else { wanted(self.headers, digest, size) }
    }

    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

/// A request that was located and understood.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) head: Head<'a>,
    fields: Fields<'a>,
    /// The site that was asked; none if no site has the host's name.
    pub(crate) site: Option<&'a Site>,
    /// The client's address; it goes nowhere but into decisions.
    pub(crate) address: IpAddr,
    pub(crate) place: PlaceId,
    pub(crate) network: ClientNetwork,
    pub(crate) request: Result<Request<'a>, OciError>,
    /// How it stands with the plan, if the site answers for an old name.
    pub(crate) stands: Option<Stands<'a>>,
    /// The repository's name as it was asked for, if it is another one here.
    named: Option<&'a str>,
    provider: &'a str,
    region: &'a str,
}

impl<'a> Asked<'a> {
    /// Locates and understands. Never fails: what is wrong is answered as such, and recorded.
    pub(crate) fn new(world: &'a World, head: Head<'a>) -> Self {
        let snapshot = &world.snapshot;
        let fields = Fields::of(head.headers, snapshot.settings.forwarded_header.name());
        let address = head.client(&fields, snapshot);
        let place = snapshot.prefixes.locate(address);
        let (provider, region) = snapshot.provider_and_region(place);
        let mut asked = Self {
            head,
            site: snapshot.site(head.host(&fields)),
            address,
            place,
            network: ClientNetwork::of(address),
            request: understand(head, &fields, snapshot.settings.listen.limits.body_bytes),
            fields,
            stands: None,
            named: None,
            provider,
            region,
        };
        if let Some(site) = asked.site
            && let Some(legacy) = &site.legacy
        {
            asked.by_plan(world, site, legacy);
        }
        asked
    }

    /// Understands it as a request for an old name.
    fn by_plan(&mut self, world: &'a World, site: &'a Site, legacy: &'a Legacy) {
        let named = self.repository();
        let renamed = self.request.as_mut().ok().map(|request| legacy.rename(request));
        match renamed {
            Some(Err(error)) => self.request = Err(error),
            Some(Ok(())) => {
                let is_renamed = !std::ptr::eq(named, self.repository());
                self.named = is_renamed.then_some(named);
            }
            None => {}
        }
        let Some(state) = world.running.legacy.of(site.index) else { return };
        let moment = world.running.legacy.now();
        let stands = legacy.stands(state, moment, &self.migrant(), self.repository());
        self.site = Some(world.snapshot.as_frozen(site, stands.standing.frozen));
        self.stands = Some(stands);
    }

    /// The client as a migration sees it.
    pub(crate) fn migrant(&self) -> Client<'a> {
        Client { network: self.network.key(), provider: self.provider, region: self.region }
    }

    /// The host that was asked for.
    pub(crate) fn host(&self) -> &'a str {
        self.head.host(&self.fields)
    }

    /// What the client calls `repository`, which is the one that it asked for.
    pub(crate) fn shown<'b>(&'b self, repository: &'b str) -> &'b str {
        self.named.unwrap_or(repository)
    }

    /// What the client says that it is; empty if it does not.
    pub(crate) fn agent(&self) -> &'a [u8] {
        self.fields.agent.map(HeaderValue::as_bytes).unwrap_or_default()
    }

    /// Bytes that a copy will hand out if the client takes all that it asked for.
    pub(crate) fn handed_out(&self, digest: &Digest, size: u64) -> u64 {
        if self.head.is_head() {
            return 0;
        }
        if !self.fields.has_range {
            return size;
        }
        match self.head.wanted(digest, size) {
            Wanted::Whole => size,
            Wanted::Part(from, to) => to - from,
            Wanted::Unsatisfiable => 0,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match &self.request {
            Ok(Request::Ping) => Kind::ping,
            Ok(Request::Manifest { .. }) => Kind::manifest,
            Ok(Request::Blob { .. }) => Kind::blob,
            Ok(Request::Tags { .. }) => Kind::tags,
            Ok(Request::Referrers { .. }) => Kind::referrers,
            Ok(Request::Catalog { .. }) => Kind::catalog,
            Ok(Request::Page { path }) if path.starts_with(crate::snapshot::EMBEDDED_PATH) => {
                Kind::mirror
            }
            Ok(Request::Page { .. }) => Kind::page,
            Err(_) => Kind::invalid,
        }
    }

    pub(crate) fn repository(&self) -> &'a str {
        match &self.request {
            Ok(
                Request::Manifest { repository, .. }
                | Request::Blob { repository, .. }
                | Request::Tags { repository, .. }
                | Request::Referrers { repository, .. },
            ) => repository,
            Ok(Request::Ping | Request::Catalog { .. } | Request::Page { .. }) | Err(_) => "",
        }
    }

    pub(crate) fn tag(&self) -> &'a str {
        match &self.request {
            Ok(Request::Manifest { reference: ManifestReference::Tag(tag), .. }) => tag,
            _ => "",
        }
    }

    /// What the client sticks by.
    pub(crate) fn key(&self) -> StickyKey {
        StickyKey::new(self.network.key(), self.repository())
    }

    /// The candidates for an object that `holders` have: this client, this site, this moment.
    pub(crate) fn candidates(
        &self,
        site: &'a Site,
        repository: &str,
        holders: CopySet,
        usable: CopySet,
    ) -> Candidates<'a> {
        let key = StickyKey::new(self.network.key(), repository);
        site.routes.candidates(self.place, key, holders.and(site.copies), usable)
    }
}

impl World {
    /// Decides and answers what can be answered at once; `None` if something must be fetched first.
    pub(crate) fn answer_now(&self, asked: &Asked<'_>, usable: CopySet) -> Option<Answer> {
        match self.try_now(asked, usable) {
            Ok(Some(answer)) if asked.head.is_head() => Some(answer.without_body()),
            Ok(now) => now,
            Err(error) => Some(Answer::error(&error)),
        }
    }

    fn try_now(&self, asked: &Asked<'_>, usable: CopySet) -> Result<Option<Answer>, OciError> {
        let request = asked.request.as_ref().map_err(Clone::clone)?;
        if asked.kind() == Kind::mirror {
            return Ok(None);
        }
        let site = asked.site.ok_or_else(|| {
            OciError::new(
                Code::NotFound,
                "no site of this name is served here: check the host name",
            )
        })?;
        let settings = self.snapshot.site_settings(site);
        match request {
            Request::Ping => return Ok(Some(Answer::ping())),
            Request::Page { path } => return self.page(asked, site, path).map(Some),
            Request::Catalog { .. } if !settings.catalog_api => {
                return Err(OciError::new(
                    Code::NotFound,
                    "this site does not list its repositories",
                ));
            }
            _ => {}
        }
        if let Some(stands) = &asked.stands
            && let Some(state) = self.running.legacy.of(site.index)
            && let Some(answer) = stands.answer(state, asked, request)?
        {
            return Ok(Some(answer));
        }
        if self.snapshot.is_live(site) {
            return Ok(None);
        }
        let catalog = self.catalog(site)?;
        match request {
            // Of what is in a registry too, a list is of both.
            Request::Catalog { .. } | Request::Tags { .. } | Request::Referrers { .. }
                if site.live_copy.is_some() =>
            {
                Ok(None)
            }
            _ => match self.published_now(asked, site, catalog, request, usable) {
                // What no generation knows may be in the origin's registry already, or in a newer
                // one.
                Err(error)
                    if error.code.status() == 404
                        && (site.live_copy.is_some() || self.newer(site, request).is_some()) =>
                {
                    Ok(None)
                }
                answer => answer,
            },
        }
    }

    /// One of the site's own pages, else its status.
    fn page(&self, asked: &Asked<'_>, site: &Site, path: &str) -> Result<Answer, OciError> {
        let settings = self.snapshot.site_settings(site);
        let own = settings.pages.iter().find(|(known, _)| known == path);
        match own.map(|(_, answer)| answer) {
            Some(PageAnswer::Text(text)) => return Ok(Answer::page(text)),
            Some(PageAnswer::Redirect(url)) => {
                return Ok(Answer::redirect(url.as_str().as_bytes().to_vec()));
            }
            None => {}
        }
        match Form::wanted(path, asked.head.headers).filter(|_| settings.status) {
            Some(form) => Ok(Answer::status(form, self.status(site).form(form))),
            None => Err(OciError::new(Code::NotFound, "there is nothing at this path")),
        }
    }

    /// Answers from the generations what they know.
    fn published_now(
        &self,
        asked: &Asked<'_>,
        site: &Site,
        catalog: &Catalog,
        request: &Request<'_>,
        usable: CopySet,
    ) -> Result<Option<Answer>, OciError> {
        match request {
            Request::Blob { repository, digest } => {
                match self.snapshot.site_settings(site).delivery {
                    Delivery::Proxy => Ok(None),
                    Delivery::Redirect => {
                        self.redirect(asked, site, catalog, repository, digest, usable)
                    }
                }
            }
            Request::Manifest { repository, reference } => {
                let (info, by) = resolve(catalog, repository, *reference)?;
                self.manifest_now(asked, site, &info, by, usable)
            }
            Request::Tags { repository, page } => {
                let view = catalog.repository(repository).ok_or_else(lists::name_unknown)?;
                let shown = asked.shown(repository);
                Ok(Some(lists::tags(shown, page, view.tags_after(&page.last))))
            }
            Request::Referrers { repository, subject, artifact_type, page: _ } => {
                let view = catalog.repository(repository);
                Ok(Some(lists::referrers(view, *subject, artifact_type.as_deref())))
            }
            Request::Catalog { page } => {
                Ok(Some(lists::catalog(page, catalog.repositories_after(&page.last))))
            }
            Request::Ping | Request::Page { .. } => Ok(None),
        }
    }

    /// The catalog of a site, or the error that its origin has not been read yet.
    pub(crate) fn catalog(&self, site: &Site) -> Result<&Catalog, OciError> {
        let loaded = self.snapshot.catalog(site);
        loaded.map(|loaded| &*loaded.catalog).ok_or_else(|| {
            OciError::new(
                Code::Unavailable,
                "the origin has published nothing that could be read yet",
            )
        })
    }

    fn redirect(
        &self,
        asked: &Asked<'_>,
        site: &Site,
        catalog: &Catalog,
        repository: &str,
        digest: &Digest,
        usable: CopySet,
    ) -> Result<Option<Answer>, OciError> {
        let presence = catalog.object(digest).ok_or_else(blob_unknown)?;
        let key = StickyKey::new(asked.network.key(), repository);
        let holders = presence.copies.and(site.copies);
        let first = site.routes.candidates(asked.place, key, holders, usable).next();
        let first = first.ok_or_else(no_copy)?;
        let bytes = asked.handed_out(digest, presence.size);
        let is_usual = usable == CopySet::ALL
            || (!first.is_failing && site.routes.own_copies(asked.place).contains(first.copy));
        let over =
            if is_usual { None } else { self.overflow(asked, site, holders, usable, bytes)? };
        let copy = over.unwrap_or(first.copy);
        let Some(location) = self.snapshot.copy(copy).target.location(repository, digest) else {
            return Ok(None);
        };
        let mut answer = Answer::redirect(location);
        answer.digest = Some(*digest);
        (answer.copy, answer.bytes) = (Some(copy), bytes);
        Ok(Some(answer))
    }

    fn manifest_now(
        &self,
        asked: &Asked<'_>,
        site: &Site,
        info: &ManifestInfo<'_>,
        by: By,
        usable: CopySet,
    ) -> Result<Option<Answer>, OciError> {
        if is_known(asked.head.headers, &info.digest) {
            return Ok(Some(Answer::not_modified(&info.digest, by)));
        }
        if asked.head.is_head() {
            return Ok(Some(Answer::manifest(info, by, None)));
        }
        let Some(bytes) = self.running.manifests.get(&info.digest) else { return Ok(None) };
        self.admit(asked, site, info.copies, usable, &bytes)?;
        Ok(Some(Answer::manifest(info, by, Some(bytes))))
    }
}

/// A read of the registry, or what stands in the way. Bodies mean nothing here: a small one is
/// ignored, a large one not even waited for.
fn understand<'a>(
    head: Head<'a>,
    fields: &Fields<'a>,
    body_limit: u64,
) -> Result<Request<'a>, OciError> {
    if !is_read(head.method) {
        let message = "this registry is read-only: only GET and HEAD are answered";
        return Err(OciError::new(Code::Unsupported, message));
    }
    let length = fields.content_length.and_then(|length| length.to_str().ok());
    if length.and_then(|length| length.parse().ok()).is_some_and(|length: u64| length > body_limit)
    {
        return Err(OciError::new(Code::BodyTooLarge, "a read has no use for a body of this size"));
    }
    if !head.names_one_host(fields) {
        return Err(OciError::new(Code::RequestInvalid, "the request must name exactly one host"));
    }
    request::parse(head.uri.path(), head.uri.query())
}

/// Name or digest → the manifest, if the repository lists it.
pub(crate) fn resolve<'a>(
    catalog: &'a Catalog,
    repository: &str,
    reference: ManifestReference<'_>,
) -> Result<(ManifestInfo<'a>, By), OciError> {
    let view = catalog.repository(repository).ok_or_else(lists::name_unknown)?;
    let (found, by) = match reference {
        ManifestReference::Tag(tag) => (view.tag(tag), By::Tag),
        ManifestReference::Digest(digest) => (view.manifest(&digest), By::Digest),
    };
    found.map(|info| (info, by)).ok_or_else(manifest_unknown)
}

pub(crate) fn manifest_unknown() -> OciError {
    OciError::new(Code::ManifestUnknown, "the repository has no such manifest")
}

pub(crate) fn blob_unknown() -> OciError {
    OciError::new(Code::BlobUnknown, "no copy is known to hold this blob")
}

pub(crate) fn no_copy() -> OciError {
    OciError::new(Code::Unavailable, "no copy of this object can be used for this client now")
}
