//! The snapshot: everything that a decision reads, compiled once and never changed.
//!
//! A reload, new address ranges or a new generation make another snapshot, which takes the place
//! of the old one behind an atomic pointer; a request keeps the one that it began with. What
//! changes from second to second (health, caches) lies beside it.
//!
//! Invariant: every index in here is in range, since only [`Snapshot::build`] makes one.

use std::sync::Arc;

use landbridge_core::Digest;
use landbridge_core::place::{PlaceError, PlaceId, Places, PrefixMap, RangeSet};
use landbridge_core::pointer::{Pointer, Verified};
use landbridge_core::price::Spot;
use landbridge_core::route::{Edge, EdgeId, Over, Plan, Reason, RoutingTable, Tier};
use landbridge_core::topology::{CopyId, CopySet, MAX_COPIES};
use landbridge_store::BucketLayout;
use landbridge_store::read::Loaded;

use crate::legacy::Legacy;
use crate::settings::{
    Channel, CopySettings, Face, Follow, OriginKind, OverflowRule, Settings, SiteSettings,
};

/// Where the front serves embedded mirrors itself.
pub(crate) const EMBEDDED_PATH: &str = "/-/mirror/";

/// What a decision reads.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// What the operator asked for.
    pub(crate) settings: Arc<Settings>,
    /// Names of places, clients' and copies'.
    pub(crate) places: Places,
    /// Where addresses are.
    pub(crate) prefixes: PrefixMap,
    /// Which range files are in use.
    pub(crate) ranges: Vec<Ranges>,
    /// By place in the settings' list.
    pub(crate) copies: Vec<Copy>,
    /// By place in the settings' list.
    pub(crate) sites: Vec<Site>,
    /// Sites of old names as they show frozen generations.
    frozen: Vec<Site>,
    /// Releases as sites follow them.
    pub(crate) channels: Vec<Channel>,
    /// By channel: the generations of those that have any.
    pub(crate) catalogs: Vec<Option<Arc<Loaded>>>,
}

/// A range file in use.
#[derive(Debug, Clone)]
pub(crate) struct Ranges {
    /// The source's name.
    pub(crate) name: String,
    /// Its content.
    pub(crate) set: Arc<RangeSet>,
}

/// A copy as decisions see it.
#[derive(Debug)]
pub(crate) struct Copy {
    pub(crate) id: CopyId,
    pub(crate) name: Box<str>,
    pub(crate) place: PlaceId,
    pub(crate) target: Target,
}

/// How a `Location` for a copy is written.
#[derive(Debug)]
pub(crate) enum Target {
    /// `base` and the layout's path.
    Bucket { base: Box<str>, layout: BucketLayout },
    /// `base` up to the repository's name, then the registry's own path.
    Registry { base: Box<str> },
    /// None: the front streams.
    Streamed,
}

impl Target {
    /// The address of an object, or none if clients cannot be sent there. `repository` is a
    /// checked name, so nothing in it can change the meaning of the address.
    pub(crate) fn location(&self, repository: &str, digest: &Digest) -> Option<Vec<u8>> {
        // As long as it will be: turned into a header's value it is then not copied again.
        let with_room = |others: usize| Vec::with_capacity(others + digest.text_len());
        match self {
            Self::Bucket { base, layout } => {
                let mut out = with_room(base.len() + 1 + layout.prefix().len());
                out.extend_from_slice(base.as_bytes());
                out.push(b'/');
                layout.append_path(digest, &mut out);
                Some(out)
            }
            Self::Registry { base } => {
                const BLOBS: &[u8] = b"/blobs/";
                let mut out = with_room(base.len() + repository.len() + BLOBS.len());
                out.extend_from_slice(base.as_bytes());
                out.extend_from_slice(repository.as_bytes());
                out.extend_from_slice(BLOBS);
                digest.append_to(b':', &mut out);
                Some(out)
            }
            Self::Streamed => None,
        }
    }
}

/// A site, ready to decide.
#[derive(Debug)]
pub(crate) struct Site {
    /// Its place in the settings' list.
    pub(crate) index: usize,
    /// Its origin.
    pub(crate) origin: usize,
    /// Which releases of the origin it shows, by place among the channels.
    pub(crate) channel: usize,
    /// The origin's copy.
    pub(crate) origin_copy: CopyId,
    /// The registry that is asked for what no generation knows, if there is one: not by a site that
    /// does not even want the newest release.
    pub(crate) live_copy: Option<CopyId>,
    /// Every copy that may serve what is published. A registry beside a bucket is not one of them.
    pub(crate) copies: CopySet,
    /// Which copy for whom.
    pub(crate) routes: RoutingTable,
    /// What makes it the answer to an old name.
    pub(crate) legacy: Option<Arc<Legacy>>,
}

