//! What a pushed manifest is: decided from its bytes and what the request says of them.
//!
//! Pure. What it refers to is looked up by whoever carries the push out.

use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use landbridge_core::manifest::{Descriptor, Kind, Manifest, ManifestError};
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::request::ManifestReference;
use landbridge_store::ManifestLink;

use crate::settings::Sparse;

/// The most characters of a stranger's text that an error repeats.
const MOST_REPEATED: usize = 300;

/// A manifest that may be stored once all that it refers to is there.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Its own name: what the push asks for, else by SHA-256.
    pub(crate) digest: Digest,
    /// Its size in bytes.
    pub(crate) size: u64,
    /// What it says.
    pub(crate) manifest: Manifest,
}

impl Candidate {
    /// Understands the bytes of a push. `content_type` is the request's, as it came.
    pub(crate) fn new(
        bytes: &[u8],
        content_type: Option<&str>,
        reference: ManifestReference<'_>,
    ) -> Result<Self, OciError> {
        let digest = match reference {
            ManifestReference::Tag(_) => Digest::of(Algorithm::Sha256, bytes),
            ManifestReference::Digest(wanted) => {
                let digest = Digest::of(wanted.algorithm(), bytes);
                if digest != wanted {
                    let text = format!("the manifest's bytes have the digest {digest}");
                    return Err(OciError::with(Code::DigestInvalid, text));
                }
                digest
            }
        };
        // Parameters of the type are to be ignored (distribution-spec, "Pushing Manifests").
        let declared = content_type
            .map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .filter(|text| !text.is_empty());
        let manifest =
            Manifest::parse(bytes, declared.as_deref()).map_err(|error| refusal(&error))?;
        Ok(Self { digest, size: bytes.len() as u64, manifest })
    }

    /// What is to be looked at before it is stored: blobs, and manifests unless they may be
    /// missing. Blobs that may be missing must still not go while the push is under way.
    pub(crate) fn requirements(&self, sparse: Sparse) -> Requirements<'_> {
        let (blobs_may_be_missing, manifests_may_be_missing) = match sparse {
            Sparse::Refused => (false, false),
            Sparse::Indexes => (false, true),
            Sparse::Anything => (true, true),
        };
        let mut blobs: Vec<_> =
            self.manifest.blobs.iter().filter(|blob| !blob.is_foreign()).collect();
        let mut manifests: Vec<_> =
            self.manifest.children.iter().filter(|_| !manifests_may_be_missing).collect();
        for list in [&mut blobs, &mut manifests] {
            list.sort_by_key(|entry| entry.digest);
            list.dedup_by_key(|entry| entry.digest);
        }
        // Docker's first format knows no sizes.
        let sizes_count = match self.manifest.kind {
            Kind::Image | Kind::Index => true,
            Kind::Schema1 => false,
        };
        Requirements { blobs, blobs_may_be_missing, manifests, sizes_count }
    }

    /// What the repository notes of it.
    pub(crate) fn link(&self) -> ManifestLink {
        ManifestLink {
            media_type: self.manifest.media_type.clone(),
            size: self.size,
            artifact_type: self.manifest.artifact_type.clone(),
            subject: self.subject(),
        }
    }

    /// The manifest that it is about.
    pub(crate) fn subject(&self) -> Option<Digest> {
        self.manifest.subject.as_ref().map(|subject| subject.digest)
    }

    /// Its entry among the referrers of its subject.
    pub(crate) fn referrer(&self) -> Descriptor {
        Descriptor {
            media_type: self.manifest.media_type.clone(),
            digest: self.digest,
            size: self.size,
            artifact_type: self.manifest.artifact_type.clone(),
            annotations: self.manifest.annotations.clone(),
            urls: Vec::new(),
            platform: None,
        }
    }
}

/// What a manifest refers to and a repository must have, each once.
#[derive(Debug)]
pub(crate) struct Requirements<'a> {
    /// Configuration and layers.
    pub(crate) blobs: Vec<&'a Descriptor>,
    /// Whether blobs may be missing from the beginning.
    pub(crate) blobs_may_be_missing: bool,
    /// Manifests of an index.
    pub(crate) manifests: Vec<&'a Descriptor>,
    /// Whether the descriptors' sizes say anything.
    pub(crate) sizes_count: bool,
}

