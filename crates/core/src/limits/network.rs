//! Networks of clients, and who is exempt.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// How much of an address is its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixLengths {
    /// Of 32 bits.
    pub v4: u8,
    /// Of 128 bits, at most 64: what lies below is one client's own.
    pub v6: u8,
}

impl Default for PrefixLengths {
    /// /24 and /56: what providers give to one office or household at most.
    fn default() -> Self {
        Self { v4: 24, v6: 56 }
    }
}

/// A client's network. What is not in it is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(u64);

/// What stands before an IPv4 network: within `::/8`, which no client has (RFC 4291, section 2.4).
const V4: u64 = 1 << 32;

impl Network {
    /// The network of an address. An IPv4-mapped one is the IPv4 address that it carries.
    pub fn of(address: IpAddr, lengths: PrefixLengths) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => V4 | upper(u64::from(address.to_bits()) << 32, lengths.v4) >> 32,
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                upper(a << 48 | b << 32 | c << 16 | d, lengths.v6)
            }
        })
    }

    /// The network, as people write it. `lengths` are those that it was made with.
    pub fn cidr(self, lengths: PrefixLengths) -> IpNet {
        if let Ok(bits) = u32::try_from(self.0 ^ V4) {
            return Ipv4Net::new_assert(Ipv4Addr::from_bits(bits), lengths.v4.min(32)).into();
        }
        let address = Ipv6Addr::from_bits(u128::from(self.0) << 64);
        Ipv6Net::new_assert(address, lengths.v6.min(64)).into()
    }

    /// A number to tell networks apart by.
    pub fn key(self) -> u64 {
        self.0
    }

    pub(super) fn from_key(key: u64) -> Self {
        Self(key)
    }
}

/// The first `length` of 64 bits.
fn upper(bits: u64, length: u8) -> u64 {
    bits & !u64::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

/// Addresses that no limit is about.
#[derive(Debug, Clone, Default)]
pub struct Exempt {
    /// First and last of each range, IPv4 as mapped; sorted, and none within another.
    ranges: Vec<(u128, u128)>,
}

impl Exempt {
    /// Those in `networks`.
    pub fn new(networks: &[IpNet]) -> Self {
        let mut ranges: Vec<_> =
            networks.iter().map(|net| (number(net.network()), number(net.broadcast()))).collect();
        ranges.sort_by_key(|&(first, last)| (first, std::cmp::Reverse(last)));
        // Networks contain one another or are apart.
        ranges.dedup_by(|inner, outer| inner.1 <= outer.1);
        Self { ranges }
    }

    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = number(address);
        let after = self.ranges.partition_point(|&(first, _)| first <= address);
        after.checked_sub(1).is_some_and(|at| address <= self.ranges[at].1)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits()
}