/// What stands in the way of a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// More copies than a set holds.
    #[error("{0} copies are configured, more than the limit of {MAX_COPIES}")]
    TooManyCopies(usize),
    /// A name of a place cannot be used.
    #[error("copy `{copy}` is placed nowhere")]
    Place {
        /// The copy.
        copy: String,
        /// What is wrong.
        source: PlaceError,
    },
    /// The address ranges name too many places.
    #[error("the address ranges cannot be used")]
    Ranges(#[from] PlaceError),
    /// An index that leads nowhere: a fault of who made the settings.
    #[error("site `{0}` names an origin or a copy that is not configured")]
    Dangling(String),
}

impl Snapshot {
    /// The pointer in force for the origin with this name.
    pub(crate) fn pointer(&self, origin: &str) -> Option<&Verified<Pointer>> {
        let of = |channel: &Channel| self.settings.origins[channel.origin].name == origin;
        let catalogs = self.channels.iter().zip(&self.catalogs).filter(|(channel, _)| of(channel));
        let pointers = catalogs.filter_map(|(_, loaded)| Some(&loaded.as_ref()?.pointer));
        pointers.max_by_key(|pointer| pointer.content().sequence)
    }

    /// Compiles settings, ranges and generations. `catalogs` is by channel.
    pub(crate) fn build(
        settings: Arc<Settings>,
        ranges: Vec<Ranges>,
        catalogs: Vec<Option<Arc<Loaded>>>,
    ) -> Result<Self, SnapshotError> {
        Self::build_with(Places::default(), settings, ranges, catalogs)
    }

    /// The same, where more `places` have clients than ranges and copies name.
    pub(crate) fn build_with(
        mut places: Places,
        settings: Arc<Settings>,
        ranges: Vec<Ranges>,
        catalogs: Vec<Option<Arc<Loaded>>>,
    ) -> Result<Self, SnapshotError> {
        let copies = compile_copies(&settings, &mut places)?;
        let channels = settings.channels();
        let prefixes = PrefixMap::build(&mut places, ranges.iter().map(|ranges| &*ranges.set))?;
        let mut sites = Vec::with_capacity(settings.sites.len());
        let mut frozen = Vec::new();
        for (index, site) in settings.sites.iter().enumerate() {
            let dangling = || SnapshotError::Dangling(site.name.clone());
            let compile = |follow, legacy| {
                let compiled =
                    compile_site(index, site, follow, &settings, &channels, &copies, &places);
                compiled.map(|compiled| Site { legacy, ..compiled }).ok_or_else(dangling)
            };
            let Some(legacy) = &site.legacy else {
                sites.push(compile(site.follow, None)?);
                continue;
            };
            // By step: where the site that shows its generation will be.
            let generations = legacy.migration.steps().iter().map(|step| step.generation);
            let mut next = frozen.len()..;
            let places = generations.clone().map(|it| it.and_then(|_| next.next())).collect();
            let compiled = Arc::new(Legacy::new(index, legacy, places));
            for generation in generations.flatten() {
                let legacy = Some(Arc::clone(&compiled));
                frozen.push(compile(Follow::Pinned(generation), legacy)?);
            }
            sites.push(compile(site.follow, Some(compiled))?);
        }
        Ok(Self { settings, places, prefixes, ranges, copies, sites, frozen, channels, catalogs })
    }

