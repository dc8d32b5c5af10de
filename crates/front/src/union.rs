//! Lists of what is published and of what is only in the origin's registry yet, as one list.
//!
//! A site may have either or both. Where both know an entry it stands once. When the registry
//! does not answer, a list of what is published is an answer all the same; what only the registry
//! could know is then missing from it, and the log says so.

use std::collections::BTreeSet;

use landbridge_core::catalog::RepositoryView;
use landbridge_core::oci_error::OciError;
use landbridge_core::request::{DEFAULT_PAGE, Page};
use landbridge_core::{Digest, RepositoryName, Tag};

use crate::answer::Answer;
use crate::fetch::{live, name, unavailable};
use crate::lists;
use crate::snapshot::Site;
use crate::world::World;

/// The tags of a repository.
pub(crate) async fn tags(
    world: &World,
    site: &Site,
    repository: &str,
    shown: &str,
    page: &Page<'_>,
) -> Result<Answer, OciError> {
    let published = view(world, site, repository);
    let (name, n) = (name(repository)?, asked_for(published.as_ref(), page));
    match (live(world, site)?.tags(&name, n, &page.last).await, published) {
        (Ok(None), None) => Err(lists::name_unknown()),
        (Ok(Some(found)), None) => {
            let tags = found.tags.iter().map(Tag::as_str).collect();
            Ok(lists::tags_page(shown, page, tags, found.has_more))
        }
        (Ok(found), Some(view)) => {
            let tags: Vec<_> =
                found.iter().flat_map(|found| &found.tags).map(Tag::as_str).collect();
            let has_more = found.as_ref().is_some_and(|found| found.has_more);
            let (mut tags, has_more) = merge(page, view.tags_after(&page.last), tags, has_more);
            tags.retain(|tag| !is_hidden(world, site, &name, tag));
            Ok(lists::tags_page(shown, page, tags, has_more))
        }
        (Err(error), None) => Err(unavailable(world, site, &error)),
        (Err(error), Some(view)) => {
            unavailable(world, site, &error);
            Ok(lists::tags(shown, page, view.tags_after(&page.last)))
        }
    }
}

/// Whether a tag means something that is withdrawn, as far as it is published.
fn is_hidden(world: &World, site: &Site, repository: &RepositoryName, tag: &str) -> bool {
    let hidden = world.snapshot.catalog(site).map(|loaded| &loaded.hidden_tags);
    hidden.into_iter().flatten().any(|(name, hidden)| name == repository && hidden.as_str() == tag)
}

/// What refers to a subject.
pub(crate) async fn referrers(
    world: &World,
    site: &Site,
    repository: &str,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Result<Answer, OciError> {
    let published = view(world, site, repository);
    let asked = live(world, site)?.referrers(&name(repository)?, subject).await;
    match (asked, published) {
        (Ok(found), None) => found.map_or_else(
            || Ok(lists::referrers(None, *subject, artifact_type)),
            |index| lists::filter_referrers(&index, artifact_type),
        ),
        (Ok(None), Some(view)) => Ok(lists::referrers(Some(view), *subject, artifact_type)),
        (Ok(Some(index)), Some(view)) => {
            lists::join_referrers(view, *subject, &index, artifact_type)
        }
        (Err(error), None) => Err(unavailable(world, site, &error)),
        (Err(error), Some(view)) => {
            unavailable(world, site, &error);
            Ok(lists::referrers(Some(view), *subject, artifact_type))
        }
    }
}

/// The names of repositories.
pub(crate) async fn catalog(
    world: &World,
    site: &Site,
    page: &Page<'_>,
) -> Result<Answer, OciError> {
    let published = world.snapshot.catalog(site).map(|loaded| &loaded.catalog);
    let asked = live(world, site)?.catalog(asked_for(published, page), &page.last).await;
    match (asked, published) {
        (Ok(found), published) => {
            let names = found.repositories.iter().map(RepositoryName::as_str).collect();
            let (names, has_more) = match published {
                Some(catalog) => {
                    let rest = catalog.repositories_after(&page.last);
                    merge(page, rest, names, found.has_more)
                }
                None => (names, found.has_more),
            };
            Ok(lists::catalog_page(page, names, has_more))
        }
        (Err(error), None) => Err(unavailable(world, site, &error)),
        (Err(error), Some(catalog)) => {
            unavailable(world, site, &error);
            Ok(lists::catalog(page, catalog.repositories_after(&page.last)))
        }
    }
}

fn view<'a>(world: &'a World, site: &Site, repository: &str) -> Option<RepositoryView<'a>> {
    world.snapshot.catalog(site)?.catalog.repository(repository)
}

