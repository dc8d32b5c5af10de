//! Why a client is sent where it is sent: the same decision, with every copy that was passed over.
//!
//! This asks the code that answers pulls and adds only words. There is no second implementation.

mod migrated;
mod priced;

use std::fmt;
use std::net::IpAddr;

use landbridge_core::client_address::ClientNetwork;
use landbridge_core::manifest::{Descriptor, Manifest};
use landbridge_core::reference::ImageName;
use landbridge_core::request::ManifestReference;
use landbridge_core::route::{Candidate, StickyKey};
use landbridge_core::topology::{CopyId, CopySet};
use landbridge_core::{Digest, Reference};
use serde::{Deserialize, Serialize};

pub use self::migrated::Migrated;
use self::priced::Asked;
use crate::fetch::{self, NamedBy};
use crate::health::CopyStatus;
use crate::settings::Delivery;
use crate::snapshot::{Site, Target};
use crate::world::World;

/// What to explain.
#[derive(Debug, Clone)]
pub struct Question {
    /// The image, or a blob by digest.
    pub image: ImageName,
    /// The client's address.
    pub from: IpAddr,
    /// The host name that the client uses; none is the first site.
    pub host: Option<String>,
}

/// The decision for one image and one client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The image as it was asked for.
    pub image: String,
    /// The site that answers.
    pub site: String,
    /// Where the client is.
    pub client: Client,
    /// Which data the decision was made with.
    pub data: Data,
    /// What becomes of requests for the old name, if the site answers for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<Migrated>,
    /// The objects that a pull asks for, those with the same decision together.
    pub objects: Vec<Object>,
}

/// Where a client is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Its provider; empty if no range holds the address.
    pub provider: String,
    /// Its region.
    pub region: String,
    /// The prefix that says so.
    pub prefix: Option<String>,
}

/// Versions of what a decision was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Where the names come from.
    pub origin: String,
    /// The generation in force; none for a live origin.
    pub generation: Option<Digest>,
    /// The pointer's sequence; none for a live origin.
    pub sequence: Option<u64>,
    /// Who says what the image is: the generation, or the origin's registry.
    pub named_by: NamedBy,
    /// The range files in use.
    pub ranges: Vec<RangeData>,
}

/// A range file in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeData {
    /// The source's name.
    pub name: String,
    /// The publisher's version of it.
    pub version: Option<String>,
    /// How many prefixes it has.
    pub prefixes: usize,
}

/// One or more objects, and who serves them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// `manifest`, `config and layers` or `blob`.
    pub what: String,
    /// Their digests.
    pub digests: Vec<Digest>,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// How they reach the client.
    pub delivery: String,
    /// Every copy of the site: candidates in order, then those that were passed over.
    pub copies: Vec<Verdict>,
}

/// What became of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The copy.
    pub copy: String,
    /// Its provider and region; empty if it is placed nowhere.
    pub place: String,
    /// `chosen`, `fallback` or `rejected`.
    pub outcome: String,
    /// Why.
    pub reason: String,
    /// Where the client would be sent.
    pub location: Option<String>,
}

/// Why there is nothing to explain.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// No such site.
    #[error("no site answers for `{0}`")]
    NoSite(String),
    /// The image or its origin cannot be had: the registry's own error.
    #[error("`{image}` cannot be explained: {error}")]
    Registry {
        /// The image.
        image: String,
        /// What a client would be told.
        error: landbridge_core::oci_error::OciError,
    },
}

