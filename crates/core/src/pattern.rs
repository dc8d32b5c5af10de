//! Patterns of repository names, and of the claims that a token makes.
//!
//! Both know two wildcards: `*` stays within one part of a name, `**` crosses parts. They are
//! matched by following all ways through the pattern at once, so that no pattern and no name takes
//! longer than the product of their lengths.
//!
//! Invariant: a pattern matches the whole text or not at all.

use std::fmt;
use std::str::FromStr;

/// The longest pattern in bytes, as long as the longest repository name.
const MAX_PATTERN_BYTES: usize = 255;

/// Which repositories are meant: `team/app`, `team/*`, `team/**`, `*`.
///
/// - `*` stands for any run of characters within one component: `team/*` is `team/app`, not
///   `team/app/debug`; `team/app-*` is `team/app-debug`.
/// - `**` is a component of its own and stands for any number of components, none included; at the
///   end for at least one: `team/**` is everything below `team`, not `team` itself.
/// - `*` alone is every repository, as `**` is.
#[derive(Clone, PartialEq, Eq)]
pub struct RepositoryPattern {
    text: Box<str>,
    parts: Box<[Part]>,
    shape: Shape,
}

/// What most patterns are, and what can then be told without following ways.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One name.
    Exact,
    /// Every name.
    All,
    /// `team/**`: everything below, where the prefix with its slash is so long.
    Below(usize),
    /// Any other.
    Other,
}

/// A text with wildcards, for a token's claims: `repo:team/*:ref:refs/tags/v*`.
///
/// `*` stands for any run of characters without `/` and `:`, `**` for any run at all. There is no
/// escape: a claim that holds an asterisk cannot be asked for exactly.
#[derive(Clone, PartialEq, Eq)]
pub struct TextPattern {
    text: Box<str>,
    glyphs: Box<[Glyph]>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no pattern: {problem}")]
pub struct PatternError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[derive(Clone, PartialEq, Eq)]
enum Part {
    /// One component.
    One(Box<[Glyph]>),
    /// Any number of components.
    Any,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Glyph {
    Byte(u8),
    /// Any run within a part.
    Star,
    /// Any run.
    DoubleStar,
}

impl RepositoryPattern {
    /// Understands a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let error = |problem| PatternError { text: text.chars().take(300).collect(), problem };
        if text.len() > MAX_PATTERN_BYTES {
            return Err(error("it is longer than any repository's name (255 bytes)"));
        }
        let mut parts = Vec::new();
        for component in text.split('/') {
            if component.is_empty() {
                return Err(error("a part between slashes is empty"));
            }
            let allowed = |b: u8| {
                b.is_ascii_lowercase()
                    || b.is_ascii_digit()
                    || matches!(b, b'.' | b'_' | b'-' | b'*')
            };
            if !component.bytes().all(allowed) {
                return Err(error(
                    "a repository's name has lower-case letters, digits, `.`, `_`, `-` and `/` only",
                ));
            }
            if component == "**" {
                parts.push(Part::Any);
            } else if component.contains("**") {
                return Err(error("`**` stands alone between slashes, as in `team/**`"));
            } else {
                parts.push(Part::One(glyphs(component)));
            }
        }
        let alone = text == "*";
        if alone || parts.last() == Some(&Part::Any) {
            // At the end `**` is at least one component.
            parts.pop();
            parts.extend([Part::One([Glyph::Star].into()), Part::Any]);
        }
        let shape = match text.strip_suffix("/**") {
            _ if text == "*" || text == "**" => Shape::All,
            _ if !text.contains('*') => Shape::Exact,
            Some(above) if !above.contains('*') => Shape::Below(above.len() + 1),
            _ => Shape::Other,
        };
        Ok(Self { text: text.into(), parts: parts.into(), shape })
    }

    /// True if it has no wildcard: it stands for the one repository that it names.
    pub fn is_name(&self) -> bool {
        self.shape == Shape::Exact
    }

    /// True if the pattern stands for this repository. `name` must be in the grammar of names.
    /// Does not allocate for one name, for all, and for all below a name.
    pub fn matches(&self, name: &str) -> bool {
        match self.shape {
            Shape::All => true,
            Shape::Exact => *self.text == *name,
            Shape::Below(prefix) => {
                name.len() > prefix && name.as_bytes()[..prefix] == self.text.as_bytes()[..prefix]
            }
            Shape::Other => self.follow(name),
        }
    }

