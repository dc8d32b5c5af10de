//! Paths and queries.

use landbridge_testkit::image::Algorithm;

use super::Target;
use crate::content::unknown;

#[test]
fn a_name_means_itself_or_nothing() {
    let target = Target::start().unwrap();
    let digest = target.content.amd.layers[0].digest.clone();
    for name in [
        "..",
        ".",
        "app/..",
        "../app",
        "app/../app",
        "app/./x",
        "/app",
        "app/",
        "a//b",
        "//evil.example",
        "%2e%2e",
        "%2e%2e/app",
        "app/%2e%2e/app",
        "app%2F..",
        "app%2Fx",
        "app%2fx",
        "ap%70",
        "app%3Fx",
        "app%00",
        "app%0d%0aevil:%20x",
        "app%",
        "app%zz",
        "app;x",
        "app&x",
        "app@x",
        "app:x",
        "a\\b",
        "app\\..",
        "app+x",
        "app x%20",
        "-app",
        "app-",
        "_app",
        "a..b",
        "a___b",
        "App",
        "APP",
        "äpp",
        "%c3%a4",
        "a.b.",
        "http:/evil.example",
        "evil.example:80/app",
        "user@evil.example",
        "~app",
        "*",
        "$app",
        "{app}",
        "app'",
        "app\"",
        "<app>",
        "|",
        "^",
        "`",
    ] {
        if name.contains(' ') {
            continue;
        }
        for rest in [
            "manifests/v1",
            "tags/list",
            &format!("blobs/{digest}"),
            &format!("referrers/{digest}"),
        ] {
            target.refuses(format!("/v2/{name}/{rest}"), 400, "NAME_INVALID");
        }
    }
    let long = "a".repeat(256);
    target.refuses(format!("/v2/{long}/tags/list"), 400, "NAME_INVALID");
    target.refuses(format!("/v2/{}/tags/list", &long[1..]), 404, "NAME_UNKNOWN");
    target.refuses(format!("/v2/{}/tags/list", "a/".repeat(200)), 400, "NAME_INVALID");
}

#[test]
fn a_reference_means_itself_or_nothing() {
    let target = Target::start().unwrap();
    for tag in [
        "..",
        ".v1",
        "-v1",
        "v1%20",
        "v%31",
        "v1%00",
        "v1%3fx",
        "v1%2f..",
        "v1;x",
        "v1&x",
        "v1\\",
        "ü",
        "v1~",
        "v1+x",
        &"t".repeat(129),
    ] {
        target.refuses(format!("/v2/app/manifests/{tag}"), 400, "TAG_INVALID");
    }
    target.refuses(format!("/v2/app/manifests/{}", "t".repeat(128)), 404, "MANIFEST_UNKNOWN");
    let digest = target.content.amd.layers[0].digest.clone();
    let hex = digest.strip_prefix("sha256:").unwrap();
    let longer = format!("sha512:{hex}");
    for wrong in [
        "sha256:",
        "sha256:..",
        "sha256:bad",
        &digest[1..],
        &digest[..70],
        &format!("{digest}0"),
        &longer,
        &digest.to_uppercase(),
        &format!("sha256:{}", hex.to_uppercase()),
        &format!("sha1:{}", &hex[..40]),
        &format!("md5:{hex}"),
        &format!("SHA256:{hex}"),
        &format!("sha256%3a{hex}"),
        &format!("sha256:{}%00", &hex[..61]),
        &format!("{digest}%0d%0aevil:x"),
        &format!("{digest}%3fx"),
        &format!("sha256:{}", "0".repeat(8000)),
        &format!("sha256:{}/../x", &hex[..10]).replace('/', "%2f"),
        "sha256+b64:abc",
        ":",
        "::",
    ] {
        // Without a colon it is no digest, and as a tag it is wrong or unknown.
        if wrong.contains(':') {
            target.refuses(format!("/v2/app/manifests/{wrong}"), 400, "DIGEST_INVALID");
        }
        target.refuses(format!("/v2/app/blobs/{wrong}"), 400, "DIGEST_INVALID");
        target.refuses(format!("/v2/app/referrers/{wrong}"), 400, "DIGEST_INVALID");
    }
}

