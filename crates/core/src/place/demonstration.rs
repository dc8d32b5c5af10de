//! A small built-in table, so that a front without any range file can be tried out.
//!
//! It is a demonstration: a few dozen prefixes of AWS and Google Cloud as both published them in
//! July 2026, far from complete. Whoever serves users configures the providers' own files.

use super::{RangeFormat, RangeSet};

const CSV: &str = "\
44.192.0.0/11,aws,us-east-1
34.192.0.0/12,aws,us-east-1
2600:1f18::/33,aws,us-east-1
3.136.0.0/13,aws,us-east-2
3.144.0.0/13,aws,us-east-2
18.216.0.0/14,aws,us-east-2
3.16.0.0/14,aws,us-east-2
18.224.0.0/14,aws,us-east-2
2600:1f16::/34,aws,us-east-2
44.224.0.0/11,aws,us-west-2
35.80.0.0/12,aws,us-west-2
2600:1f14::/34,aws,us-west-2
34.248.0.0/13,aws,eu-west-1
52.208.0.0/13,aws,eu-west-1
2a05:d018::/35,aws,eu-west-1
3.64.0.0/12,aws,eu-central-1
35.156.0.0/14,aws,eu-central-1
2a05:d014::/35,aws,eu-central-1
35.72.0.0/13,aws,ap-northeast-1
52.196.0.0/14,aws,ap-northeast-1
2406:da14::/35,aws,ap-northeast-1
3.5.140.0/22,aws,ap-northeast-2
3.36.0.0/14,aws,ap-northeast-2
2406:da22::/36,aws,ap-northeast-2
47.128.0.0/14,aws,ap-southeast-1
2406:da18::/35,aws,ap-southeast-1
15.228.0.0/15,aws,sa-east-1
2600:1f1e::/36,aws,sa-east-1
3.160.0.0/14,aws,global
2600:9000:1000::/36,aws,global
34.28.0.0/14,gcp,us-central1
34.56.0.0/14,gcp,us-central1
34.68.0.0/14,gcp,us-central1
34.132.0.0/14,gcp,us-central1
34.44.0.0/15,gcp,us-central1
2600:1900:4000::/44,gcp,us-central1
34.48.0.0/16,gcp,us-east4
35.245.0.0/16,gcp,us-east4
2600:1900:4090::/44,gcp,us-east4
34.82.0.0/15,gcp,us-west1
34.168.0.0/15,gcp,us-west1
2600:1900:4040::/44,gcp,us-west1
34.76.0.0/14,gcp,europe-west1
34.140.0.0/16,gcp,europe-west1
2600:1900:4010::/44,gcp,europe-west1
34.90.0.0/15,gcp,europe-west4
35.204.0.0/16,gcp,europe-west4
2600:1900:4060::/44,gcp,europe-west4
34.84.0.0/16,gcp,asia-northeast1
34.146.0.0/16,gcp,asia-northeast1
2600:1900:4050::/44,gcp,asia-northeast1
34.124.128.0/17,gcp,asia-southeast1
2600:1900:4080::/44,gcp,asia-southeast1
34.36.0.0/16,gcp,global
2600:1901::/48,gcp,global
";

/// The demonstration's ranges: several regions of `aws` and `gcp`, IPv4 and IPv6.
pub fn demonstration() -> RangeSet {
    RangeSet::parse(RangeFormat::Csv, CSV.as_bytes(), None).expect("a constant, parsed by a test")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::{Places, PrefixMap};
    use super::*;

    #[test]
    fn the_table_parses_and_places_the_addresses_that_are_tried_first() {
        let mut places = Places::default();
        let table = demonstration();
        let map = PrefixMap::build(&mut places, [&table]).unwrap();
        for (address, place) in [
            ("3.5.140.1", Some("aws/ap-northeast-2")),
            ("3.144.0.1", Some("aws/us-east-2")),
            ("2600:1f16::1", Some("aws/us-east-2")),
            ("34.68.0.1", Some("gcp/us-central1")),
            ("2600:1900:4000::1", Some("gcp/us-central1")),
            ("127.0.0.1", None),
            ("192.0.2.1", None),
            ("::1", None),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let located = places.get(map.locate(address)).map(|place| place.to_string());
            assert_eq!(located.as_deref(), place, "{address}");
        }
        assert_eq!(table.len(), CSV.lines().count());
        assert_eq!((table.contradictions(), map.conflicts()), (0, 0));
    }
}