    fn follow(&self, name: &str) -> bool {
        accepts(
            &self.parts,
            name.split('/'),
            |part| *part == Part::Any,
            |part, component| match part {
                Part::One(glyphs) => accepts_bytes(glyphs, component),
                Part::Any => true,
            },
        )
    }
}

impl TextPattern {
    /// Understands a pattern; every text of at most 1,024 bytes that is not empty is one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let error = |problem| PatternError { text: text.chars().take(300).collect(), problem };
        if text.is_empty() {
            return Err(error("it is empty"));
        }
        if text.len() > 4 * MAX_PATTERN_BYTES + 4 {
            return Err(error("it is longer than 1,024 bytes"));
        }
        Ok(Self { text: text.into(), glyphs: glyphs(text) })
    }

    /// True if the pattern stands for this text.
    pub fn matches(&self, text: &str) -> bool {
        accepts_bytes(&self.glyphs, text)
    }
}

fn glyphs(text: &str) -> Box<[Glyph]> {
    let mut glyphs = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        match (byte, glyphs.last()) {
            (b'*', Some(Glyph::Star | Glyph::DoubleStar)) => {
                glyphs.pop();
                glyphs.push(Glyph::DoubleStar);
            }
            (b'*', _) => glyphs.push(Glyph::Star),
            (byte, _) => glyphs.push(Glyph::Byte(byte)),
        }
    }
    glyphs.into()
}

fn accepts_bytes(glyphs: &[Glyph], text: &str) -> bool {
    accepts(
        glyphs,
        text.bytes(),
        |glyph| !matches!(glyph, Glyph::Byte(_)),
        |glyph, byte| match glyph {
            Glyph::Byte(wanted) => wanted == byte,
            Glyph::Star => !matches!(byte, b'/' | b':'),
            Glyph::DoubleStar => true,
        },
    )
}

/// True if `pattern` takes all of `input`, following every way through the pattern at once. An
/// element that repeats takes any number of what it eats, none included; others take one.
fn accepts<P, T>(
    pattern: &[P],
    input: impl Iterator<Item = T>,
    repeats: impl Fn(&P) -> bool,
    eats: impl Fn(&P, &T) -> bool,
) -> bool {
    let skip = |at: &mut [bool]| {
        for (place, element) in pattern.iter().enumerate() {
            at[place + 1] |= at[place] && repeats(element);
        }
    };
    let mut at = vec![false; pattern.len() + 1];
    at[0] = true;
    skip(&mut at);
    let mut next = at.clone();
    for item in input {
        next.fill(false);
        for (place, element) in pattern.iter().enumerate() {
            if at[place] && eats(element, &item) {
                next[if repeats(element) { place } else { place + 1 }] = true;
            }
        }
        skip(&mut next);
        std::mem::swap(&mut at, &mut next);
    }
    at[pattern.len()]
}

macro_rules! text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.text)
            }
        }

        impl FromStr for $type {
            type Err = PatternError;

            fn from_str(text: &str) -> Result<Self, PatternError> {
                Self::parse(text)
            }
        }
    };
}

