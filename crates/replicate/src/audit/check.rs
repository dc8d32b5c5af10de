//! Asking one copy about one object, once.

use std::time::Duration;

use futures::TryStreamExt as _;
use landbridge_core::cause::chain;
use landbridge_core::digest::Hasher;
use landbridge_store::{Bucket, FaceError, FaceWhole, PublicFace, RangeAnswer, StoreError};

use super::Depth;
use super::finding::FindingKind;
use super::gather::Object;
use super::judge::judge;

/// How a copy is asked.
#[derive(Clone)]
pub(super) enum Way {
    /// As clients reach it.
    Face(PublicFace),
    /// It has no public address.
    Bucket(Bucket),
}

/// Everything that is wrong with an object in a copy.
pub(super) type Found = Vec<(FindingKind, String)>;

/// It cannot be told now.
#[derive(Debug)]
pub(super) struct Trouble {
    /// What counts if it never gets better.
    pub(super) kind: FindingKind,
    pub(super) what: String,
    /// How long the copy wants to be left alone.
    pub(super) retry_after: Option<Duration>,
}

/// What is wrong with the object in the copy, as far as `depth` tells.
pub(super) async fn check(way: &Way, object: &Object, depth: Depth) -> Result<Found, Trouble> {
    match way {
        Way::Face(face) => Ok(check_face(face, object, depth).await?),
        Way::Bucket(bucket) => match check_bucket(bucket, object, depth).await {
            Ok(found) => Ok(found),
            Err(error) if error.is_not_found() => Ok(absent("it is not there")),
            Err(error) => Err(error.into()),
        },
    }
}

fn absent(what: &str) -> Found {
    vec![(FindingKind::Absent, what.to_owned())]
}

fn is_unusable(found: &Found) -> bool {
    found.iter().any(|(kind, _)| kind.is_unusable())
}

async fn check_face(face: &PublicFace, object: &Object, depth: Depth) -> Result<Found, Trouble> {
    const LIES: &str = "it says that it has it, and does not give it";
    let Object { digest, size, .. } = object;
    let Some(head) = face.look(digest).await? else { return Ok(absent("it is not there")) };
    let mut found = judge(&head, object);
    if is_unusable(&found) {
        return Ok(found);
    }
    if depth >= Depth::Ranges && *size > 0 {
        match face.try_range(digest, *size).await? {
            None => return Ok(absent(LIES)),
            Some(RangeAnswer::Honoured) => {}
            Some(RangeAnswer::Ignored) => {
                found.push((FindingKind::NoRanges, "it ignores ranges".to_owned()));
            }
            Some(RangeAnswer::Wrong(what)) => found.push((FindingKind::NoRanges, what)),
        }
    }
    if depth >= Depth::Full {
        let Some(whole) = face.read_whole(digest, *size).await? else { return Ok(absent(LIES)) };
        for (kind, what) in judge(&whole.head, object) {
            if !found.iter().any(|(known, _)| *known == kind) {
                found.push((kind, what));
            }
        }
        if !is_unusable(&found) {
            found.extend(bytes(object, whole)?);
        }
    }
    Ok(found)
}

fn bytes(object: &Object, whole: FaceWhole) -> Result<Option<(FindingKind, String)>, Trouble> {
    if let Some(what) = whole.broke_off {
        return Err(Trouble { kind: FindingKind::Truncated, what, retry_after: None });
    }
    if whole.digest == object.digest {
        return Ok(None);
    }
    let what = if whole.size > object.size {
        format!("it gives more than {} bytes", object.size)
    } else {
        format!("it gives {} bytes with the digest {}", whole.size, whole.digest)
    };
    Ok(Some((FindingKind::WrongBytes, what)))
}

async fn check_bucket(bucket: &Bucket, object: &Object, depth: Depth) -> Result<Found, StoreError> {
    let Object { digest, size, .. } = object;
    let wrong_size = |told: u64| {
        vec![(FindingKind::WrongSize, format!("it has {told} bytes instead of {size}"))]
    };
    match bucket.size_of(digest).await? {
        None => return Ok(absent("it is not there")),
        Some(told) if told != *size => return Ok(wrong_size(told)),
        Some(_) => {}
    }
    let mut found = Vec::new();
    if depth >= Depth::Ranges && *size > 0 {
        let body = bucket.read(digest, Some(size - 1..*size)).await?;
        if body.range != (size - 1..*size) {
            let what = format!("asked for its last byte it gives {:?}", body.range);
            found.push((FindingKind::NoRanges, what));
        }
        let _: Vec<_> = body.stream.try_collect().await?;
    }
    if depth >= Depth::Full {
        let mut body = bucket.read(digest, None).await?;
        let (mut hasher, mut seen) = (Hasher::new(digest.algorithm()), 0);
        while let Some(chunk) = body.stream.try_next().await? {
            seen += chunk.len() as u64;
            hasher.update(&chunk);
        }
        let is = hasher.finish();
        if is != *digest {
            let what = format!("its {seen} bytes have the digest {is}");
            found.push((FindingKind::WrongBytes, what));
        }
    }
    Ok(found)
}

impl From<FaceError> for Trouble {
    fn from(error: FaceError) -> Self {
        let retry_after = match &error {
            FaceError::Failing { retry_after, .. } => *retry_after,
            FaceError::Absent { .. }
            | FaceError::WrongBytes { .. }
            | FaceError::TooLarge { .. }
            | FaceError::Malformed { .. } => None,
        };
        Self { kind: FindingKind::Failing, what: chain(&error), retry_after }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self { kind: FindingKind::Failing, what: chain(&error), retry_after: None }
    }
}
