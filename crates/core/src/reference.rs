//! Names: repositories, tags, and the references that people write.
//!
//! Grammar: <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests>.
//! A name that was parsed holds no character that could mean anything to a URL, a header or a file
//! system, so it may be put into a path without escaping.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{Digest, DigestError};

/// The longest repository name that is accepted, in bytes. Clients limit host and name together to
/// 255 (distribution-spec, "Pulling manifests").
pub const MAX_REPOSITORY_BYTES: usize = 255;
/// The longest tag, in bytes.
pub const MAX_TAG_BYTES: usize = 128;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a repository name.
    #[error(
        "`{0}` is no repository name: lower-case letters, digits, single `.`, `_`, `__` or dashes inside components, `/` between them, at most 255 bytes"
    )]
    Repository(String),
    /// Not a tag.
    #[error(
        "`{0}` is no tag: letters, digits, `_`, `.` and `-`, at most 128, not starting with `.` or `-`"
    )]
    Tag(String),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// True if `name` is a repository name. Does not allocate.
pub fn is_repository_name(name: &str) -> bool {
    // Components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` with slashes between them, in one pass:
    // each run of separators must have a word on either side.
    let mut separator = b'/';
    let mut run = 1;
    for byte in name.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() {
            run = 0;
            continue;
        }
        let longest = match byte {
            b'.' | b'/' => 1,
            b'_' => 2,
            b'-' => usize::MAX,
            _ => return false,
        };
        if run > 0 && byte != separator {
            return false;
        }
        run += 1;
        if run > longest {
            return false;
        }
        separator = byte;
    }
    run == 0 && name.len() <= MAX_REPOSITORY_BYTES
}

/// True if `tag` is a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. Does not allocate.
pub fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    match tag.as_bytes() {
        [first, rest @ ..] => {
            tag.len() <= MAX_TAG_BYTES
                && word(*first)
                && rest.iter().all(|&b| word(b) || b == b'.' || b == b'-')
        }
        [] => false,
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:ident, $error:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// Checks `text` against the grammar.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                if $check(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(NameError::$error(text.chars().take(300).collect()))
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// A repository's name, checked.
    RepositoryName, is_repository_name, Repository
}

name! {
    /// A tag, checked.
    Tag, is_tag, Tag
}

/// What names a manifest inside a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// A name that the project may move.
    Tag(Tag),
    /// The manifest's own digest.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Reference {
    type Err = NameError;

    /// A text with a colon is a digest, anything else a tag: a tag cannot hold a colon.
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains(':') {
            Ok(Self::Digest(Digest::parse(text)?))
        } else {
            Ok(Self::Tag(Tag::parse(text)?))
        }
    }
}

/// An image as people write it on a command line: `repository[:tag][@digest]`, without a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag, if one was written.
    pub tag: Option<Tag>,
    /// The digest, if one was written; it decides over the tag.
    pub digest: Option<Digest>,
}

impl ImageName {
    /// What is asked for: the digest, else the tag, else `latest`.
    pub fn reference(&self) -> Reference {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => Reference::Digest(*digest),
            (None, Some(tag)) => Reference::Tag(tag.clone()),
            (None, None) => Reference::Tag(Tag("latest".into())),
        }
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.repository.fmt(f)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (text, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (repository, tag) = match text.split_once(':') {
            Some((repository, tag)) => (repository, Some(Tag::parse(tag)?)),
            None => (text, None),
        };
        Ok(Self { repository: RepositoryName::parse(repository)?, tag, digest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repository_names_follow_the_grammar() {
        for good in ["a", "a/b", "kube-apiserver", "a__b", "a--b/c.d_e", "0", "coredns/coredns"] {
            assert!(is_repository_name(good), "{good}");
        }
        for bad in [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", ".", "..",
            "a/../b", "a%2fb", "a b", "é",
        ] {
            assert!(!is_repository_name(bad), "{bad}");
        }
        assert!(is_repository_name(&"a".repeat(255)));
        assert!(!is_repository_name(&"a".repeat(256)));
    }

    #[test]
    fn tags_follow_the_grammar() {
        for good in ["latest", "v1.31.0", "_", "1", "sha256-abc.sig"] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".a", "-a", "a:b", "a/b", "a b", "é", "a%"] {
            assert!(!is_tag(bad), "{bad}");
        }
        assert!(is_tag(&"t".repeat(128)));
        assert!(!is_tag(&"t".repeat(129)));
    }

    #[test]
    fn an_image_without_tag_means_latest_and_a_digest_decides() {
        let digest = Digest::sha256_of(b"x");
        let image: ImageName = "a/b".parse().unwrap();
        assert_eq!(image.reference().to_string(), "latest");
        let image: ImageName = format!("a/b:v1@{digest}").parse().unwrap();
        assert_eq!(image.reference(), Reference::Digest(digest));
        assert_eq!(image.to_string(), format!("a/b:v1@{digest}"));
        assert!("a/b:".parse::<ImageName>().is_err());
        assert!("a/b@sha256:0".parse::<ImageName>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_means_itself_in_a_url(name in "[a-zA-Z0-9._/%:?#\\\\-]{0,40}") {
            if is_repository_name(&name) {
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b)));
                prop_assert!(!name.split('/').any(|part| part.is_empty() || part.starts_with('.')));
            }
        }

        #[test]
        fn text_round_trips(repository in "[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}", tag in "[a-z0-9]{1,8}") {
            let text = format!("{repository}:{tag}");
            prop_assert_eq!(text.parse::<ImageName>().unwrap().to_string(), text);
        }
    }
}
