//! The parsed content of one range source: prefixes, each with its place, and the version.
//!
//! The providers' files are written for firewalls: one prefix is listed once for every service
//! that uses it. Here it is listed once, with one place.
//!
//! Invariant: never empty; sorted; no prefix twice; each exact and no wider than a cloud can be.

use std::cmp::Ordering;
use std::fmt;

use ipnet::IpNet;

use super::prefix::parse_prefix;
use super::{EntryError, GLOBAL, Place, PlaceError, PlaceId, Places, RangeError};
use super::{aws, azure, csv, gcp, parse_name};

/// The formats in which ranges are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeFormat {
    /// AWS's [`ip-ranges.json`](https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html).
    Aws,
    /// Google Cloud's `cloud.json`.
    Gcp,
    /// Azure's [service tags](https://learn.microsoft.com/azure/virtual-network/service-tags-overview).
    Azure,
    /// Lines of `cidr,provider,region`, for anyone else.
    Csv,
}

impl fmt::Display for RangeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aws => "AWS ip-ranges.json",
            Self::Gcp => "Google cloud.json",
            Self::Azure => "Azure service tags",
            Self::Csv => "CSV",
        })
    }
}

/// The ranges of one source.
#[derive(Clone, Debug)]
pub struct RangeSet {
    places: Places,
    prefixes: Vec<(IpNet, PlaceId)>,
    version: Option<String>,
    contradictions: usize,
}

impl RangeSet {
    /// Parses a whole file, or refuses it whole.
    ///
    /// `provider` names the provider of all that the file itself names no provider for: every
    /// entry of the clouds' own files (by default `aws`, `gcp`, `azure`), and lines of a CSV
    /// whose second field is empty (which have no default).
    ///
    /// A prefix that is listed with several places has one: a named region is preferred to
    /// [`GLOBAL`], since it says more. Among several named regions the alphabetically first is
    /// taken, so that a file in another order moves nobody; see [`RangeSet::contradictions`].
    pub fn parse(
        format: RangeFormat,
        bytes: &[u8],
        provider: Option<&str>,
    ) -> Result<Self, RangeError> {
        match format {
            RangeFormat::Aws => aws::parse(bytes, provider.unwrap_or("aws")),
            RangeFormat::Gcp => gcp::parse(bytes, provider.unwrap_or("gcp")),
            RangeFormat::Azure => azure::parse(bytes, provider.unwrap_or("azure")),
            RangeFormat::Csv => csv::parse(bytes, provider),
        }
    }

    /// The prefixes with their places: IPv4 before IPv6, by address, a wide one before those
    /// within it.
    pub fn iter(&self) -> impl Iterator<Item = (IpNet, Place<'_>)> {
        self.prefixes.iter().filter_map(|&(prefix, place)| Some((prefix, self.places.get(place)?)))
    }

    /// How many different prefixes there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.prefixes.len()
    }

    /// The provider's own word for this state of the file (`syncToken`, `changeNumber`), if the
    /// format has one.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// How many entries were overruled, their prefix being listed elsewhere too: 0 in a sound
    /// file. That a region's prefix is also the same provider's [`GLOBAL`] contradicts nothing.
    pub fn contradictions(&self) -> usize {
        self.contradictions
    }

    /// The prefixes by the ids of another interner, into which their places are taken.
    pub(super) fn placed_in(
        &self,
        places: &mut Places,
    ) -> Result<Vec<(IpNet, PlaceId)>, PlaceError> {
        let mut translated = vec![PlaceId::UNKNOWN];
        for (_, place) in self.places.iter() {
            translated.push(places.intern(place.provider, place.region)?);
        }
        let prefixes = self.prefixes.iter();
        Ok(prefixes.map(|&(prefix, place)| (prefix, translated[place.index()])).collect())
    }
}

/// A range set while its file is being read: what the four parsers write to.
#[derive(Default)]
pub(super) struct Draft {
    places: Places,
    prefixes: Vec<(IpNet, PlaceId)>,
}

