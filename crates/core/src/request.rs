//! What a client asks for: paths and queries of the distribution specification, typed.
//!
//! Nothing is percent-decoded in a path: every character that the grammar of names allows stands
//! for itself, so an escape is never part of a name and is refused. What comes out borrows from
//! the request and may be put into another URL as it is.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints>

use std::borrow::Cow;

use crate::digest::{Digest, DigestError};
use crate::oci_error::{Code, OciError};
use crate::reference::{is_repository_name, is_tag};

pub mod push;

/// The most entries of a list that one answer holds, whatever `n` says.
pub const MAX_PAGE: usize = 10_000;
/// Entries of a list when the client does not say how many it wants.
pub const DEFAULT_PAGE: usize = 1_000;

/// A read of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// `/v2/`: is this a registry?
    Ping,
    /// `/v2/<name>/manifests/<reference>`
    Manifest {
        /// A checked repository name.
        repository: &'a str,
        /// What names the manifest.
        reference: ManifestReference<'a>,
    },
    /// `/v2/<name>/blobs/<digest>`
    Blob {
        /// A checked repository name.
        repository: &'a str,
        /// The blob.
        digest: Digest,
    },
    /// `/v2/<name>/tags/list`
    Tags {
        /// A checked repository name.
        repository: &'a str,
        /// Which part of the list.
        page: Page<'a>,
    },
    /// `/v2/<name>/referrers/<digest>`
    Referrers {
        /// A checked repository name.
        repository: &'a str,
        /// What the referrers are about.
        subject: Digest,
        /// Only this kind of artifact.
        artifact_type: Option<Cow<'a, str>>,
        /// Which part of the list. The specification leaves it to the registry how a next page is
        /// named; here it is as for tags, and `last` is a digest.
        page: Page<'a>,
    },
    /// `/v2/_catalog`
    Catalog {
        /// Which part of the list.
        page: Page<'a>,
    },
    /// A path outside of the registry's interface: a site's own pages.
    Page {
        /// The path as it was sent.
        path: &'a str,
    },
}

/// What names a manifest, borrowed from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestReference<'a> {
    /// A checked tag.
    Tag(&'a str),
    /// A digest.
    Digest(Digest),
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page<'a> {
    /// At most so many entries; already limited to [`MAX_PAGE`]. `None` if the client did not say.
    pub n: Option<usize>,
    /// Only entries after this one.
    pub last: Cow<'a, str>,
}

impl<'a> Request<'a> {
    /// The repository's name, for whoever gives it another one.
    pub fn repository_mut(&mut self) -> Option<&mut &'a str> {
        match self {
            Self::Manifest { repository, .. }
            | Self::Blob { repository, .. }
            | Self::Tags { repository, .. }
            | Self::Referrers { repository, .. } => Some(repository),
            Self::Ping | Self::Catalog { .. } | Self::Page { .. } => None,
        }
    }

    /// Appends what follows `/v2/` in a request that asks for the same, query included. False, and
    /// nothing appended, for a page, which is no part of the registry's interface.
    pub fn append_path(&self, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Ping => {}
            Self::Manifest { repository, reference } => {
                append(out, repository, "/manifests/");
                match reference {
                    ManifestReference::Tag(tag) => out.extend_from_slice(tag.as_bytes()),
                    ManifestReference::Digest(digest) => digest.append_to(b':', out),
                }
            }
            Self::Blob { repository, digest } => {
                append(out, repository, "/blobs/");
                digest.append_to(b':', out);
            }
            Self::Tags { repository, page } => {
                append(out, repository, "/tags/list");
                append_query(out, page, None);
            }
            Self::Referrers { repository, subject, artifact_type, page } => {
                append(out, repository, "/referrers/");
                subject.append_to(b':', out);
                append_query(out, page, artifact_type.as_deref());
            }
            Self::Catalog { page } => {
                out.extend_from_slice(b"_catalog");
                append_query(out, page, None);
            }
            Self::Page { .. } => return false,
        }
        true
    }
}

fn append(out: &mut Vec<u8>, repository: &str, kind: &str) {
    out.extend_from_slice(repository.as_bytes());
    out.extend_from_slice(kind.as_bytes());
}

fn append_query(out: &mut Vec<u8>, page: &Page<'_>, artifact_type: Option<&str>) {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if let Some(n) = page.n {
        query.append_pair("n", &n.to_string());
    }
    if !page.last.is_empty() {
        query.append_pair("last", &page.last);
    }
    if let Some(artifact_type) = artifact_type {
        query.append_pair("artifactType", artifact_type);
    }
    let query = query.finish();
    if !query.is_empty() {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
    }
}

