//! Origins and mirrors: the copies, numbered in the order in which they are written, origins
//! first.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use landbridge_core::pointer::Keys;
use landbridge_core::price::Rates;
use landbridge_core::topology::MAX_COPIES;
use landbridge_front::settings as front;
use landbridge_registry::{Credentials, Secret};
use landbridge_store::BucketLayout;
use url::Url;

use super::health::operator;
use super::{Listener, Validator};
use crate::config::keys::read_key;
use crate::config::own_url;
use crate::config::path::Path;
use crate::config::raw::Raw;
use crate::config::raw::copies::{Authority, Delivery, Layout, Login, Mirror, Origin, Registry};
use crate::config::scalar::{PlaceName, Prefix, StoreUrl, WebUrl};

/// All copies.
pub(super) struct Copies {
    pub(super) names: CopyNames,
    /// `None` if one of them is wrong.
    pub(super) settings: Option<Vec<front::CopySettings>>,
    pub(super) origins: Option<Vec<front::OriginSettings>>,
}

/// The copies by name, to look up what sites speak of. A copy is here whatever else is wrong with
/// it, so that one mistake is reported once.
#[derive(Default)]
pub(super) struct CopyNames(BTreeMap<String, NamedCopy>);

#[derive(Clone, Copy)]
pub(super) struct NamedCopy {
    /// Its number.
    pub(super) copy: usize,
    /// Its place among the origins, if it is one.
    pub(super) origin: Option<usize>,
}

impl CopyNames {
    pub(super) fn get(&self, name: &str) -> Option<NamedCopy> {
        self.0.get(name).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, NamedCopy)> {
        self.0.iter().map(|(name, copy)| (name.as_str(), *copy))
    }
}

