//! Replication: the one origin that has a registry and a bucket, and the buckets of all mirrors.

use std::time::Duration;

use landbridge_core::RepositoryName;
use landbridge_core::price::Spot;
use landbridge_front::settings::{self as front, Face, Follow, OriginKind};
use landbridge_replicate::{Pace, Tariff};
use landbridge_sign::KeyCommand;
use landbridge_store::Require;
use url::Url;

use super::Validator;
use super::prices::PriceBook;
use crate::config::path::Path;
use crate::config::raw::replicate::{Replicate, Signer};
use crate::config::scalar::PlaceName;
use crate::replication::{KeySource, ReplicationSettings, Target};

impl Validator<'_> {
    pub(super) fn replicate(
        &mut self,
        raw: &Replicate,
        prices: &PriceBook,
        front: &front::Settings,
    ) -> Option<ReplicationSettings> {
        let at = Path::dotted("replicate");
        if raw.repositories.is_some() && raw.promotions.is_some() {
            let message = "says the same as `repositories` in another way: take one of them away";
            self.report(&at.field("promotions"), message);
        }
        let signers = self.signers(raw, &at);
        let origin = self.published_origin(raw, front, &at)?;
        let OriginKind::Store {
            url,
            layout,
            catalog,
            keys,
            minimum_sequence,
            registry: Some(registry),
            ..
        } = &origin.kind
        else {
            return None;
        };
        let wanted = keys.threshold();
        if let Some(signers) = &signers
            && (1..wanted).contains(&signers.len())
        {
            let message = format!(
                "are {} of the {wanted} that `threshold` of the origin's `store` wants",
                signers.len()
            );
            self.report(&at.field("signers"), message);
        }
        let spot = front.copies.get(origin.copy).map(spot_of).unwrap_or_default();
        if let (None, Some(region)) = (&raw.provider, &raw.region) {
            let message = format!("whose region is `{region}`? Name the `provider` too");
            self.report(&at.field("region"), message);
        }
        let text = |name: &Option<PlaceName>| name.as_ref().map(ToString::to_string);
        let here = Spot { provider: text(&raw.provider), region: text(&raw.region) };
        let mirrors = mirrors(front);
        let copies = mirrors
            .iter()
            .map(|(copy, target)| prices.of_copy(&target.name, spot_of(copy), &target.url));
        let tariff = Tariff {
            currency: prices.currency,
            here: prices.of_here(here),
            source: prices.of_copy(&origin.name, spot.clone(), &registry.url),
            copies: [prices.of_copy(&origin.name, spot, url)].into_iter().chain(copies).collect(),
            most: None,
        };
        let expires = self.at_least(raw.expires, Duration::from_hours(1), &at.field("expires"));
        Some(ReplicationSettings {
            registry: registry.clone(),
            // The form of each was checked before.
            repositories: raw.repositories.as_ref().map(|names| {
                names.iter().filter_map(|name| RepositoryName::parse(name.as_str()).ok()).collect()
            }),
            promotions: raw.promotions.as_ref().map(|path| self.resolve(path)),
            signers: signers?,
            catalog: catalog.clone(),
            keys: keys.clone(),
            minimum_sequence: *minimum_sequence,
            require: self.require(raw, front, &at),
            authority: Target {
                name: origin.name.clone(),
                provider: front.copies.get(origin.copy).and_then(|copy| copy.provider.clone()),
                url: url.clone(),
                layout: *layout,
                public: front.copies.get(origin.copy).and_then(|copy| public(&copy.face)),
            },
            mirrors: mirrors.into_iter().map(|(_, target)| target).collect(),
            follows: follows(front, origin).collect(),
            tariff,
            expires,
            verify: raw.verify.0,
            pace: Pace {
                parallel: raw.parallel.into(),
                stall: self.at_least(raw.stall, Duration::from_secs(1), &at.field("stall")),
                retries: self.at_least(raw.retries, Duration::ZERO, &at.field("retries")),
            },
        })
    }
}

/// How sites follow an origin.
fn follows<'a>(
    front: &'a front::Settings,
    origin: &'a front::OriginSettings,
) -> impl Iterator<Item = Follow> + 'a {
    let is_of = |site: &&front::SiteSettings| {
        front
            .origins
            .get(site.origin)
            .is_some_and(|it| it.name == origin.name || shares(it, origin))
    };
    front.sites.iter().filter(move |site| is_of(site)).map(|site| site.follow)
}

