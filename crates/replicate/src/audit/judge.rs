//! What is wrong with an answer's head: pure.

use landbridge_core::media_type::OCTET_STREAM;
use landbridge_store::FaceHead;

use super::finding::FindingKind;
use super::gather::Object;

/// What stores call bytes of which they know nothing.
const PLAIN: [&str; 2] = [OCTET_STREAM, "binary/octet-stream"];

/// Everything that is wrong with what a copy says of an object, each with a sentence.
pub(super) fn judge(head: &FaceHead, object: &Object) -> Vec<(FindingKind, String)> {
    let mut found = Vec::new();
    if let Some(encoding) = &head.encoding
        && !encoding.eq_ignore_ascii_case("identity")
    {
        // Its size is that of other bytes, so nothing is said of it.
        found.push((FindingKind::Encoded, format!("its Content-Encoding is `{encoding}`")));
    } else {
        match head.size {
            Some(size) if size == object.size => {}
            Some(size) => {
                let what = format!("it has {size} bytes instead of {}", object.size);
                found.push((FindingKind::WrongSize, what));
            }
            None => found.push((FindingKind::NoSize, "it tells no Content-Length".to_owned())),
        }
    }
    if let Some(media_type) = &head.media_type {
        let plain = media_type.split(';').next().unwrap_or_default().trim();
        let is_right = PLAIN.iter().any(|known| known.eq_ignore_ascii_case(plain))
            || object.media_type.eq_ignore_ascii_case(plain);
        if !is_right {
            let what = format!(
                "its Content-Type is `{media_type}`, neither `{}` nor plain bytes",
                object.media_type
            );
            found.push((FindingKind::WrongType, what));
        }
    }
    let directives = head.cache_control.as_deref().unwrap_or_default();
    if !directives.split(',').any(|one| one.trim().eq_ignore_ascii_case("immutable")) {
        let what = match &head.cache_control {
            Some(text) => format!("its Cache-Control is `{text}`, without `immutable`"),
            None => "it has no Cache-Control, which should say `immutable`".to_owned(),
        };
        found.push((FindingKind::NotImmutable, what));
    }
    found
}

#[cfg(test)]
mod tests {
    use landbridge_core::Digest;

    use super::*;

    fn object() -> Object {
        let digest = Digest::sha256_of(b"x");
        Object { digest, size: 1, media_type: "application/a+json".into() }
    }

    fn head(change: impl Fn(&mut FaceHead)) -> Vec<FindingKind> {
        let mut head = FaceHead {
            size: Some(1),
            media_type: Some("application/a+json".to_owned()),
            cache_control: Some("public, max-age=31536000, immutable".to_owned()),
            encoding: None,
        };
        change(&mut head);
        judge(&head, &object()).into_iter().map(|(kind, _)| kind).collect()
    }

    #[test]
    fn what_is_right_is_not_found() {
        assert_eq!(head(|_| {}), []);
        assert_eq!(head(|head| head.media_type = None), []);
        assert_eq!(head(|head| head.media_type = Some("binary/octet-stream".into())), []);
        assert_eq!(head(|head| head.media_type = Some("Application/A+json; q=1".into())), []);
        assert_eq!(head(|head| head.encoding = Some("identity".into())), []);
        assert_eq!(head(|head| head.cache_control = Some("IMMUTABLE".into())), []);
    }

    #[test]
    fn each_wrong_header_is_found_for_itself() {
        use FindingKind::{Encoded, NoSize, NotImmutable, WrongSize, WrongType};
        assert_eq!(head(|head| head.size = Some(2)), [WrongSize]);
        assert_eq!(head(|head| head.size = None), [NoSize]);
        assert_eq!(head(|head| head.media_type = Some("text/html".into())), [WrongType]);
        assert_eq!(head(|head| head.cache_control = None), [NotImmutable]);
        assert_eq!(head(|head| head.cache_control = Some("no-store".into())), [NotImmutable]);
        let encoded = head(|head| {
            head.encoding = Some("gzip".into());
            head.size = None;
        });
        assert_eq!(encoded, [Encoded]);
    }
}
