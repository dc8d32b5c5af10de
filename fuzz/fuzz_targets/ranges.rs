//! Range files in all formats: what parses is a map that agrees with the set's own list.
//!
//! The first byte says which format.
#![no_main]

use std::net::IpAddr;

use ipnet::IpNet;
use landbridge_core::place::{Place, Places, PrefixMap, RangeFormat, RangeSet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((format, file)) = bytes.split_first() else { return };
    let format = match format {
        b'a' => RangeFormat::Aws,
        b'g' => RangeFormat::Gcp,
        b'z' => RangeFormat::Azure,
        _ => RangeFormat::Csv,
    };
    let set = match RangeSet::parse(format, file, Some("fallback")) {
        Ok(set) => set,
        Err(error) => {
            assert!(error.to_string().len() < 1_000, "a message stays short");
            return;
        }
    };
    let listed: Vec<(IpNet, Place<'_>)> = set.iter().collect();
    assert!(!listed.is_empty() && listed.len() == set.len());
    assert!(listed.is_sorted_by(|a, b| a.0 < b.0), "sorted, and no prefix twice");
    for (prefix, _) in &listed {
        let widest = if prefix.addr().is_ipv4() { 8 } else { 19 };
        assert!(*prefix == prefix.trunc() && prefix.prefix_len() >= widest, "{prefix}");
    }
    let mut places = Places::default();
    let map = PrefixMap::build(&mut places, [&set]).expect("one source of few places");
    assert_eq!((map.prefix_count(), map.conflicts()), (listed.len(), 0));
    // Brute force at the edges of some prefixes and just outside of them.
    for (prefix, _) in listed.iter().take(32) {
        let edges = [prefix.network(), prefix.broadcast()];
        let [below, above] = edges.map(bits);
        let outside = [below.wrapping_sub(1), above.wrapping_add(1)].map(|at| address(*prefix, at));
        for client in edges.into_iter().chain(outside) {
            let expected = (listed.iter().filter(|(prefix, _)| prefix.contains(&client)))
                .max_by_key(|(prefix, _)| prefix.prefix_len());
            assert_eq!(
                places.get(map.locate(client)),
                expected.map(|(_, place)| *place),
                "{client}"
            );
            let matched = map.matched(client).map(|(prefix, _)| prefix);
            assert_eq!(matched, expected.map(|(prefix, _)| *prefix), "{client}");
        }
    }
});

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// An address of the prefix's family.
fn address(prefix: IpNet, bits: u128) -> IpAddr {
    match prefix {
        IpNet::V4(_) => IpAddr::V4((bits as u32).into()),
        // Some are IPv4 addresses in IPv6 clothes.
        IpNet::V6(_) => IpAddr::V6(bits.into()).to_canonical(),
    }
}
