//! Lists of tags and of repositories, a page at a time.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags>

use futures::TryStreamExt as _;
use landbridge_core::oci_error::Code;
use landbridge_core::request::{DEFAULT_PAGE, Page};
use landbridge_core::{RepositoryName, Tag};
use landbridge_store::StoreError;
use serde::Serialize;

use crate::access::{Action, Caller};
use crate::answer::Answer;
use crate::failure::Failure;
use crate::registry::Registry;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<&'a str>,
}

#[derive(Serialize)]
struct RepositoryList<'a> {
    repositories: Vec<&'a str>,
}

/// `GET /v2/<name>/tags/list`
pub(crate) async fn tags(
    registry: &Registry,
    repository: &RepositoryName,
    page: &Page<'_>,
) -> Result<Answer, Failure> {
    let n = page.n.unwrap_or(DEFAULT_PAGE);
    let last = Some(&*page.last).filter(|last| !last.is_empty());
    let found = registry.repositories.tags_after(repository, last, n).await?;
    if found.items.is_empty() && !exists(registry, repository).await? {
        return Err(Failure::new(Code::NameUnknown, "there is no repository of this name here"));
    }
    let tags: Vec<&str> = found.items.iter().map(Tag::as_str).collect();
    let next = next(&format!("/v2/{repository}/tags/list"), n, tags.last(), found.has_more);
    Ok(Answer::list(&TagList { name: repository.as_str(), tags }, next))
}

/// True if anything was ever pushed to the repository and is still there.
async fn exists(registry: &Registry, repository: &RepositoryName) -> Result<bool, StoreError> {
    let repositories = &registry.repositories;
    Ok(repositories.manifests(repository).try_next().await?.is_some()
        || repositories.blob_links(repository).try_next().await?.is_some()
        || !repositories.tags_after(repository, None, 1).await?.items.is_empty())
}

/// `GET /v2/_catalog`
pub(crate) async fn catalog(
    registry: &Registry,
    caller: &Caller,
    page: &Page<'_>,
) -> Result<Answer, Failure> {
    let n = page.n.unwrap_or(DEFAULT_PAGE);
    let last = Some(&*page.last).filter(|last| !last.is_empty());
    let found = registry.repositories.repositories_after(last, n).await?;
    let names: Vec<&str> = found.items.iter().map(RepositoryName::as_str).collect();
    // The next page begins after the last name that was looked at, whether or not it was shown.
    let next = next("/v2/_catalog", n, names.last(), found.has_more);
    let may_see = |name: &&str| registry.allows(caller, Action::Pull(name));
    let repositories = names.into_iter().filter(may_see).collect();
    Ok(Answer::list(&RepositoryList { repositories }, next))
}

/// The address of the next page. Names and tags need no escaping in a query.
fn next(path: &str, n: usize, last: Option<&&str>, has_more: bool) -> Option<String> {
    let last = last.filter(|_| has_more)?;
    Some(format!("{path}?n={n}&last={last}"))
}
