//! What every store promises of tags, links and referrers.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use jiff::Timestamp;
use landbridge_core::digest::Algorithm;
use landbridge_core::manifest::Descriptor;
use landbridge_core::{Digest, RepositoryName, Tag};
use landbridge_store::{ManifestLink, Page, Repositories, TagLink};

pub(crate) async fn every_promise(repositories: &Repositories) {
    tags(repositories).await;
    links(repositories).await;
    referrers(repositories).await;
    names_are_listed_in_order(repositories).await;
    objects(repositories).await;
}

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

fn tag_link(text: &str) -> TagLink {
    TagLink {
        digest: Digest::sha256_of(text.as_bytes()),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        size: 7,
        pushed: Timestamp::from_second(1_700_000_000).unwrap(),
    }
}

fn texts<T: ToString>(page: &Page<T>) -> Vec<String> {
    page.items.iter().map(T::to_string).collect()
}

async fn tags(repositories: &Repositories) {
    let here = name("tags/here");
    assert_eq!(repositories.tag(&here, &tag("v1")).await.unwrap(), None);
    assert!(!repositories.delete_tag(&here, &tag("v1")).await.unwrap());
    assert_eq!(repositories.tags_after(&here, None, 5).await.unwrap().items, []);

    let mut sorted = vec!["0", "Z", "_", "a", "a-b", "a.b", "latest", "v1", "v1.10", "v1.9", "z"];
    for text in sorted.iter().rev() {
        repositories.put_tag(&here, &tag(text), &tag_link("first")).await.unwrap();
        repositories.put_tag(&here, &tag(text), &tag_link(text)).await.unwrap();
    }
    // Neighbours that share a beginning.
    for other in ["tags/here2", "tags/here/below", "tags"] {
        repositories.put_tag(&name(other), &tag("other"), &tag_link("other")).await.unwrap();
    }
    for text in &sorted {
        let found = repositories.tag(&here, &tag(text)).await.unwrap();
        assert_eq!(found, Some(tag_link(text)), "{text}");
    }
    let page = async |last: Option<&str>, n| {
        let page = repositories.tags_after(&here, last, n).await.unwrap();
        (texts(&page), page.has_more)
    };
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    sorted.sort_unstable();
    assert_eq!(page(None, 100).await, (owned(&sorted), false));
    assert_eq!(page(None, sorted.len()).await, (owned(&sorted), false));
    assert_eq!(page(None, 0).await, (vec![], true));
    for n in 1..4 {
        for (at, last) in sorted.iter().enumerate() {
            let rest = &sorted[at + 1..];
            let expected = owned(&rest[..n.min(rest.len())]);
            assert_eq!(page(Some(last), n).await, (expected, rest.len() > n), "{last} {n}");
        }
    }
    // What is no tag, or no longer one, has a place among them all the same.
    for (last, first) in [("", "0"), ("a/b", "latest"), ("b", "latest"), ("/../x", "0")] {
        assert_eq!(page(Some(last), 1).await.0, owned(&[first]), "{last}");
    }
    assert_eq!(page(Some("~"), 5).await, (vec![], false));

    assert!(repositories.delete_tag(&here, &tag("v1.9")).await.unwrap());
    assert!(!repositories.delete_tag(&here, &tag("v1.9")).await.unwrap());
    assert_eq!(page(Some("v1.10"), 1).await, (owned(&["z"]), false));
    let listed: Vec<_> = repositories.tags(&here).try_collect().await.unwrap();
    assert_eq!(listed.len(), sorted.len() - 1);
}

async fn links(repositories: &Repositories) {
    let here = name("links");
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, b"linked");
        assert_eq!(repositories.manifest(&here, &digest).await.unwrap(), None);
        assert_eq!(repositories.blob_link(&here, &digest).await.unwrap(), None);
        for (artifact_type, subject) in
            [(None, None), (Some("application/x".to_owned()), Some(Digest::sha256_of(b"s")))]
        {
            let link = ManifestLink { media_type: "a/b".into(), size: 3, artifact_type, subject };
            repositories.link_manifest(&here, &digest, &link).await.unwrap();
            assert_eq!(repositories.manifest(&here, &digest).await.unwrap(), Some(link));
        }
        // A blob and a manifest of one digest are two things.
        assert_eq!(repositories.blob_link(&here, &digest).await.unwrap(), None);
        repositories.link_blob(&here, &digest, 5).await.unwrap();
        assert_eq!(repositories.blob_link(&here, &digest).await.unwrap(), Some(5));
        assert_eq!(repositories.blob_link(&name("links/below"), &digest).await.unwrap(), None);

        let manifests: Vec<_> = repositories.manifests(&here).try_collect().await.unwrap();
        assert_eq!(manifests.iter().map(|listed| listed.item).collect::<Vec<_>>(), [digest]);
        let blobs: Vec<_> = repositories.blob_links(&here).try_collect().await.unwrap();
        assert_eq!(blobs.iter().map(|listed| listed.item).collect::<Vec<_>>(), [digest]);

        assert!(repositories.unlink_manifest(&here, &digest).await.unwrap());
        assert!(!repositories.unlink_manifest(&here, &digest).await.unwrap());
        assert!(repositories.unlink_blob(&here, &digest).await.unwrap());
        assert!(!repositories.unlink_blob(&here, &digest).await.unwrap());
        assert_eq!(repositories.manifest(&here, &digest).await.unwrap(), None);
        assert_eq!(repositories.blob_link(&here, &digest).await.unwrap(), None);
    }
}

