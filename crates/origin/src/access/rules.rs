//! Who may do what to which repositories.
//!
//! Rules only allow; what no rule allows is refused, and their order does not matter: a caller may
//! do what any rule that is about him says. So a rule can be read by itself, and another one added
//! without thinking about those before it.
//!
//! Invariant: an OIDC identity matches rules that name its issuer, and those for everybody; never
//! those for users. Anyone at all can get a token of a public CI system.

use std::fmt;

use landbridge_core::pattern::{RepositoryPattern, TextPattern};
use serde_json::{Map, Value};

/// What somebody wants to do. Repositories' names are in the grammar of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action<'a> {
    /// To know whether they are let in: `GET /v2/`.
    Ping,
    /// To list repositories; those that they may pull are shown.
    Catalog,
    /// To read from a repository.
    Pull(&'a str),
    /// To write to a repository, uploads that are under way included.
    Push(&'a str),
    /// To delete from a repository.
    Delete(&'a str),
}

/// What may be done to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    Pull,
    Push,
    Delete,
}

/// A set of things that are allowed. `push` includes `pull`, since every client looks before it
/// pushes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four switches, all of which may be on")]
pub struct Actions {
    /// Reading: manifests, blobs, tags, referrers.
    pub pull: bool,
    /// Writing: uploads, mounts into it, manifests and tags; and reading.
    pub push: bool,
    /// Removing tags, manifests and blobs.
    pub delete: bool,
    /// Listing repositories; whichever repositories the rule is about, those are shown that may be
    /// pulled.
    pub catalog: bool,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// Everybody, with credentials or without.
    Anyone,
    /// Everyone in the `htpasswd` file. No OIDC identity, however it was made.
    AnyUser,
    /// This name in the `htpasswd` file.
    User(String),
    /// Identities of a configured issuer.
    Oidc {
        /// The issuer's name in the configuration.
        issuer: String,
        /// Its `sub` claim.
        subject: TextPattern,
        /// Further claims, all of which must match. A number or a truth value is compared as it is
        /// written; of a list any element may match.
        claims: Vec<(String, TextPattern)>,
    },
}

/// One rule: these may do this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// Which repositories; any of these patterns.
    pub repositories: Vec<RepositoryPattern>,
    /// What is allowed.
    pub actions: Actions,
}

/// A proven identity.
#[derive(Clone, PartialEq)]
pub(super) enum Identity {
    Anonymous,
    User(Box<str>),
    Oidc { issuer: Box<str>, subject: Box<str>, claims: Box<Map<String, Value>> },
}

impl Actions {
    /// Nothing.
    pub const NONE: Self = Self { pull: false, push: false, delete: false, catalog: false };

    /// True if the right is in the set, or comes with another one.
    pub(super) const fn contains(self, right: Right) -> bool {
        match right {
            Right::Pull => self.pull || self.push,
            Right::Push => self.push,
            Right::Delete => self.delete,
        }
    }

    /// True if just this right is in the set.
    pub(super) const fn names(self, right: Right) -> bool {
        match right {
            Right::Pull => self.pull,
            Right::Push => self.push,
            Right::Delete => self.delete,
        }
    }

    /// The set with this right added.
    pub(super) const fn with(self, right: Right) -> Self {
        match right {
            Right::Pull => Self { pull: true, ..self },
            Right::Push => Self { push: true, ..self },
            Right::Delete => Self { delete: true, ..self },
        }
    }
}

impl Right {
    pub(super) const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];

    /// The word for it in scopes.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    /// The use of it on a repository.
    pub(super) const fn on(self, repository: &str) -> Action<'_> {
        match self {
            Self::Pull => Action::Pull(repository),
            Self::Push => Action::Push(repository),
            Self::Delete => Action::Delete(repository),
        }
    }
}

impl<'a> Action<'a> {
    /// Which right this needs, on which repository.
    pub(super) const fn needs(self) -> Option<(Right, &'a str)> {
        match self {
            Self::Ping | Self::Catalog => None,
            Self::Pull(name) => Some((Right::Pull, name)),
            Self::Push(name) => Some((Right::Push, name)),
            Self::Delete(name) => Some((Right::Delete, name)),
        }
    }
}

impl Identity {
    /// The name for events and tokens: `anonymous`, `user:NAME` or `oidc:ISSUER:SUBJECT`.
    pub(super) fn actor(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User(name) => format!("user:{name}"),
            Self::Oidc { issuer, subject, .. } => format!("oidc:{issuer}:{subject}"),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.actor())
    }
}

