//! What a project promises its users.

use super::*;
use crate::config::plan;

const PLAN: &str = "moves:
  - name: images
    successor: new.example.org
    stability: stabel
    phases: [{phase: announce, start: 2022-11-28}]
";

fn policy_source(text: &str) -> Source {
    Source { name: "policy.yaml".to_owned(), ..source(text) }
}

#[test]
fn a_policy_becomes_rules_and_a_rule_is_for_what_is_called_like_it() {
    let text = "rules:
  - {name: stable, days: 365, releases: 3}
  - {name: last, stability: stable, days: 30, phases: [tombstone, sunset]}
ledger: exceptions.jsonl
approvers: {keys: [\"-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\\n-----END PUBLIC KEY-----\\n\"], threshold: 1}
";
    let promised = load_policy(&policy_source(text), Vec::new()).unwrap();
    let [stable, last] = &promised.policy.rules[..] else { panic!("{promised:?}") };
    assert_eq!((&*stable.stability, stable.days, stable.releases), ("stable", Some(365), Some(3)));
    assert_eq!((&*last.stability, last.phases.len()), ("stable", 2));
    assert_eq!(promised.policy.approvers.unwrap().threshold(), 1);
    assert!(promised.ledger.unwrap().starts_with(env!("CARGO_MANIFEST_DIR")));
}

#[test]
fn every_mistake_of_a_policy_is_named_at_once_with_its_place() {
    let refused = load_policy(&policy_source(include_str!("bad_policy.yaml")), Vec::new());
    let refused = refused.unwrap_err().to_string().replace(env!("CARGO_MANIFEST_DIR"), "BASE");
    insta::assert_snapshot!(refused);
    let refused = load_policy(&policy_source("rules: []\nledger: l\n"), Vec::new()).unwrap_err();
    insta::assert_snapshot!(refused.to_string(), @"
    policy.yaml:1:8: rules: is empty: what is promised?
    policy.yaml:2:9: ledger: is of no use without `approvers`: nobody could sign what is in it
    ");
}

#[test]
fn a_move_that_no_rule_is_for_was_promised_nothing_which_is_said() {
    let source = Source { name: "migration.yaml".to_owned(), ..source(PLAN) };
    let read = plan::load(&source).unwrap();
    let wrong = unknown_stability(&source, &read, &["stable", "beta"]).unwrap().to_string();
    insta::assert_snapshot!(wrong, @"migration.yaml:4:16: moves[0].stability: no rule of the policy is for `stabel`; did you mean `stable`?");
    assert!(unknown_stability(&source, &read, &["stabel"]).is_none());
}
