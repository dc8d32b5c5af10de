//! Azure's service tags.
//!
//! Of some thousand tags two kinds say where an address is: `AzureCloud.REGION` lists the addresses
//! of one region, and `AzureCloud` those of all Azure, so that what it alone lists is in no one
//! region. The other tags list addresses once more, by service, and are skipped.
//!
//! Regions are called as the file calls them. For some this is not the name that the rest of
//! Azure uses: `centralfrance` (francecentral), `germanywc`, `norwaye`, `switzerlandn` and others.
//! <https://learn.microsoft.com/azure/virtual-network/service-tags-overview>

use std::borrow::Cow;

use serde::Deserialize;

use super::range_set::Draft;
use super::{GLOBAL, RangeError, RangeFormat, RangeSet, excerpt};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    change_number: Option<u64>,
    #[serde(borrow)]
    values: Vec<Tag<'a>>,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties<'a> {
    #[serde(borrow)]
    region: Cow<'a, str>,
    #[serde(borrow)]
    address_prefixes: Vec<Cow<'a, str>>,
}

impl Tag<'_> {
    /// The region whose addresses the tag lists, if it lists a region's.
    fn region(&self) -> Option<&str> {
        if self.name == "AzureCloud" {
            return Some(GLOBAL);
        }
        self.name.starts_with("AzureCloud.").then_some(&*self.properties.region)
    }
}

pub(super) fn parse(bytes: &[u8], provider: &str) -> Result<RangeSet, RangeError> {
    let file: File<'_> = serde_json::from_slice(bytes)
        .map_err(|error| RangeError::json(RangeFormat::Azure, &error))?;
    let mut draft = Draft::default();
    for tag in &file.values {
        let Some(region) = tag.region() else { continue };
        for (n, prefix) in tag.properties.address_prefixes.iter().enumerate() {
            let added = draft.add(prefix, provider, region);
            added.map_err(|error| {
                error.at(format_args!("tag {:?}, addressPrefixes[{n}]", excerpt(&tag.name)))
            })?;
        }
    }
    draft.finish(RangeFormat::Azure, file.change_number.map(|number| number.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::range_set::tests::{listing, refusal};
    use super::*;

    #[test]
    fn regions_come_from_the_cloud_tags_only() {
        let set = parse(
            br#"{
              "changeNumber": 412, "cloud": "Public",
              "values": [
                {"name": "Storage.WestUS", "id": "Storage.WestUS", "properties": {"changeNumber": 3, "region": "westus",
                  "regionId": 1, "platform": "Azure", "systemService": "AzureStorage",
                  "addressPrefixes": ["192.0.2.0/26", "203.0.113.0/24"], "networkFeatures": ["API"]}},
                {"name": "AzureCloud.eastus2", "id": "AzureCloud.eastus2", "properties": {"changeNumber": 9, "region": "eastus2",
                  "regionId": 33, "platform": "Azure", "systemService": "",
                  "addressPrefixes": ["192.0.2.0/25", "2001:db8:1::/48"], "networkFeatures": null}},
                {"name": "AzureCloud", "id": "AzureCloud", "properties": {"changeNumber": 40, "region": "",
                  "regionId": 0, "platform": "Azure", "systemService": "",
                  "addressPrefixes": ["192.0.2.0/25", "198.51.100.0/24", "2001:db8:1::/48"], "networkFeatures": null}}
              ]
            }"#,
            "azure",
        )
        .unwrap();
        let expected = [
            "192.0.2.0/25 azure/eastus2",
            "198.51.100.0/24 azure/global",
            "2001:db8:1::/48 azure/eastus2",
        ];
        assert_eq!(listing(&set), expected);
        assert_eq!(set.version(), Some("412"));
        assert_eq!(set.contradictions(), 0);
    }

    #[test]
    fn a_refusal_names_the_tag() {
        for (file, message) in [
            (
                r#"{"values": [{"name": "AzureCloud.x", "properties": {"region": "x", "addressPrefixes": ["192.0.2.0/24", "::/0"]}}]}"#,
                "tag \"AzureCloud.x\", addressPrefixes[1]: `::/0` is wider than /8 (IPv4, also when written as IPv4-mapped IPv6) or /19 (IPv6): split it, if it is true",
            ),
            (
                r#"{"values": [{"name": "AzureCloud.x", "properties": {"region": "", "addressPrefixes": ["192.0.2.0/24"]}}]}"#,
                "tag \"AzureCloud.x\", addressPrefixes[0]: the name \"\" is not a provider or region: write 1 to 63 letters, digits, `-`, `_` or `.`",
            ),
            (
                r#"{"values": [{"name": "Storage", "properties": {"region": "", "addressPrefixes": ["192.0.2.0/24"]}}]}"#,
                "no prefix in it: is it the whole file, and is it Azure service tags?",
            ),
        ] {
            assert_eq!(refusal(RangeFormat::Azure, file.as_bytes()), message);
        }
    }
}
