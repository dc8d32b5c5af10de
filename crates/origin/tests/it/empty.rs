//! The suite's `ping` and `empty`: a registry that has nothing yet.

use landbridge_core::Digest;
use landbridge_core::media_type::OCI_INDEX;
use serde_json::json;

use crate::served::{everywhere, expect};

#[test]
fn a_registry_says_that_it_is_one() {
    everywhere(|served| {
        for target in ["/v2/", "/v2"] {
            let answer = served.get(target);
            assert_eq!(answer.status, 200, "{answer}");
            assert_eq!(answer.header("docker-distribution-api-version"), Some("registry/2.0"));
        }
        expect(&served.get("/"), 404, "NOT_FOUND");
    });
}

#[test]
fn what_nobody_pushed_is_not_there_and_has_no_referrers() {
    everywhere(|served| {
        let digest = Digest::sha256_of(b"nobody pushed this");
        expect(&served.get("/v2/a/b/tags/list"), 404, "NAME_UNKNOWN");
        expect(&served.get("/v2/a/b/manifests/v1"), 404, "MANIFEST_UNKNOWN");
        expect(&served.get(&format!("/v2/a/b/manifests/{digest}")), 404, "MANIFEST_UNKNOWN");
        expect(&served.get(&format!("/v2/a/b/blobs/{digest}")), 404, "BLOB_UNKNOWN");
        for target in [format!("/v2/a/b/blobs/{digest}"), "/v2/a/b/manifests/v1".to_owned()] {
            let head = served.head(&target);
            assert_eq!(head.status, 404);
            assert!(head.header("content-length").is_some_and(|length| length != "0"));
        }
        let referrers = served.get(&format!("/v2/a/b/referrers/{digest}"));
        assert_eq!(referrers.status, 200);
        assert_eq!(referrers.header("content-type"), Some(OCI_INDEX));
        let empty = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []});
        assert_eq!(referrers.json().unwrap(), empty);
        let catalog = served.get("/v2/_catalog").json().unwrap();
        assert_eq!(catalog, json!({"repositories": []}));
    });
}
