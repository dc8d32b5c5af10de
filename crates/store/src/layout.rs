//! Where an object lies in a bucket.
//!
//! Two layouts: the one that existing image buckets use, and a plain one. Both are written without
//! allocation, since the front appends one to a redirect for every blob.
//!
//! Invariant: [`BucketLayout::parse_key`] is the exact inverse of [`BucketLayout::key`].

use std::fmt;
use std::str::FromStr;

use landbridge_core::Digest;

/// How a bucket names its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BucketLayout {
    /// `containers/images/<algorithm>:<hex>`.
    ContainersImages,
    /// `blobs/<algorithm>/<hex>`.
    Blobs,
}

/// A text that names no layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no bucket layout: use `containers-images` or `blobs`")]
pub struct UnknownLayout(String);

impl BucketLayout {
    /// The name that configurations use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ContainersImages => "containers-images",
            Self::Blobs => "blobs",
        }
    }

    /// Appends the object's key, without a leading slash. Every byte of it may stand in the path
    /// of a URL as it is.
    pub fn append_path(self, digest: &Digest, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix().as_bytes());
        digest.append_to(self.separator(), out);
    }

    /// The object's key.
    pub fn key(self, digest: &Digest) -> String {
        let (algorithm, hex) = (digest.algorithm().name(), digest.hex());
        format!("{}{algorithm}{}{hex}", self.prefix(), char::from(self.separator()))
    }

    /// The object that lies at `key`; `None` if no object of this layout does.
    pub fn parse_key(self, key: &str) -> Option<Digest> {
        let rest = key.strip_prefix(self.prefix())?;
        match self {
            Self::ContainersImages => Digest::parse(rest).ok(),
            Self::Blobs => {
                let (algorithm, hex) = rest.split_once('/')?;
                Digest::parse(&format!("{algorithm}:{hex}")).ok()
            }
        }
    }

    /// What every key begins with, its slash included.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::ContainersImages => "containers/images/",
            Self::Blobs => "blobs/",
        }
    }

    const fn separator(self) -> u8 {
        match self {
            Self::ContainersImages => b':',
            Self::Blobs => b'/',
        }
    }
}

impl fmt::Display for BucketLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BucketLayout {
    type Err = UnknownLayout;

    fn from_str(text: &str) -> Result<Self, UnknownLayout> {
        [Self::ContainersImages, Self::Blobs]
            .into_iter()
            .find(|layout| layout.name() == text)
            .ok_or_else(|| UnknownLayout(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use landbridge_core::digest::Algorithm;

    use super::*;

    const LAYOUTS: [BucketLayout; 2] = [BucketLayout::ContainersImages, BucketLayout::Blobs];

    #[test]
    fn keys_are_spelled_as_existing_buckets_spell_them() {
        let digest = Digest::sha256_of(b"");
        let hex = digest.hex();
        let keys = LAYOUTS.map(|layout| layout.key(&digest));
        assert_eq!(keys[0], format!("containers/images/sha256:{hex}"));
        assert_eq!(keys[1], format!("blobs/sha256/{hex}"));
    }

    #[test]
    fn every_way_to_write_a_key_agrees_and_reading_is_the_inverse() {
        for layout in LAYOUTS {
            assert_eq!(layout.name().parse(), Ok(layout));
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let digest = Digest::of(algorithm, b"x");
                let key = layout.key(&digest);
                let mut path = b"/mirror/".to_vec();
                layout.append_path(&digest, &mut path);
                assert_eq!(path, format!("/mirror/{key}").into_bytes());
                assert_eq!(layout.parse_key(&key), Some(digest));
            }
        }
    }

    #[test]
    fn what_is_no_key_is_no_object() {
        let hex = Digest::sha256_of(b"x").hex().to_string();
        for key in [
            String::new(),
            format!("/blobs/sha256/{hex}"),
            format!("blobs/sha256:{hex}"),
            format!("blobs/sha256//{hex}"),
            format!("blobs/sha256/{hex}/"),
            format!("blobs/sha256/{}", hex.to_uppercase()),
            format!("containers/images/sha256/{hex}"),
            format!("containers/images/sha256:{hex}#1"),
            format!("containers/images/../sha256:{hex}"),
        ] {
            assert!(LAYOUTS.iter().all(|layout| layout.parse_key(&key).is_none()), "{key}");
        }
        assert!("Blobs".parse::<BucketLayout>().is_err());
    }
}
