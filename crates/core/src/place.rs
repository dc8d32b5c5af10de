//! Where an address is: the provider and region that a published range gives it.
//!
//! A place is a pair of names, since anyone may bring a provider. The names are interned once, so
//! that the hot path carries two bytes; clients (through [`PrefixMap`]) and copies are placed by
//! the same [`Places`], which makes "same region" a comparison of two numbers.
//!
//! Invariant: within one `Places` an id never changes its meaning, and equal names have equal ids.

mod aws;
mod azure;
mod csv;
mod demonstration;
mod gcp;
mod prefix;
mod prefix_map;
mod range_error;
mod range_set;
mod segments;
mod suspicion;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub use demonstration::demonstration;
pub use prefix::PrefixError;
pub use prefix_map::PrefixMap;
pub use range_error::{EntryError, RangeError};
pub use range_set::{RangeFormat, RangeSet};
pub use suspicion::{RangeChanges, SuspicionLimits, Suspicious};

/// The region of addresses that a provider gives to no one region (a CDN's, an anycast address).
pub const GLOBAL: &str = "global";

/// The longest name of a provider or region, in bytes.
pub const MAX_NAME_BYTES: usize = 63;

/// A place within one [`Places`]; small enough to keep beside every address range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(u16);

impl PlaceId {
    /// The place of an address that no range holds.
    pub const UNKNOWN: Self = Self(0);

    /// A position for tables by place: 0 is [`PlaceId::UNKNOWN`], the rest follow without a gap.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A provider within one [`Places`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProviderId(u16);

impl ProviderId {
    /// A position for tables by provider: they are numbered from 0 without a gap.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The names of a place. Prints as `aws/us-east-2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place<'a> {
    /// Who runs the network: `aws`, `gcp`, `azure`, or what an operator calls it.
    pub provider: &'a str,
    /// The provider's own name of the region, or [`GLOBAL`].
    pub region: &'a str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.region)
    }
}

/// Why a place could not be interned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Names end up in labels, reports and configuration, so they are kept plain.
    #[error(
        "the name {0:?} is not a provider or region: write 1 to {MAX_NAME_BYTES} letters, digits, `-`, `_` or `.`"
    )]
    Name(String),
    /// The number of a place has 16 bits.
    #[error("there are more than 65,535 different places: use fewer range sources")]
    Full,
}

/// The known places: an interner of (provider, region) pairs, 65,535 at most.
///
/// Names are compared without regard to ASCII case and kept in lower case, so that AWS's `GLOBAL`
/// is everyone's [`GLOBAL`].
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// What [`PlaceId`] `n` means is at `n - 1`.
    pairs: Vec<(ProviderId, Arc<str>)>,
    /// What [`ProviderId`] `n` means is at `n`.
    providers: Vec<Arc<str>>,
    by_name: BTreeMap<Arc<str>, Provider>,
}

#[derive(Clone, Debug)]
struct Provider {
    id: ProviderId,
    regions: BTreeMap<Arc<str>, PlaceId>,
}

impl Places {
    /// The id of a place, which is made if it is new. On an error nothing has changed.
    pub fn intern(&mut self, provider: &str, region: &str) -> Result<PlaceId, PlaceError> {
        let (provider, region) = (parse_name(provider)?, parse_name(region)?);
        let known = self.by_name.get(&*provider);
        if let Some(&place) = known.and_then(|provider| provider.regions.get(&*region)) {
            return Ok(place);
        }
        let numbered = |n: usize| u16::try_from(n).map_err(|_| PlaceError::Full);
        let place = PlaceId(numbered(self.pairs.len() + 1)?);
        let new_provider = ProviderId(numbered(self.providers.len())?);

        let (provider, region) = (Arc::<str>::from(provider), Arc::<str>::from(region));
        let entry = self.by_name.entry(Arc::clone(&provider)).or_insert_with(|| {
            self.providers.push(provider);
            Provider { id: new_provider, regions: BTreeMap::new() }
        });
        entry.regions.insert(Arc::clone(&region), place);
        self.pairs.push((entry.id, region));
        Ok(place)
    }

    /// The id of a place that has been interned.
    pub fn find(&self, provider: &str, region: &str) -> Option<PlaceId> {
        let provider = self.by_name.get(&*parse_name(provider).ok()?)?;
        provider.regions.get(&*parse_name(region).ok()?).copied()
    }

