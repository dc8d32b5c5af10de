//! The request grammar: what is understood is exactly what was written, and nothing more.
//!
//! The input is a path, and after a `?` a query.
#![no_main]

use landbridge_core::request::{MAX_PAGE, ManifestReference, Page, Request, parse};
use landbridge_core::{RepositoryName, Tag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (path, query) = text.split_once('?').map_or((text, None), |(path, q)| (path, Some(q)));
    let understood = match parse(path, query) {
        Ok(understood) => understood,
        Err(error) => {
            assert!((400..500).contains(&error.code.status()), "{error} is not the client's fault");
            return;
        }
    };
    // Written again from its parts it is the very same path: no escape, no case, no second slash
    // was read as something else.
    let written = match &understood {
        Request::Ping => {
            assert!(path == "/v2" || path == "/v2/");
            return;
        }
        Request::Page { path: page } => {
            assert_eq!(*page, path);
            assert!(path != "/v2" && !path.starts_with("/v2/"), "the registry's own paths");
            return;
        }
        Request::Manifest { repository, reference } => {
            check_name(repository);
            match reference {
                ManifestReference::Tag(tag) => {
                    assert!(Tag::parse(tag).is_ok());
                    format!("/v2/{repository}/manifests/{tag}")
                }
                ManifestReference::Digest(digest) => format!("/v2/{repository}/manifests/{digest}"),
            }
        }
        Request::Blob { repository, digest } => {
            check_name(repository);
            format!("/v2/{repository}/blobs/{digest}")
        }
        Request::Tags { repository, page } => {
            check_name(repository);
            check_page(page);
            format!("/v2/{repository}/tags/list")
        }
        Request::Referrers { repository, subject, artifact_type, page } => {
            check_name(repository);
            check_page(page);
            if let Some(artifact_type) = artifact_type {
                assert!(!artifact_type.is_empty());
                check_value(artifact_type);
            }
            format!("/v2/{repository}/referrers/{subject}")
        }
        Request::Catalog { page } => {
            check_page(page);
            "/v2/_catalog".to_owned()
        }
    };
    assert_eq!(written, path);
});

/// A name may be put into a path, a header or a file name as it is.
fn check_name(name: &str) {
    assert!(RepositoryName::parse(name).is_ok());
    assert!(!name.contains("..") && !name.contains("//"));
    assert!(!name.starts_with(['/', '.', '-']) && !name.ends_with(['/', '.', '-']));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"/._-".contains(&b);
    assert!(name.bytes().all(plain));
}

fn check_page(page: &Page<'_>) {
    assert!(page.n.is_none_or(|n| n <= MAX_PAGE));
    check_value(&page.last);
}

/// A parameter's value can neither split a header nor be long.
fn check_value(value: &str) {
    assert!(value.len() <= 512 && !value.contains(char::is_control));
}
