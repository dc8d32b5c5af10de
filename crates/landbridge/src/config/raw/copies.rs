//! Origins, mirrors and sites as they are written: where objects are, and under which names.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::raw::failover::Overflow;
use crate::config::raw::health::Override;
use crate::config::raw::legacy::Legacy;
use crate::config::raw::prices::Prices;
use crate::config::scalar::{
    FilePath, Generation, Host, Name, Page, Period, PlaceName, Prefix, StoreUrl, WebUrl,
};

/// Where names come from: `registry`, `store`, or both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Origin {
    /// What it is called; unique among origins and mirrors.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Whose cloud it is in: `aws`, `gcp`, `azure`, or as the ranges call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// Which of the provider's regions it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// An OCI registry, asked while clients wait and remembered for a while. Beside a `store` it
    /// is asked only for what no generation there knows: what was pushed and is not published yet.
    /// A tag that the generation knows keeps the meaning that it has there until the next one is
    /// published, whatever was pushed to it since; lists of tags, referrers and repositories are
    /// of both. While the registry fails, everything that is published is served on; before the
    /// first generation is published, nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<Registry>,
    /// A bucket with generations and signed pointers: the authority for names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<Authority>,
    /// What its registry and its bucket charge, where that is not what the provider charges
    /// everyone. A directory, and a registry on this machine, charge nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prices: Option<Prices>,
    /// What an operator says of it until some moment, whatever probes find.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    pub(crate) operator: Option<Override>,
}

/// An OCI registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    /// Scheme and host. Without it, the file's own `origin`, wherever that listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<WebUrl>,
    /// What is put before each repository's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository_prefix: Option<Prefix>,
    /// With what to ask for a token. Without them the registry is asked anonymously.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) credentials: Option<Login>,
    /// How blobs that no mirror serves reach clients. A registry that wants a token, even an
    /// anonymous one, needs `proxy`: clients that are redirected do not ask for it.
    #[serde(default)]
    pub(crate) delivery: Delivery,
}

/// A user of a registry, with exactly one of `password_file` and `password_variable`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The user's name.
    #[schemars(required)]
    pub(crate) username: Option<String>,
    /// A file that holds the password and nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_file: Option<FilePath>,
    /// The environment variable that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) password_variable: Option<String>,
}

/// A bucket that is the authority for names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Authority {
    /// The bucket as the front reads it: `s3://BUCKET`, `gs://BUCKET`, `az://CONTAINER` with
    /// credentials from the variables that those clouds' own tools read, or the path of a
    /// directory.
    #[schemars(required)]
    pub(crate) url: Option<StoreUrl>,
    /// How objects are named in it.
    #[serde(default)]
    pub(crate) layout: Layout,
    /// The address at which clients reach the bucket. Without it the front streams what no mirror
    /// serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<WebUrl>,
    /// The catalog that its pointers must name, so that one project's pointer cannot stand for
    /// another's.
    #[schemars(required)]
    pub(crate) catalog: Option<String>,
    /// Public keys whose signatures are believed: each a PEM file, or the PEM text itself.
    #[schemars(required)]
    pub(crate) keys: Option<Vec<String>>,
    /// How many different ones of them must have signed.
    #[schemars(range(min = 1))]
    #[serde(default = "Authority::threshold")]
    pub(crate) threshold: u16,
    /// Releases with a lower number are not believed, whoever signed them. A release more than
    /// 1,000 ahead of the one before it is not believed either, unless its number stands here.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) minimum_sequence: u64,
    /// How often a newer pointer is looked for.
    #[serde(default = "Authority::poll")]
    pub(crate) poll: Period,
    /// A file that `landbridge generation export` wrote, as in the image of a front: what is in it
    /// is served when neither a store answers nor the cache has anything newer, and verified as if
    /// it came from a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exported: Option<FilePath>,
    /// For how many releases before the current one digests are still answered, however old those
    /// are, so that a pull which began before a release ends well. Those of the last 48 hours are
    /// answered in any case.
    #[serde(default = "Authority::retain")]
    pub(crate) retain: u16,
}

// Serde gives a reference.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Authority {
    pub(crate) const fn threshold() -> u16 {
        1
    }

    pub(crate) const fn poll() -> Period {
        Period::seconds(10)
    }

    pub(crate) const fn retain() -> u16 {
        4
    }
}

/// How objects are named in a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Layout {
    /// `containers/images/sha256:HEX`, which buckets filled by other tools already use.
    ContainersImages,
    /// `blobs/sha256/HEX`.
    #[default]
    Blobs,
}

