//! The plan of migrations.

use landbridge_core::Digest;
use landbridge_core::migration::{Mode, Phase, Refusal, Share};

use super::*;
use crate::config::plan::{self, Plan};

fn plan_source(text: &str) -> Source {
    Source { name: "migration.yaml".to_owned(), ..source(text) }
}

fn read(text: &str) -> Plan {
    plan::load(&plan_source(text)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> String {
    plan::load(&plan_source(text)).unwrap_err().to_string()
}

const GENERATION: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

#[test]
fn a_plan_becomes_migrations_and_what_is_not_said_has_a_default() {
    let text = format!(
        r#"
releases: [2023-08-15, 2023-04-11]
moves:
  - name: images
    successor: Registry.Example.org:5000
    stability: stable
    guide: https://example.org/moving
    phases:
      - {{phase: announce, start: 2022-11-28, message: "use the new \"name\""}}
      - {{phase: freeze, start: 2023-04-03, announced: 2023-02-06, mode: enforce, generation: "{GENERATION}"}}
      - phase: redirect
        start: 2023-03-20T16:00:00Z
        repositories: [team/**, app]
        clients: [{{provider: aws, region: us-east-1}}, {{provider: gcp}}, {{}}]
        shares: [{{from: 2023-03-20T16:00:00Z, percent: 0.5}}, {{from: 2023-04-01, percent: 100}}]
        entry: [{{gate: the new name works, passed: 2023-03-01, evidence: issue 7}}]
        exit: [{{gate: nobody complains}}]
        abort: {{margin: 2.5, command: [check, --all]}}
      - phase: brownout
        start: 2023-09-01
        end: 2023-10-01
        windows: [{{start: 2023-09-04, end: 2023-09-05}}]
        answer: gone
        cap_pulls: 100
"#
    );
    let plan = read(&text);
    assert_eq!(plan.releases[0].to_string(), "2023-04-11T00:00:00Z");
    let images = plan.get("images").unwrap();
    assert_eq!(images.stability.as_deref(), Some("stable"));
    assert_eq!(images.guide.as_ref().unwrap().as_str(), "https://example.org/moving");
    assert_eq!(images.migration.successor(), "registry.example.org:5000");
    let [announce, freeze, redirect, brownout] = images.migration.steps() else {
        panic!("{:?}", images.migration);
    };
    assert_eq!((announce.mode, announce.phase), (Mode::Observe, Phase::Announce));
    assert_eq!(announce.announced, announce.start);
    assert_eq!((freeze.mode, freeze.notice_days()), (Mode::Enforce, 56));
    assert_eq!(freeze.generation, Digest::parse(GENERATION).ok());
    assert_eq!(redirect.announced, announce.start);
    assert_eq!(
        redirect.scope.to_string(),
        "team/**, app for clients in aws us-east-1, gcp, no known cloud"
    );
    assert_eq!(redirect.shares[0].share, Share::of_percent(0.5).unwrap());
    assert_eq!((&*redirect.entry[0].evidence, redirect.exit[0].passed), ("issue 7", None));
    let abort = redirect.abort.as_ref().unwrap();
    assert_eq!((abort.margin, abort.minimum_requests, abort.window_seconds), (25, 1_000, 600));
    let brownout = brownout.brownout.as_ref().unwrap();
    assert_eq!((brownout.refusal, brownout.cap_pulls), (Refusal::Gone, 100));
}

#[test]
fn every_contradiction_and_mistake_of_a_plan_is_named_at_once_with_its_place() {
    insta::assert_snapshot!(refused(include_str!("bad_plan.yaml")));
}

#[test]
fn a_plan_may_be_json() {
    let json = r#"{"moves": [{"name": "images", "successor": "127.0.0.1:1", "phases": [
        {"phase": "announce", "start": "2022-11-28"},
        {"phase": "redirect", "start": "2023-01-01", "shares": [{"from": "2023-01-01", "percent": 50}]}
    ]}]}"#;
    assert_eq!(read(json).moves.len(), 1);
}

#[test]
fn an_empty_plan_says_what_is_needed() {
    insta::assert_snapshot!(refused(""), @"migration.yaml:1:1: moves: is missing: it needs a list of mappings");
    insta::assert_snapshot!(refused("moves: []\n"), @"migration.yaml:1:8: moves: is empty: which name is left for which?");
}
