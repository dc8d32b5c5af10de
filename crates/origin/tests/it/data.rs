//! The suite's data sets: everything that may be pushed, pulled back byte by byte.

use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;
use landbridge_core::media_type::{DOCKER_SCHEMA1, OCI_INDEX, OCI_LAYER, OCI_MANIFEST};
use landbridge_origin::settings::Sparse;
use serde_json::{Value, json};

use crate::content::{artifact, descriptor, encode, image, index};
use crate::served::{Served, everywhere, everywhere_with, expect, location};

/// Pushes a manifest by tag and by digest, and pulls it back by both.
#[track_caller]
fn round_trip(served: &Served, manifest: &Value) -> Vec<u8> {
    let media_type = manifest["mediaType"].as_str().unwrap();
    let bytes = encode(manifest);
    round_trip_bytes(served, media_type, &bytes);
    bytes
}

#[track_caller]
fn round_trip_bytes(served: &Served, media_type: &str, bytes: &[u8]) {
    let digest = Digest::sha256_of(bytes).to_string();
    for reference in ["v1", &digest] {
        let pushed = served.push("a/b", reference, media_type, bytes);
        assert_eq!(pushed.status, 201, "{pushed}");
        assert_eq!(pushed.header("docker-content-digest"), Some(&*digest));
        for target in [location(&pushed), format!("/v2/a/b/manifests/{reference}")] {
            let (get, head) = (served.get(&target), served.head(&target));
            assert_eq!((get.status, &*get.body), (200, bytes));
            assert_eq!((head.status, head.body.len()), (200, 0));
            let length = bytes.len().to_string();
            for answer in [get, head] {
                assert_eq!(answer.header("content-type"), Some(media_type));
                assert_eq!(answer.header("content-length"), Some(&*length));
                assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
                assert_eq!(answer.header("etag"), Some(&*format!("\"{digest}\"")));
            }
        }
    }
}

#[test]
fn images_and_indexes_of_every_kind_come_back_byte_by_byte() {
    everywhere(|served| {
        let plain = image(served, "a/b", 1);
        let plain_bytes = round_trip(served, &plain);
        let mut custom = image(served, "a/b", 2);
        custom["org.example.field"] = json!({"deep": [1, 2, {"x": null}]});
        custom["config"]["org.example.other"] = json!(true);
        let custom_bytes = round_trip(served, &custom);
        let mut no_layers = image(served, "a/b", 3);
        no_layers["layers"] = json!([]);
        round_trip(served, &no_layers);
        let list = index(&[(OCI_MANIFEST, &plain_bytes), (OCI_MANIFEST, &custom_bytes)]);
        let list_bytes = round_trip(served, &list);
        round_trip(served, &index(&[(OCI_INDEX, &list_bytes), (OCI_MANIFEST, &plain_bytes)]));
        round_trip(served, &index(&[]));
        round_trip(served, &artifact(served, "a/b", Some("application/vnd.example.thing")));
        let mut spaced = b"  ".to_vec();
        spaced.extend(encode(&plain));
        spaced.extend(b"\n\t ");
        round_trip_bytes(served, OCI_MANIFEST, &spaced);
    });
}

#[test]
fn data_in_descriptors_and_the_empty_blob_are_no_matter() {
    everywhere(|served| {
        let mut with_data = artifact(served, "a/b", Some("application/vnd.example.thing"));
        with_data["config"]["data"] = json!("e30=");
        let empty = served.push_blob("a/b", b"");
        with_data["layers"] = json!([descriptor("application/octet-stream", &empty, 0)]);
        round_trip(served, &with_data);
    });
}

#[test]
fn a_layer_that_may_not_be_distributed_need_not_be_there() {
    everywhere(|served| {
        let mut foreign = image(served, "a/b", 4);
        let elsewhere = Digest::sha256_of(b"elsewhere");
        let layer = "application/vnd.oci.image.layer.nondistributable.v1.tar";
        foreign["layers"].as_array_mut().unwrap().push(descriptor(layer, &elsewhere, 9));
        round_trip(served, &foreign);
        let mut layer = descriptor(OCI_LAYER, &elsewhere, 9);
        layer["urls"] = json!(["https://example.org/layer"]);
        foreign["layers"].as_array_mut().unwrap().push(layer);
        round_trip(served, &foreign);
    });
}

