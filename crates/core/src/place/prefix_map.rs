//! From an address to its place: longest-prefix match over all range sources.
//!
//! A map is built once from complete sets and never changes; a reload builds another.

use std::net::IpAddr;

use ipnet::IpNet;

use super::segments::{Block, Ipv4Segments, Ipv6Segments};
use super::{PlaceError, PlaceId, Places, RangeSet};

/// Longest-prefix match from addresses to places.
///
/// The longest prefix that holds an address decides, whichever source lists it. An IPv4-mapped
/// address (`::ffff:192.0.2.1`) is the IPv4 address that it carries.
#[derive(Debug)]
pub struct PrefixMap {
    /// Sorted and without duplicates: what the segments were made of, for [`PrefixMap::matched`].
    prefixes: Vec<(IpNet, PlaceId)>,
    ipv4: Ipv4Segments,
    ipv6: Ipv6Segments,
    conflicts: usize,
}

impl PrefixMap {
    /// Builds the map of several sources, their places taken into `places`.
    ///
    /// Where two sources give the same prefix different places the earlier source wins, so that
    /// an operator's own list goes first; see [`PrefixMap::conflicts`]. Fails only when `places`
    /// is full.
    pub fn build<'a>(
        places: &mut Places,
        sets: impl IntoIterator<Item = &'a RangeSet>,
    ) -> Result<Self, PlaceError> {
        let mut prefixes = Vec::new();
        for set in sets {
            prefixes.extend(set.placed_in(places)?);
        }
        // A stable sort: of equal prefixes the earlier source's stays first.
        prefixes.sort_by_key(|(prefix, _)| *prefix);
        let mut conflicts = 0;
        prefixes.dedup_by(|later, earlier| {
            conflicts += usize::from(later.0 == earlier.0 && later.1 != earlier.1);
            later.0 == earlier.0
        });
        prefixes.shrink_to_fit();
        let ipv4 = Ipv4Segments::new(prefixes.iter().filter_map(ipv4_block));
        let ipv6 = Ipv6Segments::new(prefixes.iter().filter_map(ipv6_block));
        Ok(Self { prefixes, ipv4, ipv6, conflicts })
    }

    /// The place of an address, or [`PlaceId::UNKNOWN`]. Does not allocate.
    pub fn locate(&self, address: IpAddr) -> PlaceId {
        match address.to_canonical() {
            IpAddr::V4(address) => self.ipv4.locate(address.to_bits()),
            IpAddr::V6(address) => self.ipv6.locate(address.to_bits()),
        }
    }

    /// The prefix that decides where an address is, with its place: to explain, not to route,
    /// since it looks for every length in turn. Always agrees with [`PrefixMap::locate`].
    pub fn matched(&self, address: IpAddr) -> Option<(IpNet, PlaceId)> {
        let host = IpNet::from(address.to_canonical());
        (0..=host.prefix_len()).rev().find_map(|length| {
            let candidate = IpNet::new(host.addr(), length).ok()?.trunc();
            let found = self.prefixes.binary_search_by_key(&candidate, |(prefix, _)| *prefix);
            found.ok().map(|at| self.prefixes[at])
        })
    }

    /// How many different prefixes the sources have.
    pub fn prefix_count(&self) -> usize {
        self.prefixes.len()
    }

    /// How many segments the prefixes were flattened into, of both families.
    pub fn segment_count(&self) -> usize {
        self.ipv4.len() + self.ipv6.len()
    }

    /// How often a source was overruled by an earlier one that has the same prefix elsewhere.
    pub fn conflicts(&self) -> usize {
        self.conflicts
    }
}

fn ipv4_block(&(prefix, place): &(IpNet, PlaceId)) -> Option<Block> {
    let IpNet::V4(prefix) = prefix else {
        return None;
    };
    let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
    Some(Block { first: first.into(), last: last.into(), place })
}

