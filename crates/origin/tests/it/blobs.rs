//! The suite's `blobs`, for both algorithms: every way to push one, and to read it.

mod chunked;
mod mounted;

use landbridge_core::Digest;
use landbridge_core::digest::Algorithm;

use crate::content::bytes;
use crate::served::{Served, everywhere, expect, location};

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// The blob can be read where the answer says.
#[track_caller]
fn assert_created(
    served: &Served,
    answer: &landbridge_testkit::http::Answer,
    blob: &[u8],
    digest: &Digest,
) {
    assert_eq!(answer.status, 201, "{answer}");
    assert_eq!(answer.header("docker-content-digest"), Some(&*digest.to_string()));
    let read = served.get(&location(answer));
    assert_eq!(read.status, 200, "{read}");
    assert_eq!(read.body, blob);
    let length = blob.len().to_string();
    assert_eq!(read.header("content-length"), Some(&*length));
    let head = served.head(&location(answer));
    assert_eq!((head.status, head.header("content-length")), (200, Some(&*length)));
    assert_eq!(head.header("docker-content-digest"), Some(&*digest.to_string()));
}

#[test]
fn a_blob_is_pushed_by_post_then_put_or_by_post_alone() {
    everywhere(|served| {
        for algorithm in ALGORITHMS {
            for (seed, size) in [(1, 0), (2, 2), (3, 2048), (4, 300_000)] {
                let blob = bytes(seed, size);
                let digest = Digest::of(algorithm, &blob);
                let target = format!("{}?digest={digest}", served.begin("a/b"));
                let put = served.ask("PUT", &target, &[], &blob);
                assert_created(served, &put, &blob, &digest);
                let target = format!("/v2/c/blobs/uploads/?digest={digest}");
                assert_created(served, &served.ask("POST", &target, &[], &blob), &blob, &digest);
            }
        }
    });
}

#[test]
fn what_a_digest_does_not_match_is_refused_and_invisible() {
    everywhere(|served| {
        for algorithm in ALGORITHMS {
            let promised = Digest::of(algorithm, b"promised");
            let post = format!("/v2/a/blobs/uploads/?digest={promised}");
            expect(&served.ask("POST", &post, &[], b"sent"), 400, "DIGEST_INVALID");
            let put = format!("{}?digest={promised}", served.begin("a"));
            expect(&served.ask("PUT", &put, &[], b"sent"), 400, "DIGEST_INVALID");
            let upload = served.begin("a");
            assert_eq!(served.ask("PATCH", &upload, &[], b"sent").status, 202);
            let put = format!("{upload}?digest={promised}");
            expect(&served.ask("PUT", &put, &[], b""), 400, "DIGEST_INVALID");
            for digest in [promised, Digest::of(algorithm, b"sent")] {
                expect(&served.get(&format!("/v2/a/blobs/{digest}")), 404, "BLOB_UNKNOWN");
                let stored = served.runtime.block_on(served.bucket.size_of(&digest));
                assert_eq!(stored.unwrap(), None);
            }
        }
    });
}

#[test]
fn an_upload_without_a_digest_or_with_an_unknown_algorithm_is_refused() {
    everywhere(|served| {
        let upload = served.begin("a");
        expect(&served.ask("PUT", &upload, &[], b"x"), 400, "DIGEST_INVALID");
        let target = format!("{upload}?digest=md5:00");
        expect(&served.ask("PUT", &target, &[], b"x"), 400, "DIGEST_INVALID");
        let target = "/v2/a/blobs/uploads/?digest-algorithm=md5";
        expect(&served.ask("POST", target, &[], b""), 400, "DIGEST_INVALID");
        let target = "/v2/a/blobs/uploads/?digest-algorithm=sha512";
        assert_eq!(served.ask("POST", target, &[], b"").status, 202);
    });
}

#[test]
fn ranges_of_a_blob_are_read() {
    everywhere(|served| {
        let blob = bytes(5, 2048);
        let digest = served.push_blob("a", &blob);
        let target = format!("/v2/a/blobs/{digest}");
        for (range, from, to) in [
            ("bytes=500-1499", 500, 1500),
            ("bytes=500-", 500, 2048),
            ("bytes=-500", 1548, 2048),
            ("bytes=2000-5000", 2000, 2048),
        ] {
            let answer = served.ask("GET", &target, &[("range", range)], b"");
            assert_eq!((answer.status, &*answer.body), (206, &blob[from..to]), "{range}");
            let expected = format!("bytes {from}-{}/2048", to - 1);
            assert_eq!(answer.header("content-range"), Some(&*expected));
        }
        for range in ["bytes=500-0", "bytes=5000-10000"] {
            let answer = served.ask("GET", &target, &[("range", range)], b"");
            expect(&answer, 416, "RANGE_INVALID");
            assert_eq!(answer.header("content-range"), Some("bytes */2048"));
        }
        let same = format!("\"{digest}\"");
        let part = |condition: &str| {
            let headers = [("range", "bytes=0-9"), ("if-range", condition)];
            served.ask("GET", &target, &headers, b"").status
        };
        assert_eq!((part(&same), part("\"another\"")), (206, 200));
        let known = served.ask("GET", &target, &[("if-none-match", &same)], b"");
        assert_eq!((known.status, known.body.len()), (304, 0));
    });
}

#[test]
fn a_blob_is_seen_only_in_repositories_that_were_given_it() {
    everywhere(|served| {
        let digest = served.push_blob("mine", b"a secret of one repository");
        assert_eq!(served.get(&format!("/v2/mine/blobs/{digest}")).status, 200);
        expect(&served.get(&format!("/v2/theirs/blobs/{digest}")), 404, "BLOB_UNKNOWN");
        assert_eq!(served.head(&format!("/v2/theirs/blobs/{digest}")).status, 404);
    });
}