    /// The site that answers for `host` (with or without a port), else the one for `*`.
    pub(crate) fn site(&self, host: &str) -> Option<&Site> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let names = |site: &&Site, wanted: &str| {
            self.site_settings(site).hosts.iter().any(|host| host.eq_ignore_ascii_case(wanted))
        };
        self.sites
            .iter()
            .find(|site| names(site, name))
            .or_else(|| self.sites.iter().find(|site| names(site, "*")))
    }

    /// The site of an old name as a step of its migration freezes it; itself if the step does not.
    pub(crate) fn as_frozen<'a>(&'a self, site: &'a Site, step: Option<usize>) -> &'a Site {
        let frozen = step.and_then(|step| *site.legacy.as_ref()?.frozen.get(step)?);
        frozen.and_then(|at| self.frozen.get(at)).unwrap_or(site)
    }

    /// What the operator asked for a site.
    pub(crate) fn site_settings(&self, site: &Site) -> &SiteSettings {
        &self.settings.sites[site.index]
    }

    /// A copy by its number.
    pub(crate) fn copy(&self, id: CopyId) -> &Copy {
        &self.copies[id.index()]
    }

    /// A copy by its name.
    pub(crate) fn copy_named(&self, name: &str) -> Option<&Copy> {
        self.copies.iter().find(|copy| &*copy.name == name)
    }

    /// The generations that a site shows, if its origin has any.
    pub(crate) fn catalog(&self, site: &Site) -> Option<&Arc<Loaded>> {
        self.catalogs.get(site.channel)?.as_ref()
    }

    /// Whether all of a site's names come from a live registry.
    pub(crate) fn is_live(&self, site: &Site) -> bool {
        matches!(self.settings.origins[site.origin].kind, OriginKind::Registry(_))
    }

    /// The names of a place; empty for the unknown one.
    pub(crate) fn provider_and_region(&self, place: PlaceId) -> (&str, &str) {
        self.places.get(place).map_or(("", ""), |place| (place.provider, place.region))
    }
}

fn compile_copies(settings: &Settings, places: &mut Places) -> Result<Vec<Copy>, SnapshotError> {
    let count = settings.copies.len();
    settings
        .copies
        .iter()
        .enumerate()
        .map(|(index, copy)| {
            let id = CopyId::new(index).ok_or(SnapshotError::TooManyCopies(count))?;
            let place = match (&copy.provider, &copy.region) {
                (Some(provider), Some(region)) => places
                    .intern(provider, region)
                    .map_err(|source| SnapshotError::Place { copy: copy.name.clone(), source })?,
                _ => PlaceId::UNKNOWN,
            };
            let target = match &copy.face {
                Face::Bucket { url, layout } => {
                    let base = url.as_str().trim_end_matches('/').into();
                    Target::Bucket { base, layout: *layout }
                }
                Face::Registry { url, repository_prefix } => {
                    let base = url.as_str().trim_end_matches('/');
                    let separator = if repository_prefix.is_empty() { "" } else { "/" };
                    let base = format!("{base}/v2/{repository_prefix}{separator}").into();
                    Target::Registry { base }
                }
                Face::Embedded { layout, .. } => {
                    let base = format!("{}{}", EMBEDDED_PATH, copy.name).into();
                    Target::Bucket { base, layout: *layout }
                }
                Face::Streamed => Target::Streamed,
            };
            Ok(Copy { id, name: copy.name.as_str().into(), place, target })
        })
        .collect()
}

