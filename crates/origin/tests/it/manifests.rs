//! The suite's `manifest errors`, and what else makes a manifest one that is not stored.

use landbridge_core::Digest;
use landbridge_core::media_type::{OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use serde_json::json;

use crate::content::{descriptor, encode, image};
use crate::served::{everywhere, expect};

#[test]
fn a_digest_that_is_none_or_another_one_is_refused() {
    everywhere(|served| {
        let mut bytes = encode(&image(served, "a", 1));
        let digest = Digest::sha256_of(&bytes).to_string();
        let bad = served.push("a", "sha256:baddigeststring", OCI_MANIFEST, &bytes);
        expect(&bad, 400, "DIGEST_INVALID");
        expect(&served.get("/v2/a/manifests/sha256:baddigeststring"), 400, "DIGEST_INVALID");
        bytes.extend(b"  ");
        expect(&served.push("a", &digest, OCI_MANIFEST, &bytes), 400, "DIGEST_INVALID");
        expect(&served.get(&format!("/v2/a/manifests/{digest}")), 404, "MANIFEST_UNKNOWN");
    });
}

#[test]
fn a_type_that_contradicts_the_bytes_is_refused() {
    everywhere(|served| {
        let bytes = encode(&image(served, "a", 2));
        for wrong in [OCI_INDEX, "application/json", "text/plain", "nonsense"] {
            expect(&served.push("a", "v1", wrong, &bytes), 400, "MANIFEST_INVALID");
        }
        let with_parameter = format!("{OCI_MANIFEST}; charset=utf-8");
        assert_eq!(served.push("a", "v1", &with_parameter, &bytes).status, 201);
        let pulled = served.get("/v2/a/manifests/v1");
        assert_eq!(pulled.header("content-type"), Some(OCI_MANIFEST));
        let untyped = served.ask("PUT", "/v2/a/manifests/v2", &[], &bytes);
        assert_eq!(untyped.status, 201, "{untyped}");
    });
}

#[test]
fn what_is_no_manifest_is_refused_in_few_words() {
    everywhere(|served| {
        let long = format!(r#"{{"mediaType":"{}\r\nx: y"}}"#, "a".repeat(100_000));
        for bytes in ["", "{", "[]", "null", "\u{0}", r#"{"schemaVersion":2}"#, &long] {
            let refused = served.ask("PUT", "/v2/a/manifests/v1", &[], bytes.as_bytes());
            expect(&refused, 400, "MANIFEST_INVALID");
            assert!(refused.body.len() < 1000);
        }
        expect(&served.get("/v2/a/manifests/v1"), 404, "MANIFEST_UNKNOWN");
    });
}

#[test]
fn a_size_that_is_not_the_blobs_is_refused() {
    everywhere(|served| {
        let mut wrong = image(served, "a", 3);
        wrong["config"]["size"] = json!(1);
        let refused = served.push("a", "v1", OCI_MANIFEST, &encode(&wrong));
        expect(&refused, 400, "MANIFEST_INVALID");
    });
}

#[test]
fn a_blob_of_another_repository_does_not_count() {
    everywhere(|served| {
        let mut borrowed = image(served, "a", 4);
        let theirs = served.push_blob("b", b"theirs");
        borrowed["layers"] = json!([descriptor(OCI_LAYER, &theirs, 6)]);
        let refused = served.push("a", "v1", OCI_MANIFEST, &encode(&borrowed));
        expect(&refused, 400, "MANIFEST_BLOB_UNKNOWN");
        assert_eq!(served.push("a", ".v1", OCI_MANIFEST, b"").status, 400);
    });
}

#[test]
fn a_tag_moves_and_a_client_that_has_the_manifest_is_told_so() {
    everywhere(|served| {
        let (first, second) = (encode(&image(served, "a", 5)), encode(&image(served, "a", 6)));
        let etag = |bytes: &[u8]| format!("\"{}\"", Digest::sha256_of(bytes));
        let asked = |tag: &str| {
            let headers = [("if-none-match", tag)];
            served.ask("GET", "/v2/a/manifests/v1", &headers, b"").status
        };
        assert_eq!(served.push("a", "v1", OCI_MANIFEST, &first).status, 201);
        assert_eq!((asked(&etag(&first)), asked(&etag(&second))), (304, 200));
        assert_eq!(served.push("a", "v1", OCI_MANIFEST, &second).status, 201);
        assert_eq!((asked(&etag(&first)), asked(&etag(&second))), (200, 304));
        let by_digest = format!("/v2/a/manifests/{}", Digest::sha256_of(&first));
        assert_eq!(served.get(&by_digest).body, first);
    });
}
