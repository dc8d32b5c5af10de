//! The catalog: generations as the front reads them, compact and ready to answer.
//!
//! Names come from the current generation. Digests come from the union of the current and all
//! retained ones, so that a pull which began before a flip ends well. Text lies in one arena,
//! manifests are numbers in the presence index: 100,000 manifests cost a few MiB.
//!
//! Invariant: a tag leads to a manifest that is in the presence index.

use crate::digest::Digest;
use crate::generation::Repository;
use crate::presence::{ObjectId, Presence, PresenceBuilder, PresenceIndex};
use crate::topology::{CopyId, CopySet};

/// A manifest as the catalog knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestInfo<'a> {
    /// Its digest.
    pub digest: Digest,
    /// The type with which it is served.
    pub media_type: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// The copies that hold it.
    pub copies: CopySet,
}

/// A referrer as the referrers API lists it.
#[derive(Debug, Clone)]
pub struct Referrer {
    /// What it is about.
    pub subject: Digest,
    /// The referring manifest.
    pub digest: Digest,
    /// Its kind of artifact.
    pub artifact_type: Option<Box<str>>,
    /// Its annotations, in order of their names.
    pub annotations: Box<[(Box<str>, Box<str>)]>,
}

/// Names and objects of the retained generations. Made by [`CatalogBuilder`].
#[derive(Debug)]
pub struct Catalog {
    text: Box<str>,
    media_types: Vec<Box<str>>,
    repositories: Box<[RepositoryRow]>,
    tags: Box<[TagRow]>,
    manifests: Box<[ManifestRow]>,
    referrers: Box<[Referrer]>,
    presence: PresenceIndex,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    len: u16,
}

#[derive(Debug, Clone, Copy)]
struct RepositoryRow {
    name: Span,
    /// Ranges end where the next row's begin.
    tags: u32,
    manifests: u32,
    referrers: u32,
    is_current: bool,
}

#[derive(Debug, Clone, Copy)]
struct TagRow {
    name: Span,
    object: ObjectId,
}

#[derive(Debug, Clone, Copy)]
struct ManifestRow {
    object: ObjectId,
    media_type: u16,
}

impl Catalog {
    /// What is known of the object with this digest, whatever repository it is in.
    pub fn object(&self, digest: &Digest) -> Option<Presence> {
        self.presence.get(digest)
    }

    /// The repository with this name, in any retained generation.
    pub fn repository(&self, name: &str) -> Option<RepositoryView<'_>> {
        let at = self.repositories.binary_search_by(|row| self.str(row.name).cmp(name)).ok()?;
        Some(RepositoryView { catalog: self, at })
    }

    /// The current repositories' names after `last`, in order.
    pub fn repositories_after<'a>(&'a self, last: &str) -> impl Iterator<Item = &'a str> {
        let from = self.repositories.partition_point(|row| self.str(row.name) <= last);
        let rows = self.repositories.get(from..).unwrap_or_default();
        rows.iter().filter(|row| row.is_current).map(|row| self.str(row.name))
    }

    /// The object at `at` of all, in no order that means anything; `None` from
    /// [`Catalog::object_count`] on.
    pub fn nth_object(&self, at: usize) -> Option<(Digest, Presence)> {
        self.presence.nth(at)
    }

    /// How many objects the retained generations have.
    pub fn object_count(&self) -> usize {
        self.presence.len()
    }

    /// How many manifests are listed, counted once for each repository that lists them.
    pub fn manifest_count(&self) -> usize {
        self.manifests.len()
    }

    /// How many repositories the current generation has.
    pub fn repository_count(&self) -> usize {
        self.repositories.iter().filter(|row| row.is_current).count()
    }

    fn str(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text.get(start..start + usize::from(span.len)).unwrap_or_default()
    }

    fn manifest(&self, row: ManifestRow) -> Option<ManifestInfo<'_>> {
        let presence = self.presence.presence(row.object)?;
        Some(ManifestInfo {
            digest: self.presence.digest(row.object)?,
            media_type: self.media_types.get(usize::from(row.media_type))?,
            size: presence.size,
            copies: presence.copies,
        })
    }
}

