//! Which image of a source becomes which tag of which repository.
//!
//! Sources name their images in many ways: by a tag alone (`v1`), by a name with a host
//! (`docker.io/library/busybox:latest`), or not at all. Owns the rules by which such a name and what
//! the user wrote become a destination.
//!
//! Invariant: no two images are given one tag.

use landbridge_core::digest::Digest;
use landbridge_core::reference::{ImageName, RepositoryName, Tag};

/// An image of the source that can be given a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// Its name in the source.
    pub name: Option<String>,
    /// Its manifest or index.
    pub digest: Digest,
}

/// A tag that an import sets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// In this repository
    pub repository: RepositoryName,
    /// this tag
    pub tag: Tag,
    /// shall mean this manifest.
    pub digest: Digest,
}

/// Why images cannot be given names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NamingError {
    /// The source has no image that could be given a name.
    #[error("the source holds no image")]
    NoImage,
    /// The destination has a digest.
    #[error("`{0}` names a digest, which follows from the content: write NAME or NAME:TAG")]
    Digest(String),
    /// Nobody said what the image is to be called.
    #[error(
        "the source gives image {digest} no name: write NAME:TAG after it, such as `landbridge import SOURCE my/app:v1`"
    )]
    Unnamed {
        /// The image.
        digest: Digest,
    },
    /// A tag without a repository.
    #[error(
        "the source calls image {digest} `{name}`, which names no repository: write NAME or NAME:TAG after it"
    )]
    TagOnly {
        /// The image.
        digest: Digest,
        /// Its name in the source.
        name: String,
    },
    /// The source's name is outside of the grammar.
    #[error(
        "the source calls image {digest} `{name}`, which cannot be a name and a tag here: pick the image with `:@{place}` after the source and write NAME:TAG"
    )]
    NotAName {
        /// The image.
        digest: Digest,
        /// Its name in the source.
        name: String,
        /// Its place among the images.
        place: usize,
    },
    /// One tag for several images.
    #[error(
        "{count} images would all become `{name}`: pick one by its name or place after the source (`:TAG` or `:@0`), or write the repository alone to keep their own tags; the source holds {held}"
    )]
    Several {
        /// The tag.
        name: String,
        /// How many different images.
        count: usize,
        /// Their names.
        held: String,
    },
}

/// Gives every image its tag.
///
/// - `NAME:TAG` names the source's only image.
/// - `NAME` keeps each image's own tag; an only image without a tag becomes `latest`.
/// - Without a destination the source's names must hold a repository; their host, and
///   `library/` of `docker.io`, are left out.
pub fn name_images(
    images: &[NamedImage],
    destination: Option<&ImageName>,
) -> Result<Vec<Target>, NamingError> {
    if images.is_empty() {
        return Err(NamingError::NoImage);
    }
    if let Some(name) = destination.filter(|name| name.digest.is_some()) {
        return Err(NamingError::Digest(name.to_string()));
    }
    let is_only = images.iter().all(|image| image.digest == images[0].digest);
    let mut targets = Vec::new();
    for (place, image) in images.iter().enumerate() {
        let (repository, tag) = match destination {
            Some(ImageName { repository, tag: Some(tag), .. }) => (repository.clone(), tag.clone()),
            Some(ImageName { repository, tag: None, .. }) => {
                (repository.clone(), own_tag(image, place, is_only)?)
            }
            None => own_name(image, place)?,
        };
        targets.push(Target { repository, tag, digest: image.digest });
    }
    targets.sort();
    targets.dedup();
    let clash = targets
        .chunk_by(|a, b| (&a.repository, &a.tag) == (&b.repository, &b.tag))
        .find(|same| same.len() > 1);
    match clash {
        Some(same) => Err(NamingError::Several {
            name: format!("{}:{}", same[0].repository, same[0].tag),
            count: same.len(),
            held: held(images),
        }),
        None => Ok(targets),
    }
}

/// The tag of an image whose repository the user named.
fn own_tag(image: &NamedImage, place: usize, is_only: bool) -> Result<Tag, NamingError> {
    let Some(name) = &image.name else {
        let latest = Tag::parse("latest").ok().filter(|_| is_only);
        return latest.ok_or(NamingError::Unnamed { digest: image.digest });
    };
    let not_a_name = || NamingError::NotAName { digest: image.digest, name: clip(name), place };
    let text = match split_tag(name) {
        (repository, None) if repository.contains('/') => "latest",
        (_, Some(tag)) | (tag, None) => tag,
    };
    Tag::parse(text).map_err(|_| not_a_name())
}

