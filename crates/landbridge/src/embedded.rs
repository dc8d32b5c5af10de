//! The topology of a first try: an origin and two mirrors in one directory, behind one front.
//!
//! It is an ordinary configuration, made here and read like any file, so that nothing works only
//! without one: `landbridge config show` prints it.
//!
//! ```text
//! landbridge-data/
//!   origin/                  the authority: objects, generations, signed pointers, what is pushed
//!   mirrors/aws-us-east-2/   stands for a bucket in AWS
//!   mirrors/gcp-us-central1/ stands for one in Google Cloud
//!   keys/                    the signing key and its public half
//!   records/                 access records
//! ```

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ipnet::{Ipv4Net, Ipv6Net};

use crate::cli::LocalRanges;
use crate::config::Source;
use crate::config::raw::copies::{
    Authority, Delivery, Embedded, Layout, Mirror, Origin, Registry, Route, Share, Site,
};
use crate::config::raw::own::Own;
use crate::config::raw::{Cache, Format, Proxies, Ranges, Raw, Records};
use crate::config::scalar::{FilePath, Host, Name, Network, Period, PlaceName, StoreUrl};
use crate::exit::{OrExit as _, Outcome};

/// The catalog that is published below a data directory.
pub(crate) const CATALOG: &str = "landbridge-data";
/// The one who says which names mean what.
pub(crate) const ORIGIN: &str = "origin";

/// Where AWS and Google publish their ranges:
/// <https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-ranges.html>,
/// <https://cloud.google.com/compute/docs/faq#find_ip_range>.
const AWS_RANGES: &str = "https://ip-ranges.amazonaws.com/ip-ranges.json";
const GCP_RANGES: &str = "https://www.gstatic.com/ipranges/cloud.json";

/// A mirror of the topology: where it pretends to be.
struct Pretended {
    provider: &'static str,
    region: &'static str,
}

const MIRRORS: [Pretended; 2] = [
    Pretended { provider: "aws", region: "us-east-2" },
    Pretended { provider: "gcp", region: "us-central1" },
];

impl Pretended {
    fn name(&self) -> String {
        format!("{}-{}", self.provider, self.region)
    }
}

/// A data directory: where in it what lies.
#[derive(Debug, Clone)]
pub(crate) struct DataDirectory {
    root: PathBuf,
}

impl DataDirectory {
    /// The directory at `path`, which need not exist yet.
    pub(crate) fn at(path: &Path) -> anyhow::Result<Self> {
        let root = std::path::absolute(path)
            .with_context(|| format!("cannot tell where `{}` is", path.display()))?;
        Ok(Self { root })
    }

