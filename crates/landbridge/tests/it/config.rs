//! `landbridge config`, and the files in `examples/` and `docs/`.

use std::fs;

use crate::program::{command, landbridge, root};

#[test]
fn the_examples_pass_the_check() {
    let shown = [
        "landbridge.yaml",
        "origin.yaml",
        "registry.k8s.io.yaml",
        "drill.yaml",
        "drill-without-caps.yaml",
    ]
    .map(|name| {
        let ran = landbridge(&["config", "check", &format!("examples/{name}")]);
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        ran.stdout
    });
    insta::assert_snapshot!(shown.concat(), @"
    examples/landbridge.yaml: nothing is wrong; sites: 1, origins: 1, mirrors: 2
    examples/origin.yaml: nothing is wrong; an origin of its own and no sites
    examples/registry.k8s.io.yaml: nothing is wrong; sites: 1, origins: 1, mirrors: 30
    examples/drill.yaml: nothing is wrong; sites: 1, origins: 1, mirrors: 7
    examples/drill-without-caps.yaml: nothing is wrong; sites: 1, origins: 1, mirrors: 7
    ");
}

#[test]
fn the_reference_in_docs_is_current() {
    for (of, file) in [
        ("landbridge", "docs/configuration.md"),
        ("migration", "docs/migration-plan.md"),
        ("policy", "docs/migration-policy.md"),
    ] {
        let generated = landbridge(&["config", "explain", "--markdown", "--of", of]).stdout;
        let committed = fs::read_to_string(root().join(file)).unwrap();
        assert!(
            generated == committed,
            "{file} is out of date: write `landbridge config explain --markdown --of {of}` to it"
        );
    }
}

#[test]
fn the_schema_describes_every_field_and_refuses_others() {
    for of in ["landbridge", "migration", "policy"] {
        let shown = landbridge(&["config", "schema", "--of", of]).stdout;
        let schema: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        for (name, field) in schema["properties"].as_object().unwrap() {
            assert!(field["description"].is_string(), "{name}");
        }
    }
}

#[test]
fn a_bad_file_is_refused_with_every_mistake_and_code_2() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("landbridge.yaml");
    fs::write(&file, "sitse: []\nrecords: {mode: eech}\n").unwrap();
    let ran = landbridge(&["config".as_ref(), "check".as_ref(), file.as_os_str()]);
    assert_eq!(ran.code, 2);
    let shown = ran.stdout.replace(&file.display().to_string(), "FILE");
    insta::assert_snapshot!(shown, @r"
    FILE:1:1: sitse: there is no such field; did you mean `sites`?
    FILE:1:1: origins: is empty: names must come from somewhere
    FILE:1:1: sites: is empty: no host name would be answered for
    FILE:2:17: records.mode: `eech` is none of `each`, `minute`, `off`; did you mean `each`?
    ");

    let absent = landbridge(&["config", "check", "no/such/file.yaml"]);
    assert_eq!(absent.code, 2);
    insta::assert_snapshot!(absent.stderr, @"error: cannot read the configuration `no/such/file.yaml`: No such file or directory (os error 2)");
}

#[test]
fn the_local_topology_is_an_ordinary_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let shown =
        landbridge(&["config".as_ref(), "show".as_ref(), "--data".as_ref(), data.as_os_str()]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    insta::assert_snapshot!(shown.stdout.replace(&data.display().to_string(), "DATA"));
    assert!(!data.exists(), "showing changes nothing");

    // With a key in it, what is shown passes the check anywhere, and is shown as itself.
    fs::create_dir_all(data.join("keys")).unwrap();
    let key = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    fs::write(data.join("keys/landbridge.pem.pub"), key).unwrap();
    let shown =
        landbridge(&["config".as_ref(), "show".as_ref(), "--data".as_ref(), data.as_os_str()]);
    let file = directory.path().join("shown.yaml");
    fs::write(&file, &shown.stdout).unwrap();
    let checked = landbridge(&["config".as_ref(), "check".as_ref(), file.as_os_str()]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let again =
        landbridge(&["config".as_ref(), "show".as_ref(), "--config".as_ref(), file.as_os_str()]);
    assert_eq!(again.stdout, shown.stdout);
}

#[test]
fn the_environment_wins_over_the_file_and_is_blamed_for_its_mistakes() {
    let show = |mode: &str| {
        let mut command = command();
        command.args(["config", "show", "--config", "examples/landbridge.yaml"]);
        command.env("LANDBRIDGE_RECORDS_MODE", mode).output().unwrap()
    };
    let shown = String::from_utf8(show("off").stdout).unwrap();
    assert!(
        shown.contains("\nrecords:\n  mode: off\n")
            || shown.contains("\nrecords:\n  mode: \"off\"\n"),
        "{shown}"
    );
    let refused = show("sometimes");
    assert_eq!(refused.status.code(), Some(2));
    insta::assert_snapshot!(String::from_utf8(refused.stderr).unwrap(), @"error: LANDBRIDGE_RECORDS_MODE: records.mode: `sometimes` is none of `each`, `minute`, `off`");
}