/// One repository of a catalog.
#[derive(Debug, Clone, Copy)]
pub struct RepositoryView<'a> {
    catalog: &'a Catalog,
    at: usize,
}

impl<'a> RepositoryView<'a> {
    /// The manifest that `tag` means in the current generation.
    pub fn tag(&self, tag: &str) -> Option<ManifestInfo<'a>> {
        let rows = self.tag_rows();
        let at = rows.binary_search_by(|row| self.catalog.str(row.name).cmp(tag)).ok()?;
        self.listed(rows.get(at)?.object)
    }

    /// The manifest with this digest, if a retained generation lists it in this repository.
    pub fn manifest(&self, digest: &Digest) -> Option<ManifestInfo<'a>> {
        self.listed(self.catalog.presence.find(digest)?)
    }

    /// Tags after `last`, in order.
    pub fn tags_after(&self, last: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let catalog = self.catalog;
        let rows = self.tag_rows();
        let from = rows.partition_point(|row| catalog.str(row.name) <= last);
        rows.get(from..).unwrap_or_default().iter().map(move |row| catalog.str(row.name))
    }

    /// Manifests of this repository that are about `subject`, in order of their digests.
    pub fn referrers(
        &self,
        subject: Digest,
    ) -> impl Iterator<Item = (&'a Referrer, ManifestInfo<'a>)> + use<'a> {
        let view = *self;
        let rows = self.slice(&self.catalog.referrers, |row| row.referrers);
        let from = rows.partition_point(|row| row.subject < subject);
        rows.get(from..)
            .unwrap_or_default()
            .iter()
            .take_while(move |row| row.subject == subject)
            .filter_map(move |row| Some((row, view.manifest(&row.digest)?)))
    }

    fn listed(&self, object: ObjectId) -> Option<ManifestInfo<'a>> {
        let rows = self.slice(&self.catalog.manifests, |row| row.manifests);
        let at = rows.binary_search_by_key(&object, |row| row.object).ok()?;
        self.catalog.manifest(*rows.get(at)?)
    }

    fn tag_rows(&self) -> &'a [TagRow] {
        self.slice(&self.catalog.tags, |row| row.tags)
    }

    fn slice<T>(&self, all: &'a [T], start: impl Fn(&RepositoryRow) -> u32) -> &'a [T] {
        let rows = &self.catalog.repositories;
        let from = rows.get(self.at).map_or(0, |row| start(row) as usize);
        let to = rows.get(self.at + 1).map_or(all.len(), |row| start(row) as usize);
        all.get(from..to).unwrap_or_default()
    }
}

/// What stood in the way of a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the generations hold more {what} than a catalog can number")]
pub struct CatalogTooLarge {
    what: &'static str,
}

/// Collects repositories of the retained generations, one document at a time, so that only one of
/// them need be in memory.
#[derive(Debug, Default)]
pub struct CatalogBuilder {
    presence: PresenceBuilder,
    media_types: Vec<Box<str>>,
    repositories: Vec<Collected>,
    lacks: Vec<(CopyId, Digest)>,
}

/// A repository on its way into the catalog: as packed as it can be before numbers are known.
#[derive(Debug)]
struct Collected {
    name: Box<str>,
    tags: Vec<(Box<str>, Digest)>,
    manifests: Vec<(Digest, u16)>,
    referrers: Vec<Referrer>,
    is_current: bool,
}

impl CatalogBuilder {
    /// A builder with room for `objects`.
    pub fn with_capacity(objects: usize) -> Self {
        Self { presence: PresenceBuilder::with_capacity(objects), ..Self::default() }
    }

    /// Adds a repository of the current generation, whose objects `copies` hold.
    pub fn add_current(
        &mut self,
        repository: Repository,
        copies: CopySet,
    ) -> Result<(), CatalogTooLarge> {
        self.add(repository, copies, true)
    }

