//! Sites that answer for old names.

use std::fs;

use tempfile::TempDir;

use super::*;

const PLAN: &str = "
moves:
  - name: images
    successor: new.example.org
    guide: https://example.org/moving
    phases:
      - {phase: announce, start: 2022-11-28}
      - {phase: freeze, start: 2023-04-03, generation: 'sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}
  - name: packages
    successor: pkgs.example.org
    phases:
      - {phase: announce, start: 2023-08-31}
      - {phase: freeze, start: 2023-09-13, mode: enforce}
";

const STORE: &str = "store: {url: bucket, catalog: c, keys: [\"-----BEGIN PUBLIC KEY-----\\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\\n-----END PUBLIC KEY-----\\n\"]}";

/// [`GOOD`] with a plan beside it and these sites more; the origin `upstream` has releases.
fn with(plan: &str, sites: &str) -> (TempDir, Source) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("migration.yaml"), plan).unwrap();
    let text = GOOD.replacen("registry: {url: https://registry.example.org}", STORE, 1);
    let text = format!("{}\n{sites}", text.trim_end());
    let base = directory.path().to_owned();
    (directory, Source { base, ..source(&text) })
}

fn refused(plan: &str, sites: &str) -> String {
    let (directory, source) = with(plan, sites);
    let problems = load(&source, &[], Secrets::Skip).unwrap_err().to_string();
    problems.replace(&directory.path().display().to_string(), "BASE")
}

#[test]
fn an_old_name_is_answered_by_a_move_of_the_plan() {
    let (_directory, source) = with(
        PLAN,
        "  - name: old
    hosts: [old.example.org]
    origin: upstream
    legacy: {move: images, strip: google-containers, renames: {app: team/app}}
  - name: older
    hosts: [older.example.org]
    origin: upstream
    legacy: {move: images, scheme: http}
migration: {plan: migration.yaml, rehearsal: 2023-03-20}
",
    );
    let settings = load(&source, &[], Secrets::Skip).unwrap();
    assert_eq!(settings.rehearsal.unwrap().to_string(), "2023-03-20T00:00:00Z");
    assert_eq!(settings.sites[0].legacy, None);
    let old = settings.sites[1].legacy.as_ref().unwrap();
    assert_eq!((&*old.successor, &*old.strip), ("https://new.example.org", "google-containers"));
    assert_eq!(old.renames, [("app".to_owned(), "team/app".to_owned())]);
    assert_eq!(old.guide.as_ref().unwrap().as_str(), "https://example.org/moving");
    let older = settings.sites[2].legacy.as_ref().unwrap();
    assert_eq!((&*older.successor, &*older.strip), ("http://new.example.org", ""));
    assert_eq!(older.migration, old.migration);
}

#[test]
fn old_names_that_no_plan_knows_or_that_could_not_be_answered_are_refused() {
    let sites = "  - name: old
    hosts: [old.example.org]
    origin: upstream
    legacy: {move: imags, strip: /google/, renames: {App: app, app: App}, sheme: http}
  - name: frozen
    hosts: [frozen.example.org]
    origin: upstream
    legacy: {move: packages}
  - name: same
    hosts: [new.example.org]
    origin: upstream
    legacy: {move: images, scheme: ftp}
  - name: live
    hosts: [live.example.org]
    origin: live
    legacy: {move: images}
migration: {plan: migration.yaml, rehearsal: tomorrow}
";
    let live = "origins:\n  - {name: live, registry: {url: https://live.example.org}}\n";
    let (directory, good) = with(PLAN, sites);
    let text = good.text.replacen("origins:\n", live, 1);
    let problems = load(&Source { text, ..good }, &[], Secrets::Skip).unwrap_err().to_string();
    let base = directory.path().display().to_string();
    insta::assert_snapshot!(problems.replace(&base, "BASE"));
}

#[test]
fn what_is_wrong_with_the_plan_is_said_in_its_own_lines() {
    let sites = "    legacy: {move: images}\n";
    insta::assert_snapshot!(refused(PLAN, sites), @"landbridge.yaml:21:20: sites[0].legacy.move: is in no plan: say in `migration.plan` which file that is");
    let sites = format!("{sites}migration: {{plan: migration.yaml}}\n");
    insta::assert_snapshot!(refused("moves:\n  - name: images\n    phase: []\n", &sites), @r"
    BASE/migration.yaml:2:5: moves[0].phases: is missing: it needs a list of mappings
    BASE/migration.yaml:2:5: moves[0].successor: is missing: it needs a host name with or without a port
    BASE/migration.yaml:3:5: moves[0].phase: there is no such field; did you mean `phases`?
    ");
    let sites = sites.replace("migration.yaml", "plan.yaml");
    insta::assert_snapshot!(refused(PLAN, &sites), @"landbridge.yaml:22:19: migration.plan: cannot read the plan `BASE/plan.yaml`: No such file or directory (os error 2)");
}
