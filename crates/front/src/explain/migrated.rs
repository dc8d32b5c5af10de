//! What becomes of requests for an old name, in the words of `explain`.

use std::borrow::Cow;
use std::fmt;

use landbridge_core::client_address::ClientNetwork;
use landbridge_core::migration::{self, Action};
use landbridge_core::oci_error::OciError;
use landbridge_core::place::PlaceId;
use landbridge_core::reference::ImageName;
use landbridge_core::request::{ManifestReference, Request};
use landbridge_core::{Digest, Reference, RepositoryName};
use serde::{Deserialize, Serialize};

use super::{ExplainError, Question};
use crate::legacy::LegacyState;
use crate::snapshot::Site;
use crate::world::World;

/// What becomes of a request for an old name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrated {
    /// The migration.
    pub migration: String,
    /// The repository's name under the successor.
    pub repository: String,
    /// `served`, `redirected`, `refused` or `gone`.
    pub action: String,
    /// Why: the step that says so.
    pub reason: String,
    /// Where the client is sent.
    pub location: Option<String>,
    /// The generation that the old name is frozen at, for this client.
    pub frozen_at: Option<Digest>,
    /// What steps that are only observed would do.
    pub observed: Option<String>,
}

/// The site as the migration shows it, the question with the name under the successor, and what
/// becomes of the request.
pub(super) fn migrated<'a>(
    world: &'a World,
    site: &'a Site,
    question: &'a Question,
    place: PlaceId,
) -> Result<(&'a Site, Cow<'a, Question>, Option<Migrated>), ExplainError> {
    let Some(legacy) = &site.legacy else { return Ok((site, Cow::Borrowed(question), None)) };
    let refused =
        |error: OciError| ExplainError::Registry { image: question.image.to_string(), error };
    let reference = question.image.reference();
    let reference = match &reference {
        Reference::Tag(tag) => ManifestReference::Tag(tag.as_str()),
        Reference::Digest(digest) => ManifestReference::Digest(*digest),
    };
    let mut request =
        Request::Manifest { repository: question.image.repository.as_str(), reference };
    legacy.rename(&mut request).map_err(refused)?;
    let named = request.repository_mut().map_or("", |name| *name);
    let name = named.parse::<RepositoryName>();
    // What a pattern of the configuration makes of a name is one.
    let repository = name.unwrap_or_else(|_| question.image.repository.clone());

    let (provider, region) = world.snapshot.provider_and_region(place);
    let network = ClientNetwork::of(question.from).key();
    let client = migration::Client { network, provider, region };
    let states = &world.running.legacy;
    let aborted = states.of(site.index).map(LegacyState::aborted).unwrap_or_default();
    let plan = &legacy.migration;
    let standing = plan.standing(states.now(), &client, repository.as_str(), aborted);
    let word = |action| match action {
        Action::Serve => "served",
        Action::Redirect => "redirected",
        Action::Refuse { .. } => "refused",
        Action::Gone => "gone",
    };
    let step = |step: usize| {
        let phase = plan.steps()[step].phase.name();
        format!("phases[{step}], {phase} since {}", plan.begins(step).unwrap_or_default())
    };
    let migrated = Migrated {
        migration: plan.name().to_owned(),
        repository: repository.to_string(),
        action: word(standing.action).to_owned(),
        reason: standing.by.map_or_else(|| "no step says otherwise".to_owned(), step),
        location: (standing.action == Action::Redirect)
            .then(|| legacy.location(&request))
            .flatten()
            .map(|location| String::from_utf8_lossy(&location).into_owned()),
        frozen_at: standing.frozen.and_then(|step| plan.steps()[step].generation),
        observed: standing.observed.map(|(action, by)| format!("{} ({})", word(action), step(by))),
    };
    let image = ImageName { repository, ..question.image.clone() };
    let question = Question { image, ..question.clone() };
    let site = world.snapshot.as_frozen(site, standing.frozen);
    Ok((site, Cow::Owned(question), Some(migrated)))
}

impl fmt::Display for Migrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old name  {}: {}, {}", self.migration, self.action, self.reason)?;
        if let Some(location) = &self.location {
            writeln!(f, "          {location}")?;
        }
        if let Some(generation) = &self.frozen_at {
            writeln!(f, "          frozen at generation {generation}")?;
        }
        if let Some(observed) = &self.observed {
            writeln!(f, "          if all were enforced: {observed}")?;
        }
        Ok(())
    }
}