/// Explains one image for one client.
pub(crate) async fn explain(
    world: &World,
    question: &Question,
) -> Result<Explanation, ExplainError> {
    let snapshot = &world.snapshot;
    let site = match &question.host {
        Some(host) => snapshot.site(host),
        None => snapshot.sites.first(),
    };
    let site =
        site.ok_or_else(|| ExplainError::NoSite(question.host.clone().unwrap_or_default()))?;
    let place = snapshot.prefixes.locate(question.from);
    let (provider, region) = snapshot.provider_and_region(place);
    let (site, question, migration) = migrated::migrated(world, site, question, place)?;
    let question = &*question;
    let client = Client {
        address: question.from,
        provider: provider.to_owned(),
        region: region.to_owned(),
        prefix: snapshot.prefixes.matched(question.from).map(|(prefix, _)| prefix.to_string()),
    };
    let loaded = snapshot.catalog(site);
    let mut data = Data {
        origin: snapshot.settings.origins[site.origin].name.clone(),
        generation: loaded.map(|loaded| loaded.generation),
        sequence: loaded.and_then(|loaded| loaded.release()?.content().sequence.into()),
        named_by: NamedBy::Generation,
        ranges: snapshot
            .ranges
            .iter()
            .map(|ranges| RangeData {
                name: ranges.name.clone(),
                version: ranges.set.version().map(str::to_owned),
                prefixes: ranges.set.len(),
            })
            .collect(),
    };
    let (named_by, objects) = Box::pin(Explainer { world, site, question }.objects())
        .await
        .map_err(|error| ExplainError::Registry { image: question.image.to_string(), error })?;
    data.named_by = named_by;
    let site = snapshot.site_settings(site).name.clone();
    Ok(Explanation { image: question.image.to_string(), site, client, data, migration, objects })
}

type Failed = landbridge_core::oci_error::OciError;

struct Explainer<'a> {
    world: &'a World,
    site: &'a Site,
    question: &'a Question,
}