/// A place that holds objects: exactly one of `bucket`, `registry` and `embedded`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mirror {
    /// What it is called; unique among origins and mirrors.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Whose cloud it is in: `aws`, `gcp`, `azure`, or as the ranges call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// Which of the provider's regions it is in. Without one it serves by routes and defaults
    /// only, as a CDN does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// A bucket with a public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bucket: Option<Bucket>,
    /// Another registry that holds the same repositories and gives blobs to anyone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<MirrorRegistry>,
    /// A bucket that the front serves itself below `/-/mirror/NAME/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) embedded: Option<Embedded>,
    /// What it charges, where that is not what the provider charges everyone. A directory charges
    /// nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prices: Option<Prices>,
    /// What an operator says of it until some moment, whatever probes find.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    pub(crate) operator: Option<Override>,
}

/// A bucket with a public address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bucket {
    /// The public address that stands for the bucket's root.
    #[schemars(required)]
    pub(crate) url: Option<WebUrl>,
    /// How objects are named in it.
    #[serde(default)]
    pub(crate) layout: Layout,
    /// The bucket as the front reads it, to learn what it holds. Without it, what it holds is
    /// read through `url`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store: Option<StoreUrl>,
}

/// A registry that serves as a mirror.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MirrorRegistry {
    /// Scheme and host.
    #[schemars(required)]
    pub(crate) url: Option<WebUrl>,
    /// What is put before each repository's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository_prefix: Option<Prefix>,
}

/// A bucket that the front serves itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Embedded {
    /// The bucket: the path of a directory.
    #[schemars(required)]
    pub(crate) store: Option<StoreUrl>,
    /// How objects are named in it.
    #[serde(default)]
    pub(crate) layout: Layout,
}

/// A host name, or several, that the front answers for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    /// What it is called in records and metrics.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Host names without port; `*` is every host that no other site names.
    #[schemars(required)]
    pub(crate) hosts: Option<Vec<Host>>,
    /// The origin that its names come from.
    #[schemars(required)]
    pub(crate) origin: Option<Name>,
    /// The mirrors that may serve it. Without them, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mirrors: Option<Vec<Name>>,
    /// How long after a generation was first published its names are shown, so that others meet its
    /// faults first. Digests of newer ones are answered; who goes back to an older one is followed
    /// at once, and so is what is withdrawn. Needs an origin with a `store`.
    #[serde(default = "Site::delay")]
    pub(crate) delay: Period,
    /// The generation whose names and digests are shown, whatever is published. What is withdrawn
    /// is not shown all the same. `landbridge generation prune` keeps it. Needs an origin with a
    /// `store`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pinned: Option<Generation>,
    /// Who serves regions that have no copy of their own; of several rules for the same clients
    /// the first counts.
    #[serde(default)]
    pub(crate) routes: Vec<Route>,
    /// Who serves everyone else. Without it the origin does.
    #[serde(default)]
    pub(crate) default: Vec<Share>,
    /// Where clients may be sent whose own copies fail, and what that may cost; of several rules
    /// for the same clients the first counts. Without any, clients are sent to whatever copy is
    /// left, at whatever cost; if there are some, clients that none of them names are sent nowhere
    /// else.
    #[serde(default)]
    pub(crate) overflow: Vec<Overflow>,
    /// How blobs reach clients.
    #[serde(default)]
    pub(crate) delivery: Delivery,
    /// Whether `/v2/_catalog` lists the repositories.
    #[serde(default)]
    pub(crate) catalog_api: bool,
    /// Whether `/status` and `/status.json` say how the copies and the release are, to everyone;
    /// what `pages` says of these paths comes first.
    #[serde(default = "Site::status")]
    pub(crate) status: bool,
    /// What makes it the answer to an old name: a host name that users are to leave, answered from
    /// the same origin by what the plan says for the moment, the client and the repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) legacy: Option<Legacy>,
    /// Pages beside the registry's interface, by path, as `/` and `/privacy`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "page" }))]
    pub(crate) pages: BTreeMap<Page, Answer>,
}

impl Site {
    pub(crate) const fn delay() -> Period {
        Period::seconds(0)
    }

    pub(crate) const fn status() -> bool {
        true
    }
}

/// Which copies serve a region, or a whole provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// The clients' provider.
    #[schemars(required)]
    pub(crate) provider: Option<PlaceName>,
    /// The clients' region. Without it, every region of the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
    /// The origins and mirrors that serve them, best first.
    #[schemars(required)]
    pub(crate) copies: Option<Vec<Name>>,
}

/// A copy's share of everyone else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    /// The origin or mirror.
    #[schemars(required)]
    pub(crate) copy: Option<Name>,
    /// How much it takes, compared with the others.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default = "Share::weight")]
    pub(crate) weight: u16,
}

impl Share {
    pub(crate) const fn weight() -> u16 {
        1
    }
}

/// How blobs reach clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Delivery {
    /// By a 307 to the copy.
    #[default]
    Redirect,
    /// Streamed through the front, for users who can allow-list only one host.
    Proxy,
}

/// What a page answers: exactly one of `redirect` and `text`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// 307 to this address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) redirect: Option<WebUrl>,
    /// 200 with this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}