    /// Adds a repository of a retained generation: its digests stay answerable, its names do not.
    pub fn add_retained(
        &mut self,
        repository: Repository,
        copies: CopySet,
    ) -> Result<(), CatalogTooLarge> {
        self.add(repository, copies, false)
    }

    /// Notes that `copy` does not hold the object after all, whichever generation it confirmed.
    pub fn lack(&mut self, copy: CopyId, digest: Digest) {
        self.lacks.push((copy, digest));
    }

    fn add(
        &mut self,
        repository: Repository,
        copies: CopySet,
        is_current: bool,
    ) -> Result<(), CatalogTooLarge> {
        for object in &repository.objects {
            self.presence.add(&object.digest, object.size, copies);
        }
        let mut manifests = Vec::with_capacity(repository.manifests.len());
        for manifest in &repository.manifests {
            self.presence.add(&manifest.digest, manifest.size, copies);
            manifests.push((manifest.digest, self.media_type(&manifest.media_type)?));
        }
        let referrers = repository.referrers.into_iter().map(|entry| Referrer {
            subject: entry.subject,
            digest: entry.digest,
            artifact_type: entry.artifact_type.map(String::into_boxed_str),
            annotations: entry
                .annotations
                .into_iter()
                .map(|(key, value)| (key.into_boxed_str(), value.into_boxed_str()))
                .collect(),
        });
        let tags = repository.tags.into_iter().filter(|_| is_current);
        self.repositories.push(Collected {
            name: repository.name.as_str().into(),
            tags: tags.map(|tag| (tag.name.as_str().into(), tag.digest)).collect(),
            manifests,
            referrers: referrers.collect(),
            is_current,
        });
        Ok(())
    }

    fn media_type(&mut self, media_type: &str) -> Result<u16, CatalogTooLarge> {
        let at = self.media_types.iter().position(|known| &**known == media_type);
        let at = at.unwrap_or_else(|| {
            self.media_types.push(media_type.into());
            self.media_types.len() - 1
        });
        u16::try_from(at).map_err(|_| CatalogTooLarge { what: "media types" })
    }

    /// Numbers and packs everything.
    pub fn build(mut self) -> Result<Catalog, CatalogTooLarge> {
        let mut presence = self.presence.build();
        for (copy, digest) in &self.lacks {
            presence.remove(digest, *copy);
        }
        // Stable: of two rows for one name the current generation's comes first.
        self.repositories
            .sort_by(|a, b| a.name.cmp(&b.name).then_with(|| b.is_current.cmp(&a.is_current)));
        let mut packed = Packed::default();
        let mut collected = self.repositories.into_iter().peekable();
        while let Some(mut repository) = collected.next() {
            while let Some(again) = collected.next_if(|next| next.name == repository.name) {
                repository.manifests.extend(again.manifests);
                repository.referrers.extend(again.referrers);
                // Of a retained one there are none; parts of the current one each have some.
                repository.tags.extend(again.tags);
            }
            packed.push(repository, &presence)?;
        }
        Ok(Catalog {
            text: packed.text.into_boxed_str(),
            media_types: self.media_types,
            repositories: packed.repositories.into_boxed_slice(),
            tags: packed.tags.into_boxed_slice(),
            manifests: packed.manifests.into_boxed_slice(),
            referrers: packed.referrers.into_boxed_slice(),
            presence,
        })
    }
}

#[derive(Default)]
struct Packed {
    text: String,
    repositories: Vec<RepositoryRow>,
    tags: Vec<TagRow>,
    manifests: Vec<ManifestRow>,
    referrers: Vec<Referrer>,
}

