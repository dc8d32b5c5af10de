//! What a front over generations answers.

use insta::assert_snapshot;
use landbridge_testkit::image::Algorithm;

use crate::content::{Content, SBOM, unknown};
use crate::running::{Data, Front};

/// An answer as it stands in a snapshot; what the machine chose is replaced.
fn shown(front: &Front, answer: &landbridge_testkit::http::Answer) -> String {
    answer.to_string().replace(&front.address, "FRONT")
}

fn asked(front: &Front, method: &str, target: &str, headers: &[(&str, &str)]) -> String {
    shown(front, &front.ask(method, target, headers).unwrap())
}

fn served() -> (Content, Data, Front) {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    (content, data, front)
}

#[test]
fn the_ping_and_manifests() {
    let (content, _data, front) = served();
    let get = |target: &str, headers: &[(&str, &str)]| asked(&front, "GET", target, headers);
    assert_snapshot!("ping", get("/v2/", &[]));
    assert_snapshot!("ping_head", asked(&front, "HEAD", "/v2/", &[]));

    let by_digest = format!("/v2/app/manifests/{}", content.index.digest);
    let etag = format!("\"{}\"", content.index.digest);
    assert_snapshot!("manifest_by_tag", get("/v2/app/manifests/v1", &[]));
    assert_snapshot!("manifest_by_tag_head", asked(&front, "HEAD", "/v2/app/manifests/v1", &[]));
    assert_snapshot!(
        "manifest_by_tag_known",
        get("/v2/app/manifests/v1", &[("If-None-Match", &etag)])
    );
    assert_snapshot!("manifest_by_digest", get(&by_digest, &[]));
    assert_snapshot!("manifest_by_digest_head", asked(&front, "HEAD", &by_digest, &[]));
    assert_snapshot!("manifest_by_digest_known", get(&by_digest, &[("If-None-Match", &etag)]));
    // Whatever a client says that it accepts, it gets what there is.
    let oci_only = [("Accept", "application/vnd.oci.image.index.v1+json")];
    assert_snapshot!("manifest_docker", get("/v2/app/manifests/docker", &oci_only));
    assert_snapshot!("manifest_schema1", get("/v2/app/manifests/schema1", &oci_only));
    assert_snapshot!("manifest_sha512", get("/v2/app/manifests/sha512", &[]));
    for (tag, blob) in [
        ("v1", &content.index),
        ("docker", &content.docker.manifest),
        ("schema1", &content.schema1),
        ("sha512", &content.sha512.manifest),
    ] {
        let answer = front.get(&format!("/v2/app/manifests/{tag}")).unwrap();
        assert_eq!(answer.body, blob.bytes, "{tag}");
    }
}

#[test]
fn blobs_are_redirected_to_a_copy() {
    let (content, _data, front) = served();
    let blob = format!("/v2/app/blobs/{}", content.amd.layers[0].digest);
    let from_aws = ("X-Forwarded-For", "3.5.140.1");
    let from_gcp = ("X-Forwarded-For", "34.28.0.1");
    assert_snapshot!("blob_from_aws", asked(&front, "GET", &blob, &[from_aws]));
    assert_snapshot!("blob_head_from_gcp", asked(&front, "HEAD", &blob, &[from_gcp]));
    assert_snapshot!(
        "blob_range_from_aws",
        asked(&front, "GET", &blob, &[from_aws, ("Range", "bytes=1-2")])
    );
    let by_sha512 = format!("/v2/app/blobs/{}", content.sha512.config.digest);
    assert_snapshot!("blob_sha512_from_aws", asked(&front, "GET", &by_sha512, &[from_aws]));

    for image in [&content.amd, &content.arm, &content.docker, &content.sha512] {
        for blob in image.layers.iter().chain([&image.config]) {
            let target = format!("/v2/app/blobs/{}", blob.digest);
            let answer = front.follow("GET", &target, &[]).unwrap();
            assert_eq!((answer.status, &answer.body), (200, &blob.bytes), "{target}");
        }
    }
}

#[test]
fn an_embedded_mirror_is_a_bucket() {
    let (content, _data, front) = served();
    let layer = &content.amd.layers[0];
    let hex = layer.digest.strip_prefix("sha256:").unwrap();
    let key = format!("/-/mirror/aws-us-east-2/blobs/sha256/{hex}");
    let whole = front.get(&key).unwrap();
    assert_eq!(whole.body, layer.bytes);
    assert_snapshot!("mirror_get", shown(&front, &whole));
    assert_snapshot!("mirror_head", asked(&front, "HEAD", &key, &[]));
    let etag = format!("\"{}\"", layer.digest);
    assert_snapshot!("mirror_known", asked(&front, "GET", &key, &[("If-None-Match", &etag)]));
    for (name, range) in [
        ("mirror_range", "bytes=10-19"),
        ("mirror_range_suffix", "bytes=-10"),
        ("mirror_range_beyond", "bytes=99999999-"),
        ("mirror_range_several", "bytes=0-1,3-4"),
    ] {
        let answer = front.ask("GET", &key, &[("Range", range)]).unwrap();
        if name == "mirror_range" {
            assert_eq!(answer.body, layer.bytes[10..=19]);
        }
        assert_snapshot!(name, shown(&front, &answer));
    }
    assert_snapshot!("mirror_range_head", asked(&front, "HEAD", &key, &[("Range", "bytes=0-9")]));
    let missing = key.replace(hex, &"0".repeat(64));
    assert_snapshot!("mirror_missing", asked(&front, "GET", &missing, &[]));
    for other in [
        "/-/mirror/",
        "/-/mirror/aws-us-east-2",
        "/-/mirror/aws-us-east-2/",
        "/-/mirror/nobody/blobs/sha256/00",
        "/-/mirror/origin/pointers/1",
        "/-/mirror/aws-us-east-2/holding.json",
        "/-/mirror/aws-us-east-2/../../keys/landbridge.pem",
        "/-/mirror/aws-us-east-2/blobs/sha256/../../../../keys/landbridge.pem",
        "/-/mirror/aws-us-east-2/%2e%2e/%2e%2e/keys/landbridge.pem",
    ] {
        let answer = front.get(other).unwrap();
        assert_eq!(
            (answer.status, answer.error_code().as_deref()),
            (404, Some("NOT_FOUND")),
            "{other}"
        );
    }
}