    /// The id of a provider of which some place has been interned.
    pub fn find_provider(&self, provider: &str) -> Option<ProviderId> {
        let provider = self.by_name.get(&*parse_name(provider).ok()?)?;
        Some(provider.id)
    }

    /// The names of a place; none for [`PlaceId::UNKNOWN`].
    pub fn get(&self, place: PlaceId) -> Option<Place<'_>> {
        let (provider, region) = self.pairs.get(place.index().checked_sub(1)?)?;
        Some(Place { provider: self.provider_name(*provider)?, region })
    }

    /// The provider of a place; none for [`PlaceId::UNKNOWN`].
    pub fn provider_of(&self, place: PlaceId) -> Option<ProviderId> {
        let (provider, _) = self.pairs.get(place.index().checked_sub(1)?)?;
        Some(*provider)
    }

    /// The name of a provider.
    pub fn provider_name(&self, provider: ProviderId) -> Option<&str> {
        self.providers.get(provider.index()).map(|name| &**name)
    }

    /// Every known place, in the order in which they were interned.
    pub fn iter(&self) -> impl Iterator<Item = (PlaceId, Place<'_>)> {
        let ids = (1..=u16::MAX).map(PlaceId);
        ids.map_while(|id| Some((id, self.get(id)?)))
    }

    /// How many places are known, [`PlaceId::UNKNOWN`] not counted.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether no place is known yet.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// A name in the one spelling in which names are compared.
fn parse_name(name: &str) -> Result<Cow<'_, str>, PlaceError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
        return Err(PlaceError::Name(excerpt(name)));
    }
    Ok(if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    })
}

/// So much of a stranger's text as fits in a message.
fn excerpt(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    text.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_have_equal_ids_whatever_their_case() {
        let mut places = Places::default();
        let ohio = places.intern("aws", "us-east-2").unwrap();
        let iowa = places.intern("gcp", "us-central1").unwrap();
        let cdn = places.intern("AWS", "GLOBAL").unwrap();
        assert_eq!(places.intern("Aws", "US-East-2"), Ok(ohio));
        assert_eq!(places.find("aws", GLOBAL), Some(cdn));
        assert_eq!(places.find("gcp", GLOBAL), None);
        assert_eq!(places.provider_of(ohio), places.provider_of(cdn));
        assert_ne!(places.provider_of(ohio), places.provider_of(iowa));
        assert_eq!(places.provider_of(iowa), places.find_provider("GCP"));
        let listed: Vec<_> =
            places.iter().map(|(id, place)| (id.index(), place.to_string())).collect();
        let expected = [(1, "aws/us-east-2"), (2, "gcp/us-central1"), (3, "aws/global")];
        assert_eq!(listed, expected.map(|(id, name)| (id, name.to_owned())));
    }

    #[test]
    fn the_unknown_place_has_no_names() {
        let mut places = Places::default();
        places.intern("aws", "us-east-2").unwrap();
        assert_eq!(places.get(PlaceId::UNKNOWN), None);
        assert_eq!(places.provider_of(PlaceId::UNKNOWN), None);
    }

    #[test]
    fn a_name_that_is_not_plain_is_refused() {
        let mut places = Places::default();
        for name in ["", "us east", "a/b", "é", "a,b", "a\nb", &"x".repeat(64)] {
            assert_eq!(places.intern("aws", name), Err(PlaceError::Name(name.to_owned())));
            assert_eq!(places.intern(name, "r"), Err(PlaceError::Name(name.to_owned())));
        }
        assert!(places.is_empty());
    }

    #[test]
    fn one_place_too_many_is_an_error_and_changes_nothing() {
        let mut places = Places::default();
        for n in 1..=65_535_usize {
            // Every second place has a provider of its own.
            let provider = if n % 2 == 0 { format!("p{n}") } else { "p".to_owned() };
            assert_eq!(places.intern(&provider, &format!("r{n}")).map(PlaceId::index), Ok(n));
        }
        assert_eq!(places.intern("new", "place"), Err(PlaceError::Full));
        assert_eq!(places.find_provider("new"), None);
        assert_eq!(places.len(), 65_535);
        assert_eq!(places.iter().count(), 65_535);
        assert_eq!(places.intern("p2", "r2").map(PlaceId::index), Ok(2));
    }
}