impl Draft {
    /// Adds an entry as the file has it.
    pub(super) fn add(
        &mut self,
        prefix: &str,
        provider: &str,
        region: &str,
    ) -> Result<(), EntryError> {
        let prefix = parse_prefix(prefix)?;
        let place = self.places.intern(provider, region)?;
        self.prefixes.push((prefix, place));
        Ok(())
    }

    /// Leaves each prefix one place.
    pub(super) fn finish(
        self,
        format: RangeFormat,
        version: Option<String>,
    ) -> Result<RangeSet, RangeError> {
        let Self { places, mut prefixes } = self;
        if prefixes.is_empty() {
            return Err(RangeError::Empty(format));
        }
        prefixes.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| preferred(&places, a.1, b.1)));
        prefixes.dedup();
        let mut contradictions = 0;
        prefixes.dedup_by(|overruled, kept| {
            let same_prefix = overruled.0 == kept.0;
            contradictions += usize::from(same_prefix && contradict(&places, overruled.1, kept.1));
            same_prefix
        });
        prefixes.shrink_to_fit();
        // It is shown and logged: a version that is not a short plain word is none.
        let version = version.filter(|version| parse_name(version).is_ok());
        Ok(RangeSet { places, prefixes, version, contradictions })
    }
}

/// Orders the places of one prefix, the one that it keeps first.
fn preferred(places: &Places, a: PlaceId, b: PlaceId) -> Ordering {
    let rank = |place| places.get(place).map(|place| (place.region == GLOBAL, place));
    rank(a).cmp(&rank(b))
}

