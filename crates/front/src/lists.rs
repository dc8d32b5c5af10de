//! Lists: tags, repositories and referrers, a page at a time.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#content-discovery>

use std::collections::BTreeMap;

use landbridge_core::Digest;
use landbridge_core::catalog::RepositoryView;
use landbridge_core::media_type::OCI_INDEX;
use landbridge_core::oci_error::{Code, OciError};
use landbridge_core::request::{DEFAULT_PAGE, Page};
use serde::Serialize;

use crate::answer::Answer;

pub(crate) fn name_unknown() -> OciError {
    OciError::new(Code::NameUnknown, "there is no repository of this name here")
}

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<&'a str>,
}

/// The tags of a repository; `rest` are those after the page's `last`.
pub(crate) fn tags<'a>(
    repository: &str,
    page: &Page<'_>,
    rest: impl Iterator<Item = &'a str>,
) -> Answer {
    let (tags, has_more) = take(page, rest);
    tags_page(repository, page, tags, has_more)
}

/// A page of tags as an origin gave it.
pub(crate) fn tags_page(
    repository: &str,
    page: &Page<'_>,
    tags: Vec<&str>,
    has_more: bool,
) -> Answer {
    let next = next(&format!("/v2/{repository}/tags/list"), page, &tags, has_more);
    Answer::list(to_json(&TagList { name: repository, tags }), next)
}

#[derive(Serialize)]
struct RepositoryList<'a> {
    repositories: Vec<&'a str>,
}

/// The names of repositories; `rest` are those after the page's `last`.
pub(crate) fn catalog<'a>(page: &Page<'_>, rest: impl Iterator<Item = &'a str>) -> Answer {
    let (repositories, has_more) = take(page, rest);
    catalog_page(page, repositories, has_more)
}

/// A page of repositories as an origin gave it.
pub(crate) fn catalog_page(page: &Page<'_>, repositories: Vec<&str>, has_more: bool) -> Answer {
    let next = next("/v2/_catalog", page, &repositories, has_more);
    Answer::list(to_json(&RepositoryList { repositories }), next)
}

fn take<'a>(page: &Page<'_>, mut rest: impl Iterator<Item = &'a str>) -> (Vec<&'a str>, bool) {
    let entries = rest.by_ref().take(page.n.unwrap_or(DEFAULT_PAGE)).collect();
    (entries, rest.next().is_some())
}

/// The address of the next page. Names and tags need no escaping in a query.
fn next(path: &str, page: &Page<'_>, entries: &[&str], has_more: bool) -> Option<String> {
    let last = entries.last().filter(|_| has_more)?;
    Some(format!("{path}?n={}&last={last}", page.n.unwrap_or(DEFAULT_PAGE)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<ReferrerDescriptor<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReferrerDescriptor<'a> {
    media_type: &'a str,
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

/// The referrers of a subject. One that nobody knows has none: that is an answer, not an error.
pub(crate) fn referrers(
    view: Option<RepositoryView<'_>>,
    subject: Digest,
    artifact_type: Option<&str>,
) -> Answer {
    let all = view.into_iter().flat_map(|view| view.referrers(subject));
    let manifests = all
        .filter(|(referrer, _)| {
            artifact_type.is_none() || referrer.artifact_type.as_deref() == artifact_type
        })
        .map(|(referrer, manifest)| ReferrerDescriptor {
            media_type: manifest.media_type,
            digest: manifest.digest,
            size: manifest.size,
            artifact_type: referrer.artifact_type.as_deref(),
            annotations: referrer
                .annotations
                .iter()
                .map(|(key, value)| (&**key, &**value))
                .collect(),
        });
    let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests: manifests.collect() };
    Answer::referrers(to_json(&index), artifact_type.is_some())
}

/// The referrers as a live origin lists them, filtered here: an origin need not know how.
pub(crate) fn filter_referrers(
    index: &[u8],
    artifact_type: Option<&str>,
) -> Result<Answer, OciError> {
    let Some(wanted) = artifact_type else { return Ok(Answer::referrers(index.to_vec(), false)) };
    let malformed =
        |_| OciError::new(Code::Unavailable, "the origin's list of referrers makes no sense");
    let mut index: serde_json::Value = serde_json::from_slice(index).map_err(malformed)?;
    if let Some(manifests) = index.get_mut("manifests").and_then(serde_json::Value::as_array_mut) {
        let kind = |entry: &serde_json::Value| {
            entry.get("artifactType").and_then(|kind| kind.as_str().map(str::to_owned))
        };
        manifests.retain(|entry| kind(entry).as_deref() == Some(wanted));
    }
    Ok(Answer::referrers(to_json(&index), true))
}

fn to_json(list: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(list).unwrap_or_default()
}
