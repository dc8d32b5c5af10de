//! Lists: tags, repositories, referrers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use landbridge_core::digest::Digest;
use landbridge_core::manifest::MAX_MANIFEST_BYTES;
use landbridge_core::media_type;
use landbridge_core::reference::{RepositoryName, Tag};
use landbridge_core::request::ManifestReference;
use serde::Deserialize;

use super::body::read_bounded;
use super::link;
use super::send::Question;
use super::{ClientError, RegistryClient};

/// Bytes of one page of a list.
const MOST_LIST_BYTES: usize = 8 << 20;
/// What refers to one manifest: more than anybody has, and few enough to be held.
const MOST_REFERRERS: usize = 100_000;

/// A part of a repository's tags: in the registry's order, or sorted if it sent all of them at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPage {
    /// The tags.
    pub tags: Vec<Tag>,
    /// True if there are more after the last one.
    pub has_more: bool,
    /// What each tag of the page means, and manifests without a tag: Google's registries tell that
    /// too, and then no tag needs to be asked for.
    pub manifests: Option<BTreeMap<Digest, Vec<Tag>>>,
}

/// A part of a registry's repositories, in the registry's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogPage {
    /// The repositories below the client's prefix, without it.
    pub repositories: Vec<RepositoryName>,
    /// True if there are more after the last one.
    pub has_more: bool,
}

/// What refers to a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// An image index as the registry sent it; at most [`MAX_MANIFEST_BYTES`], not parsed.
    pub index: Bytes,
    /// False if the registry has more than it sent.
    pub is_complete: bool,
}

