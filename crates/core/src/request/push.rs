//! What a client asks of a registry that takes pushes: method, path and query, typed.
//!
//! Reads are [`request::parse`](super::parse)'s; here are uploads and what changes manifests and
//! blobs. The same rules hold: nothing is percent-decoded in a path, the values of known query
//! parameters are decoded and checked, unknown parameters are ignored.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#endpoints>

use std::borrow::Cow;

use super::{ManifestReference, Request, digest, parameter, repository};
use crate::digest::{Algorithm, Digest};
use crate::oci_error::{Code, OciError};
use crate::reference::is_tag;

/// The longest name of an upload, in bytes.
pub const MAX_UPLOAD_ID_BYTES: usize = 64;

/// The most tags that one push by digest may set.
pub const MAX_TAGS: usize = 64;

/// One operation on a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation<'a> {
    /// `GET` or `HEAD` of what is not an upload.
    Read(Request<'a>),
    /// `POST /v2/<name>/blobs/uploads/`
    StartUpload {
        /// A checked repository name.
        repository: &'a str,
        /// How the upload begins.
        start: UploadStart<'a>,
    },
    /// Anything at `/v2/<name>/blobs/uploads/<id>`.
    Upload {
        /// A checked repository name.
        repository: &'a str,
        /// The upload's name: lower-case letters, digits and dashes.
        id: &'a str,
        /// What to do with it.
        step: UploadStep,
    },
    /// `PUT /v2/<name>/manifests/<reference>`
    PutManifest {
        /// A checked repository name.
        repository: &'a str,
        /// The name to give it; a digest must be the bytes' own.
        reference: ManifestReference<'a>,
        /// Checked tags that a push by digest sets too (`?tag=`), at most [`MAX_TAGS`]; none for a
        /// push by tag.
        tags: Vec<Cow<'a, str>>,
    },
    /// `DELETE /v2/<name>/manifests/<reference>`
    DeleteManifest {
        /// A checked repository name.
        repository: &'a str,
        /// A tag alone, or the manifest with all of its tags.
        reference: ManifestReference<'a>,
    },
    /// `DELETE /v2/<name>/blobs/<digest>`
    DeleteBlob {
        /// A checked repository name.
        repository: &'a str,
        /// The blob.
        digest: Digest,
    },
}

/// How an upload begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadStart<'a> {
    /// With a session, to which the bytes will be sent.
    Session {
        /// The hash that the client means to name the blob by, if it says so.
        algorithm: Option<Algorithm>,
    },
    /// With all the bytes at once.
    Whole(Digest),
    /// With a blob that the registry may have already.
    Mount {
        /// The blob.
        digest: Digest,
        /// A checked name of a repository that has it; `None` leaves it to the registry to find one.
        from: Option<Cow<'a, str>>,
    },
}

/// A step of an upload that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadStep {
    /// `GET` or `HEAD`: how far is it?
    Status,
    /// `PATCH`: the next chunk.
    Append,
    /// `PUT`: perhaps a last chunk, and what all of it must be.
    Finish(Digest),
    /// `DELETE`: forget it.
    Cancel,
}

/// Why a request is no operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The path is known, but not with this method: 405.
    Method {
        /// The methods that are known, as `Allow` lists them.
        allow: &'static str,
    },
    /// Outside of the grammar.
    Invalid(OciError),
}

impl Refusal {
    /// The refusal as a client sees it.
    pub fn to_error(&self) -> OciError {
        match self {
            Self::Method { .. } => {
                OciError::new(Code::Unsupported, "this path does not know this method")
            }
            Self::Invalid(error) => error.clone(),
        }
    }
}

impl From<OciError> for Refusal {
    fn from(error: OciError) -> Self {
        Self::Invalid(error)
    }
}

/// Understands a request. Methods are case-sensitive, as in HTTP.
pub fn parse<'a>(
    method: &str,
    path: &'a str,
    query: Option<&'a str>,
) -> Result<Operation<'a>, Refusal> {
    match upload_path(path)? {
        Some((repository, None)) => start_upload(method, repository, query),
        Some((repository, Some(id))) => upload(method, repository, id, query),
        None => other(method, super::parse(path, query)?, query),
    }
}

/// The repository and, if there is one, the session of a path below `blobs/uploads`.
fn upload_path(path: &str) -> Result<Option<(&str, Option<&str>)>, OciError> {
    let Some(rest) = path.strip_prefix("/v2/") else { return Ok(None) };
    let Some((head, last)) = rest.rsplit_once('/') else { return Ok(None) };
    let (name, id) = match (head.strip_suffix("/blobs/uploads"), head.strip_suffix("/blobs")) {
        (Some(name), _) => (name, Some(last).filter(|id| !id.is_empty())),
        // The specification's path ends with a slash, not all clients' do.
        (None, Some(name)) if last == "uploads" => (name, None),
        (None, _) => return Ok(None),
    };
    let repository = repository(name)?;
    match id {
        Some(id) if !is_upload_id(id) => {
            Err(OciError::new(Code::BlobUploadUnknown, "there is no upload of this name"))
        }
        id => Ok(Some((repository, id))),
    }
}

