//! Names, tags, digests and image names: what is accepted is written as it was read.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use landbridge_core::digest::Algorithm;
use landbridge_core::reference::{ImageName, MAX_REPOSITORY_BYTES, MAX_TAG_BYTES, Reference};
use landbridge_core::{Digest, RepositoryName, Tag};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let digest = round_trip::<Digest>(text);
    let tag = round_trip::<Tag>(text);
    let repository = round_trip::<RepositoryName>(text);
    let reference = round_trip::<Reference>(text);
    let image = round_trip::<ImageName>(text);

    if let Some(digest) = digest {
        let (name, hex) = text.split_once(':').unwrap_or_default();
        let algorithm = match name {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            other => panic!("`{other}` is no algorithm"),
        };
        assert!(hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert_eq!(hex.len(), algorithm.size_bytes() * 2);
        assert_eq!(Digest::from_hash(algorithm, digest.hash()), Some(digest));
    }
    assert!(tag.as_ref().is_none_or(|tag| tag.as_str().len() <= MAX_TAG_BYTES));
    assert!(repository.as_ref().is_none_or(|name| name.as_str().len() <= MAX_REPOSITORY_BYTES));
    assert!(tag.is_none() || digest.is_none(), "no text is both");
    assert_eq!(reference.is_some(), digest.is_some() || tag.is_some());
    // A bare repository is an image name; an image name begins with a repository.
    assert!(repository.is_none() || image.is_some());
    if let Some(image) = image {
        assert!(text.starts_with(image.repository.as_str()));
    }
});

/// What `text` means, which is written as `text` again.
fn round_trip<T: FromStr<Err: Display> + Display>(text: &str) -> Option<T> {
    match text.parse::<T>() {
        Ok(parsed) => {
            assert_eq!(parsed.to_string(), text);
            Some(parsed)
        }
        Err(error) => {
            // An error repeats what a stranger wrote: never all of a long text.
            assert!(error.to_string().chars().count() < 600);
            None
        }
    }
}
