//! Scopes of the docker token flow: `repository:team/app:pull,push`.
//!
//! What is not understood is left out, never an error: clients ask for what a newer registry would
//! know, and a token then just does not grant it.
//!
//! <https://distribution.github.io/distribution/spec/auth/scope/>

use landbridge_core::reference::is_repository_name;
use serde_json::{Value, json};

use super::rules::{Action, Actions, Right};

/// The most scopes of one token.
pub(super) const MAX_SCOPES: usize = 100;

/// What is asked of, or granted to, a token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Grants {
    /// A repository and what is done with it. No repository is there twice.
    repositories: Vec<(Box<str>, Actions)>,
    catalog: bool,
}

impl Grants {
    /// Understands the values of all `scope` parameters. `None` if there are too many.
    pub(super) fn parse<'a>(scopes: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut asked = Self::default();
        let texts = scopes.flat_map(|text| text.split(' ')).filter(|text| !text.is_empty());
        for (count, text) in texts.enumerate() {
            if count >= MAX_SCOPES {
                return None;
            }
            asked.add(text);
        }
        Some(asked)
    }

    fn add(&mut self, text: &str) {
        let Some((kind, rest)) = text.split_once(':') else { return };
        let Some((name, words)) = rest.rsplit_once(':') else { return };
        match kind {
            "registry" if name == "catalog" && words == "*" => self.catalog = true,
            "repository" if is_repository_name(name) => {
                self.extend(name, parse_actions(words.split(',')));
            }
            _ => {}
        }
    }

    fn extend(&mut self, name: &str, actions: Actions) {
        if actions == Actions::NONE {
            return;
        }
        match self.repositories.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, known)) => {
                known.pull |= actions.pull;
                known.push |= actions.push;
                known.delete |= actions.delete;
            }
            None => self.repositories.push((name.into(), actions)),
        }
    }

    /// Parts what is asked for into what `allows` says may be, and what may not.
    pub(super) fn part(self, allows: impl Fn(Action<'_>) -> bool) -> (Self, Self) {
        let (mut granted, mut refused) = (Self::default(), Self::default());
        for (name, asked) in &self.repositories {
            for right in Right::ALL.into_iter().filter(|right| asked.names(*right)) {
                let part = if allows(right.on(name)) { &mut granted } else { &mut refused };
                part.extend(name, Actions::NONE.with(right));
            }
        }
        granted.catalog = self.catalog && allows(Action::Catalog);
        refused.catalog = self.catalog && !granted.catalog;
        (granted, refused)
    }

    /// True if it lets somebody do this.
    pub(super) fn allow(&self, action: Action<'_>) -> bool {
        self.has(action, Actions::contains)
    }

    /// True if exactly this is in it: `push` says nothing about `pull`.
    pub(super) fn name(&self, action: Action<'_>) -> bool {
        self.has(action, Actions::names)
    }

    fn has(&self, action: Action<'_>, is_in: fn(Actions, Right) -> bool) -> bool {
        match (action, action.needs()) {
            (Action::Ping, _) => true,
            (Action::Catalog, _) => self.catalog,
            (_, None) => false,
            (_, Some((right, name))) => self
                .repositories
                .iter()
                .any(|(known, actions)| **known == *name && is_in(*actions, right)),
        }
    }

    /// The list as it stands in a token: `[{"type":…,"name":…,"actions":[…]}]`.
    pub(super) fn to_json(&self) -> Value {
        let mut list: Vec<_> = self
            .repositories
            .iter()
            .map(|(name, granted)| {
                let rights = Right::ALL.into_iter().filter(|right| granted.names(*right));
                let words: Vec<_> = rights.map(Right::name).collect();
                json!({"type": "repository", "name": &**name, "actions": words})
            })
            .collect();
        if self.catalog {
            list.push(json!({"type": "registry", "name": "catalog", "actions": ["*"]}));
        }
        Value::Array(list)
    }

    /// Reads what [`Grants::to_json`] wrote; anything else grants nothing.
    pub(super) fn from_json(list: &Value) -> Self {
        let mut grants = Self::default();
        for entry in list.as_array().into_iter().flatten() {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let words = entry.get("actions").and_then(Value::as_array).into_iter().flatten();
            let words = words.filter_map(Value::as_str);
            match (text("type"), text("name")) {
                ("registry", "catalog") => grants.catalog = true,
                ("repository", name) => grants.extend(name, parse_actions(words)),
                _ => {}
            }
        }
        grants
    }
}