impl Explainer<'_> {
    async fn objects(&self) -> Result<(NamedBy, Vec<Object>), Failed> {
        let repository = self.question.image.repository.as_str();
        let reference = self.question.image.reference();
        let wanted = match &reference {
            Reference::Tag(tag) => ManifestReference::Tag(tag.as_str()),
            Reference::Digest(digest) => ManifestReference::Digest(*digest),
        };
        let found = fetch::manifest(self.world, self.site, self.question.from, repository, wanted);
        let found = Box::pin(found).await;
        let found = match (found, &reference) {
            (Ok(found), _) => found,
            // Not a manifest of this repository: a blob, perhaps.
            (Err(_), Reference::Digest(digest)) => {
                let known = fetch::published(self.world, self.site, digest);
                let named_by = if known.is_ok() { NamedBy::Generation } else { NamedBy::Registry };
                return Ok((named_by, vec![self.object("blob", digest, 0, 0).await?]));
            }
            (Err(error), Reference::Tag(_)) => return Err(error),
        };
        let named_by = found.named_by;
        let mut objects = vec![Object {
            what: "manifest".to_owned(),
            digests: vec![found.digest],
            bytes: found.bytes.len() as u64,
            delivery: "inline: the front answers it itself".to_owned(),
            copies: Vec::new(),
        }];
        let mut manifest = Manifest::parse(&found.bytes, Some(&found.media_type)).ok();
        if let Some(child) = manifest.as_ref().and_then(|index| best_child(&index.children)) {
            let reference = ManifestReference::Digest(child.digest);
            let child =
                fetch::manifest(self.world, self.site, self.question.from, repository, reference)
                    .await?;
            objects[0].digests.push(child.digest);
            objects[0].bytes += child.bytes.len() as u64;
            manifest = Manifest::parse(&child.bytes, Some(&child.media_type)).ok();
        }
        let blobs = manifest.iter().flat_map(|manifest| &manifest.blobs);
        let blobs = blobs.filter(|blob| !blob.is_foreign());
        // Pulls are let in whole.
        let pull = blobs.clone().map(|blob| blob.size).sum();
        for blob in blobs {
            let what = "config and layers";
            let object = self.object(what, &blob.digest, blob.size, pull).await?;
            match objects
                .iter_mut()
                .find(|known| known.what == object.what && same_verdicts(known, &object))
            {
                Some(known) => {
                    known.digests.extend(object.digests);
                    known.bytes += object.bytes;
                }
                None => objects.push(object),
            }
        }
        Ok((named_by, objects))
    }

    /// A blob, whose manifest says that it has `size` bytes, and who serves it in a pull of `pull`
    /// bytes.
    async fn object(
        &self,
        what: &str,
        digest: &Digest,
        size: u64,
        pull: u64,
    ) -> Result<Object, Failed> {
        let (world, site) = (self.world, self.site);
        let repository = self.question.image.repository.as_str();
        if world.snapshot.is_live(site) {
            let holders = fetch::live_holders(world, site, repository, digest).await;
            return Ok(self.judged(what, digest, size, self.routed(digest, pull, holders)));
        }
        match (fetch::published(world, site, digest), site.live_copy) {
            (Ok(presence), _) => {
                let holders = presence.copies.and(site.copies);
                let verdicts = self.routed(digest, presence.size.max(pull), holders);
                Ok(self.judged(what, digest, presence.size, verdicts))
            }
            (Err(error), None) => Err(error),
            (Err(_), Some(registry)) => {
                let (copies, size) =
                    fetch::unpublished(world, site, registry, repository, digest).await?;
                let verdicts = copies.into_iter().enumerate().map(|(rank, copy)| {
                    let what = if copy == registry { "registry" } else { "bucket" };
                    let reason = format!("not in the generation, but in the origin's {what}");
                    (copy, self.verdict(copy, reason, rank, digest))
                });
                Ok(self.judged(what, digest, size, verdicts.collect()))
            }
        }
    }

    /// The copies among `holders` in the order of the client's route.
    fn routed(&self, digest: &Digest, pull: u64, holders: CopySet) -> Vec<(CopyId, Verdict)> {
        let world = self.world;
        let repository = self.question.image.repository.as_str();
        let place = world.snapshot.prefixes.locate(self.question.from);
        let key = StickyKey::new(ClientNetwork::of(self.question.from).key(), repository);
        let working = world.running.health.usable(std::time::Instant::now, || key);
        let statuses = world.running.health.probed();
        let statuses = statuses.statuses(std::time::Instant::now(), jiff::Timestamp::now());
        let candidates = self.site.routes.candidates(place, key, holders, working);
        let verdicts = candidates.enumerate().map(|(rank, candidate)| {
            let Candidate { copy, reason, is_failing } = candidate;
            let through = match world.snapshot.copy(copy).target {
                Target::Streamed => ", through the front",
                Target::Bucket { .. } | Target::Registry { .. } => "",
            };
            let failing =
                if is_failing { ", though it is failing: nothing better holds it" } else { "" };
            let status = statuses.get(copy.index()).and_then(CopyStatus::in_words);
            let status = status.map(|status| format!(", {status}")).unwrap_or_default();
            let reason = format!("{}{through}{failing}{status}", reason.name());
            (copy, self.verdict(copy, reason, rank, digest))
        });
        let verdicts = verdicts.collect();
        let asked = Asked { place, key, holders, usable: working, pull };
        match priced::judge(world, self.site, &asked) {
            Some(judgement) => judgement.reorder(verdicts),
            None => verdicts,
        }
    }

    /// The object with `verdicts`, and every other copy of the site passed over.
    fn judged(
        &self,
        what: &str,
        digest: &Digest,
        size: u64,
        verdicts: Vec<(CopyId, Verdict)>,
    ) -> Object {
        let world = self.world;
        let seen: CopySet = verdicts.iter().map(|(copy, _)| *copy).collect();
        let mut copies: Vec<_> = verdicts.into_iter().map(|(_, verdict)| verdict).collect();
        for copy in self.site.copies.minus(seen).iter() {
            copies.push(Verdict {
                copy: world.snapshot.copy(copy).name.to_string(),
                place: self.place(copy),
                outcome: "rejected".to_owned(),
                reason: "is not known to hold it".to_owned(),
                location: None,
            });
        }
        let is_proxied = world.snapshot.site_settings(self.site).delivery == Delivery::Proxy;
        let is_streamed = copies.first().is_none_or(|copy| copy.location.is_none());
        let delivery =
            if is_proxied || is_streamed { "streamed through the front" } else { "redirect (307)" };
        Object {
            what: what.to_owned(),
            digests: vec![*digest],
            bytes: size,
            delivery: delivery.to_owned(),
            copies,
        }
    }

    fn verdict(&self, copy: CopyId, reason: String, rank: usize, digest: &Digest) -> Verdict {
        let repository = self.question.image.repository.as_str();
        let location = self.world.snapshot.copy(copy).target.location(repository, digest);
        Verdict {
            copy: self.world.snapshot.copy(copy).name.to_string(),
            place: self.place(copy),
            outcome: if rank == 0 { "chosen" } else { "fallback" }.to_owned(),
            reason,
            location: location.map(|location| String::from_utf8_lossy(&location).into_owned()),
        }
    }

    fn place(&self, copy: CopyId) -> String {
        let snapshot = &self.world.snapshot;
        snapshot
            .places
            .get(snapshot.copy(copy).place)
            .map(|place| place.to_string())
            .unwrap_or_default()
    }
}