/// Whether two origins are the same releases: one that is replicated, one that is served.
fn shares(one: &front::OriginSettings, other: &front::OriginSettings) -> bool {
    match (&one.kind, &other.kind) {
        (OriginKind::Store { url: one, .. }, OriginKind::Store { url: other, .. }) => one == other,
        _ => false,
    }
}

impl Validator<'_> {
    /// Which mirrors must have all of a release: some that are written to.
    fn require(&mut self, raw: &Replicate, front: &front::Settings, at: &Path) -> Require {
        let Some(names) = &raw.require else { return Require::OneOfEachProvider };
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        for (index, name) in names.iter().enumerate() {
            if !front.copies.iter().filter_map(mirror).any(|mirror| mirror.name == *name) {
                let message = format!("`{name}` is no mirror with a bucket that is written to");
                self.report(&at.field("require").item(index), message);
            }
        }
        Require::These(names)
    }

    /// Who signs. Keys are not looked for here: a front, which reads the file too, has none.
    fn signers(&mut self, raw: &Replicate, at: &Path) -> Option<Vec<KeySource>> {
        let at = at.field("signers");
        let listed = raw.signers.as_ref()?;
        if listed.is_empty() {
            self.report(&at, "is empty: who signs what is published?");
        }
        let mut signers = Vec::new();
        for (index, signer) in listed.iter().enumerate() {
            signers.extend(self.signer(signer, &at.item(index)));
        }
        Some(signers)
    }

    fn signer(&mut self, raw: &Signer, at: &Path) -> Option<KeySource> {
        self.exactly_one(at, &["key_file", "key_variable", "command"]);
        if let Some(file) = &raw.key_file {
            return Some(KeySource::File(self.resolve(file)));
        }
        if let Some(variable) = &raw.key_variable {
            return Some(KeySource::Variable(variable.clone()));
        }
        let limit = self.at_least(raw.timeout, Duration::from_millis(100), &at.field("timeout"));
        let command = KeyCommand::new(raw.command.as_ref()?, limit);
        if command.is_none() {
            self.report(&at.field("command"), "is empty: name the program first");
        }
        command.map(KeySource::Command)
    }

    /// The origin that is read and published.
    fn published_origin<'f>(
        &mut self,
        raw: &Replicate,
        front: &'f front::Settings,
        at: &Path,
    ) -> Option<&'f front::OriginSettings> {
        let has_both = |origin: &&front::OriginSettings| {
            matches!(&origin.kind, OriginKind::Store { registry: Some(_), .. })
        };
        let mut able = front.origins.iter().filter(has_both);
        if let Some(name) = raw.origin.as_ref().map(ToString::to_string) {
            let origin = able.find(|origin| origin.name == name);
            if origin.is_none() {
                let message = format!("`{name}` is no origin with a `registry` and a `store`");
                self.report(&at.field("origin"), message);
            }
            return origin;
        }
        match (able.next(), able.next()) {
            (Some(only), None) => return Some(only),
            (None, _) => self.report(
                at,
                "is of no use: none of the `origins` has both a `registry` and a `store`",
            ),
            (Some(_), Some(_)) => self.report(
                at,
                "does not say which of the `origins` with a `registry` and a `store`: name one as `origin`",
            ),
        }
        None
    }
}

fn spot_of(copy: &front::CopySettings) -> Spot {
    Spot { provider: copy.provider.clone(), region: copy.region.clone() }
}

/// The copies that can be written to and are nobody's authority.
fn mirrors(front: &front::Settings) -> Vec<(&front::CopySettings, Target)> {
    let is_origin = |copy: usize| front.origins.iter().any(|origin| origin.copy == copy);
    let copies = front.copies.iter().enumerate().filter(|(copy, _)| !is_origin(*copy));
    copies.filter_map(|(_, copy)| Some((copy, mirror(copy)?))).collect()
}

fn mirror(copy: &front::CopySettings) -> Option<Target> {
    let layout = match &copy.face {
        Face::Bucket { layout, .. } | Face::Embedded { layout, .. } => *layout,
        Face::Registry { .. } | Face::Streamed => return None,
    };
    let (name, url) = (copy.name.clone(), copy.store.clone()?);
    let provider = copy.provider.clone();
    Some(Target { name, provider, url, layout, public: public(&copy.face) })
}

/// The address at which clients reach a bucket.
fn public(face: &Face) -> Option<Url> {
    match face {
        Face::Bucket { url, .. } => Some(url.clone()),
        Face::Embedded { .. } | Face::Registry { .. } | Face::Streamed => None,
    }
}