/// True if `text` may name an upload: lower-case letters, digits and dashes, at most
/// [`MAX_UPLOAD_ID_BYTES`].
pub fn is_upload_id(text: &str) -> bool {
    (1..=MAX_UPLOAD_ID_BYTES).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn start_upload<'a>(
    method: &str,
    repository: &'a str,
    query: Option<&'a str>,
) -> Result<Operation<'a>, Refusal> {
    if method != "POST" {
        return Err(Refusal::Method { allow: "POST" });
    }
    let start = if let Some(mount) = value(query, "mount")? {
        let from = value(query, "from")?;
        if let Some(from) = &from {
            super::repository(from)?;
        }
        UploadStart::Mount { digest: digest(&mount)?, from }
    } else if let Some(whole) = value(query, "digest")? {
        UploadStart::Whole(digest(&whole)?)
    } else {
        UploadStart::Session { algorithm: algorithm(query)? }
    };
    Ok(Operation::StartUpload { repository, start })
}

fn upload<'a>(
    method: &str,
    repository: &'a str,
    id: &'a str,
    query: Option<&'a str>,
) -> Result<Operation<'a>, Refusal> {
    let step = match method {
        "GET" | "HEAD" => UploadStep::Status,
        "PATCH" => UploadStep::Append,
        "DELETE" => UploadStep::Cancel,
        "PUT" => {
            let missing =
                || OciError::new(Code::DigestInvalid, "an upload ends with `?digest=` of its blob");
            UploadStep::Finish(digest(&value(query, "digest")?.ok_or_else(missing)?)?)
        }
        _ => return Err(Refusal::Method { allow: "GET, HEAD, PATCH, PUT, DELETE" }),
    };
    Ok(Operation::Upload { repository, id, step })
}

fn other<'a>(
    method: &str,
    request: Request<'a>,
    query: Option<&'a str>,
) -> Result<Operation<'a>, Refusal> {
    match (method, request) {
        ("GET" | "HEAD", request) => Ok(Operation::Read(request)),
        ("PUT", Request::Manifest { repository, reference }) => {
            let tags = match reference {
                ManifestReference::Digest(_) => tags(query)?,
                ManifestReference::Tag(_) => Vec::new(),
            };
            Ok(Operation::PutManifest { repository, reference, tags })
        }
        ("DELETE", Request::Manifest { repository, reference }) => {
            Ok(Operation::DeleteManifest { repository, reference })
        }
        ("DELETE", Request::Blob { repository, digest }) => {
            Ok(Operation::DeleteBlob { repository, digest })
        }
        (_, Request::Manifest { .. }) => Err(Refusal::Method { allow: "GET, HEAD, PUT, DELETE" }),
        (_, Request::Blob { .. }) => Err(Refusal::Method { allow: "GET, HEAD, DELETE" }),
        (
            _,
            Request::Ping
            | Request::Tags { .. }
            | Request::Referrers { .. }
            | Request::Catalog { .. }
            | Request::Page { .. },
        ) => Err(Refusal::Method { allow: "GET, HEAD" }),
    }
}

/// A parameter that counts only if it says something.
fn value<'a>(query: Option<&'a str>, name: &str) -> Result<Option<Cow<'a, str>>, OciError> {
    Ok(parameter(query, name)?.filter(|value| !value.is_empty()))
}

/// All values of `tag`, in order, each once.
fn tags(query: Option<&str>) -> Result<Vec<Cow<'_, str>>, OciError> {
    let mut tags = Vec::new();
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if key != "tag" || tags.contains(&value) {
            continue;
        }
        if !is_tag(&value) {
            return Err(OciError::new(Code::TagInvalid, "`tag` is not in the grammar of tags"));
        }
        if tags.len() == MAX_TAGS {
            return Err(OciError::with(
                Code::RequestInvalid,
                format!("one push sets at most {MAX_TAGS} tags"),
            ));
        }
        tags.push(value);
    }
    Ok(tags)
}

fn algorithm(query: Option<&str>) -> Result<Option<Algorithm>, OciError> {
    match value(query, "digest-algorithm")?.as_deref() {
        None => Ok(None),
        Some("sha256") => Ok(Some(Algorithm::Sha256)),
        Some("sha512") => Ok(Some(Algorithm::Sha512)),
        Some(_) => Err(OciError::new(
            Code::DigestInvalid,
            "the digest's algorithm is not supported: sha256 and sha512 are",
        )),
    }
}