/// Whether two places of one prefix cannot both be true.
fn contradict(places: &Places, overruled: PlaceId, kept: PlaceId) -> bool {
    let is_global = places.get(overruled).is_some_and(|place| place.region == GLOBAL);
    !is_global || places.provider_of(overruled) != places.provider_of(kept)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// A set as lines of `prefix provider/region`.
    pub(in super::super) fn listing(set: &RangeSet) -> Vec<String> {
        set.iter().map(|(prefix, place)| format!("{prefix} {place}")).collect()
    }

    /// The message with which a file is refused.
    pub(in super::super) fn refusal(format: RangeFormat, bytes: &[u8]) -> String {
        RangeSet::parse(format, bytes, None).unwrap_err().to_string()
    }

    /// Believable prefixes that often are equal, nested or adjacent.
    pub(in super::super) fn prefixes() -> impl Strategy<Value = IpNet> {
        let (ten, db8) = (0x0a00_0000_u32, 0x2001_0db8_u128 << 96);
        let ipv4 = prop_oneof![
            (prop_oneof![Just(0), Just(u32::MAX), ten..ten + 0x1000, any::<u32>()], 8_u8..=32),
            (ten..ten + 16, 27_u8..=32),
        ];
        let ipv6 = prop_oneof![
            (prop_oneof![Just(u128::MAX), db8..db8 + 0x1000, any::<u128>()], 19_u8..=128),
            (db8..db8 + 16, 123_u8..=128),
        ];
        prop_oneof![
            ipv4.prop_map(|(bits, length)| IpNet::new(Ipv4Addr::from(bits).into(), length)),
            ipv6.prop_map(|(bits, length)| IpNet::new(Ipv6Addr::from(bits).into(), length)),
        ]
        .prop_map(|prefix| prefix.unwrap().trunc())
    }

    /// A set of few places.
    pub(in super::super) fn sets(size: std::ops::Range<usize>) -> impl Strategy<Value = RangeSet> {
        let region = prop_oneof![Just("global"), Just("r1"), Just("r2")];
        let provider = prop_oneof![Just("p1"), Just("p2")];
        prop::collection::vec((prefixes(), provider, region), size).prop_filter_map(
            "refused",
            |entries| {
                let mut draft = Draft::default();
                for (prefix, provider, region) in entries {
                    draft.add(&prefix.to_string(), provider, region).ok()?;
                }
                draft.finish(RangeFormat::Csv, None).ok()
            },
        )
    }

    const FORMATS: [RangeFormat; 4] =
        [RangeFormat::Aws, RangeFormat::Gcp, RangeFormat::Azure, RangeFormat::Csv];

    #[test]
    fn deep_nesting_is_refused_and_does_not_overflow() {
        for open in [
            "[",
            "{\"prefixes\":",
            "{\"values\":[{\"properties\":",
            "{\"x\":[",
            "{\"prefixes\":[{\"x\":",
        ] {
            let deep = open.repeat(1_000_000 / open.len());
            for format in FORMATS {
                assert!(RangeSet::parse(format, deep.as_bytes(), Some("p")).is_err());
            }
        }
    }

    #[test]
    fn a_message_stays_short_whatever_the_file_holds() {
        let long = "x".repeat(1_000_000);
        for file in [
            format!(r#"{{"prefixes": "{long}"}}"#),
            format!(r#"{{"prefixes": [{{"ip_prefix": "{long}", "region": "r"}}]}}"#),
            format!(r#"{{"prefixes": [{{"ip_prefix": "10.0.0.0/8", "region": "{long}"}}]}}"#),
        ] {
            assert!(refusal(RangeFormat::Aws, file.as_bytes()).len() < 250);
        }
    }

    #[test]
    fn every_overruled_entry_is_counted_unless_it_only_says_less() {
        for (lines, kept, contradictions) in [
            ("10.0.0.0/8,a,r\n10.0.0.0/8,a,r", "10.0.0.0/8 a/r", 0),
            ("10.0.0.0/8,a,global\n10.0.0.0/8,a,r", "10.0.0.0/8 a/r", 0),
            ("10.0.0.0/8,a,s\n10.0.0.0/8,a,r\n10.0.0.0/8,a,", "10.0.0.0/8 a/r", 1),
            ("10.0.0.0/8,a,global\n10.0.0.0/8,b,r", "10.0.0.0/8 b/r", 1),
            ("10.0.0.0/8,b,global\n10.0.0.0/8,a,global", "10.0.0.0/8 a/global", 1),
        ] {
            let set = RangeSet::parse(RangeFormat::Csv, lines.as_bytes(), None).unwrap();
            assert_eq!(
                (listing(&set), set.contradictions()),
                (vec![kept.to_owned()], contradictions)
            );
        }
    }

    #[test]
    fn a_version_that_is_no_plain_word_is_none() {
        let file = r#"{"syncToken": "1\nINFO all is well", "prefixes": [{"ipv4Prefix": "10.0.0.0/8", "scope": "r"}]}"#;
        let set = RangeSet::parse(RangeFormat::Gcp, file.as_bytes(), None).unwrap();
        assert_eq!(set.version(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for format in FORMATS {
                let _: Result<RangeSet, RangeError> = RangeSet::parse(format, &bytes, None);
            }
        }

        #[test]
        fn no_text_like_a_range_file_makes_a_parser_panic(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ":", ",", "\"", "\n", "#", "/", "\"prefixes\":[", "\"values\":[", "{\"name\":\"AzureCloud.a\",\"properties\":{",
                    "\"ip_prefix\":", "\"ipv4Prefix\":", "\"region\":\"r\"", "\"scope\":\"r\"", "\"addressPrefixes\":[", "\"10.0.0.0/8\"",
                    "::ffff:0:0/96", "10.0.0.0/8", "\\u0000", "é", "null", "1e999",
                ]),
                0..40,
            ),
        ) {
            for format in FORMATS {
                let _: Result<RangeSet, RangeError> = RangeSet::parse(format, words.concat().as_bytes(), Some("p"));
            }
        }

        #[test]
        fn a_set_written_as_csv_is_read_again(set in sets(1..40)) {
            let line = |(prefix, place): (IpNet, Place<'_>)| format!("{prefix},{},{}\n", place.provider, place.region);
            let csv: String = set.iter().map(line).collect();
            let again = RangeSet::parse(RangeFormat::Csv, csv.as_bytes(), None).unwrap();
            prop_assert_eq!(listing(&again), listing(&set));
        }
    }
}
