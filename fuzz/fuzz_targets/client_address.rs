//! The client's address: nothing that a client sends reaches past what the proxies wrote.
//!
//! The input is the lines that the client made up, separated by line feeds.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use landbridge_core::client_address::{
    ClientNetwork, ForwardedHeader, TrustedProxies, client_address,
};
use libfuzzer_sys::fuzz_target;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fuzz_target!(|forged: &[u8]| {
    let trusted =
        TrustedProxies::Cidrs(vec![IpNet::new_assert(Ipv4Addr::new(10, 0, 0, 0).into(), 8)]);
    let forged: Vec<&[u8]> = forged.split(|&byte| byte == b'\n').collect();
    let with = |own: &'static [u8]| forged.iter().copied().chain([own]);

    for (header, own) in [
        (ForwardedHeader::XForwardedFor, [&b"192.0.2.1"[..], b"192.0.2.1, 10.1.1.1"]),
        (ForwardedHeader::Forwarded, [&b"for=192.0.2.1"[..], b"for=192.0.2.1, for=10.1.1.1"]),
    ] {
        let lines = || forged.iter().copied();
        let ask = |peer, trusted: &TrustedProxies| client_address(peer, header, lines(), trusted);
        // Forged lines alone do nothing without a proxy, or from a peer that is none.
        assert_eq!(ask(PROXY, &TrustedProxies::None), PROXY);
        assert_eq!(ask(CLIENT, &trusted), CLIENT);
        let through = ask(PROXY, &trusted);
        assert_eq!(through, through.to_canonical());
        let _network = ClientNetwork::of(through);

        // What the own proxies appended decides, whatever was there before, by either rule.
        for (hops, own) in (1..).zip(own) {
            assert_eq!(client_address(PROXY, header, with(own), &trusted), CLIENT);
            let counted = TrustedProxies::Hops(hops);
            assert_eq!(client_address(PROXY, header, with(own), &counted), CLIENT);
        }
        // A proxy may also append to the client's last line instead of adding its own.
        let mut joined = forged.join(&b'\n');
        joined.retain(|byte| *byte != b'\n');
        joined.push(b',');
        joined.extend_from_slice(own[0]);
        assert_eq!(client_address(PROXY, header, [&joined[..]], &trusted), CLIENT);
    }
});