/// The scope that a client should ask for when it wants this.
pub(super) fn scope_of(action: Action<'_>) -> Option<String> {
    match action {
        Action::Ping => None,
        Action::Catalog => Some("registry:catalog:*".to_owned()),
        Action::Pull(name) => Some(format!("repository:{name}:pull")),
        Action::Push(name) => Some(format!("repository:{name}:pull,push")),
        Action::Delete(name) => Some(format!("repository:{name}:pull,delete")),
    }
}

fn parse_actions<'a>(words: impl Iterator<Item = &'a str>) -> Actions {
    let mut actions = Actions::NONE;
    for word in words {
        match word {
            "pull" => actions.pull = true,
            "push" => actions.push = true,
            "delete" => actions.delete = true,
            "*" => actions = Actions { pull: true, push: true, delete: true, catalog: false },
            _ => {}
        }
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(scopes: &[&str]) -> Grants {
        Grants::parse(scopes.iter().copied()).unwrap()
    }

    #[test]
    fn scopes_are_gathered_for_each_repository() {
        let asked = parse(&[
            "repository:a/b:pull repository:c:push,fly",
            "repository:a/b:delete,pull",
            "registry:catalog:*",
            "repository:d:*",
        ]);
        assert_eq!(
            asked.to_json(),
            json!([
                {"type": "repository", "name": "a/b", "actions": ["pull", "delete"]},
                {"type": "repository", "name": "c", "actions": ["push"]},
                {"type": "repository", "name": "d", "actions": ["pull", "push", "delete"]},
                {"type": "registry", "name": "catalog", "actions": ["*"]},
            ])
        );
        assert_eq!(Grants::from_json(&asked.to_json()), asked);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        for text in [
            "",
            "repository",
            "repository:a",
            "repository::pull",
            "repository:A:pull",
            "repository:../a:pull",
            "repository(plugin):a:pull",
            "repository:a:",
            "repository:a:fly",
            "registry:catalog:pull",
            "registry:other:*",
            "a:b:c:d:e",
        ] {
            assert_eq!(parse(&[text]), Grants::default(), "{text}");
        }
        let many = vec!["repository:a:pull"; MAX_SCOPES + 1].join(" ");
        assert_eq!(Grants::parse([&*many].into_iter()), None);
    }

    #[test]
    fn what_is_granted_and_what_is_refused_add_up_to_what_was_asked() {
        let asked = parse(&["repository:a:pull,push,delete repository:b:pull registry:catalog:*"]);
        let allows = |action: Action<'_>| matches!(action, Action::Pull("a") | Action::Push("a"));
        let (granted, refused) = asked.part(allows);
        assert_eq!(granted, parse(&["repository:a:pull,push"]));
        assert_eq!(refused, parse(&["repository:a:delete repository:b:pull registry:catalog:*"]));
        assert!(granted.allow(Action::Push("a")) && granted.allow(Action::Ping));
        assert!(!granted.allow(Action::Push("b")));
        assert!(refused.name(Action::Delete("a")) && !refused.name(Action::Pull("a")));
        let push_only = parse(&["repository:a:push"]);
        assert!(push_only.allow(Action::Pull("a")), "push includes pull");
        assert!(!push_only.name(Action::Pull("a")));
    }

    #[test]
    fn the_scope_of_a_request_grants_it() {
        let on_repositories = Right::ALL.map(|right| right.on("a/b"));
        for action in on_repositories.into_iter().chain([Action::Catalog]) {
            assert!(parse(&[&scope_of(action).unwrap()]).allow(action));
        }
    }
}