/// How many entries the registry is asked for: as many as the client asked for, but of two lists
/// that are joined never all at once.
fn asked_for<T>(published: Option<&T>, page: &Page<'_>) -> Option<usize> {
    match published {
        Some(_) => Some(page.n.unwrap_or(DEFAULT_PAGE)),
        None => page.n,
    }
}

/// One page of both lists, in order: `published` has all entries after the page's `last`, `live`
/// those of the registry's page, and whether it has more.
///
/// A registry that has more may have it anywhere after its page, so the page ends where that one
/// does.
fn merge<'a>(
    page: &Page<'_>,
    published: impl Iterator<Item = &'a str>,
    mut live: Vec<&'a str>,
    live_has_more: bool,
) -> (Vec<&'a str>, bool) {
    let limit = page.n.unwrap_or(DEFAULT_PAGE);
    // Some registries have an order of their own.
    live.retain(|entry| *entry > &*page.last);
    live.sort_unstable();
    let end = live.last().copied().filter(|_| live_has_more);
    let mut both: BTreeSet<_> = live.into_iter().collect();
    let published = published.take_while(|entry| end.is_none_or(|end| *entry <= end));
    both.extend(published.take(limit.saturating_add(1)));
    let has_more = live_has_more || both.len() > limit;
    (both.into_iter().take(limit).collect(), has_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pages of `n` entries of two lists, where the registry sends at most `most` at once.
    fn pages(
        published: &[&'static str],
        live: &[&'static str],
        n: usize,
        most: usize,
    ) -> Vec<String> {
        let (mut pages, mut last) = (Vec::new(), String::new());
        loop {
            let page = Page { n: Some(n), last: last.clone().into() };
            let after = |list: &[&'static str]| -> Vec<&str> {
                list.iter().copied().filter(|entry| *entry > &*last).collect()
            };
            let rest = after(live);
            let sent: Vec<_> = rest.iter().copied().take(n.min(most)).collect();
            let has_more = sent.len() < rest.len();
            let (entries, has_more) = merge(&page, after(published).into_iter(), sent, has_more);
            pages.push(entries.join(" "));
            match entries.last() {
                Some(entry) if has_more => last = (*entry).to_owned(),
                _ => return pages,
            }
        }
    }

    #[test]
    fn pages_of_both_lists_are_in_order_and_lack_nothing() {
        assert_eq!(pages(&["a", "c"], &["b", "c", "d"], 10, 10), ["a b c d"]);
        assert_eq!(pages(&["a", "c"], &["b", "c", "d"], 2, 10), ["a b", "c d"]);
        assert_eq!(pages(&["a", "c", "e"], &["b", "f"], 2, 1), ["a b", "c e", "f"]);
        assert_eq!(pages(&["x", "y", "z"], &["b", "c"], 3, 1), ["b", "c x y", "z"]);
        assert_eq!(pages(&["a", "b", "c"], &[], 2, 1), ["a b", "c"]);
        assert_eq!(pages(&[], &["a", "b"], 1, 1), ["a", "b"]);
        assert_eq!(pages(&["a"], &["b"], 0, 1), [""]);
    }
}