impl RegistryClient {
    /// A page of at most `n` tags (the registry may send fewer) after `last` (none if empty);
    /// `None` if there is no such repository.
    ///
    /// Some registries send the whole list whatever is asked for: what is too much is cut off, unless
    /// the answer says what the tags mean.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        n: Option<usize>,
        last: &str,
    ) -> Result<Option<TagPage>, ClientError> {
        #[derive(Deserialize)]
        struct List {
            // Go programs write an empty list as `null`.
            tags: Option<Vec<Tag>>,
            manifest: Option<BTreeMap<Digest, GoogleManifest>>,
        }
        #[derive(Deserialize)]
        struct GoogleManifest {
            tag: Option<Vec<Tag>>,
        }
        let what = format!("tag list of `{repository}`");
        let mut question = self.question(Method::GET, what, repository, &["tags", "list"]);
        ask_for_page(&mut question, n, last);
        let Some((headers, body)) = self.fetch_list(&question).await? else { return Ok(None) };
        let list: List = parse(&question.what, &body)?;
        let tags = list.tags.unwrap_or_default();
        let Some(manifests) = list.manifest else {
            let was_empty = tags.is_empty();
            let page = cut_page(tags, n, last, has_more(&headers));
            if page.tags.is_empty() && !was_empty && has_more(&headers) {
                // All of it was told before, and there shall be more: the rest is never told.
                return Err(ClientError::malformed(&question.what, "its pages repeat themselves"));
            }
            return Ok(Some(page));
        };
        let manifests = manifests.into_iter();
        let manifests = manifests.map(|(digest, found)| (digest, found.tag.unwrap_or_default()));
        let (has_more, manifests) = (has_more(&headers), Some(manifests.collect()));
        Ok(Some(TagPage { tags, has_more, manifests }))
    }

    /// A page of repositories after `last`, all below the client's prefix; `None` if the registry
    /// has no catalog.
    pub async fn catalog(
        &self,
        n: Option<usize>,
        last: &str,
    ) -> Result<Option<CatalogPage>, ClientError> {
        #[derive(Deserialize)]
        struct List {
            repositories: Option<Vec<RepositoryName>>,
        }
        let mut question = Question {
            method: Method::GET,
            what: "catalog".to_owned(),
            url: self.address(std::iter::once("_catalog")),
            scope: "registry:catalog:*".to_owned(),
            accept: None,
            range: None,
        };
        // With a prefix the list begins where the prefix's names do, and ends with them.
        let prefix =
            if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        ask_for_page(&mut question, n, &format!("{prefix}{last}"));
        let Some((headers, body)) = self.fetch_list(&question).await? else { return Ok(None) };
        let list: List = parse(&question.what, &body)?;
        let all = list.repositories.unwrap_or_default();
        let is_last_ours = all.last().is_some_and(|name| name.as_str().starts_with(&prefix));
        let repositories = all
            .iter()
            .filter_map(|name| RepositoryName::parse(name.as_str().strip_prefix(&prefix)?).ok())
            .collect();
        Ok(Some(CatalogPage { repositories, has_more: is_last_ours && has_more(&headers) }))
    }

    /// Repositories, and places that only lead to repositories, directly below `place`, or below the
    /// client's prefix; `None` if there is no such place, or it does not say.
    ///
    /// Google's registries have this as `child` in their tag lists and show their catalog to nobody
    /// but the owner.
    pub async fn children(
        &self,
        place: Option<&RepositoryName>,
    ) -> Result<Option<Vec<RepositoryName>>, ClientError> {
        #[derive(Deserialize)]
        struct List {
            child: Option<Vec<String>>,
        }
        let full_name = match place {
            Some(place) => self.full_name(place),
            None => self.prefix.clone(),
        };
        let segments = full_name.split('/').filter(|segment| !segment.is_empty());
        let question = Question {
            method: Method::GET,
            what: format!("list of what is below `{full_name}`"),
            url: self.address(segments.chain(["tags", "list"])),
            scope: format!("repository:{full_name}:pull"),
            accept: None,
            range: None,
        };
        let Some((_, body)) = self.fetch_list(&question).await? else { return Ok(None) };
        let Some(children) = parse::<List>(&question.what, &body)?.child else { return Ok(None) };
        let below = |child: &String| match place {
            Some(place) => RepositoryName::parse(&format!("{place}/{child}")),
            None => RepositoryName::parse(child),
        };
        let names = children.iter().map(below).collect::<Result<_, _>>();
        Ok(Some(names.map_err(|error| ClientError::malformed(&question.what, error.to_string()))?))
    }

    /// What refers to the manifest `subject`; `None` if nothing does.
    ///
    /// A registry without the referrers API (404) is asked for the tag that stands for it:
    /// <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema>.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Referrers>, ClientError> {
        let what = format!("referrers of `{repository}@{subject}`");
        let path = ["referrers", &subject.to_string()];
        let mut question = self.question(Method::GET, what, repository, &path);
        question.accept = Some(media_type::OCI_INDEX.to_owned());
        let answer = self.send(&question).await?;
        let headers = answer.response.headers().clone();
        match answer.response.status() {
            StatusCode::OK => {
                let limit = MAX_MANIFEST_BYTES;
                let index =
                    read_bounded(&question.what, answer.response, limit, self.timeout).await?;
                Ok(Some(Referrers { index, is_complete: !has_more(&headers) }))
            }
            StatusCode::NOT_FOUND => {
                drop(answer);
                let tag = fallback_tag(subject);
                let index = self.manifest(repository, ManifestReference::Tag(&tag)).await?;
                Ok(index.map(|found| Referrers { index: found.bytes, is_complete: true }))
            }
            status => Err(ClientError::status(&question.what, status, &headers)),
        }
    }

    /// The digests of all manifests that the registry lists as being about `subject`, page by page;
    /// `None` if it has no referrers API.
    ///
    /// A list that repeats itself or never ends is [`ClientError::Malformed`].
    pub async fn listed_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Vec<Digest>>, ClientError> {
        #[derive(Deserialize)]
        struct Index {
            manifests: Option<Vec<Entry>>,
        }
        #[derive(Deserialize)]
        struct Entry {
            digest: Digest,
        }
        let what = format!("referrers of `{repository}@{subject}`");
        let path = ["referrers", &subject.to_string()];
        let mut question = self.question(Method::GET, what, repository, &path);
        question.accept = Some(media_type::OCI_INDEX.to_owned());
        let (mut found, mut known) = (Vec::new(), BTreeSet::new());
        loop {
            let Some((headers, body)) = self.fetch_list(&question).await? else {
                return Ok(None);
            };
            let index: Index = parse(&question.what, &body)?;
            let before = found.len();
            for entry in index.manifests.unwrap_or_default() {
                if known.insert(entry.digest) {
                    found.push(entry.digest);
                }
            }
            if found.len() > MOST_REFERRERS {
                return Err(ClientError::malformed(&question.what, "it never ends"));
            }
            let links = headers.get_all(header::LINK);
            let next = link::next_query(links.iter().filter_map(|value| value.to_str().ok()));
            match next {
                None => return Ok(Some(found)),
                Some(_) if found.len() == before => {
                    return Err(ClientError::malformed(
                        &question.what,
                        "its pages repeat themselves",
                    ));
                }
                Some(query) => question.url.set_query(Some(query)),
            }
        }
    }

    async fn fetch_list(
        &self,
        question: &Question,
    ) -> Result<Option<(HeaderMap, Bytes)>, ClientError> {
        let answer = self.send(question).await?;
        let headers = answer.response.headers().clone();
        match answer.response.status() {
            StatusCode::OK => {
                let limit = MOST_LIST_BYTES;
                let body =
                    read_bounded(&question.what, answer.response, limit, self.timeout).await?;
                Ok(Some((headers, body)))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(ClientError::status(&question.what, status, &headers)),
        }
    }
}

