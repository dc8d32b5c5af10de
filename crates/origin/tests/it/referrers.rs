//! The suite's `referrers`: subjects, filters, pages and lists that clients keep themselves.

use std::collections::BTreeSet;

use landbridge_core::Digest;
use landbridge_core::media_type::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use crate::content::{EMPTY, artifact, descriptor, encode, image, index};
use crate::served::{Served, Store, everywhere, expect};

const SIGNATURE: &str = "application/vnd.example.signature";

fn subject(bytes: &[u8]) -> Value {
    descriptor(OCI_MANIFEST, &Digest::sha256_of(bytes), bytes.len())
}

/// Pushes a manifest about a subject by its digest, and returns the entry that must be listed.
fn refer(served: &Served, mut referrer: Value, about: &Value, note: &str) -> Value {
    referrer["subject"] = about.clone();
    referrer["annotations"] = json!({"org.example.note": note});
    let (media_type, bytes) = (referrer["mediaType"].as_str().unwrap(), encode(&referrer));
    let digest = Digest::sha256_of(&bytes);
    let pushed = served.push("a", &digest.to_string(), media_type, &bytes);
    assert_eq!(pushed.status, 201, "{pushed}");
    assert_eq!(pushed.header("oci-subject"), about["digest"].as_str());
    let mut entry = descriptor(media_type, &digest, bytes.len());
    entry["annotations"] = referrer["annotations"].clone();
    let kind = referrer.get("artifactType").or_else(|| referrer["config"].get("mediaType"));
    if let Some(kind) = kind {
        entry["artifactType"] = kind.clone();
    }
    entry
}

fn listed(served: &Served, about: &Value, query: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let digest = about["digest"].as_str().unwrap();
    let mut target = Some(format!("/v2/a/referrers/{digest}{query}"));
    while let Some(page) = target {
        let answer = served.get(&page);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(OCI_INDEX)));
        entries.extend(answer.json().unwrap()["manifests"].as_array().unwrap().clone());
        let link = answer.header("link").and_then(|link| link.strip_prefix('<'));
        target = link.map(|link| link.strip_suffix(">; rel=\"next\"").unwrap().to_owned());
    }
    entries
}

fn set(entries: &[Value]) -> BTreeSet<String> {
    entries.iter().map(Value::to_string).collect()
}

#[test]
fn every_manifest_about_a_subject_is_listed_as_it_describes_itself() {
    everywhere(|served| {
        let image_bytes = encode(&image(served, "a", 1));
        served.push("a", "v1", OCI_MANIFEST, &image_bytes);
        let missing = json!({"mediaType": OCI_MANIFEST,
            "digest": Digest::sha256_of(b"never pushed"), "size": 7});
        for about in [subject(&image_bytes), missing] {
            let mut typed_index = index(&[]);
            typed_index["artifactType"] = SIGNATURE.into();
            let expected = [
                refer(served, artifact(served, "a", Some(SIGNATURE)), &about, "typed"),
                refer(served, artifact(served, "a", None), &about, "by its configuration"),
                refer(served, image(served, "a", 2), &about, "an image"),
                refer(served, typed_index, &about, "a typed index"),
                refer(served, index(&[]), &about, "an index without type"),
            ];
            assert_eq!(expected[1]["artifactType"], EMPTY);
            assert_eq!(set(&listed(served, &about, "")), set(&expected));
            let signatures =
                listed(served, &about, "?artifactType=application%2Fvnd.example.signature");
            assert_eq!(set(&signatures), set(&[expected[0].clone(), expected[3].clone()]));
            for n in 1..4 {
                assert_eq!(set(&listed(served, &about, &format!("?n={n}"))), set(&expected));
                let filtered = format!("?n={n}&artifactType={SIGNATURE}");
                assert_eq!(set(&listed(served, &about, &filtered)), set(&signatures));
            }
            let digest = about["digest"].as_str().unwrap();
            let filtered = served.get(&format!("/v2/a/referrers/{digest}?artifactType=x"));
            assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
            assert_eq!(filtered.json().unwrap()["manifests"], json!([]));
            let none = served.get(&format!("/v2/a/referrers/{digest}?n=0"));
            assert_eq!(
                (none.json().unwrap()["manifests"].clone(), none.header("link")),
                (json!([]), None)
            );
        }
        expect(&served.get("/v2/a/referrers/sha256:bad"), 400, "DIGEST_INVALID");
        let digest = Digest::sha256_of(b"x");
        let refused = served.get(&format!("/v2/a/referrers/{digest}?last=x"));
        expect(&refused, 400, "DIGEST_INVALID");
    });
}

#[test]
fn a_deleted_manifest_is_no_referrer() {
    everywhere(|served| {
        let about = subject(b"whatever");
        let kept = refer(served, artifact(served, "a", Some(SIGNATURE)), &about, "kept");
        let gone = refer(served, artifact(served, "a", Some(SIGNATURE)), &about, "gone");
        let target = format!("/v2/a/manifests/{}", gone["digest"].as_str().unwrap());
        assert_eq!(served.delete(&target).status, 202);
        assert_eq!(listed(served, &about, ""), [kept]);
    });
}

#[test]
fn what_a_clients_own_list_names_is_part_of_the_answer() {
    everywhere(|served| {
        let about = subject(b"the subject");
        let digest = Digest::sha256_of(b"the subject");
        let known = refer(served, artifact(served, "a", Some(SIGNATURE)), &about, "known");
        let adopted = refer(served, artifact(served, "a", Some("x/y")), &about, "adopted");
        let name = Digest::parse(adopted["digest"].as_str().unwrap()).unwrap();
        // As if it had been written by something that keeps no entries.
        let repositories =
            served.runtime.block_on(landbridge_store::Repositories::open(served.bucket.clone()));
        let repository = landbridge_core::RepositoryName::parse("a").unwrap();
        let deleting =
            async { repositories.unwrap().delete_referrer(&repository, &digest, &name).await };
        assert!(served.runtime.block_on(deleting).unwrap());
        assert_eq!(set(&listed(served, &about, "")), set(std::slice::from_ref(&known)));

        let about_another = subject(b"another subject");
        let another = refer(served, artifact(served, "a", Some("x/y")), &about_another, "another");
        let never = descriptor(OCI_MANIFEST, &Digest::sha256_of(b"never pushed"), 7);
        let mut list = index(&[]);
        list["manifests"] = json!([adopted, known, another, never]);
        let tag = digest.to_string().replace(':', "-");
        assert_eq!(served.push("a", &tag, OCI_INDEX, &encode(&list)).status, 201);
        for query in ["", "?n=1", "?n=2"] {
            let expected = set(&[known.clone(), adopted.clone()]);
            assert_eq!(set(&listed(served, &about, query)), expected, "{query}");
        }
        assert_eq!(listed(served, &about, "?artifactType=x/y"), [adopted]);
    });
}

#[test]
fn referrers_with_much_to_say_come_in_several_pages() {
    let served = Served::start(Store::Memory);
    let about = subject(b"whatever");
    let note = "x".repeat(1 << 20);
    let expected: Vec<_> = (0..9)
        .map(|number| {
            let kind = format!("application/vnd.example.{number}");
            refer(&served, artifact(&served, "a", Some(&kind)), &about, &note)
        })
        .collect();
    let first = served.get(&format!("/v2/a/referrers/{}", about["digest"].as_str().unwrap()));
    assert!(first.header("link").is_some() && first.body.len() < 6 << 20);
    assert_eq!(set(&listed(&served, &about, "")), set(&expected));
}