/// Understands the path and query of a `GET` or `HEAD`. Does not allocate for manifests and blobs.
pub fn parse<'a>(path: &'a str, query: Option<&'a str>) -> Result<Request<'a>, OciError> {
    let Some(rest) = path.strip_prefix("/v2") else { return Ok(Request::Page { path }) };
    let Some(rest) = rest.strip_prefix('/') else {
        // `/v2` is common among hand-written probes; `/v2foo` is somebody's page.
        return Ok(if rest.is_empty() { Request::Ping } else { Request::Page { path } });
    };
    if rest.is_empty() {
        return Ok(Request::Ping);
    }
    if rest == "_catalog" {
        return Ok(Request::Catalog { page: page(query)? });
    }
    let unknown = || OciError::new(Code::NotFound, "no such path in the registry's interface");
    let (head, last) = split_last(rest).ok_or_else(unknown)?;
    let (name, kind) = split_last(head).ok_or_else(unknown)?;
    match kind {
        "manifests" => {
            Ok(Request::Manifest { repository: repository(name)?, reference: reference(last)? })
        }
        "blobs" if last == "uploads" => Err(uploads()),
        "blobs" => Ok(Request::Blob { repository: repository(name)?, digest: digest(last)? }),
        "tags" if last == "list" => {
            Ok(Request::Tags { repository: repository(name)?, page: page(query)? })
        }
        "referrers" => Ok(Request::Referrers {
            repository: repository(name)?,
            subject: digest(last)?,
            artifact_type: parameter(query, "artifactType")?.filter(|text| !text.is_empty()),
            page: page(query)?,
        }),
        "uploads" if name.ends_with("/blobs") => Err(uploads()),
        _ => Err(unknown()),
    }
}

/// What is before the last slash, and what after it. The standard library's own looks at one byte
/// after the other, and a digest has 71.
fn split_last(path: &str) -> Option<(&str, &str)> {
    let at = memchr::memrchr(b'/', path.as_bytes())?;
    Some((path.get(..at)?, path.get(at + 1..)?))
}

fn uploads() -> OciError {
    OciError::new(Code::Unsupported, "this registry is read-only: it takes no uploads")
}

fn repository(name: &str) -> Result<&str, OciError> {
    if is_repository_name(name) {
        return Ok(name);
    }
    Err(OciError::new(Code::NameInvalid, "the repository name is not in the grammar of names"))
}

fn reference(text: &str) -> Result<ManifestReference<'_>, OciError> {
    if text.contains(':') {
        return digest(text).map(ManifestReference::Digest);
    }
    if is_tag(text) {
        return Ok(ManifestReference::Tag(text));
    }
    Err(OciError::new(Code::TagInvalid, "the tag is not in the grammar of tags"))
}

fn digest(text: &str) -> Result<Digest, OciError> {
    Digest::parse(text).map_err(|error| {
        let message = match error {
            DigestError::Malformed(_) => {
                "the digest is malformed: expected sha256 or sha512, a colon and lower-case hex"
            }
            DigestError::Unsupported(_) => {
                "the digest's algorithm is not supported: sha256 and sha512 are"
            }
        };
        OciError::new(Code::DigestInvalid, message)
    })
}

fn page(query: Option<&str>) -> Result<Page<'_>, OciError> {
    let n = match parameter(query, "n")? {
        None => None,
        Some(text) => Some(page_size(&text)?),
    };
    Ok(Page { n, last: parameter(query, "last")?.unwrap_or_default() })
}

/// Any whole number is understood; one beyond the limit is the limit.
fn page_size(text: &str) -> Result<usize, OciError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(OciError::new(Code::PaginationNumberInvalid, "`n` must be a whole number"));
    }
    Ok(text.parse().unwrap_or(MAX_PAGE).min(MAX_PAGE))
}