/// The answer to a manifest that lacks what it refers to.
pub(crate) fn lacking(lacking: &[Digest]) -> OciError {
    const SHOWN: usize = 5;
    let mut names: Vec<_> = lacking.iter().take(SHOWN).map(Digest::to_string).collect();
    if let Some(more) = lacking.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    let text = format!("the manifest refers to what this repository lacks: {}", names.join(", "));
    OciError::with(Code::ManifestBlobUnknown, text)
}

fn refusal(error: &ManifestError) -> OciError {
    let code = match error {
        ManifestError::TooLarge { .. } => Code::BodyTooLarge,
        ManifestError::Malformed(_)
        | ManifestError::UnknownType(_)
        | ManifestError::TypeMismatch { .. } => Code::ManifestInvalid,
    };
    let text = landbridge_core::cause::chain(error);
    let text = text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    OciError::with(code, text.take(MOST_REPEATED).collect())
}

#[cfg(test)]
mod tests {
    use landbridge_core::media_type;

    use super::*;

    fn by_tag(bytes: &str, content_type: Option<&str>) -> Result<Candidate, Code> {
        let reference = ManifestReference::Tag("v1");
        Candidate::new(bytes.as_bytes(), content_type, reference).map_err(|error| error.code)
    }

    #[test]
    fn the_type_outside_must_be_the_type_inside_without_its_parameters() {
        let index = format!(r#"{{"mediaType":"{}","manifests":[]}}"#, media_type::OCI_INDEX);
        let with_parameter = format!("{}; charset=utf-8", media_type::OCI_INDEX);
        assert!(by_tag(&index, Some(media_type::OCI_INDEX)).is_ok());
        assert!(by_tag(&index, Some(&with_parameter)).is_ok());
        assert!(by_tag(&index, None).is_ok());
        for wrong in [media_type::OCI_MANIFEST, "application/json", "text/plain"] {
            assert_eq!(by_tag(&index, Some(wrong)).unwrap_err(), Code::ManifestInvalid, "{wrong}");
        }
        assert_eq!(by_tag("{", None).unwrap_err(), Code::ManifestInvalid);
    }

    #[test]
    fn a_push_by_digest_must_bring_that_very_digest() {
        let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let push = |digest| Candidate::new(bytes, None, ManifestReference::Digest(digest));
            let digest = Digest::of(algorithm, bytes);
            assert_eq!(push(digest).unwrap().digest, digest);
            let wrong = push(Digest::of(algorithm, b"x")).unwrap_err();
            assert_eq!(wrong.code, Code::DigestInvalid);
        }
    }

    #[test]
    fn each_reference_is_required_once_and_a_sparse_index_requires_none() {
        let (a, b) = (Digest::sha256_of(b"a"), Digest::sha256_of(b"b"));
        let entry = |digest| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":1}}"#);
        let index = format!(
            r#"{{"schemaVersion":2,"manifests":[{},{},{}]}}"#,
            entry(a),
            entry(b),
            entry(a)
        );
        let index = by_tag(&index, None).unwrap();
        assert_eq!(index.requirements(Sparse::Refused).manifests.len(), 2);
        assert!(index.requirements(Sparse::Indexes).manifests.is_empty());
        let foreign =
            entry(b).replace("a/b", "application/vnd.oci.image.layer.nondistributable.v1.tar");
        let image = format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{},{foreign}]}}"#,
            entry(a),
            entry(a)
        );
        let image = by_tag(&image, None).unwrap();
        assert_eq!(image.requirements(Sparse::Refused).blobs.len(), 1);
    }

    #[test]
    fn what_is_lacking_is_named_within_limits() {
        let digests: Vec<_> = (0..9_u8).map(|number| Digest::sha256_of(&[number])).collect();
        let error = lacking(&digests);
        assert!(error.message.contains(&digests[0].to_string()));
        assert!(error.message.ends_with("4 more"), "{error}");
    }
}