#[test]
fn a_manifest_of_almost_4_mib_is_taken_and_a_larger_one_refused() {
    everywhere(|served| {
        let mut large = image(served, "a/b", 5);
        for number in 0..390 {
            large["annotations"][format!("org.example.{number}")] = "x".repeat(10_000).into();
        }
        round_trip(served, &large);
        let too_large = vec![b' '; (4 << 20) + 1];
        let refused = served.push("a/b", "large", OCI_MANIFEST, &too_large);
        expect(&refused, 413, "BODY_TOO_LARGE");
    });
}

#[test]
fn an_image_is_pushed_by_sha512_with_all_that_it_refers_to() {
    everywhere(|served| {
        let sha512 = |bytes: &[u8]| Digest::of(Algorithm::Sha512, bytes);
        let (config, layer) = (sha512(b"{}"), sha512(b"a layer"));
        served.push_blob_as("a/b", &config, b"{}");
        served.push_blob_as("a/b", &layer, b"a layer");
        let manifest = encode(&json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config, 2),
            "layers": [descriptor(OCI_LAYER, &layer, 7)],
        }));
        let digest = sha512(&manifest).to_string();
        // Tags are set beside a digest that is not the usual one.
        let target = format!("{digest}?tag=v1&tag=v1.0");
        let pushed = served.push("a/b", &target, OCI_MANIFEST, &manifest);
        assert_eq!((pushed.status, pushed.header("oci-tag")), (201, Some("v1, v1.0")), "{pushed}");
        for reference in [&*digest, "v1", "v1.0"] {
            let pulled = served.get(&format!("/v2/a/b/manifests/{reference}"));
            assert_eq!((pulled.status, &*pulled.body), (200, &*manifest));
            assert_eq!(pulled.header("docker-content-digest"), Some(&*digest));
        }
        let usual = Digest::sha256_of(&manifest);
        expect(&served.get(&format!("/v2/a/b/manifests/{usual}")), 404, "MANIFEST_UNKNOWN");
    });
}

#[test]
fn dockers_first_format_is_passed_through() {
    everywhere(|served| {
        let layer = served.push_blob("a/b", b"a layer of old");
        let manifest = json!({"schemaVersion": 1, "name": "a/b", "tag": "v1",
            "fsLayers": [{"blobSum": layer}, {"blobSum": layer}], "history": []});
        round_trip_bytes(served, DOCKER_SCHEMA1, &encode(&manifest));
        let lacking = json!({"schemaVersion": 1,
            "fsLayers": [{"blobSum": Digest::sha256_of(b"missing")}]});
        let refused = served.push("a/b", "v2", DOCKER_SCHEMA1, &encode(&lacking));
        expect(&refused, 400, "MANIFEST_BLOB_UNKNOWN");
    });
}

#[test]
fn a_sparse_index_is_taken_unless_it_is_configured_off() {
    let sparse = index(&[(OCI_MANIFEST, b"never pushed")]);
    everywhere(|served| {
        round_trip(served, &sparse);
    });
    let off = |settings: &mut landbridge_origin::settings::Settings| {
        settings.pushes.sparse = Sparse::Refused;
    };
    everywhere_with(off, |served| {
        let refused = served.push("a/b", "v1", OCI_INDEX, &encode(&sparse));
        expect(&refused, 400, "MANIFEST_BLOB_UNKNOWN");
        let child = round_trip(served, &image(served, "a/b", 6));
        round_trip(served, &index(&[(OCI_MANIFEST, &child)]));
    });
}

#[test]
fn an_image_without_its_layer_is_taken_only_if_anything_may_be_missing() {
    let lacking = |served: &Served| {
        let mut lacking = image(served, "a/b", 7);
        let layer = descriptor(OCI_LAYER, &Digest::sha256_of(b"missing"), 7);
        lacking["layers"].as_array_mut().unwrap().push(layer);
        lacking
    };
    everywhere(|served| {
        let refused = served.push("a/b", "v1", OCI_MANIFEST, &encode(&lacking(served)));
        expect(&refused, 400, "MANIFEST_BLOB_UNKNOWN");
        assert!(refused.text().contains(&Digest::sha256_of(b"missing").to_string()));
        expect(&served.get("/v2/a/b/manifests/v1"), 404, "MANIFEST_UNKNOWN");
    });
    everywhere_with(
        |settings| settings.pushes.sparse = Sparse::Anything,
        |served| {
            round_trip(served, &lacking(served));
        },
    );
}
