//! Reading `Link`: whether a list goes on, and with which query.
//!
//! Of names only the presence of a `next` counts: the next page is asked for by the last name of
//! this one, as the specification says. Referrers have no such rule, so there the target's query is
//! taken, and nothing else of it: where a question goes is not the registry's to say.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags>,
//! <https://www.rfc-editor.org/rfc/rfc8288#section-3>

/// True if one of the values of `Link` has the relation `next`.
pub(super) fn has_next<'a>(headers: impl Iterator<Item = &'a str>) -> bool {
    headers.flat_map(links).any(is_next)
}

/// The query of the first link with the relation `next`.
pub(super) fn next_query<'a>(mut headers: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let next = headers.find_map(|line| links(line).into_iter().find(|link| is_next(link)))?;
    let target = next.trim_start().strip_prefix('<')?.split_once('>')?.0;
    Some(target.split_once('?')?.1.split('#').next().unwrap_or_default())
}

/// The links of one line: text outside of `<…>` and quotes is split at commas.
fn links(line: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let (mut start, mut is_target, mut is_quoted, mut is_escaped) = (0, false, false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' if !is_target => is_quoted = !is_quoted,
            b'<' if !is_quoted => is_target = true,
            b'>' if !is_quoted => is_target = false,
            b',' if !is_quoted && !is_target => {
                links.extend(line.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    links.extend(line.get(start..));
    links
}

fn is_next(link: &str) -> bool {
    let Some((target, parameters)) = link.split_once('>') else { return false };
    if !target.trim_start().starts_with('<') {
        return false;
    }
    parameters.split(';').any(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("rel")
                && value
                    .trim()
                    .trim_matches('"')
                    .split_ascii_whitespace()
                    .any(|relation| relation.eq_ignore_ascii_case("next"))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_next_page_is_found_wherever_it_stands() {
        for line in [
            r#"</v2/a/tags/list?last=b&n=2>; rel="next""#,
            "<x>;rel=next",
            r#"<a,b>; rel=prev, <c>; title="x, y"; rel="last NEXT""#,
        ] {
            assert!(has_next([line].into_iter()), "{line}");
        }
        for line in ["", "next", "<x>; rel=prev", "x; rel=next", "<x; rel=next", "<x>; relnext"] {
            assert!(!has_next([line].into_iter()), "{line}");
        }
        assert!(has_next(["<a>; rel=prev", "<b>; rel=next"].into_iter()));
        let query = |line| next_query([line].into_iter());
        assert_eq!(query("<https://x/v2/a?n=2&last=b#c>; rel=next"), Some("n=2&last=b"));
        assert_eq!(query("</v2/a?x>; rel=prev, </v2/a?y>; rel=next"), Some("y"));
        assert_eq!(query("</v2/a>; rel=next"), None);
    }

    proptest! {
        #[test]
        fn strangers_cannot_make_it_panic(line in "\\PC{0,200}") {
            has_next([line.as_str()].into_iter());
            next_query([line.as_str()].into_iter());
        }
    }
}