/// The first value of a known parameter. Unknown ones are ignored and never forwarded.
fn parameter<'a>(query: Option<&'a str>, name: &str) -> Result<Option<Cow<'a, str>>, OciError> {
    let Some(query) = query else { return Ok(None) };
    let Some((_, value)) = form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name)
    else {
        return Ok(None);
    };
    let is_clean = !value.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER);
    if value.len() <= 512 && is_clean {
        return Ok(Some(value));
    }
    Err(OciError::with(
        Code::RequestInvalid,
        format!("the query parameter `{name}` holds bytes that no value has"),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn code(path: &str) -> Option<Code> {
        parse(path, None).err().map(|error| error.code)
    }

    #[test]
    fn every_endpoint_of_the_specification_is_understood() {
        let digest = Digest::sha256_of(b"");
        assert_eq!(parse("/v2/", None), Ok(Request::Ping));
        assert_eq!(parse("/v2", None), Ok(Request::Ping));
        assert_eq!(
            parse("/v2/a/b/manifests/v1.0", Some("ns=registry.example")),
            Ok(Request::Manifest { repository: "a/b", reference: ManifestReference::Tag("v1.0") })
        );
        assert_eq!(
            parse(&format!("/v2/a/manifests/sha256:{HEX}"), None),
            Ok(Request::Manifest { repository: "a", reference: ManifestReference::Digest(digest) })
        );
        assert_eq!(
            parse(&format!("/v2/manifests/blobs/blobs/sha256:{HEX}"), None),
            Ok(Request::Blob { repository: "manifests/blobs", digest })
        );
        assert_eq!(
            parse("/v2/a/tags/list", Some("n=5&last=v1%2E0")),
            Ok(Request::Tags { repository: "a", page: Page { n: Some(5), last: "v1.0".into() } })
        );
        assert_eq!(
            parse(
                &format!("/v2/a/referrers/sha256:{HEX}"),
                Some("artifactType=application%2Fx%2Bjson")
            ),
            Ok(Request::Referrers {
                repository: "a",
                subject: digest,
                artifact_type: Some("application/x+json".into()),
                page: Page::default(),
            })
        );
        assert_eq!(
            parse("/v2/_catalog", Some("n=0")),
            Ok(Request::Catalog { page: Page { n: Some(0), last: "".into() } })
        );
        assert_eq!(parse("/privacy", None), Ok(Request::Page { path: "/privacy" }));
        assert_eq!(parse("/v2foo", None), Ok(Request::Page { path: "/v2foo" }));
    }

    #[test]
    fn what_is_outside_of_the_grammar_gets_its_own_code() {
        for (path, expected) in [
            ("/v2/a/manifests/.bad", Code::TagInvalid),
            ("/v2/a/manifests/sha256:0", Code::DigestInvalid),
            ("/v2/a/blobs/sha256:xyz", Code::DigestInvalid),
            ("/v2/a/blobs/latest", Code::DigestInvalid),
            ("/v2/a/blobs/md5:0123", Code::DigestInvalid),
            ("/v2/A/manifests/latest", Code::NameInvalid),
            ("/v2/a//b/manifests/latest", Code::NameInvalid),
            ("/v2/../a/manifests/latest", Code::NameInvalid),
            ("/v2/a%2Fb/manifests/latest", Code::NameInvalid),
            ("/v2/%2e%2e/manifests/latest", Code::NameInvalid),
            ("/v2/a/manifests/v1%3Fx", Code::TagInvalid),
            ("/v2//manifests/latest", Code::NameInvalid),
            ("/v2/manifests/latest", Code::NotFound),
            ("/v2/a", Code::NotFound),
            ("/v2/a/tags", Code::NotFound),
            ("/v2/a/tags/all", Code::NotFound),
            ("/v2/a/blobs/uploads/", Code::Unsupported),
            ("/v2/a/blobs/uploads", Code::Unsupported),
            ("/v2/a/blobs/uploads/123", Code::Unsupported),
            ("//v2/a/manifests/latest", Code::NotFound),
        ] {
            if path.starts_with("//") {
                assert_eq!(parse(path, None), Ok(Request::Page { path }));
            } else {
                assert_eq!(code(path), Some(expected), "{path}");
            }
        }
    }

    #[test]
    fn a_page_is_limited_and_its_parameters_are_checked() {
        let n = |query: &str| match parse("/v2/a/tags/list", Some(query)) {
            Ok(Request::Tags { page, .. }) => Ok(page.n),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.code),
        };
        assert_eq!(n(""), Ok(None));
        assert_eq!(n("n=99999999999999999999999"), Ok(Some(MAX_PAGE)));
        for bad in ["n=-1", "n=x", "n=", "n=1.5", "n=%20"] {
            assert_eq!(n(bad), Err(Code::PaginationNumberInvalid), "{bad}");
        }
        assert_eq!(n("last=%0d%0aX:1"), Err(Code::RequestInvalid));
        assert_eq!(n("last=%ff"), Err(Code::RequestInvalid));
    }

    #[test]
    fn what_is_written_again_means_the_same() {
        for (path, query) in [
            ("/v2/", None),
            ("/v2/a/b/manifests/v1.0", Some("ns=registry.example")),
            (&format!("/v2/a/manifests/sha256:{HEX}"), None),
            (&format!("/v2/a/blobs/sha256:{HEX}"), None),
            ("/v2/a/tags/list", Some("n=5&last=v1%2E0%26")),
            (&format!("/v2/a/referrers/sha256:{HEX}"), Some("artifactType=application%2Fx%2Bjson")),
            ("/v2/_catalog", Some("n=0")),
        ] {
            let request = parse(path, query).unwrap();
            let mut again = b"/v2/".to_vec();
            assert!(request.append_path(&mut again));
            let again = String::from_utf8(again).unwrap();
            let (path, query) = match again.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (again.as_str(), None),
            };
            assert_eq!(parse(path, query), Ok(request), "{again}");
        }
        assert!(!Request::Page { path: "/privacy" }.append_path(&mut Vec::new()));
    }

    proptest! {
        #[test]
        fn whatever_is_understood_may_be_written_into_another_url(path in "/v2/[a-z0-9A-Z%./:_\\-\\\\?# \r\n]{0,60}") {
            if let Ok(Request::Manifest { repository, .. } | Request::Blob { repository, .. } | Request::Tags { repository, .. }) = parse(&path, None) {
                prop_assert!(repository.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b)));
                prop_assert!(!repository.contains("..") && !repository.contains("//"));
            }
        }

        #[test]
        fn strangers_cannot_make_it_panic(path in "\\PC{0,80}", query in proptest::option::of("\\PC{0,80}")) {
            let _ = parse(&path, query.as_deref());
        }
    }
}