impl Who {
    fn is(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Anyone, _) | (Self::AnyUser, Identity::User(_)) => true,
            (Self::User(name), Identity::User(user)) => **name == **user,
            (
                Self::Oidc { issuer, subject, claims },
                Identity::Oidc { issuer: from, subject: who, claims: made },
            ) => {
                **issuer == **from
                    && subject.matches(who)
                    && claims.iter().all(|(name, wanted)| {
                        made.get(name).is_some_and(|claim| is_claimed(claim, wanted))
                    })
            }
            (
                Self::AnyUser | Self::User(_) | Self::Oidc { .. },
                Identity::Anonymous | Identity::User(_) | Identity::Oidc { .. },
            ) => false,
        }
    }
}

fn is_claimed(claim: &Value, wanted: &TextPattern) -> bool {
    match claim {
        Value::String(text) => wanted.matches(text),
        Value::Bool(truth) => wanted.matches(if *truth { "true" } else { "false" }),
        Value::Number(number) => wanted.matches(&number.to_string()),
        Value::Array(elements) => {
            elements.iter().any(|element| !element.is_array() && is_claimed(element, wanted))
        }
        Value::Null | Value::Object(_) => false,
    }
}

/// True if any of the rules lets this identity do it. Whoever is known may always ask whether they
/// are let in.
pub(super) fn allows(rules: &[Rule], identity: &Identity, action: Action<'_>) -> bool {
    let mut about = rules.iter().filter(|rule| rule.who.is(identity));
    match (action, action.needs()) {
        (Action::Ping, _) => true,
        (Action::Catalog, _) => about.any(|rule| rule.actions.catalog),
        (_, None) => false,
        (_, Some((right, name))) => about.any(|rule| {
            rule.actions.contains(right)
                && rule.repositories.iter().any(|pattern| pattern.matches(name))
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(who: Who, repositories: &[&str], actions: Actions) -> Rule {
        let repositories = repositories.iter().map(|text| text.parse().unwrap()).collect();
        Rule { who, repositories, actions }
    }

    fn oidc(subject: &str, claims: Value) -> Identity {
        let Value::Object(claims) = claims else { panic!("not an object") };
        Identity::Oidc { issuer: "ci".into(), subject: subject.into(), claims: Box::new(claims) }
    }

    fn may(rules: &[Rule], who: &Identity) -> Vec<String> {
        let mut found = Vec::new();
        for name in ["open/a", "team/a", "team/secret/b"] {
            for right in Right::ALL {
                if allows(rules, who, right.on(name)) {
                    found.push(format!("{} {name}", right.name()));
                }
            }
        }
        if allows(rules, who, Action::Catalog) {
            found.push("catalog".to_owned());
        }
        found
    }

    #[test]
    fn rules_add_up_and_nothing_is_allowed_without_one() {
        let pull = Actions { pull: true, ..Actions::NONE };
        let push = Actions { push: true, ..Actions::NONE };
        let all = Actions { pull: true, push: true, delete: true, catalog: true };
        let subject = "repo:k/x:*".parse().unwrap();
        let claims = vec![("environment".to_owned(), "release".parse().unwrap())];
        let rules = [
            rule(Who::Anyone, &["open/**"], pull),
            rule(Who::AnyUser, &["team/*"], push),
            rule(Who::User("root".into()), &["*"], all),
            rule(Who::Oidc { issuer: "ci".into(), subject, claims }, &["team/**"], push),
        ];
        let user = |name: &str| Identity::User(name.into());
        assert_eq!(may(&rules, &Identity::Anonymous), ["pull open/a"]);
        assert_eq!(may(&rules, &user("ann")), ["pull open/a", "pull team/a", "push team/a"]);
        assert_eq!(may(&rules, &user("root")).len(), 10);
        assert!(may(&[], &user("root")).is_empty());

        let pushes = [
            "pull open/a",
            "pull team/a",
            "push team/a",
            "pull team/secret/b",
            "push team/secret/b",
        ];
        let release = json!({"environment": "release"});
        assert_eq!(may(&rules, &oidc("repo:k/x:tag", release.clone())), pushes);
        assert_eq!(
            may(&rules, &oidc("repo:k/x:tag", json!({"environment": ["a", "release"]}))),
            pushes
        );
        for other in [
            oidc("repo:k/y:tag", release.clone()),
            oidc("repo:k/x:tag:more", release),
            oidc("repo:k/x:tag", json!({})),
            oidc("repo:k/x:tag", json!({"environment": null})),
            oidc("repo:k/x:tag", json!({"environment": [["release"]]})),
            oidc("repo:k/x:tag", json!({"environment": {"release": true}})),
        ] {
            assert_eq!(may(&rules, &other), ["pull open/a"], "and never what any user may");
        }
    }

    #[test]
    fn an_issuer_speaks_for_itself_alone() {
        let subject = "**".parse().unwrap();
        let who = Who::Oidc { issuer: "other".into(), subject, claims: Vec::new() };
        let rules = [rule(who, &["*"], Actions { pull: true, ..Actions::NONE })];
        assert!(may(&rules, &oidc("x", json!({}))).is_empty());
        assert!(may(&rules, &Identity::User("oidc:other:x".into())).is_empty());
    }
}