fn ask_for_page(question: &mut Question, n: Option<usize>, last: &str) {
    if n.is_none() && last.is_empty() {
        return;
    }
    let mut query = question.url.query_pairs_mut();
    if let Some(n) = n {
        query.append_pair("n", &n.to_string());
    }
    if !last.is_empty() {
        query.append_pair("last", last);
    }
}

/// What belongs to the page that was asked for. A whole list is sorted, which some registries leave
/// to others. The order of pages is the registry's own, so `last` is looked for and not compared
/// with.
fn cut_page(mut tags: Vec<Tag>, n: Option<usize>, last: &str, has_more: bool) -> TagPage {
    let has_last = tags.iter().any(|tag| tag.as_str() == last);
    if !has_more && (last.is_empty() || has_last) {
        tags.sort_unstable();
    }
    if let Some(at) = tags.iter().position(|tag| tag.as_str() == last) {
        tags.drain(..=at);
    }
    let is_cut = n.is_some_and(|n| n < tags.len());
    tags.truncate(n.unwrap_or(usize::MAX));
    // Nobody can go on from an empty page.
    let has_more = (has_more || is_cut) && !tags.is_empty();
    TagPage { tags, has_more, manifests: None }
}

fn has_more(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::LINK);
    link::has_next(values.iter().filter_map(|value| value.to_str().ok()))
}

fn parse<'de, T: Deserialize<'de>>(what: &str, body: &'de [u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::malformed(what, error.to_string()))
}

/// `sha256-hex`; the tag schema cuts the algorithm at 32 and the hash at 64 characters.
fn fallback_tag(subject: &Digest) -> String {
    let hex = subject.hex().to_string();
    format!("{}-{}", subject.algorithm().name(), hex.get(..64).unwrap_or(&hex))
}

#[cfg(test)]
mod tests {
    use landbridge_core::digest::Algorithm;

    use super::*;

    #[test]
    fn a_registry_that_ignores_page_and_order_is_sorted_and_cut() {
        let page = |n, last| {
            let tags = ["v3", "v1", "v2", "v10"].map(|tag| Tag::parse(tag).unwrap()).to_vec();
            let page = cut_page(tags, n, last, false);
            (page.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), page.has_more)
        };
        assert_eq!(page(None, ""), ("v1 v10 v2 v3".to_owned(), false));
        assert_eq!(page(Some(2), ""), ("v1 v10".to_owned(), true));
        assert_eq!(page(Some(2), "v10"), ("v2 v3".to_owned(), false));
        assert_eq!(page(Some(9), "v2"), ("v3".to_owned(), false));
        assert_eq!(page(Some(9), "v3"), (String::new(), false));
        assert_eq!(page(Some(0), ""), (String::new(), false));
    }

    #[test]
    fn the_fallback_tag_is_the_specifications_and_a_tag() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let tag = fallback_tag(&Digest::of(algorithm, b"x"));
            assert_eq!(tag.len(), 6 + 1 + 64);
            assert!(landbridge_core::reference::is_tag(&tag));
        }
    }
}