/// Which bytes of a blob a chunk is: `Content-Range: <first>-<last>`, both inclusive.
///
/// <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRange {
    first: u64,
    last: u64,
}

impl ChunkRange {
    /// Reads the header's value. What is not `^[0-9]+-[0-9]+$`, ends before it begins or is beyond
    /// what a blob can have is [`Code::BlobUploadInvalid`].
    pub fn parse(text: &str) -> Result<Self, OciError> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u64>().ok().filter(|&number| is_number && number < u64::MAX)
        };
        let range = text.split_once('-').and_then(|(first, last)| {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Self { first, last })
        });
        range.ok_or_else(|| {
            OciError::new(
                Code::BlobUploadInvalid,
                "`Content-Range` of a chunk must be `FIRST-LAST`, two whole numbers in order",
            )
        })
    }

    /// Where in the blob the chunk begins.
    pub const fn first(self) -> u64 {
        self.first
    }

    /// How many bytes the chunk has; at least one.
    pub const fn size_bytes(self) -> u64 {
        // `last` is below the largest number.
        self.last - self.first + 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(method: &str, target: &'static str) -> Result<Operation<'static>, Refusal> {
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        parse(method, path, query)
    }

    fn code(method: &str, target: &'static str) -> Option<Code> {
        match ask(method, target) {
            Err(Refusal::Invalid(error)) => Some(error.code),
            _ => None,
        }
    }

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn every_way_to_begin_an_upload_is_understood() {
        let empty = Digest::sha256_of(b"");
        let start = |target| match ask("POST", target) {
            Ok(Operation::StartUpload { repository: "a/b", start }) => start,
            other => panic!("{target}: {other:?}"),
        };
        let session = UploadStart::Session { algorithm: None };
        assert_eq!(start("/v2/a/b/blobs/uploads/"), session);
        assert_eq!(start("/v2/a/b/blobs/uploads"), session);
        assert_eq!(start("/v2/a/b/blobs/uploads/?digest=&mount=&x=y"), session);
        assert_eq!(
            start("/v2/a/b/blobs/uploads/?digest-algorithm=sha512"),
            UploadStart::Session { algorithm: Some(Algorithm::Sha512) }
        );
        assert_eq!(
            start(
                "/v2/a/b/blobs/uploads/?digest=sha256%3Ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ),
            UploadStart::Whole(empty)
        );
        assert_eq!(
            start(
                "/v2/a/b/blobs/uploads/?from=c%2Fd&mount=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            ),
            UploadStart::Mount { digest: empty, from: Some("c/d".into()) }
        );
        assert_eq!(
            start(
                "/v2/a/b/blobs/uploads/?mount=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855&from="
            ),
            UploadStart::Mount { digest: empty, from: None }
        );
    }

    #[test]
    fn every_step_of_an_upload_and_every_change_is_understood() {
        let path = "/v2/a/blobs/uploads/0f-1";
        let finish: &'static str = Box::leak(format!("{path}?digest={EMPTY}").into_boxed_str());
        let step = |step| Ok(Operation::Upload { repository: "a", id: "0f-1", step });
        assert_eq!(ask("GET", path), step(UploadStep::Status));
        assert_eq!(ask("HEAD", path), step(UploadStep::Status));
        assert_eq!(ask("PATCH", path), step(UploadStep::Append));
        assert_eq!(ask("DELETE", path), step(UploadStep::Cancel));
        assert_eq!(ask("PUT", finish), step(UploadStep::Finish(Digest::sha256_of(b""))));
        let (repository, tag) = ("a", ManifestReference::Tag("v1"));
        assert_eq!(
            ask("PUT", "/v2/a/manifests/v1"),
            Ok(Operation::PutManifest { repository, reference: tag, tags: Vec::new() })
        );
        let tagged: &'static str =
            Box::leak(format!("/v2/a/manifests/{EMPTY}?tag=1.0&tag=1&tag=1.0").into_boxed_str());
        assert_eq!(
            ask("PUT", tagged),
            Ok(Operation::PutManifest {
                repository,
                reference: ManifestReference::Digest(Digest::sha256_of(b"")),
                tags: vec!["1.0".into(), "1".into()],
            })
        );
        assert_eq!(
            ask("DELETE", "/v2/a/manifests/v1"),
            Ok(Operation::DeleteManifest { repository, reference: tag })
        );
        assert_eq!(ask("GET", "/v2/"), Ok(Operation::Read(Request::Ping)));
        // A repository may be called like a part of a path.
        assert_eq!(
            ask("GET", "/v2/a/blobs/uploads/tags/list"),
            Ok(Operation::Read(Request::Tags {
                repository: "a/blobs/uploads",
                page: super::super::Page::default()
            }))
        );
    }

    #[test]
    fn what_is_no_operation_says_why() {
        let allow = |method, target| match ask(method, target) {
            Err(Refusal::Method { allow }) => allow,
            other => panic!("{method} {target}: {other:?}"),
        };
        assert_eq!(allow("GET", "/v2/a/blobs/uploads/"), "POST");
        assert_eq!(allow("POST", "/v2/a/blobs/uploads/1"), "GET, HEAD, PATCH, PUT, DELETE");
        assert_eq!(allow("POST", "/v2/a/manifests/v1"), "GET, HEAD, PUT, DELETE");
        assert_eq!(allow("delete", "/v2/a/manifests/v1"), "GET, HEAD, PUT, DELETE");
        assert_eq!(allow("PUT", "/v2/a/tags/list"), "GET, HEAD");
        for (method, target, expected) in [
            ("PUT", "/v2/a/blobs/uploads/1", Code::DigestInvalid),
            ("PUT", "/v2/a/blobs/uploads/1?digest=sha256:00", Code::DigestInvalid),
            ("POST", "/v2/a/blobs/uploads/?digest=md5:00", Code::DigestInvalid),
            ("POST", "/v2/a/blobs/uploads/?mount=latest", Code::DigestInvalid),
            ("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", Code::DigestInvalid),
            ("POST", "/v2/A/blobs/uploads/", Code::NameInvalid),
            ("PATCH", "/v2/a/blobs/uploads/..", Code::BlobUploadUnknown),
            ("PATCH", "/v2/a/blobs/uploads/%2e", Code::BlobUploadUnknown),
            ("PUT", "/v2/a/manifests/.v1", Code::TagInvalid),
            ("PUT", "/v2/a", Code::NotFound),
            (
                "PUT",
                "/v2/a/manifests/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855?tag=.1",
                Code::TagInvalid,
            ),
        ] {
            assert_eq!(code(method, target), Some(expected), "{method} {target}");
        }
        let evil = "/v2/a/blobs/uploads/?mount=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855&from=..%2Fb";
        assert_eq!(code("POST", evil), Some(Code::NameInvalid));
    }

    #[test]
    fn a_chunks_range_is_two_numbers_in_order() {
        let range = ChunkRange::parse("10-19").unwrap();
        assert_eq!((range.first(), range.size_bytes()), (10, 10));
        assert_eq!(ChunkRange::parse("0-0").unwrap().size_bytes(), 1);
        for bad in [
            "",
            "-",
            "0-",
            "-1",
            "1-0",
            "a-b",
            "+1-2",
            "0-1-2",
            " 0-1",
            "bytes 0-1/2",
            "0-18446744073709551615",
            "0-99999999999999999999999",
        ] {
            assert!(ChunkRange::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_understood_may_be_written_into_a_location(
            method in "GET|HEAD|POST|PUT|PATCH|DELETE",
            path in "/v2/[a-zA-Z0-9%./_\\-]{0,20}(/blobs)?(/uploads)?/[a-zA-Z0-9%./:_\\-]{0,20}",
            from in "[a-zA-Z0-9%./_\\-]{0,20}",
        ) {
            let query = format!("mount={EMPTY}&digest={EMPTY}&from={from}");
            let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b));
            match parse(&method, &path, Some(&query)) {
                Ok(Operation::StartUpload { repository, start }) => {
                    prop_assert!(plain(repository));
                    if let UploadStart::Mount { from: Some(from), .. } = start {
                        prop_assert!(crate::reference::is_repository_name(&from));
                    }
                }
                Ok(Operation::Upload { repository, id, .. }) => {
                    prop_assert!(plain(repository) && plain(id) && !id.contains(['/', '.']));
                    prop_assert_eq!(format!("/v2/{repository}/blobs/uploads/{id}"), path);
                }
                _ => {}
            }
        }

        #[test]
        fn reading_is_understood_as_before(path in "/v2/\\PC{0,60}", query in proptest::option::of("\\PC{0,40}")) {
            if let Ok(request) = super::super::parse(&path, query.as_deref()) {
                prop_assert_eq!(parse("GET", &path, query.as_deref()), Ok(Operation::Read(request)));
            }
        }

        #[test]
        fn a_range_round_trips(first in 0_u64..u64::MAX - 1, size in 1_u64..1 << 40) {
            let last = first.saturating_add(size - 1).min(u64::MAX - 1);
            let range = ChunkRange::parse(&format!("{first}-{last}")).unwrap();
            prop_assert_eq!((range.first(), range.size_bytes()), (first, last - first + 1));
        }

        #[test]
        fn strangers_cannot_make_it_panic(method in "\\PC{0,8}", path in "\\PC{0,80}", query in proptest::option::of("\\PC{0,80}"), range in "\\PC{0,30}") {
            let _ = (parse(&method, &path, query.as_deref()), ChunkRange::parse(&range));
        }
    }
}