fn descriptor(algorithm: Algorithm, number: u64) -> Descriptor {
    Descriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        digest: Digest::of(algorithm, &number.to_le_bytes()),
        size: number,
        artifact_type: number.is_multiple_of(2).then(|| "application/x".to_owned()),
        annotations: (0..number).map(|n| (n.to_string(), "\u{e9}\"\n".repeat(50))).collect(),
        urls: Vec::new(),
        platform: None,
    }
}

async fn referrers(repositories: &Repositories) {
    let here = name("about/it");
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let subject = Digest::of(algorithm, b"subject");
        let none = repositories.referrers_after(&here, &subject, None, 9).await.unwrap();
        assert_eq!(none, Page { items: vec![], has_more: false });
        let mut all: Vec<_> = (0..7).map(|number| descriptor(algorithm, number)).collect();
        all.push(descriptor(Algorithm::Sha256, 8));
        for referrer in &all {
            repositories.put_referrer(&here, &subject, referrer).await.unwrap();
        }
        all.sort_unstable_by_key(|referrer| referrer.digest);
        for n in [1, 3, 8, 9] {
            let (mut found, mut last, mut has_more) = (Vec::new(), None, true);
            while has_more {
                let page = repositories.referrers_after(&here, &subject, last.as_ref(), n).await;
                let page = page.unwrap();
                assert!(page.items.len() == n || !page.has_more);
                (last, has_more) = (page.items.last().map(|item| item.digest), page.has_more);
                found.extend(page.items);
            }
            assert_eq!(found, all, "{n}");
        }
        let listed: Vec<_> = repositories.referrer_subjects(&here).try_collect().await.unwrap();
        let mut pairs: Vec<_> = listed.iter().map(|listed| listed.item).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, all.iter().map(|item| (subject, item.digest)).collect::<Vec<_>>());
        for referrer in &all {
            assert!(repositories.delete_referrer(&here, &subject, &referrer.digest).await.unwrap());
            assert!(
                !repositories.delete_referrer(&here, &subject, &referrer.digest).await.unwrap()
            );
        }
        let none = repositories.referrers_after(&here, &subject, None, 9).await.unwrap();
        assert_eq!(none.items, []);
    }
    // As many annotations as a manifest can have.
    let subject = Digest::sha256_of(b"annotated");
    let annotations = BTreeMap::from([("a".to_owned(), "b".repeat(4_000_000))]);
    let large = Descriptor { annotations, ..descriptor(Algorithm::Sha256, 0) };
    repositories.put_referrer(&here, &subject, &large).await.unwrap();
    let page = repositories.referrers_after(&here, &subject, None, 1).await.unwrap();
    assert!(page.items == [large.clone()]);
    assert!(repositories.delete_referrer(&here, &subject, &large.digest).await.unwrap());
}

async fn names_are_listed_in_order(repositories: &Repositories) {
    let before = repositories.repositories_after(None, usize::MAX).await.unwrap();
    for repository in before.items {
        let tags: Vec<_> = repositories.tags(&repository).try_collect().await.unwrap();
        for tag in tags {
            repositories.delete_tag(&repository, &tag.item).await.unwrap();
        }
    }
    assert_eq!(repositories.repositories_after(None, 9).await.unwrap().items, []);

    let digest = Digest::sha256_of(b"x");
    let mut all =
        vec!["a", "a-b", "a.b", "a/b", "a/b/c/d", "a/b-c", "a0", "a__b/c", "b/c/d", "b/c0", "zz/y"];
    for (at, text) in all.iter().enumerate() {
        if at % 2 == 0 {
            repositories.put_tag(&name(text), &tag("t"), &tag_link("t")).await.unwrap();
        } else {
            let link = ManifestLink {
                media_type: "a/b".into(),
                size: 1,
                artifact_type: None,
                subject: None,
            };
            repositories.link_manifest(&name(text), &digest, &link).await.unwrap();
        }
    }
    // A repository into which something was only uploaded is none yet, but is cleaned like one.
    repositories.link_blob(&name("only/blobs"), &digest, 1).await.unwrap();
    all.sort_unstable();
    for n in [1, 3, all.len() - 1, all.len(), all.len() + 1] {
        for last in [None, Some(""), Some("a"), Some("a-c"), Some("a/"), Some("a/b/c"), Some("b")] {
            let page = repositories.repositories_after(last, n).await.unwrap();
            let rest: Vec<_> =
                all.iter().filter(|text| last.is_none_or(|last| **text > last)).collect();
            let expected: Vec<_> = rest.iter().take(n).map(|text| (**text).to_owned()).collect();
            assert_eq!(texts(&page), expected, "{last:?} {n}");
            assert_eq!(page.has_more, rest.len() > n, "{last:?} {n}");
        }
    }
    let listed: Vec<_> = repositories.repositories().try_collect().await.unwrap();
    assert!(listed.is_sorted());
    assert!(all.iter().chain(&["only/blobs"]).all(|text| listed.contains(&name(text))));
}

async fn objects(repositories: &Repositories) {
    let listed: Vec<_> = repositories.objects().try_collect().await.unwrap();
    for listed in &listed {
        let size = repositories.bucket().size_of(&listed.item).await.unwrap();
        assert_eq!(size, Some(listed.size));
    }
    assert!(!listed.is_empty(), "the other promises have written some");
}
