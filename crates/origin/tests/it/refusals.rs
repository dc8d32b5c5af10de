//! Requests that are none, and methods that a path does not know.

use crate::served::{Served, Store, everywhere_with, expect};

#[test]
fn a_method_that_a_path_does_not_know_is_refused_with_those_that_it_knows() {
    let served = Served::start(Store::Memory);
    let blob =
        "/v2/a/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (method, target, allow) in [
        ("POST", "/v2/", "GET, HEAD"),
        ("PUT", "/v2/a/tags/list", "GET, HEAD"),
        ("DELETE", "/v2/_catalog", "GET, HEAD"),
        ("POST", "/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE"),
        ("PUT", blob, "GET, HEAD, DELETE"),
        ("GET", "/v2/a/blobs/uploads/", "POST"),
        ("OPTIONS", "/v2/a/blobs/uploads/0", "GET, HEAD, PATCH, PUT, DELETE"),
    ] {
        let answer = served.ask(method, target, &[], b"");
        expect(&answer, 405, "UNSUPPORTED");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {target}");
    }
}

#[test]
fn what_is_outside_of_the_grammar_never_reaches_the_store() {
    let served = Served::start(Store::Directory);
    for (method, target, status) in [
        ("GET", "/v2/../../etc/passwd", 404),
        ("GET", "/v2/a/../b/manifests/v1", 400),
        ("PUT", "/v2/a/manifests/..", 400),
        ("PUT", "/v2/_x/manifests/v1", 400),
        ("GET", "/v2/a%2fb/manifests/v1", 400),
        ("POST", "/v2/A/blobs/uploads/", 400),
        ("PATCH", "/v2/a/blobs/uploads/..", 404),
        ("PATCH", "/v2/a/blobs/uploads/%2e%2e%2fsession", 404),
        ("GET", "/v2/a/blobs/uploads/00000000000000000000000000000000", 404),
    ] {
        let answer = served.ask(method, target, &[], b"");
        assert_eq!(answer.status, status, "{method} {target}: {answer}");
        assert!(answer.error_code().is_some());
    }
    let read = served.get("/v2/_catalog").json().unwrap();
    assert_eq!(read["repositories"], serde_json::json!([]));
}

#[test]
fn a_blob_that_is_too_large_is_refused_however_it_comes() {
    everywhere_with(
        |settings| settings.pushes.blob_bytes = 10,
        |served| {
            let target = format!("/v2/a/blobs/uploads/?digest={}", crate::content::EMPTY_DIGEST);
            expect(&served.ask("POST", &target, &[], b"eleven byte"), 413, "BODY_TOO_LARGE");
            let upload = served.begin("a");
            expect(&served.ask("PATCH", &upload, &[], b"eleven byte"), 413, "BODY_TOO_LARGE");
            let headers = [("transfer-encoding", "chunked")];
            let chunked = b"b\r\neleven byte\r\n0\r\n\r\n";
            expect(&served.ask("PATCH", &upload, &headers, chunked), 413, "BODY_TOO_LARGE");
            assert_eq!(served.ask("PATCH", &upload, &[], b"ten  bytes").status, 202);
            expect(&served.ask("PATCH", &upload, &[], b"x"), 413, "BODY_TOO_LARGE");
            assert_eq!(served.get(&upload).header("range"), Some("0-9"));
        },
    );
}
