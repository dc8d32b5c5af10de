//! Google Cloud's `cloud.json`.
//!
//! `scope` is the region. (`goog.json`, Google's own addresses, has no scopes and is refused.)
//! <https://www.gstatic.com/ipranges/cloud.json>

use std::borrow::Cow;

use serde::Deserialize;

use super::range_set::Draft;
use super::{EntryError, RangeError, RangeFormat, RangeSet};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    sync_token: Option<String>,
    #[serde(borrow)]
    prefixes: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    ipv4_prefix: Option<Cow<'a, str>>,
    #[serde(borrow)]
    ipv6_prefix: Option<Cow<'a, str>>,
    #[serde(borrow)]
    scope: Cow<'a, str>,
}

pub(super) fn parse(bytes: &[u8], provider: &str) -> Result<RangeSet, RangeError> {
    let file: File<'_> = serde_json::from_slice(bytes)
        .map_err(|error| RangeError::json(RangeFormat::Gcp, &error))?;
    let mut draft = Draft::default();
    for (n, entry) in file.prefixes.iter().enumerate() {
        let at = |error: EntryError| error.at(format_args!("prefixes[{n}]"));
        if entry.ipv4_prefix.is_none() && entry.ipv6_prefix.is_none() {
            return Err(at(EntryError::NoPrefix));
        }
        for prefix in [&entry.ipv4_prefix, &entry.ipv6_prefix].into_iter().flatten() {
            draft.add(prefix, provider, &entry.scope).map_err(at)?;
        }
    }
    draft.finish(RangeFormat::Gcp, file.sync_token)
}

#[cfg(test)]
mod tests {
    use super::super::range_set::tests::{listing, refusal};
    use super::*;

    #[test]
    fn the_scope_is_the_region() {
        let set = parse(
            br#"{
              "syncToken": "1785333953849", "creationTime": "2026-07-29T07:05:53.849365",
              "prefixes": [
                {"ipv4Prefix": "192.0.2.0/25", "service": "Google Cloud", "scope": "us-central1"},
                {"ipv6Prefix": "2001:db8::/44", "service": "Google Cloud", "scope": "europe-west1"},
                {"ipv4Prefix": "198.51.100.0/24", "service": "Google Cloud", "scope": "global"}
              ]
            }"#,
            "gcp",
        )
        .unwrap();
        let expected = [
            "192.0.2.0/25 gcp/us-central1",
            "198.51.100.0/24 gcp/global",
            "2001:db8::/44 gcp/europe-west1",
        ];
        assert_eq!(listing(&set), expected);
        assert_eq!(set.version(), Some("1785333953849"));
    }

    #[test]
    fn a_refusal_names_the_entry() {
        for (file, message) in [
            (
                r#"{"prefixes": [{"service": "Google Cloud", "scope": "x"}]}"#,
                "prefixes[0]: neither `ipv4Prefix` nor `ipv6Prefix`",
            ),
            (
                r#"{"prefixes": [{"ipv6Prefix": "2000::/3", "scope": "x"}]}"#,
                "prefixes[0]: `2000::/3` is wider than /8 (IPv4, also when written as IPv4-mapped IPv6) or /19 (IPv6): split it, if it is true",
            ),
            (
                r#"{"prefixes": [{"ipv4Prefix": "192.0.2.0/24"}]}"#,
                "not the format of Google cloud.json: line 1, column 44: missing field `scope`",
            ),
            (
                r#"{"prefixes": []}"#,
                "no prefix in it: is it the whole file, and is it Google cloud.json?",
            ),
        ] {
            assert_eq!(refusal(RangeFormat::Gcp, file.as_bytes()), message);
        }
    }
}
