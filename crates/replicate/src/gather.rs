//! What a source holds: the first half of looking at the world.
//!
//! Walks from the named images through nested indexes to configurations and layers, and adds every
//! manifest that the source lists and that is about one of these. Manifests are verified here; of
//! blobs only presence and size are checked, so that a truncated source is refused before anything
//! is written. Their bytes are hashed when they are copied.
//!
//! Invariant: whatever [`Content`] names is in the source, and so is all that it refers to.

use std::collections::{BTreeMap, BTreeSet};

use landbridge_core::Digest;
use landbridge_core::generation::{ManifestEntry, ObjectEntry, ReferrerEntry};
use landbridge_core::manifest::{Descriptor, Kind, Manifest};
use landbridge_core::media_type::{MANIFESTS, OCTET_STREAM, is_media_type};
use landbridge_registry::{Source, SourceError};

use crate::error::ImportError;
use crate::naming::NamedImage;
use crate::plan::Current;

/// Indexes may be nested this deep.
pub(crate) const MAX_DEPTH: usize = 8;
/// The most manifests that one import takes.
const MAX_MANIFESTS: usize = 100_000;

/// What a source holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// The images that can be given a name.
    pub images: Vec<NamedImage>,
    /// All manifests, and what each of them refers to.
    pub manifests: BTreeMap<Digest, Held>,
    /// All blobs that registries hand out.
    pub blobs: BTreeMap<Digest, ObjectEntry>,
    /// What the source lists and the import leaves out: a sentence for each.
    pub skipped: Vec<String>,
}

/// A manifest of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// How a repository lists it.
    pub entry: ManifestEntry,
    /// Blobs and manifests that must be where it is.
    pub references: Vec<Digest>,
    /// What it is about, if it is a referrer.
    pub referrer: Option<ReferrerEntry>,
}

impl Held {
    /// What `manifest` says, which has this digest and size.
    pub(crate) fn new(digest: Digest, size: u64, manifest: Manifest) -> Self {
        let references = manifest.references().map(|reference| reference.digest).collect();
        let referrer = manifest.subject.map(|subject| ReferrerEntry {
            annotations: manifest.annotations,
            artifact_type: manifest.artifact_type,
            digest,
            subject: subject.digest,
        });
        let entry = ManifestEntry { digest, media_type: manifest.media_type, size };
        Self { entry, references, referrer }
    }
}

/// Finds everything that belongs to the source's images.
pub async fn gather_content(source: &Source) -> Result<Content, ImportError> {
    let mut content = Content::default();
    let mut about: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
    let has_names = source.images().iter().any(|image| image.name.is_some());
    for image in source.images() {
        let digest = image.descriptor.digest;
        if !is_manifest(&image.descriptor) {
            content.skip(digest, &format!("its type is `{}`", image.descriptor.media_type));
            continue;
        }
        if image.name.is_none() && (has_names || source.images().len() > 1) {
            let (_, manifest) = source.manifest(&image.descriptor).await?;
            if let Some(subject) = manifest.subject {
                about.entry(subject.digest).or_default().push(image.descriptor.clone());
                continue;
            }
        }
        content.images.push(NamedImage { name: image.name.clone(), digest });
        content.walk(source, image.descriptor.clone()).await?;
    }
    content.find_referrers(source, &mut about).await?;
    content.add_referrers(source, about).await?;
    Ok(content)
}

impl Content {
    /// Adds what is published, as objects of which nothing but size and type is known.
    pub(crate) fn add_published(&mut self, current: &Current) {
        for repository in current.repositories.values() {
            for ManifestEntry { digest, media_type, size } in &repository.manifests {
                if !self.manifests.contains_key(digest) {
                    let (digest, media_type, size) = (*digest, media_type.clone(), *size);
                    self.blobs.insert(digest, ObjectEntry { digest, media_type, size });
                }
            }
            for object in &repository.objects {
                self.blobs.entry(object.digest).or_insert_with(|| object.clone());
            }
        }
    }