fn ipv6_block(&(prefix, place): &(IpNet, PlaceId)) -> Option<Block> {
    let IpNet::V6(prefix) = prefix else {
        return None;
    };
    let (first, last) = (prefix.network().to_bits(), prefix.broadcast().to_bits());
    Some(Block { first, last, place })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::super::RangeFormat;
    use super::super::range_set::tests::sets;
    use super::*;

    fn csv(lines: &str) -> RangeSet {
        RangeSet::parse(RangeFormat::Csv, lines.as_bytes(), None).unwrap()
    }

    /// The naive twin: look at every prefix, keep the longest, the earlier source's if equal.
    fn scan(sets: &[RangeSet], address: IpAddr) -> Option<(IpNet, String)> {
        let mut best: Option<(IpNet, String)> = None;
        for (prefix, place) in sets.iter().flat_map(RangeSet::iter) {
            let longer =
                best.as_ref().is_none_or(|(other, _)| prefix.prefix_len() > other.prefix_len());
            if prefix.contains(&address.to_canonical()) && longer {
                best = Some((prefix, place.to_string()));
            }
        }
        best
    }

    #[test]
    fn the_longest_prefix_decides() {
        let set = csv(
            "10.0.0.0/8,a,wide\n10.1.0.0/16,a,narrow\n10.1.2.0/24,b,hole\n2001:db8::/32,a,wide\n2001:db8:0:1::/72,b,hole\n255.255.255.255/32,c,last\n0.0.0.0/32,c,first",
        );
        let mut places = Places::default();
        let map = PrefixMap::build(&mut places, [&set]).unwrap();
        for (address, expected) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some("10.0.0.0/8 a/wide")),
            ("10.1.0.0", Some("10.1.0.0/16 a/narrow")),
            ("10.1.1.255", Some("10.1.0.0/16 a/narrow")),
            ("10.1.2.0", Some("10.1.2.0/24 b/hole")),
            ("10.1.2.255", Some("10.1.2.0/24 b/hole")),
            ("10.1.3.0", Some("10.1.0.0/16 a/narrow")),
            ("10.255.255.255", Some("10.0.0.0/8 a/wide")),
            ("11.0.0.0", None),
            ("0.0.0.0", Some("0.0.0.0/32 c/first")),
            ("0.0.0.1", None),
            ("255.255.255.254", None),
            ("255.255.255.255", Some("255.255.255.255/32 c/last")),
            ("2001:db8::", Some("2001:db8::/32 a/wide")),
            ("2001:db8:0:1:ff:ffff::", Some("2001:db8:0:1::/72 b/hole")),
            ("2001:db8:0:1:100::", Some("2001:db8::/32 a/wide")),
            ("2001:db9::", None),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None),
            ("::ffff:10.1.2.3", Some("10.1.2.0/24 b/hole")),
            ("::10.1.2.3", None),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let matched = map.matched(address);
            let said =
                matched.map(|(prefix, place)| format!("{prefix} {}", places.get(place).unwrap()));
            assert_eq!(said.as_deref(), expected, "{address}");
            assert_eq!(
                map.locate(address),
                matched.map_or(PlaceId::UNKNOWN, |(_, place)| place),
                "{address}"
            );
        }
        assert_eq!((map.prefix_count(), map.conflicts()), (7, 0));
    }

    #[test]
    fn the_earlier_source_wins_and_the_conflict_is_counted() {
        let (own, cloud) =
            (csv("10.1.0.0/16,us,lab\n10.2.0.0/16,x,y"), csv("10.1.0.0/16,aws,r\n10.2.0.0/16,x,y"));
        let mut places = Places::default();
        let copy = places.intern("aws", "r").unwrap();
        let address = IpAddr::from([10, 1, 0, 1]);
        let map = PrefixMap::build(&mut places, [&own, &cloud]).unwrap();
        assert_eq!(Some(map.locate(address)), places.find("us", "lab"));
        assert_eq!(map.conflicts(), 1);
        let map = PrefixMap::build(&mut places, [&cloud, &own]).unwrap();
        assert_eq!(map.locate(address), copy, "ids interned before stay");
    }

    #[test]
    fn a_map_of_nothing_knows_no_address() {
        let map = PrefixMap::build(&mut Places::default(), []).unwrap();
        for address in [
            IpAddr::from([0, 0, 0, 0]),
            [255; 4].into(),
            Ipv6Addr::UNSPECIFIED.into(),
            [0xffff; 8].into(),
        ] {
            assert_eq!((map.locate(address), map.matched(address)), (PlaceId::UNKNOWN, None));
        }
    }

    /// Addresses where an answer may change: the edges of every prefix, one beyond, and any.
    fn interesting(sets: &[RangeSet], any: &[IpAddr]) -> Vec<IpAddr> {
        let mut addresses = any.to_vec();
        for (prefix, _) in sets.iter().flat_map(RangeSet::iter) {
            for (edge, step) in [
                (prefix.network(), -1),
                (prefix.network(), 0),
                (prefix.broadcast(), 0),
                (prefix.broadcast(), 1),
            ] {
                addresses.push(match edge {
                    IpAddr::V4(edge) => {
                        Ipv4Addr::from_bits(edge.to_bits().wrapping_add_signed(step)).into()
                    }
                    IpAddr::V6(edge) => {
                        Ipv6Addr::from_bits(edge.to_bits().wrapping_add_signed(step.into())).into()
                    }
                });
            }
        }
        let mapped = addresses.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(address.to_ipv6_mapped().into()),
            IpAddr::V6(_) => None,
        });
        let mapped: Vec<IpAddr> = mapped.collect();
        addresses.extend(mapped);
        addresses
    }

    proptest! {
        #[test]
        fn locate_and_matched_agree_with_a_scan_of_all_prefixes(
            sets in prop::collection::vec(sets(1..40), 0..4),
            any in prop::collection::vec(any::<IpAddr>(), 8),
        ) {
            let mut places = Places::default();
            let map = PrefixMap::build(&mut places, &sets).unwrap();
            for address in interesting(&sets, &any) {
                let expected = scan(&sets, address);
                let matched = map.matched(address).map(|(prefix, place)| (prefix, places.get(place).unwrap().to_string()));
                prop_assert_eq!(&matched, &expected, "matched {}", address);
                let located = places.get(map.locate(address)).map(|place| place.to_string());
                prop_assert_eq!(located, expected.map(|(_, place)| place), "located {}", address);
            }
        }
    }
}
