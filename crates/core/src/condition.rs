//! What of an object a client wants: conditions and ranges of HTTP.
//!
//! An object's entity tag is its digest in quotes, which no change can make stale. What is malformed
//! is ignored, as RFC 9110 allows; several ranges in one request are, too.

use crate::digest::Digest;

/// True if one of the values of `If-None-Match` names this object (RFC 9110, section 13.1.2; the
/// comparison is weak).
pub fn is_known<'a>(if_none_match: impl Iterator<Item = &'a str>, digest: &Digest) -> bool {
    let mut tags = if_none_match.flat_map(|value| value.split(',')).peekable();
    if tags.peek().is_none() {
        return false;
    }
    let name = digest.to_string();
    tags.any(|tag| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag == "*" || tag.trim_matches('"') == name
    })
}

/// What a `Range` header asks of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it: no range, or one that RFC 9110 says to ignore.
    Whole,
    /// From the first to before the second byte.
    Part(u64, u64),
    /// Nothing that there is.
    Unsatisfiable,
}

/// Understands a single byte range of an object of `size` bytes (RFC 9110, section 14.1.2).
/// `If-Range` counts only if it names the object.
pub fn wanted(range: Option<&str>, if_range: Option<&str>, digest: &Digest, size: u64) -> Wanted {
    let Some(range) = range else { return Wanted::Whole };
    if if_range.is_some_and(|tag| tag.trim_matches('"') != digest.to_string()) {
        return Wanted::Whole;
    }
    match parse_range(range, size) {
        None => Wanted::Whole,
        Some((from, to)) if from < to => Wanted::Part(from, to),
        Some(_) => Wanted::Unsatisfiable,
    }
}

/// `bytes=a-b`, `bytes=a-` or `bytes=-n` as a half-open range; an empty one cannot be satisfied.
fn parse_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    match (first, last) {
        ("", suffix) => Some((size.saturating_sub(number(suffix)?), size)),
        (first, "") => Some((number(first)?, size)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // One that ends before it begins is empty, and so refused, as the RFC allows.
            Some((first, last.saturating_add(1).min(size)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_understood_and_what_is_malformed_is_ignored() {
        let digest = Digest::sha256_of(b"x");
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0, 1)),
            ("bytes=10-", Wanted::Part(10, 100)),
            ("bytes=-10", Wanted::Part(90, 100)),
            ("bytes=-1000", Wanted::Part(0, 100)),
            ("bytes=90-1000", Wanted::Part(90, 100)),
            ("bytes=0-99999999999999999999999", Wanted::Part(0, 100)),
            ("bytes=100-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-3", Wanted::Unsatisfiable),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=--5", Wanted::Whole),
            ("bytes", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(range), None, &digest, 100), expected, "{range}");
        }
        let same = format!("\"{digest}\"");
        assert_eq!(wanted(Some("bytes=0-0"), Some(&same), &digest, 9), Wanted::Part(0, 1));
        assert_eq!(wanted(Some("bytes=0-0"), Some("\"other\""), &digest, 9), Wanted::Whole);
    }

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let digest = Digest::sha256_of(b"x");
        let known = |value: &str| is_known([value].into_iter(), &digest);
        assert!(known(&format!("\"{digest}\"")));
        assert!(known(&format!("\"other\", W/\"{digest}\"")));
        assert!(known("*"));
        assert!(!known("\"other\""));
        assert!(!is_known([].into_iter(), &digest));
    }
}
