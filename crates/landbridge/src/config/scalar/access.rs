//! Words of access rules: who, which repositories, which claims.

use std::fmt;
use std::str::FromStr;

use landbridge_origin::{RepositoryPattern, TextPattern};

use super::Name;

/// Whom a rule is about, in the words that events use for who did something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// Everybody, with a credential or without.
    Anyone,
    /// Everyone in the password file.
    AnyUser,
    /// One of them.
    User(String),
    /// Identities of an issuer, by a pattern of their subjects.
    Oidc(Name, TextPattern),
}

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is nobody: write `anyone`, `any-user`, `user:NAME` or `oidc:ISSUER:SUBJECT`, as in `oidc:ci:repo:team/*:**`"
            )
        };
        match (text, text.split_once(':')) {
            ("anyone", _) => Ok(Self::Anyone),
            ("any-user", _) => Ok(Self::AnyUser),
            (_, Some(("user", name))) => {
                // Under the name `oidc` come tokens of issuers.
                let is_name = !name.is_empty() && name.len() <= 255 && name != "oidc";
                if is_name && !name.contains(|c: char| c == ':' || c.is_control()) {
                    Ok(Self::User(name.to_owned()))
                } else {
                    Err(wrong())
                }
            }
            (_, Some(("oidc", identity))) => {
                let (issuer, subject) = identity.split_once(':').ok_or_else(wrong)?;
                let subject = TextPattern::parse(subject).map_err(|error| error.to_string())?;
                Ok(Self::Oidc(issuer.parse()?, subject))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::AnyUser => f.write_str("any-user"),
            Self::User(name) => write!(f, "user:{name}"),
            Self::Oidc(issuer, subject) => write!(f, "oidc:{issuer}:{subject}"),
        }
    }
}

/// Which repositories: `team/app`, `team/*`, `team/**`, `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repositories(pub(crate) RepositoryPattern);

impl FromStr for Repositories {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        RepositoryPattern::parse(text).map(Self).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Repositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text with wildcards, for claims and tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(pub(crate) TextPattern);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        TextPattern::parse(text).map(Self).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_rule_is_about_reads_back_as_it_is_printed() {
        for text in [
            "anyone",
            "any-user",
            "user:ann",
            "user:ann@example.org",
            "oidc:ci:repo:team/app:ref:refs/tags/v*",
            "oidc:ci:**",
        ] {
            assert_eq!(text.parse::<Who>().unwrap().to_string(), text);
        }
        for text in
            ["", "ann", "user:", "user:a:b", "user:oidc", "oidc:ci", "oidc:ci:", "oidc:CI:x"]
        {
            let refused = text.parse::<Who>();
            assert!(refused.is_err(), "{text}: {refused:?}");
        }
    }
}
