//! The old name: requests for it are answered by the plan of its migration.
//!
//! What becomes of a request is `landbridge_core`'s [`Migration::standing`]; here is what that means
//! in HTTP. A redirect and a refusal end the request; a freeze replaces the site by one that shows
//! the frozen generation; and whatever the client finally gets carries the plan's warnings.
//!
//! [`Migration::standing`]: landbridge_core::migration::Migration::standing

mod comeback;
mod kept;
mod state;
mod tend;

use std::sync::Arc;

use http::header::{HeaderName, LINK, WARNING};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use landbridge_core::migration::{Action, Client, Migration, Refusal, Standing};
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::request::{ManifestReference, Request};
use landbridge_core::route::StickyKey;

use crate::answer::Answer;
use crate::metrics::MigrationAction;
use crate::pull::Asked;
use crate::settings::LegacySettings;
use crate::world::World;

pub(crate) use self::state::{LegacyState, LegacyStates};
pub(crate) use self::tend::tend;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// An old name, compiled.
#[derive(Debug)]
pub(crate) struct Legacy {
    /// Its site's place in the settings' list, which is its state's too.
    site: usize,
    pub(crate) migration: Arc<Migration>,
    successor: Box<str>,
    /// With its slash, or empty.
    strip: Box<str>,
    renames: Box<[(Box<str>, Box<str>)]>,
    guide: Option<Box<str>>,
    /// By step: the site that shows its frozen generation, by place in the snapshot's list.
    pub(crate) frozen: Box<[Option<usize>]>,
    /// By step.
    warnings: Box<[Option<HeaderValue>]>,
    /// What is sent from the first announcement on.
    deprecation: Box<[(HeaderName, HeaderValue)]>,
}

/// How a request for an old name stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stands<'a> {
    pub(crate) legacy: &'a Legacy,
    pub(crate) moment: Timestamp,
    pub(crate) standing: Standing,
}

impl Legacy {
    /// The old name at the settings' site of this number.
    pub(crate) fn new(site: usize, settings: &LegacySettings, frozen: Vec<Option<usize>>) -> Self {
        let migration = Arc::clone(&settings.migration);
        let warning = |text: String| HeaderValue::try_from(text).ok();
        let warnings = migration.steps().iter().map(|step| step.warning().and_then(warning));
        let mut deprecation = Vec::new();
        if let Some(told) = migration.deprecation() {
            let mut add = |name, text: String| {
                deprecation.extend(HeaderValue::try_from(text).ok().map(|value| (name, value)));
            };
            add(DEPRECATION, told.deprecation);
            let relations =
                if told.sunset.is_some() { "deprecation sunset" } else { "deprecation" };
            if let Some(sunset) = told.sunset {
                add(SUNSET, sunset);
            }
            if let Some(guide) = &settings.guide {
                add(LINK, format!("<{guide}>; rel=\"{relations}\"; type=\"text/html\""));
            }
        }
        let strip = match settings.strip.as_str() {
            "" => String::new(),
            strip => format!("{strip}/"),
        };
        let renames = settings.renames.iter();
        Self {
            site,
            warnings: warnings.collect(),
            migration,
            successor: settings.successor.as_str().into(),
            strip: strip.into(),
            renames: renames.map(|(old, new)| (old.as_str().into(), new.as_str().into())).collect(),
            guide: settings.guide.as_ref().map(|guide| guide.as_str().into()),
            frozen: frozen.into(),
            deprecation: deprecation.into(),
        }
    }

    /// Gives a request's repository the name that it has under the successor, or says that the old
    /// name has no such repository.
    pub(crate) fn rename<'a>(&'a self, request: &mut Request<'a>) -> Result<(), OciError> {
        let Some(name) = request.repository_mut() else { return Ok(()) };
        let Some(bare) = name.strip_prefix(&*self.strip).filter(|bare| !bare.is_empty()) else {
            return Err(OciError::new(Code::NameUnknown, "this host has no such repository"));
        };
        let renamed = self.renames.iter().find(|(old, _)| **old == *bare);
        *name = renamed.map_or(bare, |(_, new)| new);
        Ok(())
    }

    /// How a request stands at `moment`.
    pub(crate) fn stands<'a>(
        &'a self,
        state: &LegacyState,
        moment: Timestamp,
        client: &Client<'_>,
        repository: &str,
    ) -> Stands<'a> {
        let standing = self.migration.standing(moment, client, repository, state.aborted());
        Stands { legacy: self, moment, standing }
    }

    /// Where the successor has what is asked for. Names are checked, so nothing in them can change
    /// the meaning of the address.
    pub(crate) fn location(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(self.successor.len() + 160);
        out.extend_from_slice(self.successor.as_bytes());
        out.extend_from_slice(b"/v2/");
        request.append_path(&mut out).then_some(out)
    }

    /// What a client is to ask for instead, as people write it.
    fn reference(&self, request: &Request<'_>) -> String {
        let host = self.migration.successor();
        match request {
            Request::Manifest { repository, reference: ManifestReference::Tag(tag) } => {
                format!("{host}/{repository}:{tag}")
            }
            Request::Manifest { repository, reference: ManifestReference::Digest(digest) }
            | Request::Blob { repository, digest } => format!("{host}/{repository}@{digest}"),
            Request::Tags { repository, .. } | Request::Referrers { repository, .. } => {
                format!("{host}/{repository}")
            }
            Request::Ping | Request::Catalog { .. } | Request::Page { .. } => host.to_owned(),
        }
    }

    fn refusal(&self, code: Code, begin: &str, request: &Request<'_>) -> OciError {
        let guide = self.guide.as_ref().map(|guide| format!(" ({guide})")).unwrap_or_default();
        let reference = self.reference(request);
        OciError::with(code, format!("{begin}: use {reference} instead{guide}"))
    }
}

