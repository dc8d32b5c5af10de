//! Fetching manifests: exact bytes, a type that we know, a digest that we computed.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use landbridge_core::digest::{Algorithm, Digest};
use landbridge_core::manifest::{MAX_MANIFEST_BYTES, Manifest};
use landbridge_core::media_type;
use landbridge_core::reference::RepositoryName;
use landbridge_core::request::ManifestReference;

use super::body::read_bounded;
use super::send::Question;
use super::{ClientError, RegistryClient};

/// The header in which a registry tells a digest.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// A manifest as a registry stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// The bytes as they came; at most [`MAX_MANIFEST_BYTES`].
    pub bytes: Bytes,
    /// One of [`media_type::MANIFESTS`].
    pub media_type: String,
    /// The digest of `bytes`.
    pub digest: Digest,
}

/// What a registry says of a manifest without sending it. Nothing here is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestHead {
    /// The digest that it claims, if any; of the asked digest when it was asked by digest.
    pub digest: Option<Digest>,
    /// The type that it claims, if it is a media type.
    pub media_type: Option<String>,
    /// The size that it claims.
    pub size_bytes: Option<u64>,
}

impl RegistryClient {
    /// Fetches a manifest; `None` if the registry has no such manifest or repository.
    ///
    /// The digest is computed from the bytes. By digest it is the one that was asked for; by tag it
    /// is the one that the registry promises in `Docker-Content-Digest`, if it promises any;
    /// anything else is [`ClientError::WrongBytes`]. The bytes are not parsed if their type is
    /// told; a type that is not told is read from them.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: ManifestReference<'_>,
    ) -> Result<Option<FetchedManifest>, ClientError> {
        let question = self.manifest_question(Method::GET, repository, reference);
        let answer = self.send(&question).await?;
        let headers = answer.response.headers().clone();
        match answer.response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(ClientError::status(&question.what, status, &headers)),
        }
        let limit = MAX_MANIFEST_BYTES;
        let bytes = read_bounded(&question.what, answer.response, limit, self.timeout).await?;
        check(&question.what, reference, &headers, bytes).map(Some)
    }

    /// Asks about a manifest without fetching it; `None` if the registry has none.
    pub async fn head_manifest(
        &self,
        repository: &RepositoryName,
        reference: ManifestReference<'_>,
    ) -> Result<Option<ManifestHead>, ClientError> {
        let question = self.manifest_question(Method::HEAD, repository, reference);
        let answer = self.send(&question).await?;
        let headers = answer.response.headers();
        match answer.response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(ClientError::status(&question.what, status, headers)),
        }
        let digest = match reference {
            ManifestReference::Digest(digest) => Some(digest),
            ManifestReference::Tag(_) => promised(&question.what, headers)?,
        };
        Ok(Some(ManifestHead {
            digest,
            media_type: declared_type(headers).map(str::to_owned),
            size_bytes: content_length(headers),
        }))
    }

    fn manifest_question(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: ManifestReference<'_>,
    ) -> Question {
        let (what, last) = match reference {
            ManifestReference::Tag(tag) => {
                (format!("manifest `{repository}:{tag}`"), tag.to_owned())
            }
            ManifestReference::Digest(digest) => {
                (format!("manifest `{repository}@{digest}`"), digest.to_string())
            }
        };
        let mut question = self.question(method, what, repository, &["manifests", &last]);
        question.accept = Some(media_type::MANIFESTS.join(", "));
        question
    }
}

fn check(
    what: &str,
    reference: ManifestReference<'_>,
    headers: &HeaderMap,
    bytes: Bytes,
) -> Result<FetchedManifest, ClientError> {
    let expected = match reference {
        ManifestReference::Digest(digest) => Some(digest),
        ManifestReference::Tag(_) => promised(what, headers)?,
    };
    let algorithm = expected.map_or(Algorithm::Sha256, |digest| digest.algorithm());
    let digest = Digest::of(algorithm, &bytes);
    if let Some(expected) = expected.filter(|&expected| expected != digest) {
        let (expected, got) = (Box::new(expected), Box::new(digest));
        return Err(ClientError::WrongBytes { what: what.to_owned(), expected, got });
    }
    let declared = declared_type(headers).filter(|known| media_type::MANIFESTS.contains(known));
    let media_type = match declared {
        Some(known) => known.to_owned(),
        None => {
            Manifest::parse(&bytes, None)
                .map_err(|error| ClientError::malformed(what, error.to_string()))?
                .media_type
        }
    };
    Ok(FetchedManifest { bytes, media_type, digest })
}

/// The digest that the registry promises. One that we cannot check is as good as none.
fn promised(what: &str, headers: &HeaderMap) -> Result<Option<Digest>, ClientError> {
    use landbridge_core::digest::DigestError;
    let Some(value) = headers.get(CONTENT_DIGEST) else { return Ok(None) };
    match Digest::parse(value.to_str().unwrap_or_default()) {
        Ok(digest) => Ok(Some(digest)),
        Err(DigestError::Unsupported(_)) => Ok(None),
        Err(DigestError::Malformed(text)) => Err(ClientError::malformed(
            what,
            format!("`Docker-Content-Digest` is `{text}`, which is no digest"),
        )),
    }
}

/// The type in `Content-Type`, without parameters.
fn declared_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let text = value.split(';').next()?.trim();
    media_type::is_media_type(text).then_some(text)
}

/// The length that a header tells; `reqwest` itself only knows the body's, which `HEAD` has none.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