text!(RepositoryPattern);
text!(TextPattern);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn repositories_are_matched_as_operators_read_the_pattern() {
        for (pattern, matching, others) in [
            ("*", &["a", "a/b", "a/b/c"][..], &[][..]),
            ("**", &["a", "a/b", "a/b/c"], &[]),
            ("team", &["team"], &["team/a", "teams", "tea", "a/team"]),
            ("team/*", &["team/a", "team/b-c"], &["team", "team/a/b", "other/a"]),
            ("team/**", &["team/a", "team/a/b"], &["team", "teams/a", "a/team/b"]),
            ("team/app-*", &["team/app-x", "team/app-"], &["team/app", "team/app-x/y"]),
            ("*/app", &["a/app", "b/app"], &["app", "a/b/app"]),
            ("**/app", &["app", "a/app", "a/b/app"], &["a/app/b", "apps"]),
            ("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["a", "z", "a/b"]),
            ("a/**/**/z", &["a/z", "a/b/z"], &["a/b"]),
            ("a*b*c", &["abc", "aXbXc", "abcbc"], &["ab", "a/b/c"]),
        ] {
            let parsed = RepositoryPattern::parse(pattern).unwrap();
            for name in matching {
                assert!(parsed.matches(name), "{pattern} should match {name}");
            }
            for name in others {
                assert!(!parsed.matches(name), "{pattern} should not match {name}");
            }
        }
    }

    #[test]
    fn claims_are_matched_with_wildcards_that_stay_within_a_part() {
        for (pattern, matching, others) in [
            (
                "repo:k/*:ref:refs/tags/v*",
                &["repo:k/x:ref:refs/tags/v1"][..],
                &[
                    "repo:k/x:ref:refs/heads/v1",
                    "repo:k/x:environment:ref:refs/tags/v1",
                    "repo:k/x/y:ref:refs/tags/v1",
                    "repo:k/x:ref:refs/tags/v1/evil",
                ][..],
            ),
            ("repo:k/**", &["repo:k/x:ref:refs/tags/v1"], &["repo:kk/x", "xrepo:k/x"]),
            ("true", &["true"], &["True", "true "]),
        ] {
            let parsed = TextPattern::parse(pattern).unwrap();
            for name in matching {
                assert!(parsed.matches(name), "{pattern} should match {name}");
            }
            for name in others {
                assert!(!parsed.matches(name), "{pattern} should not match {name}");
            }
        }
    }

    #[test]
    fn what_can_match_no_name_is_no_pattern() {
        for text in ["", "/a", "a/", "a//b", "Team/*", "a b", "a/***", "a/b**", "ä", "../a/%2f"] {
            let parsed = RepositoryPattern::parse(text);
            assert!(parsed.is_err(), "{text}: {parsed:?}");
        }
        assert!(RepositoryPattern::parse(&"a".repeat(256)).is_err());
        assert!(TextPattern::parse("").is_err() && TextPattern::parse(&"*".repeat(1025)).is_err());
    }

    #[test]
    fn a_pattern_of_many_wildcards_ends() {
        let pattern = TextPattern::parse(&"**a".repeat(300)).unwrap();
        assert!(!pattern.matches(&"a".repeat(299)));
        assert!(pattern.matches(&"a".repeat(300)));
    }

    /// The naive twin: tries every length of every wildcard.
    fn naive_parts(pattern: &[&str], name: &[&str]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ["**"] => !name.is_empty(),
            ["**", rest @ ..] => (0..=name.len()).any(|n| naive_parts(rest, &name[n..])),
            [one, rest @ ..] => name
                .split_first()
                .is_some_and(|(first, others)| naive_text(one, first) && naive_parts(rest, others)),
        }
    }

    fn naive_text(pattern: &str, text: &str) -> bool {
        if let Some(rest) = pattern.strip_prefix("**") {
            return (0..=text.len()).any(|n| naive_text(rest.trim_start_matches('*'), &text[n..]));
        }
        match pattern.split_at_checked(1) {
            None => text.is_empty(),
            Some(("*", rest)) => (0..=text.len())
                .take_while(|&n| !text[..n].contains(['/', ':']))
                .any(|n| naive_text(rest, &text[n..])),
            Some((byte, rest)) => {
                text.strip_prefix(byte).is_some_and(|text| naive_text(rest, text))
            }
        }
    }

    proptest! {
        #[test]
        fn repositories_match_as_the_naive_twin_says(
            pattern in "(\\*\\*|[ab*]|a\\*|b\\*a)(/(\\*\\*|[ab*]|a\\*|b\\*a)){0,4}",
            name in "[ab]{1,3}(/[ab]{1,3}){0,4}",
        ) {
            prop_assume!(!pattern.split('/').any(|part| part.len() > 2 && part.contains("**")));
            let parsed = RepositoryPattern::parse(&pattern).unwrap();
            let parts: Vec<_> = pattern.split('/').collect();
            let names: Vec<_> = name.split('/').collect();
            let expected = pattern == "*" || naive_parts(&parts, &names);
            prop_assert_eq!(parsed.matches(&name), expected);
            prop_assert_eq!(parsed.follow(&name), expected);
        }

        #[test]
        fn claims_match_as_the_naive_twin_says(
            pattern in "[ab:/*]{1,8}",
            text in "[ab:/]{0,8}",
        ) {
            let parsed = TextPattern::parse(&pattern).unwrap();
            prop_assert_eq!(parsed.matches(&text), naive_text(&pattern, &text));
        }

        #[test]
        fn any_text_parses_or_is_refused(pattern in "\\PC{0,40}", name in "\\PC{0,40}") {
            if let Ok(parsed) = RepositoryPattern::parse(&pattern) {
                parsed.matches(&name);
            }
            if let Ok(parsed) = TextPattern::parse(&pattern) {
                parsed.matches(&name);
            }
        }
    }
}