impl Packed {
    fn push(
        &mut self,
        mut from: Collected,
        presence: &PresenceIndex,
    ) -> Result<(), CatalogTooLarge> {
        let count = |len| u32::try_from(len).map_err(|_| CatalogTooLarge { what: "entries" });
        let row = RepositoryRow {
            name: self.span(&from.name)?,
            tags: count(self.tags.len())?,
            manifests: count(self.manifests.len())?,
            referrers: count(self.referrers.len())?,
            is_current: from.is_current,
        };
        from.tags.sort_unstable();
        for (name, digest) in &from.tags {
            // Every manifest was added to the index before, and tags lead to listed manifests.
            if let Some(object) = presence.find(digest) {
                let name = self.span(name)?;
                self.tags.push(TagRow { name, object });
            }
        }
        let start = self.manifests.len();
        self.manifests.extend(from.manifests.iter().filter_map(|(digest, media_type)| {
            Some(ManifestRow { object: presence.find(digest)?, media_type: *media_type })
        }));
        // Stable sort: where generations disagree on a type, the current one's came first.
        self.manifests[start..].sort_by_key(|row| row.object);
        let mut last = None;
        let mut kept = start;
        for at in start..self.manifests.len() {
            let row = self.manifests[at];
            if last != Some(row.object) {
                last = Some(row.object);
                self.manifests[kept] = row;
                kept += 1;
            }
        }
        self.manifests.truncate(kept);
        from.referrers.sort_by_key(|entry| (entry.subject, entry.digest));
        from.referrers.dedup_by_key(|entry| (entry.subject, entry.digest));
        self.referrers.append(&mut from.referrers);
        self.repositories.push(row);
        Ok(())
    }

    fn span(&mut self, text: &str) -> Result<Span, CatalogTooLarge> {
        let too_large = |_| CatalogTooLarge { what: "names" };
        let start = u32::try_from(self.text.len()).map_err(too_large)?;
        let len = u16::try_from(text.len()).map_err(too_large)?;
        self.text.push_str(text);
        Ok(Span { start, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::{ManifestEntry, ObjectEntry, TagEntry};
    use crate::media_type::OCI_MANIFEST;

    fn repository(name: &str, tags: &[(&str, &str)], blobs: &[&str]) -> Repository {
        let mut repository = Repository::empty(name.parse().unwrap());
        for (tag, content) in tags {
            let digest = Digest::sha256_of(content.as_bytes());
            let media_type = OCI_MANIFEST.to_owned();
            repository.manifests.push(ManifestEntry { digest, media_type, size: 1 });
            repository.tags.push(TagEntry { digest, name: tag.parse().unwrap() });
        }
        for blob in blobs {
            let digest = Digest::sha256_of(blob.as_bytes());
            repository.objects.push(ObjectEntry { digest, media_type: "a/b".into(), size: 2 });
        }
        repository.sorted()
    }

    #[test]
    fn names_are_the_current_generations_and_digests_are_everyones() {
        let (a, b) = (CopySet::from_bits(1), CopySet::from_bits(2));
        let mut builder = CatalogBuilder::default();
        builder.add_retained(repository("x", &[("old", "m1"), ("v1", "m1")], &["l1"]), a).unwrap();
        builder.add_current(repository("x", &[("v1", "m2")], &["l1", "l2"]), b).unwrap();
        builder.add_retained(repository("gone", &[("v1", "m3")], &[]), a).unwrap();
        builder.lack(b.first().unwrap(), Digest::sha256_of(b"l2"));
        let catalog = builder.build().unwrap();
        let digest = |text: &str| Digest::sha256_of(text.as_bytes());

        let x = catalog.repository("x").unwrap();
        assert_eq!(x.tag("v1").unwrap().digest, digest("m2"));
        assert_eq!(x.tag("old"), None);
        assert_eq!(x.manifest(&digest("m1")).unwrap().copies, a);
        assert_eq!(x.manifest(&digest("m3")), None, "listed under another repository only");
        assert_eq!(x.tags_after("").collect::<Vec<_>>(), ["v1"]);
        assert_eq!(catalog.object(&digest("l1")).unwrap().copies, a.or(b));
        assert!(catalog.object(&digest("l2")).unwrap().copies.is_empty());
        assert_eq!(catalog.object(&digest("l3")), None);
        assert_eq!(catalog.repositories_after("").collect::<Vec<_>>(), ["x"]);
        assert!(catalog.repository("gone").unwrap().manifest(&digest("m3")).is_some());
        assert!(catalog.repository("absent").is_none());
    }
}
