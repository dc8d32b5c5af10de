//! The rooms of the house and who may know whom: ARCHITECTURE.md's list, held against the
//! workspace's own metadata.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::program::root;

/// What each crate may use. A crate that is not here is not allowed.
const ALLOWED: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("listen", &[]),
    ("registry", &["core"]),
    ("store", &["core"]),
    ("sign", &["core"]),
    ("front", &["core", "store", "registry", "listen"]),
    ("origin", &["core", "store", "sign", "listen"]),
    ("replicate", &["core", "store", "registry", "sign"]),
    ("promote", &["core", "store", "registry", "sign"]),
    ("packages", &["core", "store", "sign"]),
    ("migrate", &["core", "store", "registry", "sign"]),
    ("usage", &["core", "store"]),
    ("testkit", &["core", "store", "origin"]),
];
/// Uses everything, and is used by nobody.
const ROOF: &str = "landbridge";
/// For tests alone.
const TESTKIT: &str = "testkit";

fn room(package: &str) -> &str {
    package.strip_prefix("landbridge-").unwrap_or(package)
}

/// Of each crate of the workspace, the crates of the workspace that it uses.
fn edges() -> BTreeMap<String, Vec<(String, DependencyKind)>> {
    let manifest = root().join("Cargo.toml");
    let metadata = MetadataCommand::new()
        .manifest_path(manifest)
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let is_ours = |name: &str| name == ROOF || name.starts_with("landbridge-");
    (metadata.packages.iter())
        .map(|package| {
            let uses = package.dependencies.iter().filter(|dependency| is_ours(&dependency.name));
            let uses = uses.map(|it| (room(&it.name).to_owned(), it.kind)).collect();
            (room(&package.name).to_owned(), uses)
        })
        .collect()
}

#[test]
fn rooms_use_doors_and_the_table_and_never_each_other() {
    let mut wrong = Vec::new();
    for (room, uses) in edges() {
        if room == ROOF {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("`{room}` is not in the design"));
            continue;
        };
        for (used, kind) in uses {
            // Tests may use the real thing next door.
            let is_for_tests = kind == DependencyKind::Development;
            if !is_for_tests && !allowed.contains(&used.as_str()) {
                wrong.push(format!("`{room}` uses `{used}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_test_kit_is_in_no_program() {
    for (room, uses) in edges() {
        for (used, kind) in uses {
            assert!(
                used != TESTKIT || kind == DependencyKind::Development,
                "`{room}` uses the test kit outside of tests"
            );
        }
    }
}
