//! Sites: host names, their origin, who serves whom.

use std::collections::BTreeMap;

use landbridge_front::settings as front;

use super::Validator;
use super::copies::CopyNames;
use super::failover::PricedCopies;
use super::legacy::Planned;
use crate::config::path::Path;
use crate::config::problem::did_you_mean;
use crate::config::raw::Raw;
use crate::config::raw::copies::{Answer, Delivery, Route, Site};
use crate::config::scalar::{Generation, Name, PlaceName};

impl Validator<'_> {
    pub(super) fn sites(
        &mut self,
        raw: &Raw,
        copies: &CopyNames,
        prices: &PricedCopies<'_>,
        plan: &Planned,
    ) -> Option<Vec<front::SiteSettings>> {
        let at = Path::dotted("sites");
        if self.document.find(&at).is_none() || raw.sites.is_empty() {
            self.report(&at, "is empty: no host name would be answered for");
        }
        let mut names = BTreeMap::new();
        let mut hosts = BTreeMap::new();
        let mut sites = Vec::new();
        for (index, site) in raw.sites.iter().enumerate() {
            let at = at.item(index);
            if let Some(name) = &site.name
                && names.insert(name, index).is_some()
            {
                self.report(&at.field("name"), format!("another site is called `{name}` too"));
            }
            for (position, host) in site.hosts.iter().flatten().enumerate() {
                if let Some(other) = hosts.insert(host, index) {
                    let at = at.field("hosts").item(position);
                    self.report(&at, format!("sites[{other}] answers for `{host}` already"));
                }
            }
            let origin = raw.origins.iter().find(|origin| origin.name == site.origin);
            let has_releases = origin.is_some_and(|it| it.store.is_some());
            let follow = self.follow(site, has_releases, &at);
            let settings = self.site(site, follow, copies, prices, &at);
            let legacy = match &site.legacy {
                None => Some(None),
                Some(_) => self.legacy(site, plan, has_releases, &at.field("legacy")).map(Some),
            };
            sites.push(
                settings
                    .zip(legacy)
                    .map(|(settings, legacy)| front::SiteSettings { legacy, ..settings }),
            );
        }
        sites.into_iter().collect()
    }

    /// Which release of its origin's a site shows.
    fn follow(&mut self, raw: &Site, has_releases: bool, at: &Path) -> front::Follow {
        let delay = raw.delay.0;
        let follow = match raw.pinned {
            Some(Generation(digest)) => front::Follow::Pinned(digest),
            None if delay.is_zero() => front::Follow::Newest,
            None => front::Follow::Later(delay),
        };
        if raw.pinned.is_some() && !delay.is_zero() {
            self.report(&at.field("delay"), "is of no use beside `pinned`: take one of them away");
        } else if follow != front::Follow::Newest && !has_releases {
            let field = if raw.pinned.is_some() { "pinned" } else { "delay" };
            let message = "needs releases, which only an origin with a `store` has";
            self.report(&at.field(field), message);
        }
        follow
    }

    fn site(
        &mut self,
        raw: &Site,
        follow: front::Follow,
        copies: &CopyNames,
        prices: &PricedCopies<'_>,
        at: &Path,
    ) -> Option<front::SiteSettings> {
        if raw.hosts.as_ref().is_some_and(Vec::is_empty) {
            self.report(&at.field("hosts"), "is empty: name a host, or `*` for every other one");
        }
        let origin = self.site_origin(raw.origin.as_ref(), copies, &at.field("origin"));
        let mirrors = self.site_mirrors(raw.mirrors.as_deref(), copies, &at.field("mirrors"));
        let serving = Serving { copies, mirrors: &mirrors, origin: origin.map(|(_, copy)| copy) };
        let neighbours = self.routes(&raw.routes, &serving, &at.field("routes"));
        let defaults = self.defaults(raw, &serving, &at.field("default"));
        let overflow = self.overflow(&raw.overflow, &serving, prices, &at.field("overflow"));
        let pages = (raw.pages.iter())
            .map(|(path, answer)| {
                let at = at.field("pages").field(path.as_str());
                Some((path.to_string(), self.page(answer, &at)?))
            })
            .collect::<Option<_>>();
        Some(front::SiteSettings {
            name: raw.name.as_ref()?.to_string(),
            hosts: raw.hosts.as_ref()?.iter().map(ToString::to_string).collect(),
            origin: origin?.0,
            follow,
            mirrors: mirrors?,
            neighbours: neighbours?,
            defaults: defaults?,
            overflow: overflow?,
            delivery: match raw.delivery {
                Delivery::Redirect => front::Delivery::Redirect,
                Delivery::Proxy => front::Delivery::Proxy,
            },
            catalog_api: raw.catalog_api,
            status: raw.status,
            legacy: None,
            pages: pages?,
        })
    }

    /// The origin's place among the origins, and its copy.
    fn site_origin(
        &mut self,
        name: Option<&Name>,
        copies: &CopyNames,
        at: &Path,
    ) -> Option<(usize, usize)> {
        let name = name?.as_str();
        let found = copies.get(name).and_then(|found| Some((found.origin?, found.copy)));
        if found.is_none() {
            let origins = copies.iter().filter(|(_, copy)| copy.origin.is_some());
            let hint = did_you_mean(name, origins.map(|(name, _)| name));
            self.report(at, format!("there is no origin `{name}`{hint}"));
        }
        found
    }

    /// The numbers of the mirrors that are named; of all if none is.
    fn site_mirrors(
        &mut self,
        names: Option<&[Name]>,
        copies: &CopyNames,
        at: &Path,
    ) -> Option<Vec<usize>> {
        let all = || copies.iter().filter(|(_, copy)| copy.origin.is_none());
        let Some(names) = names else {
            let mut mirrors: Vec<_> = all().map(|(_, mirror)| mirror.copy).collect();
            mirrors.sort_unstable();
            return Some(mirrors);
        };
        let mirrors = names.iter().enumerate().map(|(index, name)| {
            let found = copies.get(name.as_str()).filter(|copy| copy.origin.is_none());
            if found.is_none() {
                let hint = did_you_mean(name.as_str(), all().map(|(name, _)| name));
                self.report(&at.item(index), format!("there is no mirror `{name}`{hint}"));
            }
            found.map(|mirror| mirror.copy)
        });
        mirrors.collect::<Vec<_>>().into_iter().collect()
    }

    fn routes(
        &mut self,
        raw: &[Route],
        serving: &Serving<'_>,
        at: &Path,
    ) -> Option<Vec<front::NeighbourRule>> {
        // The first rule of each provider and region, and of each whole provider.
        let mut first: BTreeMap<(&str, Option<&str>), usize> = BTreeMap::new();
        let mut rules = Vec::new();
        for (index, route) in raw.iter().enumerate() {
            let at = at.item(index);
            let region = route.region.as_ref().map(PlaceName::as_str);
            if let Some(provider) = route.provider.as_ref().map(PlaceName::as_str) {
                let earlier =
                    first.get(&(provider, region)).or_else(|| first.get(&(provider, None)));
                if let Some(earlier) = earlier {
                    let message = format!(
                        "routes[{earlier}] takes these clients already: remove one, or put this one before it"
                    );
                    self.report(&at, message);
                }
                first.entry((provider, region)).or_insert(index);
            }
            let copies = self.serving_all(route.copies.as_deref(), serving, &at.field("copies"));
            rules.push((route.provider.as_ref(), region, copies));
        }
        (rules.into_iter())
            .map(|(provider, region, copies)| {
                Some(front::NeighbourRule {
                    provider: provider?.to_string(),
                    region: region.map(str::to_owned),
                    copies: copies?,
                })
            })
            .collect()
    }

    fn serving_all(
        &mut self,
        names: Option<&[Name]>,
        serving: &Serving<'_>,
        at: &Path,
    ) -> Option<Vec<usize>> {
        let names = names?;
        if names.is_empty() {
            self.report(at, "is empty: who serves these clients?");
        }
        let copies: Vec<_> = (names.iter().enumerate())
            .map(|(index, name)| self.serving(name, serving, &at.item(index)))
            .collect();
        copies.into_iter().collect()
    }

    fn defaults(
        &mut self,
        raw: &Site,
        serving: &Serving<'_>,
        at: &Path,
    ) -> Option<Vec<(usize, u16)>> {
        let mut shares: Vec<Option<(usize, u16)>> = Vec::new();
        for (index, share) in raw.default.iter().enumerate() {
            let at = at.item(index).field("copy");
            let copy = share.copy.as_ref().and_then(|name| self.serving(name, serving, &at));
            if shares.iter().flatten().any(|(other, _)| Some(*other) == copy) {
                self.report(&at, "has a share already: add the weights");
            }
            shares.push(copy.map(|copy| (copy, share.weight)));
        }
        shares.into_iter().collect()
    }

    /// The number of a copy that serves the site.
    pub(super) fn serving(
        &mut self,
        name: &Name,
        serving: &Serving<'_>,
        at: &Path,
    ) -> Option<usize> {
        let Some(found) = serving.copies.get(name.as_str()) else {
            let hint = did_you_mean(name.as_str(), serving.copies.iter().map(|(name, _)| name));
            self.report(at, format!("there is no origin or mirror `{name}`{hint}"));
            return None;
        };
        // If the site's own mirrors are wrong, that has been said.
        let mirrors = serving.mirrors.as_ref()?;
        if found.origin.is_some() {
            if serving.origin.is_some_and(|origin| origin != found.copy) {
                self.report(at, format!("`{name}` is the origin of other sites, not of this one"));
                return None;
            }
        } else if !mirrors.contains(&found.copy) {
            self.report(at, format!("`{name}` is not among the site's `mirrors`: add it there"));
            return None;
        }
        Some(found.copy)
    }

    fn page(&mut self, raw: &Answer, at: &Path) -> Option<front::PageAnswer> {
        self.exactly_one(at, &["redirect", "text"]);
        match (&raw.redirect, &raw.text) {
            (Some(url), _) => Some(front::PageAnswer::Redirect(url.0.clone())),
            (None, Some(text)) => Some(front::PageAnswer::Text(text.clone())),
            (None, None) => None,
        }
    }
}

/// The copies that may serve one site.
pub(super) struct Serving<'a> {
    copies: &'a CopyNames,
    mirrors: &'a Option<Vec<usize>>,
    origin: Option<usize>,
}
