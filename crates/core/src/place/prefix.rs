//! One prefix as a range source writes it.
//!
//! A wrong prefix moves thousands of users, so nothing is repaired here: a prefix is exact and of
//! a believable size, or its whole file is refused.

use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::excerpt;

/// The widest IPv4 prefix that is believed. The widest that a cloud publishes is a /11.
const WIDEST_IPV4: u8 = 8;
/// The widest IPv6 prefix that is believed.
const WIDEST_IPV6: u8 = 19;

/// Why a prefix is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrefixError {
    /// Not `address/length`.
    #[error("{0:?} is not a prefix: write it like `192.0.2.0/24` or `2001:db8::/32`")]
    NotCidr(String),
    /// The address says more than the length allows; which of them is wrong cannot be known.
    #[error("`{written}` has host bits set: write `{network}`, or `{}/{}` for the one address", .written.addr(), .written.max_prefix_len())]
    HostBits {
        /// The prefix as written.
        written: IpNet,
        /// The network of that length.
        network: IpNet,
    },
    /// No cloud is this large; the whole internet would be moved by a typing error.
    #[error(
        "`{0}` is wider than /{WIDEST_IPV4} (IPv4, also when written as IPv4-mapped IPv6) or /{WIDEST_IPV6} (IPv6): split it, if it is true"
    )]
    TooWide(IpNet),
}

/// Parses a prefix. An IPv4-mapped one (`::ffff:192.0.2.0/120`) is the IPv4 prefix that it
/// carries, as [`PrefixMap::locate`](super::PrefixMap::locate) has it for addresses.
pub(super) fn parse_prefix(text: &str) -> Result<IpNet, PrefixError> {
    let written: IpNet = text.parse().map_err(|_| PrefixError::NotCidr(excerpt(text)))?;
    let network = written.trunc();
    if written != network {
        return Err(PrefixError::HostBits { written, network });
    }
    let prefix = match network {
        IpNet::V4(_) => network,
        IpNet::V6(network) => canonical(network),
    };
    let widest = match prefix {
        IpNet::V4(_) => WIDEST_IPV4,
        IpNet::V6(_) => WIDEST_IPV6,
    };
    if prefix.prefix_len() < widest {
        return Err(PrefixError::TooWide(written));
    }
    Ok(prefix)
}

/// A prefix within the IPv4-mapped block is an IPv4 one; a prefix around the block holds all of
/// IPv4, whatever else it holds.
fn canonical(network: Ipv6Net) -> IpNet {
    const MAPPED: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0);
    const MAPPED_LEN: u8 = 96;
    if network.prefix_len() < MAPPED_LEN && network.contains(&MAPPED) {
        return IpNet::V4(Ipv4Net::default());
    }
    let carried = network.addr().to_ipv4_mapped().and_then(|address| {
        let prefix_len = network.prefix_len().checked_sub(MAPPED_LEN)?;
        Ipv4Net::new(address, prefix_len).ok()
    });
    carried.map_or(IpNet::V6(network), IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_exact_and_believable_is_taken() {
        for (written, parsed) in [
            ("3.5.140.0/22", "3.5.140.0/22"),
            ("8.0.0.0/8", "8.0.0.0/8"),
            ("255.255.255.255/32", "255.255.255.255/32"),
            ("2600::/19", "2600::/19"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
            ("::1/128", "::1/128"),
            ("::/96", "::/96"),
            ("::ffff:3.5.140.0/118", "3.5.140.0/22"),
            ("::ffff:3.0.0.0/104", "3.0.0.0/8"),
            ("::ffff:3.5.140.1/128", "3.5.140.1/32"),
        ] {
            assert_eq!(
                parse_prefix(written).map(|prefix| prefix.to_string()),
                Ok(parsed.to_owned())
            );
        }
    }

    #[test]
    fn what_is_not_a_prefix_is_refused() {
        for text in [
            "",
            "/",
            "3.5.140.1",
            "3.5.140.0/33",
            "3.5.140/22",
            "2600::/129",
            "::/-1",
            "3.5.140.0/22 x",
            "٣.0.0.0/8",
        ] {
            assert_eq!(parse_prefix(text), Err(PrefixError::NotCidr(text.to_owned())));
        }
    }

    #[test]
    fn host_bits_are_refused_with_both_cures() {
        let message = parse_prefix("3.5.140.1/22").unwrap_err().to_string();
        assert_eq!(
            message,
            "`3.5.140.1/22` has host bits set: write `3.5.140.0/22`, or `3.5.140.1/32` for the one address"
        );
        assert!(matches!(parse_prefix("2600::1/64"), Err(PrefixError::HostBits { .. })));
        assert!(matches!(parse_prefix("::ffff:3.5.140.1/118"), Err(PrefixError::HostBits { .. })));
    }

    #[test]
    fn a_prefix_wider_than_any_cloud_is_refused() {
        for text in [
            "0.0.0.0/0",
            "8.0.0.0/7",
            "::/0",
            "2000::/18",
            "::ffff:0:0/96",
            "::ffff:8.0.0.0/103",
            "::fffe:0:0/95",
            "::/80",
            "::/19",
        ] {
            assert_eq!(parse_prefix(text), Err(PrefixError::TooWide(text.parse().unwrap())));
        }
    }
}
