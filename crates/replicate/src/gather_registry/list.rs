//! Which repositories a registry has: by its catalog, or place by place where that is not shown.

use std::collections::BTreeSet;

use landbridge_core::reference::RepositoryName;
use landbridge_registry::client::{CatalogPage, ClientError, RegistryClient};

use super::{MOST_NAMES, MOST_PAGES, PAGE, malformed};
use crate::error::ImportError;
use crate::patience::patiently;

/// All repositories, in the registry's order.
pub(super) async fn repositories(
    client: &RegistryClient,
) -> Result<Vec<RepositoryName>, ImportError> {
    if let Some(names) = catalog(client).await? {
        return Ok(names);
    }
    let nothing = "there is none that we may read: name the repositories instead";
    tree(client).await?.ok_or_else(|| malformed("catalog", nothing))
}

/// What the catalog lists; `None` if there is none, or not for us.
async fn catalog(client: &RegistryClient) -> Result<Option<Vec<RepositoryName>>, ImportError> {
    let mut names: Vec<RepositoryName> = Vec::new();
    let mut known = BTreeSet::new();
    for _ in 0..MOST_PAGES {
        let last = names.last().map(ToString::to_string).unwrap_or_default();
        let Some(page) = patiently(|| page(client, &last)).await? else { return Ok(None) };
        let before = known.len();
        for name in page.repositories {
            if known.insert(name.clone()) {
                names.push(name);
            }
        }
        if known.len() > MOST_NAMES {
            break;
        }
        if !page.has_more {
            return Ok(Some(names));
        }
        if known.len() == before {
            return Err(malformed("catalog", "its pages repeat themselves"));
        }
    }
    Err(malformed("catalog", "it never ends"))
}

async fn page(client: &RegistryClient, last: &str) -> Result<Option<CatalogPage>, ImportError> {
    match client.catalog(Some(PAGE), last).await {
        Err(ClientError::Denied { .. }) => Ok(None),
        answer => Ok(answer?),
    }
}

/// Everything below the client's prefix, one request for each place; `None` if the registry does not
/// say what is below a place. Places that are no repositories are listed too.
async fn tree(client: &RegistryClient) -> Result<Option<Vec<RepositoryName>>, ImportError> {
    let Some(mut open) = patiently(|| async { Ok(client.children(None).await?) }).await? else {
        return Ok(None);
    };
    let mut names = BTreeSet::new();
    while let Some(place) = open.pop() {
        let children = patiently(|| async { Ok(client.children(Some(&place)).await?) }).await?;
        open.extend(children.unwrap_or_default());
        names.insert(place);
        if names.len() + open.len() > MOST_NAMES {
            return Err(malformed("list of repositories", "it never ends"));
        }
    }
    Ok(Some(names.into_iter().collect()))
}
