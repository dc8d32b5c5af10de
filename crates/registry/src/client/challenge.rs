//! Reading `WWW-Authenticate`, which a stranger wrote.
//!
//! Why by hand: a registry may offer several schemes in one line, quotes what it likes, and must
//! not be able to make us panic. What cannot be read ends the list; what came before it counts.
//!
//! <https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1>,
//! <https://distribution.github.io/distribution/spec/auth/token/>

/// A scheme that a registry offers and that we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User and password with every request.
    Basic,
    /// A token from somewhere else.
    Bearer {
        /// Who gives tokens out.
        realm: String,
        /// The name under which that somebody knows the registry.
        service: Option<String>,
        /// What the token must allow.
        scope: Option<String>,
    },
}

/// The best offer in the values of `WWW-Authenticate`: a token rather than a password each time.
/// `None` if no offer is one that we know.
pub(super) fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let offers: Vec<Challenge> = headers.flat_map(parse).collect();
    let bearer = offers.iter().position(|offer| matches!(offer, Challenge::Bearer { .. }));
    offers.into_iter().nth(bearer.unwrap_or(0))
}

/// The known offers of one header line, in order.
fn parse(line: &str) -> Vec<Challenge> {
    let mut rest = line;
    let mut offers: Vec<(&str, Vec<(&str, String)>)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let word = token(rest);
        if word.is_empty() {
            break;
        }
        rest = rest[word.len()..].trim_start_matches([' ', '\t']);
        let Some(value) = rest.strip_prefix('=') else {
            offers.push((word, Vec::new()));
            continue;
        };
        let Some((value, after)) = value_of(value.trim_start_matches([' ', '\t'])) else { break };
        if let Some((_, parameters)) = offers.last_mut() {
            parameters.push((word, value));
        }
        rest = after;
    }
    offers.into_iter().filter_map(|(scheme, parameters)| known(scheme, &parameters)).collect()
}

fn known(scheme: &str, parameters: &[(&str, String)]) -> Option<Challenge> {
    let parameter = |name: &str| {
        let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Some(Challenge::Bearer {
        realm: parameter("realm")?,
        service: parameter("service"),
        scope: parameter("scope"),
    })
}

/// The longest token (RFC 9110, 5.6.2) at the start of `text`; may be empty.
fn token(text: &str) -> &str {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    // All bytes that are taken are ASCII, so the cut is between characters.
    let length = text.bytes().position(|b| !is_token(b)).unwrap_or(text.len());
    text.get(..length).unwrap_or_default()
}

/// A token or a quoted string and what follows it; `None` if the quote does not end.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let value = token(text);
        return Some((value.to_owned(), text.get(value.len()..)?.trim_start_matches('=')));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn the_offers_of_real_registries_are_understood() {
        let hub = r#"Bearer realm="https://auth.example/token",service="registry.example",scope="repository:library/a:pull,push""#;
        assert_eq!(
            choose([hub].into_iter()),
            Some(bearer(
                "https://auth.example/token",
                Some("registry.example"),
                Some("repository:library/a:pull,push")
            ))
        );
        assert_eq!(choose([r#"Basic realm="x""#].into_iter()), Some(Challenge::Basic));
        assert_eq!(
            choose([r#"bearer REALM=abc , service = "a\"b", error="invalid_token""#].into_iter()),
            Some(bearer("abc", Some("a\"b"), None))
        );
    }

    #[test]
    fn a_token_is_preferred_wherever_it_is_offered() {
        let expected = Some(bearer("r", None, None));
        assert_eq!(choose(["Basic realm=\"b\", Bearer realm=\"r\""].into_iter()), expected);
        assert_eq!(choose(["Basic", "Bearer realm=r"].into_iter()), expected);
        assert_eq!(choose(["Negotiate YWJj==, Bearer realm=r"].into_iter()), expected);
    }

    #[test]
    fn what_cannot_be_read_is_no_offer() {
        for bad in [
            "",
            ",",
            "=",
            "Bearer",
            "Bearer realm=\"",
            "Bearer realm=\"\\",
            "Bearer realm=\"\"",
            "Digest realm=\"x\"",
            "\"",
            "ü=ü",
            "Bearer ü",
        ] {
            assert_eq!(choose([bad].into_iter()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn strangers_cannot_make_it_panic(line in "\\PC{0,200}") {
            let _ = choose([line.as_str()].into_iter());
        }

        #[test]
        fn what_is_quoted_comes_out_as_it_was(realm in "[ -~]{1,40}", scope in "[ -~]{1,40}") {
            let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let line = format!("Basic, Bearer realm=\"{}\", scope=\"{}\"", quote(&realm), quote(&scope));
            prop_assert_eq!(choose([line.as_str()].into_iter()), Some(bearer(&realm, None, Some(&scope))));
        }
    }
}