    /// The directory itself, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.root
    }

    /// The origin's bucket.
    pub(crate) fn origin(&self) -> PathBuf {
        self.root.join("origin")
    }

    /// The mirrors' names, providers and buckets.
    pub(crate) fn mirrors(&self) -> impl Iterator<Item = (String, &'static str, PathBuf)> {
        let path = |mirror: &Pretended| self.root.join("mirrors").join(mirror.name());
        MIRRORS.iter().map(move |mirror| (mirror.name(), mirror.provider, path(mirror)))
    }

    /// The signing key.
    pub(crate) fn key(&self) -> PathBuf {
        self.root.join("keys/landbridge.pem")
    }

    /// The key with which its pointers are checked.
    pub(crate) fn public_key(&self) -> PathBuf {
        self.root.join("keys/landbridge.pem.pub")
    }

    /// The configuration of the topology in this directory; `public_key` is PEM text or a file.
    fn configuration(&self, public_key: String, ranges: LocalRanges) -> Raw {
        let text = |path: &Path| FilePath::literal(&path.display().to_string());
        let copies = || MIRRORS.iter().map(|mirror| Name::literal(&mirror.name()));
        let origin = Origin {
            name: Some(Name::literal(ORIGIN)),
            provider: None,
            region: None,
            prices: None,
            operator: None,
            registry: Some(Registry {
                url: None,
                repository_prefix: None,
                credentials: None,
                delivery: Delivery::Proxy,
            }),
            store: Some(Authority {
                url: Some(StoreUrl::of_directory(&self.origin())),
                layout: Layout::Blobs,
                public_url: None,
                catalog: Some(CATALOG.to_owned()),
                keys: Some(vec![public_key]),
                threshold: Authority::threshold(),
                minimum_sequence: 0,
                poll: Period::seconds(1),
                exported: None,
                retain: Authority::retain(),
            }),
        };
        let mirrors = (MIRRORS.iter().zip(self.mirrors()))
            .map(|(mirror, (name, _, directory))| Mirror {
                prices: None,
                operator: None,
                name: Some(Name::literal(&name)),
                provider: Some(PlaceName::literal(mirror.provider)),
                region: Some(PlaceName::literal(mirror.region)),
                bucket: None,
                registry: None,
                embedded: Some(Embedded {
                    store: Some(StoreUrl::of_directory(&directory)),
                    layout: Layout::Blobs,
                }),
            })
            .collect();
        // Any other region of a provider is its mirror's neighbour.
        let routes = (MIRRORS.iter())
            .map(|mirror| Route {
                provider: Some(PlaceName::literal(mirror.provider)),
                region: None,
                copies: Some(vec![Name::literal(&mirror.name())]),
            })
            .collect();
        let site = Site {
            name: Some(Name::literal("local")),
            hosts: Some(vec![Host::literal("*")]),
            origin: Some(Name::literal(ORIGIN)),
            mirrors: None,
            delay: Site::delay(),
            pinned: None,
            routes,
            default: copies()
                .map(|name| Share { copy: Some(name), weight: Share::weight() })
                .collect(),
            overflow: Vec::new(),
            delivery: Delivery::Redirect,
            catalog_api: true,
            status: true,
            legacy: None,
            pages: BTreeMap::new(),
        };
        Raw {
            // Whoever tries it out may play a client in another cloud with curl.
            trusted_proxies: Some(Proxies { cidrs: Some(loopback()), ..Proxies::default() }),
            ranges: address_ranges(ranges),
            origins: vec![origin],
            origin: Some(Own {
                store: Some(StoreUrl::of_directory(&self.origin())),
                ..Own::default()
            }),
            mirrors,
            sites: vec![site],
            records: Records { directory: text(&self.root.join("records")), ..Records::default() },
            // What was pushed a moment ago is asked for now.
            cache: Cache {
                directory: Some(text(&self.root.join("cache"))),
                tag_fresh: Period::seconds(1),
                absent: Period::seconds(1),
                ..Cache::default()
            },
            ..Raw::default()
        }
    }
}

/// The small table; what providers publish takes its place as soon as all of it is there.
fn address_ranges(which: LocalRanges) -> Vec<Ranges> {
    let source = |name, format, url: Option<&str>| Ranges {
        name: Some(Name::literal(name)),
        format,
        provider: None,
        file: None,
        // A test reads them back.
        url: url.and_then(|url| url.parse().ok()),
        demonstration: url.is_none(),
        refresh: Ranges::refresh(),
    };
    let demonstration = source("demonstration", None, None);
    match which {
        LocalRanges::Demonstration => vec![demonstration],
        LocalRanges::Published => vec![
            demonstration,
            source("aws", Some(Format::Aws), Some(AWS_RANGES)),
            source("gcp", Some(Format::Gcp), Some(GCP_RANGES)),
        ],
    }
}

fn loopback() -> Vec<Network> {
    let v4 = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);
    let v6 = Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128);
    vec![Network(v4.into()), Network(v6.into())]
}

/// The configuration of the topology in `data`, as text. The key by which its pointers are checked
/// stands in it as itself if there is one, so that what `landbridge config show` prints can be
/// used elsewhere; else as the file that it will have.
pub(crate) fn source(data: &DataDirectory, ranges: LocalRanges) -> Outcome<Source> {
    let key = data.public_key();
    let pem = std::fs::read_to_string(&key).unwrap_or_else(|_| key.display().to_string());
    Source::of(&data.configuration(pem, ranges), "the local topology", data.path()).or_failed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_ranges_stand_behind_the_small_table() {
        let sources = address_ranges(LocalRanges::Published);
        let urls: Vec<_> =
            sources.iter().map(|s| s.url.as_ref().map(ToString::to_string)).collect();
        assert_eq!(urls, [None, Some(AWS_RANGES.to_owned()), Some(GCP_RANGES.to_owned())]);
        assert!(sources[0].demonstration && address_ranges(LocalRanges::Demonstration).len() == 1);
    }
}
