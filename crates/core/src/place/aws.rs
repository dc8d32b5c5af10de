//! AWS's `ip-ranges.json`.
//!
//! A prefix is listed once for every service that uses it; `AMAZON` lists nearly all of them, and
//! the service does not matter here. The CDN's and other edges' prefixes are of region
//! `GLOBAL`, often around the prefix of one region: the longest prefix decides.
//! <https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html>

use std::borrow::Cow;

use serde::Deserialize;

use super::range_set::Draft;
use super::{RangeError, RangeFormat, RangeSet};

#[derive(Deserialize)]
struct File<'a> {
    #[serde(rename = "syncToken")]
    sync_token: Option<String>,
    #[serde(borrow)]
    prefixes: Vec<Ipv4Entry<'a>>,
    #[serde(borrow, default)]
    ipv6_prefixes: Vec<Ipv6Entry<'a>>,
}

#[derive(Deserialize)]
struct Ipv4Entry<'a> {
    #[serde(borrow)]
    ip_prefix: Cow<'a, str>,
    #[serde(borrow)]
    region: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Ipv6Entry<'a> {
    #[serde(borrow)]
    ipv6_prefix: Cow<'a, str>,
    #[serde(borrow)]
    region: Cow<'a, str>,
}

pub(super) fn parse(bytes: &[u8], provider: &str) -> Result<RangeSet, RangeError> {
    let file: File<'_> = serde_json::from_slice(bytes)
        .map_err(|error| RangeError::json(RangeFormat::Aws, &error))?;
    let mut draft = Draft::default();
    for (n, entry) in file.prefixes.iter().enumerate() {
        let added = draft.add(&entry.ip_prefix, provider, &entry.region);
        added.map_err(|error| error.at(format_args!("prefixes[{n}]")))?;
    }
    for (n, entry) in file.ipv6_prefixes.iter().enumerate() {
        let added = draft.add(&entry.ipv6_prefix, provider, &entry.region);
        added.map_err(|error| error.at(format_args!("ipv6_prefixes[{n}]")))?;
    }
    draft.finish(RangeFormat::Aws, file.sync_token)
}

#[cfg(test)]
mod tests {
    use super::super::range_set::tests::{listing, refusal};
    use super::*;

    #[test]
    fn a_prefix_of_several_services_is_one_prefix_of_its_region() {
        let set = parse(
            br#"{
              "syncToken": "1785313625", "createDate": "2026-07-29-08-27-05",
              "prefixes": [
                {"ip_prefix": "198.51.100.0/24", "region": "GLOBAL", "service": "AMAZON", "network_border_group": "GLOBAL"},
                {"ip_prefix": "192.0.2.0/25", "region": "us-east-2", "service": "AMAZON", "network_border_group": "us-east-2"},
                {"ip_prefix": "192.0.2.0/25", "region": "us-east-2", "service": "S3", "network_border_group": "us-east-2-lax-1"}
              ],
              "ipv6_prefixes": [
                {"ipv6_prefix": "2001:db8::/40", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"}
              ]
            }"#,
            "aws",
        )
        .unwrap();
        let expected = [
            "192.0.2.0/25 aws/us-east-2",
            "198.51.100.0/24 aws/global",
            "2001:db8::/40 aws/eu-west-1",
        ];
        assert_eq!(listing(&set), expected);
        assert_eq!(set.version(), Some("1785313625"));
        assert_eq!(set.contradictions(), 0);
    }

    #[test]
    fn a_named_region_is_preferred_and_the_order_of_the_file_does_not_matter() {
        let entry = |region| format!(r#"{{"ip_prefix": "192.0.2.0/25", "region": "{region}"}}"#);
        for regions in [["GLOBAL", "us-west-1", "us-east-2"], ["us-west-1", "us-east-2", "GLOBAL"]]
        {
            let file = format!(r#"{{"prefixes": [{}]}}"#, regions.map(entry).join(","));
            let set = parse(file.as_bytes(), "aws").unwrap();
            assert_eq!(listing(&set), ["192.0.2.0/25 aws/us-east-2"]);
            assert_eq!(set.contradictions(), 1);
            assert_eq!(set.version(), None);
        }
    }

    #[test]
    fn a_refusal_names_the_entry() {
        for (file, message) in [
            (
                r#"{"prefixes": [{"ip_prefix": "192.0.2.0/24", "region": "x"}, {"ip_prefix": "192.0.2.1/24", "region": "x"}]}"#,
                "prefixes[1]: `192.0.2.1/24` has host bits set: write `192.0.2.0/24`, or `192.0.2.1/32` for the one address",
            ),
            (
                r#"{"prefixes": [], "ipv6_prefixes": [{"ipv6_prefix": "nonsense", "region": "x"}]}"#,
                "ipv6_prefixes[0]: \"nonsense\" is not a prefix: write it like `192.0.2.0/24` or `2001:db8::/32`",
            ),
            (
                r#"{"prefixes": [{"ip_prefix": "192.0.2.0/24", "region": "a\nb"}]}"#,
                "prefixes[0]: the name \"a\\nb\" is not a provider or region: write 1 to 63 letters, digits, `-`, `_` or `.`",
            ),
            (
                r#"{"prefixes": []}"#,
                "no prefix in it: is it the whole file, and is it AWS ip-ranges.json?",
            ),
            (
                r#"{"prefixes": [{"ip_prefix": "192.0.2.0/24"}]}"#,
                "not the format of AWS ip-ranges.json: line 1, column 43: missing field `region`",
            ),
            (
                r#"{"prefixes": [{"ip_"#,
                "not the format of AWS ip-ranges.json: line 1, column 19: EOF while parsing a string",
            ),
        ] {
            assert_eq!(refusal(RangeFormat::Aws, file.as_bytes()), message);
        }
    }
}
