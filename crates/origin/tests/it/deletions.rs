//! The suite's `delete`: what was deleted is gone at once, and nothing else is.

use landbridge_core::Digest;
use landbridge_core::media_type::OCI_MANIFEST;

use crate::content::{encode, image};
use crate::served::{everywhere, expect};

#[test]
fn a_tag_is_deleted_and_its_manifest_stays() {
    everywhere(|served| {
        let bytes = encode(&image(served, "a", 1));
        for tag in ["v1", "v2"] {
            served.push("a", tag, OCI_MANIFEST, &bytes);
        }
        assert_eq!(served.delete("/v2/a/manifests/v1").status, 202);
        expect(&served.get("/v2/a/manifests/v1"), 404, "MANIFEST_UNKNOWN");
        expect(&served.delete("/v2/a/manifests/v1"), 404, "MANIFEST_UNKNOWN");
        assert_eq!(served.get("/v2/a/manifests/v2").status, 200);
        let by_digest = format!("/v2/a/manifests/{}", Digest::sha256_of(&bytes));
        assert_eq!(served.get(&by_digest).status, 200);
    });
}

#[test]
fn a_manifest_is_deleted_with_all_of_its_tags_and_no_other() {
    everywhere(|served| {
        let (gone, kept) = (encode(&image(served, "a", 2)), encode(&image(served, "a", 3)));
        for tag in ["v1", "v2", "v3"] {
            served.push("a", tag, OCI_MANIFEST, &gone);
        }
        served.push("a", "v3", OCI_MANIFEST, &kept);
        let target = format!("/v2/a/manifests/{}", Digest::sha256_of(&gone));
        assert_eq!(served.delete(&target).status, 202);
        expect(&served.delete(&target), 404, "MANIFEST_UNKNOWN");
        for target in [&*target, "/v2/a/manifests/v1", "/v2/a/manifests/v2"] {
            expect(&served.get(target), 404, "MANIFEST_UNKNOWN");
        }
        assert_eq!(served.get("/v2/a/manifests/v3").body, kept);
        assert_eq!(served.push("a", "v1", OCI_MANIFEST, &gone).status, 201);
    });
}

#[test]
fn a_blob_is_deleted_from_one_repository() {
    everywhere(|served| {
        let digest = served.push_blob("a", b"shared");
        served.push_blob("b", b"shared");
        let target = format!("/v2/a/blobs/{digest}");
        assert_eq!(served.delete(&target).status, 202);
        expect(&served.delete(&target), 404, "BLOB_UNKNOWN");
        assert_eq!(served.head(&target).status, 404);
        assert_eq!(served.get(&format!("/v2/b/blobs/{digest}")).body, b"shared");
        served.push_blob("a", b"shared");
        assert_eq!(served.get(&target).body, b"shared");
    });
}
