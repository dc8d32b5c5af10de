use landbridge_core::generation::{Document as _, ManifestEntry, ObjectEntry, ReferrerEntry};
use landbridge_core::media_type::{OCI_LAYER, OCI_MANIFEST};
use proptest::prelude::*;

use super::*;
use crate::gather::Held;

fn digest(text: &str) -> Digest {
    Digest::sha256_of(text.as_bytes())
}

/// Manifests with the blobs that each refers to, and whom each is about.
fn content(manifests: &[(&str, &[&str], Option<&str>)]) -> Content {
    let mut content = Content::default();
    for (name, blobs, subject) in manifests {
        for blob in *blobs {
            let entry =
                ObjectEntry { digest: digest(blob), media_type: OCI_LAYER.to_owned(), size: 10 };
            content.blobs.insert(entry.digest, entry);
        }
        let entry =
            ManifestEntry { digest: digest(name), media_type: OCI_MANIFEST.to_owned(), size: 5 };
        let referrer = subject.map(|subject| ReferrerEntry {
            annotations: BTreeMap::new(),
            artifact_type: None,
            digest: digest(name),
            subject: digest(subject),
        });
        let references = blobs.iter().map(|blob| digest(blob)).collect();
        content.manifests.insert(entry.digest, Held { entry, references, referrer });
    }
    content
}

fn target(name: &str, manifest: &str) -> Target {
    let (repository, tag) = name.split_once(':').unwrap();
    Target {
        repository: repository.parse().unwrap(),
        tag: tag.parse().unwrap(),
        digest: digest(manifest),
    }
}

fn nothing() -> Current {
    Current { generation: None, root: Root::new(Vec::new()), repositories: BTreeMap::new() }
}

/// The world after a plan was carried out.
fn after(plan: &Plan, before: &Current) -> Current {
    let mut repositories = before.repositories.clone();
    repositories.extend(plan.repositories.iter().map(|new| (new.name.clone(), new.clone())));
    Current { generation: Some(plan.generation), root: plan.root.clone(), repositories }
}

fn copy(sizes: &[(&str, u64)], lacks: Option<&[&str]>) -> CopyState {
    CopyState {
        name: "aws".to_owned(),
        sizes: sizes.iter().map(|(name, size)| (digest(name), *size)).collect(),
        lacks: lacks.map(|lacks| lacks.iter().map(|name| digest(name)).collect()),
        is_failed: false,
    }
}

#[test]
fn an_import_adds_and_keeps_what_was_there() {
    let old = plan_import(
        &content(&[("m1", &["l1"], None)]),
        &[target("a:v1", "m1"), target("b:v1", "m1")],
        &nothing(),
        &[],
    );
    let before = after(&old, &nothing());
    let new = content(&[("m2", &["l1", "l2"], None), ("s", &["sig"], Some("m2"))]);
    let plan = plan_import(&new, &[target("a:v1", "m2"), target("a:v2", "m2")], &before, &[]);
    let moved: Vec<_> = plan.tags.iter().map(|change| change.from).collect();
    assert_eq!(moved, [Some(digest("m1")), None]);
    let [repository] = plan.repositories.as_slice() else { panic!("one repository changes") };
    assert_eq!((repository.manifests.len(), repository.objects.len()), (3, 3));
    assert_eq!(repository.referrers[0].subject, digest("m2"));
    assert_eq!(Repository::decode(&repository.encode()).unwrap(), *repository);
    assert_eq!(plan.root.repositories.len(), 2, "`b` stays");
    assert!(plan.publishes());
}

#[test]
fn a_repository_lists_only_what_its_own_tags_need() {
    let both = content(&[("m1", &["l1"], None), ("m2", &["l2"], None), ("s", &[], Some("m2"))]);
    let plan = plan_import(&both, &[target("a:v1", "m1"), target("b:v1", "m2")], &nothing(), &[]);
    let listed: Vec<_> = plan.repositories.iter().map(|r| r.manifests.len()).collect();
    assert_eq!(listed, [1, 2]);
}

#[test]
fn a_second_import_changes_nothing() {
    let content = content(&[("m1", &["l1"], None), ("s", &["sig"], Some("m1"))]);
    let targets = [target("a:v1", "m1")];
    let first = plan_import(&content, &targets, &nothing(), &[]);
    let second = plan_import(&content, &targets, &after(&first, &nothing()), &[]);
    assert_eq!(second.generation, first.generation);
    assert!(first.publishes() && !second.publishes());
}

#[test]
fn a_copy_gets_what_it_lacks_and_reads_what_nobody_vouches_for() {
    let old = plan_import(
        &content(&[("m1", &["l1", "l2"], None)]),
        &[target("a:v1", "m1")],
        &nothing(),
        &[],
    );
    let content = content(&[("m2", &["l1", "l2", "l3"], None)]);
    let sizes = [("l1", 10), ("l2", 10), ("l3", 10), ("m2", 4)];
    let copies = [
        copy(&sizes, Some(&["l2"])),
        copy(&sizes, None),
        copy(&[], Some(&[])),
        CopyState { is_failed: true, ..copy(&[], None) },
    ];
    let target = [target("a:v2", "m2")];
    let plan = plan_import(&content, &target, &after(&old, &nothing()), &copies);
    let sets = |name| {
        let object = plan.objects.iter().find(|object| object.digest == digest(name)).unwrap();
        (object.lacking.bits(), object.unconfirmed.bits())
    };
    assert_eq!(sets("l1"), (0b100, 0b010), "listed, and vouched for by the first");
    assert_eq!(sets("l2"), (0b100, 0b011), "the first says that it lacks it");
    assert_eq!(sets("l3"), (0b100, 0b011), "new to the repository");
    assert_eq!(sets("m2"), (0b111, 0), "a wrong size is absence");
    assert_eq!(plan.objects.last().map(|object| object.digest), Some(digest("m2")));
}

#[test]
fn a_dry_run_reads_like_this() {
    let content = content(&[("m1", &["l1", "l2"], None)]);
    let copies = [copy(&[("l1", 10)], None)];
    let mut plan = plan_import(&content, &[target("a:v1", "m1")], &nothing(), &copies);
    plan.skipped.push("something: it is no image".to_owned());
    let expected = format!(
        "a:v1 is new: {}\n3 objects, 25 B\n  aws: write 2 (15 B), check 1 (10 B)\n\
         left out: something: it is no image\ngeneration {} is the first",
        digest("m1"),
        plan.generation
    );
    assert_eq!(plan.to_string(), expected);
}

proptest! {
    #[test]
    fn the_order_of_imports_does_not_matter(order in Just(vec![0, 1, 2, 3]).prop_shuffle()) {
        let import = |order: &[usize]| {
            order.iter().fold(nothing(), |current, i| {
                let (manifest, layer) = (format!("m{i}"), format!("l{}", i / 2));
                let content = content(&[(&manifest, &[&layer], None)]);
                let name = format!("r{}:v{i}", i % 2);
                let plan = plan_import(&content, &[target(&name, &manifest)], &current, &[]);
                after(&plan, &current)
            })
        };
        prop_assert_eq!(import(&order).generation, import(&[0, 1, 2, 3]).generation);
    }
}
