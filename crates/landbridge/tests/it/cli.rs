//! Help, usage errors, and what is generated from the command line's definitions.

use crate::program::landbridge;

#[test]
fn help_texts_teach() {
    let commands: [&[&str]; 33] = [
        &["--help"],
        &["serve", "--help"],
        &["origin", "--help"],
        &["gc", "--help"],
        &["import", "--help"],
        &["replicate", "--help"],
        &["audit", "--help"],
        &["withdraw", "--help"],
        &["generation", "--help"],
        &["generation", "list", "--help"],
        &["generation", "diff", "--help"],
        &["generation", "rollback", "--help"],
        &["generation", "show", "--help"],
        &["generation", "pin", "--help"],
        &["generation", "unpin", "--help"],
        &["generation", "prune", "--help"],
        &["explain", "--help"],
        &["drill", "--help"],
        &["migrate", "--help"],
        &["migrate", "status", "--help"],
        &["migrate", "check", "--help"],
        &["migrate", "timeline", "--help"],
        &["migrate", "ledger", "--help"],
        &["migrate", "ledger", "show", "--help"],
        &["migrate", "ledger", "propose", "--help"],
        &["migrate", "ledger", "sign", "--help"],
        &["migrate", "ledger", "append", "--help"],
        &["migrate", "abort", "--help"],
        &["config", "--help"],
        &["config", "check", "--help"],
        &["config", "show", "--help"],
        &["config", "explain", "--help"],
        &["completions", "--help"],
    ];
    for args in commands {
        let ran = landbridge(args);
        assert_eq!(ran.code, 0);
        insta::assert_snapshot!(args.join(" ").replace("--", ""), ran.stdout);
    }
}

#[test]
fn the_version_is_one_line() {
    let ran = landbridge(&["--version"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stdout, format!("landbridge {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_code_2() {
    let wrong: [&[&str]; 10] = [
        &[],
        &["sevre"],
        &["serve", "--config", "a", "--data", "b"],
        &["serve", "--config", "no/such/file.yaml"],
        &["origin"],
        &["origin", "--store", "s4://bucket"],
        &["import", "tarball:x.tar"],
        &["explain", "landbridge:latest"],
        &["explain", "landbridge:latest", "--from", "nowhere"],
        &["explain", "landbridge:latest", "--from", "3.5.140.1", "--data", "no/such/data"],
    ];
    for args in wrong {
        let ran = landbridge(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.is_empty());
    }
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = landbridge(&["completions", shell]).stdout;
        assert!(script.contains("explain"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let ran = landbridge(&["man".as_ref(), directory.path().as_os_str()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for page in ["landbridge.1", "landbridge-serve.1", "landbridge-config-check.1"] {
        assert!(directory.path().join(page).exists(), "{page}");
    }
}
