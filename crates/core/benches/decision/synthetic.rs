//! Address ranges as clouds publish them, and random numbers, from a seed.

#![expect(clippy::cast_possible_truncation, reason = "random bits are cut to size on purpose")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const PREFIXES: usize = 20_000;
const REGIONS: usize = 60;

/// How many of 7,808 IPv4 prefixes have which length, from /11, in AWS's file of July 2026.
const IPV4_LENGTHS: [u32; 22] = [
    2, 11, 27, 61, 193, 380, 62, 98, 47, 128, 207, 478, 543, 1757, 257, 496, 310, 316, 491, 189,
    501, 1254,
];

/// Prefixes as lines of `cidr,provider,region`, no prefix twice: of many lengths, nested, crowded
/// into few parts of the address space.
pub(crate) fn ranges(random: &mut Random) -> String {
    let total: u32 = IPV4_LENGTHS.iter().sum();
    let mut lines = BTreeMap::new();
    while lines.len() < PREFIXES {
        let prefix = if random.below(5) == 0 {
            let length = [36, 40, 40, 40, 48, 56][random.below(6)];
            let address = 0x2600_u128 << 112 | u128::from(random.next()) << 48;
            format!("{}/{length}", Ipv6Addr::from_bits(address >> (128 - length) << (128 - length)))
        } else {
            let length = ipv4_length(random.below(total as usize) as u32);
            let block = [3, 13, 18, 34, 35, 52, 54, 99][random.below(8)];
            let address = block << 24 | random.next() as u32 >> 8;
            format!("{}/{length}", Ipv4Addr::from_bits(address >> (32 - length) << (32 - length)))
        };
        lines.insert(prefix, random.below(REGIONS));
    }
    let line = |(prefix, region): (String, usize)| {
        format!("{prefix},{},region-{region}\n", ["aws", "gcp", "azure"][region % 3])
    };
    lines.into_iter().map(line).collect()
}

/// The length of AWS's `nth` prefix when they are sorted by length.
fn ipv4_length(mut nth: u32) -> u32 {
    let mut length = 11;
    for count in IPV4_LENGTHS {
        let Some(rest) = nth.checked_sub(count) else { break };
        (nth, length) = (rest, length + 1);
    }
    length
}

/// An address near the beginning of a prefix.
pub(crate) fn inside(start: IpAddr, random: &mut Random) -> IpAddr {
    match start {
        IpAddr::V4(start) => Ipv4Addr::from_bits(start.to_bits() | random.below(16) as u32).into(),
        IpAddr::V6(start) => {
            Ipv6Addr::from_bits(start.to_bits() | u128::from(random.next())).into()
        }
    }
}

/// `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