impl Validator<'_> {
    pub(super) fn copies(&mut self, raw: &Raw) -> Copies {
        let mut names = CopyNames::default();
        let (origins_at, mirrors_at) = (Path::dotted("origins"), Path::dotted("mirrors"));
        if self.document.find(&origins_at).is_none() || raw.origins.is_empty() {
            self.report(&origins_at, "is empty: names must come from somewhere");
        }
        let both = raw.origins.iter().filter(|it| it.registry.is_some() && it.store.is_some());
        let count = raw.origins.len() + both.count() + raw.mirrors.len();
        if count > MAX_COPIES {
            let message = format!(
                "{count} origins and mirrors are more than the {MAX_COPIES} that there may be"
            );
            self.report(&mirrors_at, message);
        }

        let mut settings = Vec::new();
        let mut origins = Vec::new();
        for (index, origin) in raw.origins.iter().enumerate() {
            let (at, copy) = (origins_at.item(index), settings.len());
            self.name(
                origin.name.as_ref(),
                NamedCopy { copy, origin: Some(index) },
                &mut names,
                &at,
            );
            self.place(origin.provider.as_ref(), origin.region.as_ref(), &at);
            let Some((faces, origin)) = self.origin(origin, copy, &at) else {
                settings.push(None);
                origins.push(None);
                continue;
            };
            settings.extend(faces.into_iter().map(Some));
            origins.push(Some(origin));
        }
        for (index, mirror) in raw.mirrors.iter().enumerate() {
            let (at, copy) = (mirrors_at.item(index), settings.len());
            self.name(mirror.name.as_ref(), NamedCopy { copy, origin: None }, &mut names, &at);
            self.place(mirror.provider.as_ref(), mirror.region.as_ref(), &at);
            settings.push(self.mirror(mirror, &at));
        }
        Copies {
            names,
            settings: settings.into_iter().collect(),
            origins: origins.into_iter().collect(),
        }
    }

    fn name(
        &mut self,
        name: Option<&impl ToString>,
        copy: NamedCopy,
        names: &mut CopyNames,
        at: &Path,
    ) {
        let Some(name) = name.map(ToString::to_string) else { return };
        match names.0.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert(copy);
            }
            Entry::Occupied(entry) => {
                let message = format!("another origin or mirror is called `{}` too", entry.key());
                self.report(&at.field("name"), message);
            }
        }
    }

    fn place(&mut self, provider: Option<&PlaceName>, region: Option<&PlaceName>, at: &Path) {
        if let (None, Some(region)) = (provider, region) {
            self.report(
                &at.field("region"),
                format!("whose region is `{region}`? Name the `provider` too"),
            );
        }
    }

    /// The origin and its copies: the one with the number `copy`, which is its own, and the next
    /// one if it has a bucket and a registry.
    fn origin(
        &mut self,
        raw: &Origin,
        copy: usize,
        at: &Path,
    ) -> Option<(Vec<front::CopySettings>, front::OriginSettings)> {
        self.at_least_one(at, &["registry", "store"]);
        let name = raw.name.as_ref().map(ToString::to_string);
        let settings = |name: String, face, store| front::CopySettings {
            name,
            provider: raw.provider.as_ref().map(ToString::to_string),
            region: raw.region.as_ref().map(ToString::to_string),
            face,
            operator: operator(raw.operator.as_ref()),
            rates: Rates::default(),
            store,
        };
        let at_registry = at.field("registry");
        let (copies, kind) = match (&raw.store, &raw.registry) {
            (Some(store), None) => {
                let (face, bucket, kind) = self.authority(store, None, &at.field("store"))?;
                (vec![settings(name.clone()?, face, Some(bucket))], kind)
            }
            (Some(store), Some(registry)) => {
                let live = self.origin_registry(registry, copy + 1, &at_registry);
                let (live_face, live) = live.unzip();
                let (face, bucket, kind) = self.authority(store, live, &at.field("store"))?;
                // No configured name has a slash, so this is nobody else's.
                let live_name = format!("{}/registry", name.as_ref()?);
                let copies = vec![
                    settings(name.clone()?, face, Some(bucket)),
                    settings(live_name, live_face?, None),
                ];
                (copies, kind)
            }
            (None, Some(registry)) => {
                let (face, live) = self.origin_registry(registry, copy, &at_registry)?;
                (vec![settings(name.clone()?, face, None)], front::OriginKind::Registry(live))
            }
            (None, None) => return None,
        };
        let exported = raw.store.as_ref().and_then(|store| store.exported.as_ref());
        let exported = exported.map(|file| self.resolve(file));
        Some((copies, front::OriginSettings { name: name?, copy, kind, exported }))
    }

    fn origin_registry(
        &mut self,
        raw: &Registry,
        copy: usize,
        at: &Path,
    ) -> Option<(front::Face, front::LiveRegistry)> {
        if raw.credentials.is_some() && raw.delivery == Delivery::Redirect {
            let message = "clients that are sent to this registry have no credentials for it: write `delivery: proxy`";
            self.report(&at.field("credentials"), message);
        }
        let credentials = match &raw.credentials {
            Some(login) => Some(self.credentials(login, &at.field("credentials"))?),
            None => None,
        };
        let url = match &raw.url {
            Some(url) => self.registry_url(url, &at.field("url")),
            None => self.own_registry(raw.delivery, copy, at)?,
        };
        let repository_prefix = prefix(raw.repository_prefix.as_ref());
        let face = match raw.delivery {
            Delivery::Proxy => front::Face::Streamed,
            Delivery::Redirect => front::Face::Registry {
                url: url.clone(),
                repository_prefix: repository_prefix.clone(),
            },
        };
        Some((face, front::LiveRegistry { copy, url, repository_prefix, credentials }))
    }

    /// The address of the file's own origin, as this machine reaches it.
    fn own_registry(&mut self, delivery: Delivery, copy: usize, at: &Path) -> Option<Url> {
        if self.is_written(at, "url") {
            return None;
        }
        let Some(Listener { address, tls }) = self.own else {
            let message = "is missing: it needs a URL, unless the file has an `origin` of its own";
            self.report(&at.field("url"), message);
            return None;
        };
        if delivery == Delivery::Redirect {
            let message = "clients can only be sent to an address that is written: add `url`, or write `delivery: proxy`";
            self.report(&at.field("delivery"), message);
        }
        if tls {
            let message = "the `origin` speaks TLS, and its certificate is for a name: write `https://NAME:PORT`";
            self.report(&at.field("url"), message);
        }
        self.own_registries.push(copy);
        own_url(address)
    }

    fn credentials(&mut self, raw: &Login, at: &Path) -> Option<Credentials> {
        self.exactly_one(at, &["password_file", "password_variable"]);
        let (file, variable) = (raw.password_file.as_ref(), raw.password_variable.as_deref());
        let password = self.secret("password", file, variable, at)?;
        Some(Credentials { username: raw.username.clone()?, password: Secret::new(password) })
    }

    fn authority(
        &mut self,
        raw: &Authority,
        registry: Option<front::LiveRegistry>,
        at: &Path,
    ) -> Option<(front::Face, Url, front::OriginKind)> {
        let keys = self.keys(raw, at);
        let poll = self.at_least(raw.poll, Duration::from_millis(100), &at.field("poll"));
        if raw.catalog.as_deref() == Some("") {
            self.report(&at.field("catalog"), "is empty: give the catalog the project's name");
        }
        let layout = layout(raw.layout);
        let url = self.store(raw.url.as_ref()?, &at.field("url"))?;
        let face = match &raw.public_url {
            Some(public) => front::Face::Bucket { url: without_slash(public), layout },
            None => front::Face::Streamed,
        };
        let kind = front::OriginKind::Store {
            url: url.clone(),
            layout,
            catalog: raw.catalog.clone()?,
            keys: keys?,
            minimum_sequence: raw.minimum_sequence,
            poll,
            retain: raw.retain.into(),
            registry,
        };
        Some((face, url, kind))
    }

    fn keys(&mut self, raw: &Authority, at: &Path) -> Option<Keys> {
        let keys_at = at.field("keys");
        let mut keys = Vec::new();
        for (index, text) in raw.keys.as_ref()?.iter().enumerate() {
            let at = keys_at.item(index);
            let key = read_key(text, &self.surroundings.base);
            keys.push(key.map_err(|message| self.report(&at, message)).ok());
        }
        let keys: Vec<_> = keys.into_iter().collect::<Option<_>>()?;
        if keys.is_empty() {
            self.report(&keys_at, "is empty: whose signatures are believed?");
            return None;
        }
        match Keys::new(keys, raw.threshold.into()) {
            Ok(keys) => Some(keys),
            Err(error) => {
                self.report(&at.field("threshold"), error.to_string());
                None
            }
        }
    }

    fn mirror(&mut self, raw: &Mirror, at: &Path) -> Option<front::CopySettings> {
        self.exactly_one(at, &["bucket", "registry", "embedded"]);
        let (face, store) = match (&raw.bucket, &raw.registry, &raw.embedded) {
            (Some(bucket), ..) => {
                let store = match &bucket.store {
                    Some(store) => Some(self.store(store, &at.field("bucket").field("store"))?),
                    None => None,
                };
                let url = without_slash(bucket.url.as_ref()?);
                (front::Face::Bucket { url, layout: layout(bucket.layout) }, store)
            }
            (None, Some(registry), _) => {
                let url =
                    self.registry_url(registry.url.as_ref()?, &at.field("registry").field("url"));
                let repository_prefix = prefix(registry.repository_prefix.as_ref());
                (front::Face::Registry { url, repository_prefix }, None)
            }
            (None, None, Some(embedded)) => {
                let at = at.field("embedded").field("store");
                let store = self.store(embedded.store.as_ref()?, &at)?;
                let layout = layout(embedded.layout);
                (front::Face::Embedded { store: store.clone(), layout }, Some(store))
            }
            (None, None, None) => return None,
        };
        Some(front::CopySettings {
            name: raw.name.as_ref()?.to_string(),
            provider: raw.provider.as_ref().map(ToString::to_string),
            region: raw.region.as_ref().map(ToString::to_string),
            face,
            operator: operator(raw.operator.as_ref()),
            rates: Rates::default(),
            store,
        })
    }

    fn registry_url(&mut self, url: &WebUrl, at: &Path) -> Url {
        if url.0.path() != "/" {
            let message = format!(
                "`{url}` has a path: write scheme and host only, and what stands before the repositories' names as `repository_prefix`"
            );
            self.report(at, message);
        }
        url.0.clone()
    }

    pub(super) fn store(&mut self, store: &StoreUrl, at: &Path) -> Option<Url> {
        match store.resolve(&self.surroundings.base) {
            Ok(url) => Some(url),
            Err(message) => {
                self.report(at, message);
                None
            }
        }
    }
}

fn prefix(raw: Option<&Prefix>) -> String {
    raw.map(|prefix| prefix.as_str().to_owned()).unwrap_or_default()
}

fn layout(raw: Layout) -> BucketLayout {
    match raw {
        Layout::ContainersImages => BucketLayout::ContainersImages,
        Layout::Blobs => BucketLayout::Blobs,
    }
}

fn without_slash(url: &WebUrl) -> Url {
    let mut url = url.0.clone();
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    url
}
