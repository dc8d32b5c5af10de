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
use serde_json::Value;

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
struct Index<D> {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<D>,
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
    let all = view.into_iter().flat_map(|view| published_referrers(view, subject));
    let manifests = all
        .filter(|entry| artifact_type.is_none() || entry.artifact_type == artifact_type)
        .collect();
    index_of(manifests, artifact_type)
}

fn published_referrers(
    view: RepositoryView<'_>,
    subject: Digest,
) -> impl Iterator<Item = ReferrerDescriptor<'_>> {
    view.referrers(subject).map(|(referrer, manifest)| ReferrerDescriptor {
        media_type: manifest.media_type,
        digest: manifest.digest,
        size: manifest.size,
        artifact_type: referrer.artifact_type.as_deref(),
        annotations: referrer.annotations.iter().map(|(key, value)| (&**key, &**value)).collect(),
    })
}

fn index_of<D: Serialize>(manifests: Vec<D>, artifact_type: Option<&str>) -> Answer {
    let index = Index { schema_version: 2, media_type: OCI_INDEX, manifests };
    Answer::referrers(to_json(&index), artifact_type.is_some())
}

/// The referrers as a live origin lists them, filtered here: an origin need not know how.
pub(crate) fn filter_referrers(
    index: &[u8],
    artifact_type: Option<&str>,
) -> Result<Answer, OciError> {
    let Some(wanted) = artifact_type else { return Ok(Answer::referrers(index.to_vec(), false)) };
    let mut index = parse(index)?;
    if let Some(manifests) = index.get_mut("manifests").and_then(Value::as_array_mut) {
        manifests.retain(|entry| field(entry, "artifactType") == Some(wanted));
    }
    Ok(Answer::referrers(to_json(&index), true))
}

/// The referrers that a generation lists and those that the origin's registry does, each once and
/// in order of their digests. Where both know one, the generation's word stands.
pub(crate) fn join_referrers(
    view: RepositoryView<'_>,
    subject: Digest,
    index: &[u8],
    artifact_type: Option<&str>,
) -> Result<Answer, OciError> {
    let index = parse(index)?;
    let live = index.get("manifests").and_then(Value::as_array).into_iter().flatten();
    let mut all: BTreeMap<String, Joined<'_>> = live
        .filter_map(|entry| Some((field(entry, "digest")?.to_owned(), Joined::Live(entry))))
        .collect();
    for entry in published_referrers(view, subject) {
        all.insert(entry.digest.to_string(), Joined::Published(entry));
    }
    let manifests = all
        .into_values()
        .filter(|entry| artifact_type.is_none() || entry.artifact_type() == artifact_type)
        .collect();
    Ok(index_of(manifests, artifact_type))
}

/// A referrer as the generation or the registry lists it.
#[derive(Serialize)]
#[serde(untagged)]
enum Joined<'a> {
    Published(ReferrerDescriptor<'a>),
    Live(&'a Value),
}

impl Joined<'_> {
    fn artifact_type(&self) -> Option<&str> {
        match self {
            Self::Published(entry) => entry.artifact_type,
            Self::Live(entry) => field(entry, "artifactType"),
        }
    }
}

fn parse(index: &[u8]) -> Result<Value, OciError> {
    serde_json::from_slice(index).map_err(|_| {
        OciError::new(Code::Unavailable, "the origin's list of referrers makes no sense")
    })
}

fn field<'a>(entry: &'a Value, name: &str) -> Option<&'a str> {
    entry.get(name)?.as_str()
}

fn to_json(list: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(list).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use landbridge_core::catalog::CatalogBuilder;
    use landbridge_core::generation::{ManifestEntry, ReferrerEntry, Repository};
    use landbridge_core::media_type::OCI_MANIFEST;
    use landbridge_core::topology::CopySet;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn referrers_of_both_stand_once_in_order_and_the_generations_word_stands() {
        let digest = |text: &str| Digest::sha256_of(text.as_bytes());
        let mut repository = Repository::empty("app".parse().unwrap());
        let manifest = |digest| ManifestEntry { digest, media_type: OCI_MANIFEST.into(), size: 7 };
        repository.manifests = ["subject", "published"].map(|text| manifest(digest(text))).into();
        repository.referrers.push(ReferrerEntry {
            subject: digest("subject"),
            digest: digest("published"),
            artifact_type: Some("a/signature".to_owned()),
            annotations: [("by".to_owned(), "us".to_owned())].into(),
        });
        let mut builder = CatalogBuilder::default();
        builder.add_current(repository.sorted(), CopySet::EMPTY).unwrap();
        let catalog = builder.build().unwrap();
        let view = catalog.repository("app").unwrap();
        let live = |text: &str, kind: &str| json!({ "mediaType": OCI_MANIFEST, "digest": digest(text), "size": 9, "artifactType": kind });
        let live = ["published", "pushed", "also pushed"]
            .map(|text| live(text, if text == "pushed" { "a/signature" } else { "an/sbom" }));
        let index = json!({ "schemaVersion": 2, "manifests": live }).to_string();

        for (kind, mut expected) in [
            (None, vec!["published", "pushed", "also pushed"]),
            (Some("a/signature"), vec!["published", "pushed"]),
            (Some("an/sbom"), vec!["also pushed"]),
        ] {
            let answer =
                join_referrers(view, digest("subject"), index.as_bytes(), kind).unwrap().response;
            let is_filtered = answer.headers().contains_key("oci-filters-applied");
            assert_eq!(is_filtered, kind.is_some());
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let entries = body["manifests"].as_array().unwrap();
            let listed: Vec<_> = entries.iter().map(|entry| entry["digest"].clone()).collect();
            expected.sort_by_key(|text| digest(text));
            assert_eq!(
                listed,
                expected.into_iter().map(|it| json!(digest(it))).collect::<Vec<_>>()
            );
            for entry in entries.iter().filter(|it| it["digest"] == json!(digest("published"))) {
                assert_eq!(
                    (&entry["size"], &entry["annotations"]["by"]),
                    (&json!(7), &json!("us"))
                );
            }
        }
        let nonsense = join_referrers(view, digest("subject"), b"<html>", None);
        assert_eq!(nonsense.err().map(|error| error.code), Some(Code::Unavailable));
    }
}
