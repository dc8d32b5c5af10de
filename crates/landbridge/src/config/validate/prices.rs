//! Prices: whose they are, and what is not written.

use std::collections::BTreeMap;

use landbridge_core::money::Currency;
use landbridge_core::price::{Rates, Spot, list_prices};
use landbridge_front::settings::Face;
use landbridge_replicate::Priced;
use url::{Host, Url};

use super::Validator;
use crate::config::path::Path;
use crate::config::raw::Raw;
use crate::config::raw::prices::Prices;

/// All prices of a file.
pub(super) struct PriceBook {
    pub(super) currency: Currency,
    /// Of providers, or their regions.
    places: Vec<(Spot, Rates)>,
    /// Of origins and mirrors, by their names.
    copies: BTreeMap<String, Rates>,
}

impl PriceBook {
    /// What a place charges that is known by a name.
    pub(super) fn of_copy(&self, name: &str, spot: Spot, url: &Url) -> Priced {
        let own = self.copies.get(name).cloned().unwrap_or_default();
        if is_here(url) {
            let rates = own.or(&Rates::free(self.currency));
            return Priced { spot, rates };
        }
        let rates = own.or(&self.of_place(&spot));
        Priced { spot, rates }
    }

    /// What a copy charges for what leaves it through its public face.
    pub(super) fn of_face(&self, name: &str, spot: &Spot, face: &Face) -> Rates {
        let own = self.copies.get(name).cloned().unwrap_or_default();
        let is_here = match face {
            Face::Bucket { url, .. } | Face::Registry { url, .. } => is_here(url),
            // The front itself sends these: they cost what its own place costs.
            Face::Embedded { .. } | Face::Streamed => false,
        };
        let others = match (is_here, &spot.provider) {
            (false, Some(_)) => self.of_place(spot),
            (true, _) => Rates::free(self.currency),
            (false, None) => Rates::default(),
        };
        own.or(&others)
    }

    /// What this program is charged for sending.
    pub(super) fn of_here(&self, spot: Spot) -> Priced {
        let rates = match &spot.provider {
            Some(_) => self.of_place(&spot),
            None => Rates::free(self.currency),
        };
        Priced { spot, rates }
    }

    fn of_place(&self, spot: &Spot) -> Rates {
        let named = |region: &Option<String>| {
            let is_it = |(place, _): &&(Spot, Rates)| {
                spot.provider.is_some()
                    && place.provider == spot.provider
                    && place.region == *region
            };
            self.places.iter().find(is_it).map(|(_, rates)| rates.clone()).unwrap_or_default()
        };
        let listed = spot.provider.as_deref().and_then(list_prices);
        let listed = listed.filter(|_| self.currency == Currency::USD).map(|list| list.rates);
        named(&spot.region).or(&named(&None)).or(&listed.unwrap_or_default())
    }
}

/// Whether it is on this machine, where nobody sends a bill.
pub(crate) fn is_here(url: &Url) -> bool {
    url.scheme() == "file"
        || match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
}

impl Validator<'_> {
    pub(super) fn price_book(&mut self, raw: &Raw) -> PriceBook {
        let mut written: Vec<(Path, Rates)> = Vec::new();
        let mut places = Vec::new();
        for (index, prices) in raw.prices.iter().enumerate() {
            let at = Path::dotted("prices").item(index);
            let (provider, region) = (&prices.provider, &prices.region);
            let text = |name: &Option<_>| name.as_ref().map(ToString::to_string);
            let spot = Spot { provider: text(provider), region: text(region) };
            if places.iter().any(|(other, _)| *other == spot) {
                self.report(&at, "prices of the same place stand above: keep one of them");
            }
            let rates = rates(&prices.rates);
            written.push((at, rates.clone()));
            places.push((spot, rates));
        }
        let mut copies = BTreeMap::new();
        let origins = raw.origins.iter().map(|origin| (&origin.name, &origin.prices));
        let origins = origins.enumerate().map(|(index, it)| ("origins", index, it));
        let mirrors = raw.mirrors.iter().map(|mirror| (&mirror.name, &mirror.prices));
        let mirrors = mirrors.enumerate().map(|(index, it)| ("mirrors", index, it));
        for (list, index, (name, prices)) in origins.chain(mirrors) {
            if let (Some(name), Some(prices)) = (name, prices) {
                let rates = rates(prices);
                written.push((Path::dotted(list).item(index).field("prices"), rates.clone()));
                copies.insert(name.to_string(), rates);
            }
        }
        let mut currency = None;
        for (at, rates) in &written {
            for found in rates.currencies() {
                let first = *currency.get_or_insert(found);
                if first != found {
                    let message = format!(
                        "{found} and {first} stand in one file: nobody knows the rate, use one currency"
                    );
                    self.report(at, message);
                    break;
                }
            }
        }
        PriceBook { currency: currency.unwrap_or(Currency::USD), places, copies }
    }
}

fn rates(raw: &Prices) -> Rates {
    let to = raw.to.iter().filter_map(|to| Some((to.provider.as_ref()?.to_string(), to.price?.0)));
    Rates {
        same_region: raw.same_region.map(|price| price.0),
        same_provider: raw.same_provider.map(|price| price.0),
        to: to.collect(),
        internet: raw.internet.map(|price| price.0),
        reads: raw.reads.map(|price| price.0),
        writes: raw.writes.map(|price| price.0),
    }
}