/// Of an index the image that most clients take.
fn best_child(children: &[Descriptor]) -> Option<&Descriptor> {
    let is_common = |child: &&Descriptor| {
        child.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == "amd64")
    };
    children.iter().find(is_common).or_else(|| children.first())
}

fn same_verdicts(a: &Object, b: &Object) -> bool {
    let facts = |object: &Object| -> Vec<_> {
        let facts = |v: &Verdict| (v.copy.clone(), v.outcome.clone(), v.reason.clone());
        object.copies.iter().map(facts).collect()
    };
    facts(a) == facts(b)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Client { address, provider, region, prefix } = &self.client;
        match prefix {
            Some(prefix) => {
                writeln!(f, "client    {address} is in {provider} {region} ({prefix})")?;
            }
            None => writeln!(f, "client    {address} is in no known cloud")?,
        }
        for ranges in &self.data.ranges {
            let version =
                ranges.version.as_ref().map(|v| format!(", version {v}")).unwrap_or_default();
            writeln!(f, "ranges    {}: {} prefixes{version}", ranges.name, ranges.prefixes)?;
        }
        let Data { origin, named_by, .. } = &self.data;
        match (named_by, &self.data.generation, self.data.sequence) {
            (NamedBy::Generation, Some(generation), Some(sequence)) => {
                writeln!(f, "names     {origin}: pointer {sequence}, generation {generation}")?;
            }
            (NamedBy::Registry, Some(generation), Some(sequence)) => writeln!(
                f,
                "names     {origin}: live from the origin's registry, not in the generation \
                 (pointer {sequence}, generation {generation})"
            )?,
            _ => writeln!(f, "names     {origin}: asked live")?,
        }
        writeln!(f, "image     {} at site {}", self.image, self.site)?;
        if let Some(migration) = &self.migration {
            write!(f, "{migration}")?;
        }
        for object in &self.objects {
            let count = object.digests.len();
            let s = if count == 1 { "" } else { "s" };
            writeln!(
                f,
                "\n{} ({count} object{s}, {} bytes): {}",
                object.what, object.bytes, object.delivery
            )?;
            for digest in &object.digests {
                writeln!(f, "  {digest}")?;
            }
            for verdict in &object.copies {
                let Verdict { copy, place, outcome, reason, location } = verdict;
                let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
                writeln!(f, "  {outcome:<9} {copy}{place}: {reason}")?;
                if let (Some(location), "chosen") = (location, outcome.as_str()) {
                    writeln!(f, "            {location}")?;
                }
            }
        }
        Ok(())
    }
}
