//! What can be wrong with a copy: a closed set, since metrics are labelled with it.

use landbridge_core::Digest;
use serde::Serialize;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The object; none if it is about the copy or about a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What kind of thing.
    pub kind: FindingKind,
    /// What was found, for people.
    pub what: String,
    /// It was put right in the same run.
    pub repaired: bool,
}

/// The kinds of things that can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The copy has not got the object.
    Absent,
    /// It says another size than the generation does.
    WrongSize,
    /// It gives other bytes than the digest's.
    WrongBytes,
    /// Its body ends too early, each time.
    Truncated,
    /// It names a `Content-Encoding`, so that clients get other bytes than those of the digest.
    Encoded,
    /// It tells no `Content-Length`.
    NoSize,
    /// It does not give a part of an object that is asked for by a range.
    NoRanges,
    /// Its `Content-Type` is neither the object's nor that of plain bytes.
    WrongType,
    /// Its `Cache-Control` does not say that objects never change.
    NotImmutable,
    /// It does not answer about this object, again and again, though it does about others.
    Failing,
    /// The copy has it, but its holding says that it lacks it.
    Unclaimed,
    /// The copy's holding does not name the generation in force, so nobody is sent there.
    Behind,
    /// The registry's tag means something else than the published one.
    TagDiffers,
    /// The registry has a tag that is not published.
    TagUnpublished,
}

impl FindingKind {
    /// All of them, in order.
    pub const ALL: [Self; 14] = [
        Self::Absent,
        Self::WrongSize,
        Self::WrongBytes,
        Self::Truncated,
        Self::Encoded,
        Self::NoSize,
        Self::NoRanges,
        Self::WrongType,
        Self::NotImmutable,
        Self::Failing,
        Self::Unclaimed,
        Self::Behind,
        Self::TagDiffers,
        Self::TagUnpublished,
    ];

    /// Its name in reports and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::WrongSize => "wrong_size",
            Self::WrongBytes => "wrong_bytes",
            Self::Truncated => "truncated",
            Self::Encoded => "encoded",
            Self::NoSize => "no_size",
            Self::NoRanges => "no_ranges",
            Self::WrongType => "wrong_type",
            Self::NotImmutable => "not_immutable",
            Self::Failing => "failing",
            Self::Unclaimed => "unclaimed",
            Self::Behind => "behind",
            Self::TagDiffers => "tag_differs",
            Self::TagUnpublished => "tag_unpublished",
        }
    }

    /// Whether a client cannot use the object: it belongs into the holding, and copying it again
    /// may help. A copy that fails is not one that lacks: fronts notice that by themselves.
    pub const fn is_unusable(self) -> bool {
        match self {
            Self::Absent | Self::WrongSize | Self::WrongBytes | Self::Truncated | Self::Encoded => {
                true
            }
            Self::NoSize
            | Self::NoRanges
            | Self::WrongType
            | Self::NotImmutable
            | Self::Failing
            | Self::Unclaimed
            | Self::Behind
            | Self::TagDiffers
            | Self::TagUnpublished => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_in_order() {
        let mut sorted = FindingKind::ALL;
        sorted.sort();
        assert_eq!(sorted, FindingKind::ALL);
        for kind in FindingKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