#[test]
fn other_paths_are_not_there() {
    let target = Target::start().unwrap();
    for path in [
        "/v2foo",
        "/v2foo/app/manifests/v1",
        "/v2.",
        "/V2/",
        "/v1/",
        "/v2;/",
        "/v2%2F",
        "/%76%32/",
        "//v2/",
        "//v2/app/manifests/v1",
        "//evil.example/v2/app/manifests/v1",
        "/./v2/",
        "/../v2/",
        "/v2/app",
        "/v2/app/manifests/",
        "/v2/app/manifests/v1/",
        "/v2/app/manifests/v1/x",
        "/v2/app/tags/",
        "/v2/app/tags/list/",
        "/v2/app/tags",
        "/v2/_catalog/",
        "/v2//",
        "/v2/..",
        "/v2/../",
        "/etc/passwd",
        "/-/",
        "/-/mirror",
        "/-/mirror/..",
        "/metrics",
        "/explain",
        "/readyz",
        "/v2/manifests/v1",
        "/v2/app/signatures/x",
    ] {
        let answer = target.get(path).unwrap().unwrap();
        let code = answer.error_code().unwrap_or_default();
        let is_refused = match answer.status {
            400 => matches!(&*code, "NAME_INVALID" | "TAG_INVALID" | "DIGEST_INVALID"),
            404 => matches!(&*code, "NOT_FOUND" | "NAME_UNKNOWN" | "MANIFEST_UNKNOWN"),
            _ => false,
        };
        assert!(is_refused, "{path}: {answer}");
    }
    target.refuses("/v2foo", 404, "NOT_FOUND");
    target.refuses("//v2/", 404, "NOT_FOUND");
    target.refuses("/v2/app/manifests/v1/", 404, "NOT_FOUND");
}

#[test]
fn a_query_is_understood_or_ignored_and_never_passed_on() {
    let target = Target::start().unwrap();
    let blob = target.blob();
    for query in [
        "?ns=evil.example",
        "?",
        "?x",
        "?%0d%0aevil:x",
        "?a=b&c=d",
        "?location=http://evil.example",
        "?n=-1&last=%ff",
        "??",
        "?%",
        "?;",
    ] {
        let answer = target.get(format!("{blob}{query}")).unwrap().unwrap();
        assert_eq!(answer.status, 307, "{query}");
        let location = answer.header("location").unwrap();
        assert!(!location.contains(['?', '%', '&', ';']), "{query}: {location}");
        let manifest = target.get(format!("/v2/app/manifests/v1{query}")).unwrap().unwrap();
        assert_eq!(manifest.status, 200, "{query}");
    }
    for n in ["-1", "x", "1.5", "", "1e9", "0x10", "+1", "1%202"] {
        target.refuses(format!("/v2/app/tags/list?n={n}"), 400, "PAGINATION_NUMBER_INVALID");
        target.refuses(format!("/v2/_catalog?n={n}"), 400, "PAGINATION_NUMBER_INVALID");
    }
    for last in ["%00", "%0d%0aevil:%20x", "%ff", &"a".repeat(600)] {
        target.refuses(format!("/v2/app/tags/list?last={last}"), 400, "REQUEST_INVALID");
    }
    // What is no tag may be compared with all the same, and comes back in no header.
    let odd = target.get("/v2/app/tags/list?n=1&last=%3E%3B%20rel%3Devil").unwrap().unwrap();
    assert_eq!(odd.status, 200);
    let subject = unknown(Algorithm::Sha256);
    for kind in ["%00", "%0d%0aevil:%20x", "%ff", &"a".repeat(600)] {
        let path = format!("/v2/app/referrers/{subject}?artifactType={kind}");
        target.refuses(path, 400, "REQUEST_INVALID");
    }
    let huge = target.get("/v2/app/tags/list?n=99999999999999999999999").unwrap().unwrap();
    assert_eq!(huge.json().unwrap()["tags"].as_array().unwrap().len(), crate::content::TAGS.len());
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let target = Target::start().unwrap();
    for bytes in [&b"\xff"[..], b"\xc3\x28", b"\xf0\x9f\x98\x80", b"\x80", b"\xed\xa0\x80", b"\x7f"]
    {
        for path in [
            [b"/v2/", bytes, b"/manifests/v1"].concat(),
            [b"/v2/app", bytes, b"/tags/list"].concat(),
            [b"/v2/app/manifests/", bytes].concat(),
            [b"/v2/app/manifests/sha256:", bytes].concat(),
        ] {
            let answer = target.get(&path).unwrap().unwrap();
            assert_eq!(answer.status, 400, "{path:?}: {answer}");
        }
        let elsewhere = target.get([b"/", bytes].concat()).unwrap().unwrap();
        assert!(matches!(elsewhere.status, 400 | 404), "{elsewhere}");
    }
}