/// Repository and tag as the source names them.
fn own_name(image: &NamedImage, place: usize) -> Result<(RepositoryName, Tag), NamingError> {
    let digest = image.digest;
    let name = image.name.as_ref().ok_or(NamingError::Unnamed { digest })?;
    let (repository, tag) = split_tag(name);
    if tag.is_none() && !repository.contains('/') {
        return Err(NamingError::TagOnly { digest, name: clip(name) });
    }
    let repository = match repository.split_once('/') {
        Some(("docker.io" | "index.docker.io", rest)) => {
            rest.strip_prefix("library/").unwrap_or(rest)
        }
        Some((host, rest)) if is_host(host) => rest,
        _ => repository,
    };
    match (RepositoryName::parse(repository), Tag::parse(tag.unwrap_or("latest"))) {
        (Ok(repository), Ok(tag)) => Ok((repository, tag)),
        _ => Err(NamingError::NotAName { digest, name: clip(name), place }),
    }
}

/// What follows the last colon, unless that colon stands before a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

/// As Docker tells a host from a repository's first part.
fn is_host(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':'])
}

fn held(images: &[NamedImage]) -> String {
    const MOST: usize = 10;
    let names = images.iter().enumerate().take(MOST).map(|(place, image)| match &image.name {
        Some(name) => format!("`{}`", clip(name)),
        None => format!("`@{place}`"),
    });
    let mut text = names.collect::<Vec<_>>().join(", ");
    if images.len() > MOST {
        text.push_str(", …");
    }
    text
}

/// What a message may repeat of a stranger's text.
fn clip(text: &str) -> String {
    text.chars().take(160).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn images(names: &[&str]) -> Vec<NamedImage> {
        let image = |name: &&str| NamedImage {
            name: Some((*name).to_owned()).filter(|name| !name.is_empty()),
            digest: Digest::sha256_of(name.as_bytes()),
        };
        names.iter().map(image).collect()
    }

    fn named(names: &[&str], destination: &str) -> Result<Vec<String>, String> {
        let destination = Some(destination).filter(|text| !text.is_empty());
        let destination = destination.map(|text| text.parse().unwrap());
        name_images(&images(names), destination.as_ref())
            .map(|all| all.iter().map(|t| format!("{}:{}", t.repository, t.tag)).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_users_name_wins_and_the_sources_name_fills_the_gaps() {
        let table: [(&[&str], &str, &[&str]); 12] = [
            (&["v1"], "my/app:v2", &["my/app:v2"]),
            (&[""], "my/app:v2", &["my/app:v2"]),
            (&[""], "my/app", &["my/app:latest"]),
            (&["v1"], "my/app", &["my/app:v1"]),
            (&["v1", "v2"], "my/app", &["my/app:v1", "my/app:v2"]),
            (&["quay.io/a/b:v1"], "my/app", &["my/app:v1"]),
            (&["quay.io/a/b"], "my/app", &["my/app:latest"]),
            (&["quay.io:443/a/b:v1"], "", &["a/b:v1"]),
            (&["docker.io/library/busybox:latest"], "", &["busybox:latest"]),
            (&["busybox:1", "a/b:2"], "", &["a/b:2", "busybox:1"]),
            (&["localhost/a"], "", &["a:latest"]),
            (&["localhost:5000/a"], "", &["a:latest"]),
        ];
        for (names, destination, expected) in table {
            assert_eq!(named(names, destination).unwrap(), expected, "{names:?}");
        }
    }

    #[test]
    fn one_image_with_two_names_is_one_image() {
        let digest = Digest::sha256_of(b"one");
        let image = |name: &str| NamedImage { name: Some(name.to_owned()), digest };
        let destination = "a:b".parse().unwrap();
        let targets = name_images(&[image("v1"), image("v2")], Some(&destination)).unwrap();
        assert_eq!(targets.len(), 1);
    }

    #[test]
    fn what_has_no_name_is_refused_with_the_way_out() {
        let table: [(&[&str], &str, &str); 8] = [
            (&[], "", "holds no image"),
            (&[""], "", "no name: write NAME:TAG"),
            (&["v1"], "", "`v1`, which names no repository"),
            (&["v1", ""], "my/app", "no name"),
            (&["v1", "v2"], "my/app:x", "2 images would all become `my/app:x`"),
            (&["a/b:v1", "c/d:v1"], "my/app", "2 images would all become `my/app:v1`"),
            (&["v1", "v1+build"], "my/app", "pick the image with `:@1`"),
            (&["quay.io/A:v1"], "", "cannot be a name and a tag"),
        ];
        for (names, destination, expected) in table {
            let message = named(names, destination).unwrap_err();
            assert!(message.contains(expected), "{names:?}: {message}");
        }
        let digest = format!("a@{}", Digest::sha256_of(b"x"));
        assert!(named(&["v1"], &digest).unwrap_err().contains("names a digest"));
    }

    proptest! {
        #[test]
        fn strangers_cannot_make_it_panic(names in prop::collection::vec("\\PC{0,20}", 0..4)) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            for destination in ["", "a", "a:b"] {
                if let Ok(found) = named(&names, destination) {
                    prop_assert!(found.iter().all(|name| name.parse::<ImageName>().is_ok()));
                }
            }
        }
    }
}
