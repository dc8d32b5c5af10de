//! Where each fact lies. Nobody else spells a key.
//!
//! ```text
//! repositories/NAME/_tags/TAG
//! repositories/NAME/_manifests/ALGORITHM/HEX
//! repositories/NAME/_blobs/ALGORITHM/HEX
//! repositories/NAME/_referrers/ALGORITHM/HEX/ALGORITHM:HEX
//! ```
//!
//! A component of a repository's name never begins with `_`, so every key can be read in one way.
//!
//! Invariant: each `parse_` is the exact inverse of its key: what it does not give back byte for
//! byte is no fact, a draft that a killed process left beside one least of all.

use landbridge_core::reference::Tag;
use landbridge_core::{Digest, RepositoryName};

pub(crate) const ROOT: &str = "repositories";
pub(crate) const TAGS: &str = "_tags";
pub(crate) const MANIFESTS: &str = "_manifests";

pub(crate) fn tags(repository: &RepositoryName) -> String {
    format!("{ROOT}/{repository}/{TAGS}")
}

pub(crate) fn tag(repository: &RepositoryName, tag: &Tag) -> String {
    format!("{}/{tag}", tags(repository))
}

pub(crate) fn parse_tag(name: &str) -> Option<Tag> {
    Tag::parse(name).ok()
}

pub(crate) fn manifests(repository: &RepositoryName) -> String {
    format!("{ROOT}/{repository}/{MANIFESTS}")
}

pub(crate) fn manifest(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{}/{}", manifests(repository), path(digest))
}

pub(crate) fn blobs(repository: &RepositoryName) -> String {
    format!("{ROOT}/{repository}/_blobs")
}

pub(crate) fn blob(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{}/{}", blobs(repository), path(digest))
}

pub(crate) fn all_referrers(repository: &RepositoryName) -> String {
    format!("{ROOT}/{repository}/_referrers")
}

pub(crate) fn referrers(repository: &RepositoryName, subject: &Digest) -> String {
    format!("{}/{}", all_referrers(repository), path(subject))
}

pub(crate) fn referrer(repository: &RepositoryName, subject: &Digest, referrer: &Digest) -> String {
    format!("{}/{referrer}", referrers(repository, subject))
}

/// `ALGORITHM/HEX`.
pub(crate) fn path(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm().name(), digest.hex())
}

/// The inverse of [`path`].
pub(crate) fn parse_path(text: &str) -> Option<Digest> {
    let (algorithm, hex) = text.split_once('/')?;
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

/// A subject and its referrer: the inverse of [`referrer`] below [`all_referrers`].
pub(crate) fn parse_referrer(text: &str) -> Option<(Digest, Digest)> {
    let (subject, referrer) = text.rsplit_once('/')?;
    Some((parse_path(subject)?, Digest::parse(referrer).ok()?))
}

#[cfg(test)]
mod tests {
    use landbridge_core::digest::Algorithm;

    use super::*;

    #[test]
    fn what_was_written_is_found_and_a_draft_beside_it_is_not() {
        let repository = "a/b".parse().unwrap();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let (one, other) = (Digest::of(algorithm, b"1"), Digest::of(algorithm, b"2"));
            let below = |key: String, directory: String| {
                key.strip_prefix(&format!("{directory}/")).unwrap().to_owned()
            };
            let name = below(blob(&repository, &one), blobs(&repository));
            assert_eq!(parse_path(&name), Some(one));
            assert_eq!(parse_path(&format!("{name}#1")), None);
            assert_eq!(parse_path(&format!("{name}/")), None);
            let name = below(manifest(&repository, &one), manifests(&repository));
            assert_eq!(parse_path(&name), Some(one));
            let name = below(referrer(&repository, &one, &other), all_referrers(&repository));
            assert_eq!(parse_referrer(&name), Some((one, other)));
            assert_eq!(parse_referrer(&format!("{name}#23")), None);
        }
        let latest = Tag::parse("latest").unwrap();
        assert_eq!(tag(&repository, &latest), "repositories/a/b/_tags/latest");
        assert_eq!(parse_tag("latest"), Some(latest));
        assert_eq!(parse_tag("latest#1"), None);
    }
}