impl Stands<'_> {
    /// The answer of a request that is not served from the old name, or `None`.
    pub(crate) fn answer(
        &self,
        state: &LegacyState,
        asked: &Asked<'_>,
        request: &Request<'_>,
    ) -> Result<Option<Answer>, OciError> {
        let Self { legacy, moment, standing } = *self;
        let begins_a_pull = matches!(request, Request::Manifest { .. });
        if let Some((action, step)) = standing.observed {
            let counts = begins_a_pull || !matches!(action, Action::Refuse { .. });
            if counts {
                state.count(step, MigrationAction::observed(action));
            }
        }
        let Some(step) = standing.by else { return Ok(None) };
        match standing.action {
            Action::Serve => Ok(None),
            Action::Redirect => {
                let Some(location) = legacy.location(request) else { return Ok(None) };
                state.count(step, MigrationAction::Redirected);
                Ok(Some(Answer::redirect(location)))
            }
            // A pull that is under way is finished, and to look costs nothing.
            Action::Refuse { .. } if !begins_a_pull => Ok(None),
            Action::Refuse { refusal, until, window } => {
                let brownout = legacy.migration.steps()[step].brownout.as_ref();
                let cap = brownout.map_or(0, |brownout| brownout.cap_pulls);
                // A client that only looks begins a pull all the same: without its answer there is
                // no pull.
                if !state.refuse(step, window, cap) {
                    state.count(step, MigrationAction::OverCap);
                    return Ok(None);
                }
                state.count(step, MigrationAction::Refused);
                let host = asked.host();
                let begin = format!("{host} is switched off until {until}, and soon for good");
                let code = match refusal {
                    Refusal::Unavailable => Code::Unavailable,
                    Refusal::Gone => Code::Gone,
                };
                let wait = until.as_second().saturating_sub(moment.as_second()).max(1);
                let error = legacy.refusal(code, &begin, request);
                Err(error.after(wait.unsigned_abs()))
            }
            Action::Gone => {
                state.count(step, MigrationAction::Gone);
                let begin = format!("this is gone from {}", asked.host());
                Err(legacy.refusal(Code::Gone, &begin, request))
            }
        }
    }

    /// What users are told, on an answer that is the client's last.
    fn tell(
        &self,
        asked: &Asked<'_>,
        aborted: landbridge_core::migration::Steps,
        headers: &mut HeaderMap,
    ) {
        let Self { legacy, moment, .. } = *self;
        let (client, repository) = (asked.migrant(), asked.repository());
        for step in legacy.migration.told(moment, &client, repository, aborted) {
            if let Some(Some(warning)) = legacy.warnings.get(step) {
                headers.append(WARNING, warning.clone());
            }
        }
        if legacy.migration.deprecated().is_some_and(|since| since <= moment) {
            for (name, value) in &legacy.deprecation {
                // A list's own link to its next page stays.
                headers.append(name, value.clone());
            }
        }
    }
}

impl World {
    /// The answer with what the plan tells users of the old name, unless it sends them elsewhere:
    /// clients read warnings on their last answer only.
    pub(crate) fn told(&self, asked: &Asked<'_>, mut answer: Answer) -> Answer {
        let Some(stands) = &asked.stands else { return answer };
        if answer.response.status().is_redirection() {
            return answer;
        }
        if !matches!(asked.request, Ok(Request::Page { .. })) {
            let aborted = self.running.legacy.of(stands.legacy.site).map(LegacyState::aborted);
            stands.tell(asked, aborted.unwrap_or_default(), answer.response.headers_mut());
        }
        answer
    }

    /// Counts how the moved and the others fare.
    pub(crate) fn watch(&self, asked: &Asked<'_>, answer: &Answer) {
        let Some(stands) = &asked.stands else { return };
        let Some(state) = self.running.legacy.of(stands.legacy.site) else { return };
        if !state.watches() {
            return;
        }
        let Ok(request @ (Request::Manifest { .. } | Request::Blob { .. })) = &asked.request else {
            return;
        };
        let key = asked.key();
        let status = answer.response.status();
        // What is gone or browned out on purpose is no error.
        let is_error = status.is_server_error() && stands.standing.action == Action::Serve;
        let client = asked.migrant();
        let what = StickyKey::new(key.number(), asked.tag()).number() ^ digest_bits(request);
        let what = what ^ u64::from(asked.head.is_head());
        state.watch(
            &stands.legacy.migration,
            stands.moment,
            &client,
            asked.repository(),
            what,
            is_error,
        );
    }
}

/// A few bits of what is asked for by digest.
fn digest_bits(request: &Request<'_>) -> u64 {
    let (Request::Blob { digest, .. }
    | Request::Manifest { reference: ManifestReference::Digest(digest), .. }) = request
    else {
        return 0;
    };
    let first = digest.hash().first_chunk::<8>();
    first.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