    /// Adds a manifest and all that it refers to.
    async fn walk(&mut self, source: &Source, root: Descriptor) -> Result<(), ImportError> {
        let mut open = vec![(root, 0)];
        while let Some((descriptor, depth)) = open.pop() {
            if self.manifests.contains_key(&descriptor.digest) {
                continue;
            }
            if depth > MAX_DEPTH {
                return Err(ImportError::TooDeep { digest: descriptor.digest, limit: MAX_DEPTH });
            }
            if self.manifests.len() >= MAX_MANIFESTS {
                return Err(ImportError::TooMany { limit: MAX_MANIFESTS });
            }
            let (_, manifest) = source.manifest(&descriptor).await?;
            for reference in manifest.references() {
                if manifest.kind == Kind::Index && is_manifest(reference) {
                    open.push((reference.clone(), depth + 1));
                } else {
                    self.add_blob(source, reference).await?;
                }
            }
            let (digest, size) = (descriptor.digest, descriptor.size);
            self.manifests.insert(digest, Held::new(digest, size, manifest));
        }
        Ok(())
    }

    async fn add_blob(
        &mut self,
        source: &Source,
        descriptor: &Descriptor,
    ) -> Result<(), ImportError> {
        let digest = descriptor.digest;
        if self.blobs.contains_key(&digest) {
            return Ok(());
        }
        let size = source.size(&digest).await?;
        // Schema 1 tells no sizes; there the file's is taken, and the digest proves it.
        if size != descriptor.size && descriptor.size != 0 {
            let what = format!("it has {size} bytes, its manifest says {}", descriptor.size);
            let file = source.file_of(&digest);
            return Err(SourceError::Corrupt { digest, file, what }.into());
        }
        let known = is_media_type(&descriptor.media_type);
        let media_type = if known { &descriptor.media_type } else { OCTET_STREAM };
        let entry = ObjectEntry { digest, media_type: media_type.to_owned(), size };
        self.blobs.insert(digest, entry);
        Ok(())
    }

    /// Looks for referrers among what the source lists beside the selected images.
    async fn find_referrers(
        &mut self,
        source: &Source,
        about: &mut BTreeMap<Digest, Vec<Descriptor>>,
    ) -> Result<(), ImportError> {
        let selected: BTreeSet<_> = source.images().iter().map(|i| i.descriptor.digest).collect();
        for image in source.listed() {
            let descriptor = &image.descriptor;
            if selected.contains(&descriptor.digest) || !is_manifest(descriptor) {
                continue;
            }
            match source.manifest(descriptor).await {
                Ok((_, manifest)) => {
                    if let Some(subject) = manifest.subject {
                        about.entry(subject.digest).or_default().push(descriptor.clone());
                    }
                }
                Err(error) => self.skip(descriptor.digest, &error.to_string()),
            }
        }
        Ok(())
    }

    /// Adds referrers of what is there, and referrers of these, until there are no more.
    async fn add_referrers(
        &mut self,
        source: &Source,
        mut about: BTreeMap<Digest, Vec<Descriptor>>,
    ) -> Result<(), ImportError> {
        let mut more = true;
        while more {
            more = false;
            let subjects: Vec<Digest> = about
                .keys()
                .filter(|digest| self.manifests.contains_key(digest))
                .copied()
                .collect();
            for subject in subjects {
                for referrer in about.remove(&subject).unwrap_or_default() {
                    self.walk(source, referrer).await?;
                    more = true;
                }
            }
        }
        let selected: BTreeSet<_> = source.images().iter().map(|i| i.descriptor.digest).collect();
        for (subject, referrers) in about {
            for referrer in referrers.iter().filter(|r| selected.contains(&r.digest)) {
                self.skip(referrer.digest, &format!("it is about {subject}, which is not there"));
            }
        }
        Ok(())
    }

    fn skip(&mut self, digest: Digest, why: &str) {
        self.skipped.push(format!("{digest}: {why}"));
    }
}

pub(crate) fn is_manifest(descriptor: &Descriptor) -> bool {
    MANIFESTS.contains(&descriptor.media_type.as_str())
}
