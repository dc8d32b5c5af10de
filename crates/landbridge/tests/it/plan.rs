//! `landbridge migrate`: where a plan stands, and taking a phase back in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use landbridge_sign::LocalKey;
use serde_json::{Value, json};

use crate::content::Content;
use crate::program::{Ran, landbridge, root};
use crate::running::{Front, until};

const EXAMPLE: &str = "examples/migration/migration.yaml";

fn status(at: &str) -> String {
    let ran = landbridge(&["migrate", "status", "--plan", EXAMPLE, "--at", at]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

#[test]
fn the_example_says_where_it_stood_on_any_day() {
    for at in ["2022-11-27", "2023-03-25", "2023-09-01", "2024-03-04"] {
        insta::assert_snapshot!(format!("status at {at}"), status(at));
    }
    // As JSON, for now.
    let ran = landbridge(&["migrate", "status", "--plan", EXAMPLE, "--json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let images = &json["moves"][0];
    assert_eq!(images["migration"], "images");
    let notice = images["under_way"].as_array().unwrap().iter();
    let notice: Vec<_> = notice.filter_map(|step| step["notice_days"].as_i64()).collect();
    assert_eq!(notice, [56, 10]);
}

#[test]
fn a_phase_is_taken_back_in_the_plan_and_everything_else_in_it_stays() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("migration.yaml");
    let before = fs::read_to_string(root().join(EXAMPLE)).unwrap();
    fs::write(&file, &before).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let abort = |args: &[&str]| -> Ran {
        let plan = ["--plan", file.to_str().unwrap()];
        landbridge(&[&["migrate", "abort"], args, &plan].concat())
    };

    // Two moves have a freeze: nothing is written until it is said which.
    let ran = abort(&["freeze"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @r"
    error: the plan has several; say which one:
      landbridge migrate abort freeze --move images --start 2023-04-03T00:00:00Z   (everyone)
      landbridge migrate abort freeze --move packages --start 2023-09-13T00:00:00Z   (everyone)
    ");
    assert_eq!(abort(&["freeze", "--move", "charts"]).code, 2);
    assert_eq!(abort(&["tombstone"]).code, 2);
    assert_eq!(fs::read_to_string(&file).unwrap(), before);

    let ran = abort(&["redirect", "--at", "2023-03-21T08:00:00Z"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let shown = ran.stdout.replace(file.to_str().unwrap(), "FILE");
    insta::assert_snapshot!(shown, @"the redirect of `images` that starts at 2023-03-20T00:00:00Z is taken back as of 2023-03-21T08:00:00Z, in `FILE`");
    let after = fs::read_to_string(&file).unwrap();
    let expected = before.replace(
        "start: 2023-03-20\n",
        "start: 2023-03-20\n        aborted: 2023-03-21T08:00:00Z\n",
    );
    assert_eq!(after, expected);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);

    let ran = abort(&["redirect"]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.stderr, @"error: the redirect of `images` that starts at 2023-03-20T00:00:00Z is taken back already, as of 2023-03-21T08:00:00Z");

    // Without --at, from this moment on.
    assert_eq!(abort(&["sunset"]).code, 0);
    let plan = file.to_str().unwrap();
    let ran = landbridge(&["migrate", "status", "--plan", plan, "--json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["moves"][0]["aborted"][0]["phase"], "redirect");
    assert_eq!(json["moves"][1]["aborted"][0]["phase"], "sunset");
}

#[test]
fn the_example_falls_short_of_the_notice_that_was_promised() {
    let check =
        |more: &[&str]| landbridge(&[&["migrate", "check", "--plan", EXAMPLE], more].concat());
    let ran = check(&[]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stdout);
    let ran = check(&["--json"]);
    assert_eq!(ran.code, 1);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    let short = json["changes"].as_array().unwrap().iter();
    let mut short: Vec<_> = short.map(|it| it["verdict"]["days_short"].as_i64().unwrap()).collect();
    short.sort_unstable();
    assert_eq!(short, [179, 309, 352, 355]);
    assert_eq!(check(&["--policy", "no/such/policy.yaml"]).code, 2);
}

#[test]
fn the_timeline_is_a_page_a_calendar_and_json() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (html, calendar) = (path("timeline.html"), path("timeline.ics"));
    let timeline = ["migrate", "timeline", "--plan", EXAMPLE];
    let files = ["--html", &*html, "--calendar", &*calendar, "--json", "--at", "2023-03-25"];
    let ran = landbridge(&[&timeline[..], &files].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let page = fs::read_to_string(&html).unwrap();
    assert!(page.contains("<svg") && page.contains("registry.k8s.io"), "{page}");
    let calendar = fs::read_to_string(&calendar).unwrap();
    assert!(calendar.contains("DTSTART"), "{calendar}");
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["moves"][0]["steps"][3]["checks"][0]["verdict"]["days_short"], 309);
    // Without a policy nothing is said of notice.
    let alone = path("migration.yaml");
    fs::copy(root().join(EXAMPLE), &alone).unwrap();
    let ran = landbridge(&["migrate", "timeline", "--plan", &*alone, "--json"]);
    let json: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(json["moves"][0]["steps"][3]["checks"][0]["verdict"]["is"], "no-rule");
    assert_eq!(landbridge(&timeline).code, 2);
}

#[test]
fn an_exception_is_proposed_signed_by_a_quorum_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::copy(root().join(EXAMPLE), path("migration.yaml")).unwrap();
    for name in ["alice", "bob", "carol", "mallory"] {
        let key = LocalKey::open_or_create(&directory.path().join(name)).unwrap();
        fs::write(path(&format!("{name}.pub.pem")), key.public_pem()).unwrap();
    }
    let policy = "rules: [{name: stable, days: 365, releases: 3}]
approvers: {keys: [alice.pub.pem, bob.pub.pem, carol.pub.pem], threshold: 2}
ledger: exceptions.jsonl
";
    fs::write(path("policy.yaml"), policy).unwrap();
    let (plan, draft) = (path("migration.yaml"), path("exception.json"));
    let migrate =
        |args: &[&str]| -> Ran { landbridge(&[&["migrate"], args, &["--plan", &*plan]].concat()) };
    let shown = |ran: &Ran| {
        let dir = directory.path().display().to_string();
        ran.stdout.replace(&dir, "DIR").replace(root().to_str().unwrap(), "ROOT")
    };
    let sign = |name: &str| migrate(&["ledger", "sign", &draft, "--key", &path(name)]);
    let propose = |phase: &str| {
        migrate(
            &[
                &["ledger", "propose", &*draft, "--move", "images", "--phase", phase][..],
                &["--reason", "budget", "--evidence", "forecast-2023-02", "--date", "2023-02-06"],
                &["--mitigation", "both names work", "--expires", "2023-12-31"],
            ]
            .concat(),
        )
    };
    assert_eq!(propose("sunset").code, 2);
    let ran = propose("freeze");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!("what is proposed", shown(&ran));

    assert_eq!(sign("mallory").code, 2);
    assert_eq!(sign("alice").code, 0);
    let ran = migrate(&["ledger", "append", &draft]);
    assert_eq!(ran.code, 1, "one of two: {}", ran.stdout);
    let ran = sign("bob");
    assert!(ran.stdout.ends_with("signed; it has 2 of 2 signatures\n"), "{}", ran.stdout);
    let ran = migrate(&["ledger", "append", &draft]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let head = ran.stdout.lines().last().unwrap().to_owned();

    let ran = migrate(&["check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("309 days short, excused by exception 1"), "{}", ran.stdout);
    fs::write(path("policy.yaml"), format!("{policy}{head}\n")).unwrap();
    let ran = migrate(&["ledger", "show"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with(&format!("{head}\n")), "{}", ran.stdout);

    // Emptied, or changed by a letter: found, whoever asks.
    let ledger = fs::read_to_string(path("exceptions.jsonl")).unwrap();
    for tampered in [String::new(), ledger.replacen("\"payload\":\"e", "\"payload\":\"f", 1)] {
        assert_ne!(tampered, ledger);
        fs::write(path("exceptions.jsonl"), tampered).unwrap();
        for command in [&["check"][..], &["ledger", "show"]] {
            let ran = migrate(command);
            assert_eq!(ran.code, 1, "{}", ran.stdout);
            assert!(ran.stderr.contains("of the ledger"), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_front_notices_that_a_phase_was_taken_back() {
    let data = Content::pack().unwrap().data().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (plan, file) =
        (directory.path().join("migration.yaml"), directory.path().join("front.yaml"));
    let planned = "
moves:
  - name: images
    successor: new.example.org
    phases:
      - {phase: announce, start: 2022-11-28}
      - {phase: redirect, start: 2023-03-20, mode: enforce}
";
    fs::write(&plan, planned).unwrap();
    let shown = data.shown().unwrap();
    let mut shown: Value = serde_saphyr::from_str(&shown).unwrap();
    shown["sites"][0]["legacy"] = json!({ "move": "images" });
    shown["migration"] = json!({ "plan": plan });
    fs::write(&file, shown.to_string()).unwrap();
    let front = Front::configured(&file).unwrap();
    let answer = || front.get("/v2/app/manifests/v1");
    let redirected = answer().unwrap();
    assert_eq!(redirected.status, 307);
    assert_eq!(redirected.header("location"), Some("https://new.example.org/v2/app/manifests/v1"));
    let ran = landbridge(&["migrate", "abort", "redirect", "--plan", plan.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    until(answer, |answer| answer.status == 200).unwrap();
}

#[test]
fn a_plan_that_cannot_be_changed_safely_is_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("migration.yaml");
    let plan = "
moves:
  - name: images
    successor: new.example.org
    phases:
      - {phase: announce, start: &day 2022-11-28}
      - {phase: redirect, start: *day}
";
    fs::write(&file, plan).unwrap();
    let args = ["migrate", "abort", "redirect", "--at", "2023-01-01", "--plan"];
    let ran = landbridge(&[&args[..], &[file.to_str().unwrap()]].concat());
    assert_eq!(ran.code, 2);
    let shown = ran.stderr.replace(file.to_str().unwrap(), "FILE");
    insta::assert_snapshot!(shown, @"error: `FILE` is written in a way that is not understood well enough to change it: write `aborted: 2023-01-01T00:00:00Z` into moves[0].phases[1] yourself");
    assert_eq!(fs::read_to_string(&file).unwrap(), plan);

    fs::write(&file, "moves: {}\n").unwrap();
    let ran = landbridge(&["migrate", "status", "--plan", file.to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    let shown = ran.stderr.replace(file.to_str().unwrap(), "FILE");
    insta::assert_snapshot!(shown, @"error: FILE:1:8: moves: needs a list of mappings, not a mapping");
    let ran = landbridge(&["migrate", "status", "--plan", "no/such/plan.yaml"]);
    assert_eq!(ran.code, 2);
}