#[test]
fn tags_catalog_and_referrers() {
    let (content, _data, front) = served();
    let get = |target: &str| asked(&front, "GET", target, &[]);
    assert_snapshot!("tags", get("/v2/app/tags/list"));
    assert_snapshot!("tags_head", asked(&front, "HEAD", "/v2/app/tags/list", &[]));
    assert_snapshot!("tags_first_page", get("/v2/app/tags/list?n=2"));
    assert_snapshot!("tags_second_page", get("/v2/app/tags/list?n=2&last=latest"));
    assert_snapshot!("tags_last_page", get("/v2/app/tags/list?last=sha512"));
    assert_snapshot!("tags_none", get("/v2/app/tags/list?n=0"));
    assert_snapshot!("catalog", get("/v2/_catalog"));

    let subject = &content.index.digest;
    assert_snapshot!("referrers", get(&format!("/v2/app/referrers/{subject}")));
    let filtered = format!("/v2/app/referrers/{subject}?artifactType={}", SBOM.replace('+', "%2B"));
    assert_snapshot!("referrers_filtered", get(&filtered));
    let nothing = unknown(Algorithm::Sha256);
    assert_snapshot!(
        "referrers_of_an_unknown_subject",
        get(&format!("/v2/app/referrers/{nothing}"))
    );
    let sha512 = unknown(Algorithm::Sha512);
    assert_eq!(front.get(&format!("/v2/app/referrers/{sha512}")).unwrap().status, 200);
    assert_eq!(front.get(&format!("/v2/nobody/referrers/{nothing}")).unwrap().status, 200);
}

#[test]
fn errors_have_the_specifications_codes() {
    let (_content, _data, front) = served();
    let nothing = unknown(Algorithm::Sha256);
    for (name, method, target) in [
        ("error_blob_unknown", "GET", format!("/v2/app/blobs/{nothing}")),
        ("error_blob_unknown_head", "HEAD", format!("/v2/app/blobs/{nothing}")),
        ("error_digest_invalid", "GET", "/v2/app/blobs/sha256:bad".to_owned()),
        ("error_manifest_unknown", "GET", "/v2/app/manifests/nothing".to_owned()),
        ("error_manifest_unknown_digest", "GET", format!("/v2/app/manifests/{nothing}")),
        ("error_name_invalid", "GET", "/v2/UPPER/manifests/v1".to_owned()),
        ("error_name_unknown", "GET", "/v2/nobody/tags/list".to_owned()),
        ("error_tag_invalid", "GET", "/v2/app/manifests/-v1".to_owned()),
        ("error_page_invalid", "GET", "/v2/app/tags/list?n=few".to_owned()),
        ("error_page_last_invalid", "GET", "/v2/app/tags/list?last=%00".to_owned()),
        ("error_not_found", "GET", "/v2/app/elsewhere".to_owned()),
        ("error_unsupported", "PUT", "/v2/app/manifests/v1".to_owned()),
        ("error_uploads", "POST", "/v2/app/blobs/uploads/".to_owned()),
        ("error_no_page", "GET", "/robots.txt".to_owned()),
    ] {
        assert_snapshot!(name, asked(&front, method, &target, &[]));
    }
}

#[test]
fn a_sites_pages_and_what_it_does_not_offer() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("landbridge.yaml");
    let text = format!(
        "origins:\n\
         - name: origin\n  store: {{ url: {0}/origin, catalog: landbridge-data, keys: [{0}/keys/landbridge.pem.pub] }}\n\
         mirrors: [{{ name: near, embedded: {{ store: {0}/mirrors/aws-us-east-2 }} }}]\n\
         sites:\n\
         - name: named\n  hosts: [registry.example]\n  origin: origin\n  default: [{{ copy: near }}]\n  pages:\n    \
         /: {{ redirect: \"https://docs.example/registry\" }}\n    \
         /privacy: {{ text: \"We keep no addresses.\" }}\n    \
         /health: {{ text: \"ok\" }}\n\
         records: {{ directory: {1}/records }}\n",
        data.path().display(),
        dir.path().display(),
    );
    std::fs::write(&file, text).unwrap();
    let front = Front::configured(&file).unwrap();
    let ask = |method: &str, target: &str, host: &str| {
        let mut wire = landbridge_testkit::http::Wire::connect(&front.address).unwrap();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        wire.send(request.as_bytes()).unwrap();
        shown(&front, &wire.answer(method).unwrap().unwrap())
    };
    assert_snapshot!("page_redirect", ask("GET", "/", "registry.example"));
    assert_snapshot!("page_text", ask("GET", "/privacy", "registry.example"));
    assert_snapshot!("page_text_head", ask("HEAD", "/health", "registry.example"));
    assert_snapshot!("page_of_another_path", ask("GET", "/privacy/", "registry.example"));
    assert_snapshot!("page_of_another_host", ask("GET", "/privacy", "elsewhere.example"));
    assert_snapshot!("catalog_not_offered", ask("GET", "/v2/_catalog", "registry.example"));
    assert_snapshot!("registry_of_another_host", ask("GET", "/v2/", "elsewhere.example"));
}