fn compile_site(
    index: usize,
    site: &SiteSettings,
    follow: Follow,
    settings: &Settings,
    channels: &[Channel],
    copies: &[Copy],
    places: &Places,
) -> Option<Site> {
    let origin = settings.origins.get(site.origin)?;
    let wanted = Channel { origin: site.origin, follow };
    let channel = channels.iter().position(|channel| *channel == wanted)?;
    let origin_copy = copies.get(origin.copy)?.id;
    let live_copy = match origin.kind.registry().filter(|_| follow == Follow::Newest) {
        Some(registry) => Some(copies.get(registry.copy)?.id),
        None => None,
    };
    let ids = |list: &[usize]| {
        list.iter().map(|&at| Some(copies.get(at)?.id)).collect::<Option<Vec<_>>>()
    };
    let mirrors: CopySet = ids(&site.mirrors)?.into_iter().collect();
    let members = mirrors.with(origin_copy);
    // A streamed origin costs the front's own egress, so nobody is near enough to prefer it.
    let is_streamed = matches!(copies[origin_copy.index()].target, Target::Streamed);
    let local = if is_streamed { mirrors } else { members };

    let mut weights = [1; MAX_COPIES];
    let mut defaults = CopySet::EMPTY;
    for &(at, weight) in &site.defaults {
        let id = copies.get(at)?.id;
        weights[id.index()] = weight;
        defaults = defaults.with(id);
    }
    let mut last = Vec::new();
    if !defaults.is_empty() {
        last.push(Tier { copies: defaults, reason: Reason::Default });
    }
    last.push(Tier { copies: CopySet::EMPTY.with(origin_copy), reason: Reason::Origin });
    // What no rule, default or place names is better than no answer at all.
    last.push(Tier { copies: mirrors, reason: Reason::Default });

    let overflow = Overflow::new(index, settings, copies)?;
    // In normal times the first of the last serves those whom nothing else does.
    let plan = |mut own: Vec<Tier>, spot: &Spot| {
        let mut rest = last.clone();
        if own.is_empty() {
            own.push(rest.remove(0));
        }
        Plan { own, rest, overflow: overflow.edges(spot) }
    };
    let mut routes = RoutingTable::new(plan(Vec::new(), &Spot::default()), weights);
    for (place, names) in places.iter() {
        let mut tiers = Vec::new();
        let here: CopySet =
            copies.iter().filter(|copy| copy.place == place).map(|copy| copy.id).collect();
        if !here.and(local).is_empty() {
            tiers.push(Tier { copies: here.and(local), reason: Reason::SameRegion });
        }
        let rule = site.neighbours.iter().find(|rule| {
            rule.provider.eq_ignore_ascii_case(names.provider)
                && rule
                    .region
                    .as_ref()
                    .is_none_or(|region| region.eq_ignore_ascii_case(names.region))
        });
        for id in rule.map_or(Some(Vec::new()), |rule| ids(&rule.copies))? {
            tiers.push(Tier { copies: CopySet::EMPTY.with(id), reason: Reason::Neighbour });
        }
        if !tiers.is_empty() || !site.overflow.is_empty() {
            let [provider, region] = [names.provider, names.region].map(|it| Some(it.to_owned()));
            routes.set(place, plan(tiers, &Spot { provider, region }));
        }
    }
    let (origin, copies) = (site.origin, members);
    let legacy = None;
    Some(Site { index, origin, channel, origin_copy, live_copy, copies, routes, legacy })
}

/// The edges of one site, for whichever clients.
struct Overflow<'a> {
    rules: Vec<(&'a OverflowRule, Vec<Approved<'a>>)>,
}

/// An edge of a rule, and the copy that it leads to.
struct Approved<'a> {
    id: EdgeId,
    copy: CopyId,
    over: Over,
    settings: &'a CopySettings,
}

impl<'a> Overflow<'a> {
    /// Edges are numbered through all sites, as in [`Settings::edges`].
    fn new(site: usize, settings: &'a Settings, copies: &[Copy]) -> Option<Self> {
        let before = settings.sites.iter().take(site).flat_map(|site| &site.overflow);
        let mut next = u16::try_from(before.map(|rule| rule.edges.len()).sum::<usize>()).ok()?;
        let mut rules = Vec::new();
        for rule in &settings.sites.get(site)?.overflow {
            let mut approved = Vec::new();
            for edge in &rule.edges {
                let (copy, settings) = (copies.get(edge.copy)?, settings.copies.get(edge.copy)?);
                approved.push(Approved {
                    id: EdgeId(next),
                    copy: copy.id,
                    over: edge.over,
                    settings,
                });
                next = next.checked_add(1)?;
            }
            rules.push((rule, approved));
        }
        Some(Self { rules })
    }

    /// What was approved for clients there; `None` if the site says nothing about anyone.
    fn edges(&self, clients: &Spot) -> Option<Vec<Edge>> {
        if self.rules.is_empty() {
            return None;
        }
        let is = |name: &Option<String>, other: &Option<String>| match (name, other) {
            (Some(name), Some(other)) => name.eq_ignore_ascii_case(other),
            (None, _) => true,
            (Some(_), None) => false,
        };
        // Whom no rule names is everyone else, whatever stands before it.
        let named = self.rules.iter().filter(|(rule, _)| rule.provider.is_some());
        let everyone = self.rules.iter().filter(|(rule, _)| rule.provider.is_none());
        let rule = named.chain(everyone).find(|(rule, _)| {
            is(&rule.provider, &clients.provider) && is(&rule.region, &clients.region)
        });
        let edge = |approved: &Approved<'_>| {
            let Approved { id, copy, over, settings } = *approved;
            let own = Spot { provider: settings.provider.clone(), region: settings.region.clone() };
            Edge { id, copy, over, price: settings.rates.egress(&own, clients) }
        };
        Some(rule.map(|(_, approved)| approved.iter().map(edge).collect()).unwrap_or_default())
    }
}

#[cfg(test)]
pub(crate) mod tests;
