//! Uploads in chunks, streams, their status and their cancellation.

use landbridge_core::Digest;

use super::{ALGORITHMS, assert_created};
use crate::content::bytes;
use crate::served::{everywhere, everywhere_with, expect, location};

#[test]
fn a_blob_comes_in_chunks_the_last_of_which_may_close_it() {
    everywhere(|served| {
        let blob = bytes(6, 3 * 70_000 + 11);
        for algorithm in ALGORITHMS {
            let digest = Digest::of(algorithm, &blob);
            for last_in_put in [false, true] {
                let mut upload = served.begin("a");
                let mut chunks = blob.chunks(70_000).peekable();
                let mut sent = 0;
                let closing = loop {
                    let chunk = chunks.next().unwrap_or_default();
                    let range = format!("{sent}-{}", sent + chunk.len().max(1) - 1);
                    let headers = [("content-range", &*range)];
                    if chunk.is_empty() {
                        break served.ask("PUT", &format!("{upload}?digest={digest}"), &[], b"");
                    }
                    if chunks.peek().is_none() && last_in_put {
                        let target = format!("{upload}?digest={digest}");
                        break served.ask("PUT", &target, &headers, chunk);
                    }
                    let answer = served.ask("PATCH", &upload, &headers, chunk);
                    assert_eq!(answer.status, 202, "{answer}");
                    sent += chunk.len();
                    let range = format!("0-{}", sent - 1);
                    assert_eq!(answer.header("range"), Some(&*range));
                    upload = location(&answer);
                };
                assert_created(served, &closing, &blob, &digest);
                expect(&served.get(&upload), 404, "BLOB_UPLOAD_UNKNOWN");
            }
        }
    });
}

#[test]
fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    everywhere(|served| {
        let blob = bytes(7, 3000);
        let digest = Digest::sha256_of(&blob);
        let upload = served.begin("a");
        let closing = format!("{upload}?digest={digest}");
        let send = |method: &str, target: &str, from: usize, to: usize| {
            let range = format!("{from}-{}", to - 1);
            served.ask(method, target, &[("content-range", &range)], &blob[from..to])
        };
        for (method, from, to) in [("PATCH", 1000, 2000), ("PUT", 2000, 3000)] {
            let target = if method == "PUT" { &closing } else { &upload };
            expect(&send(method, target, from, to), 416, "RANGE_INVALID");
        }
        assert_eq!(send("PATCH", &upload, 0, 1000).status, 202);
        // What was sent already, and what overlaps with it.
        for (from, to) in [(0, 1000), (500, 1500), (2000, 3000)] {
            let refused = send("PATCH", &upload, from, to);
            expect(&refused, 416, "RANGE_INVALID");
            assert_eq!(refused.header("range"), Some("0-999"));
            assert_eq!(refused.header("location"), Some(&*upload));
            let status = served.get(&upload);
            assert_eq!((status.status, status.header("range")), (204, Some("0-999")));
            assert_eq!(status.header("location"), Some(&*upload));
        }
        assert_eq!(send("PATCH", &upload, 1000, 2000).status, 202);
        assert_created(served, &send("PUT", &closing, 2000, 3000), &blob, &digest);
    });
}

#[test]
fn a_blob_is_streamed_without_a_length() {
    everywhere(|served| {
        let blob = bytes(8, 200_000);
        let digest = Digest::sha256_of(&blob);
        let mut framed = Vec::new();
        for piece in blob.chunks(33_333) {
            framed.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            framed.extend_from_slice(piece);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        let headers = [("transfer-encoding", "chunked")];
        let upload = served.begin("a");
        let answer = served.ask("PATCH", &upload, &headers, &framed);
        assert_eq!((answer.status, answer.header("range")), (202, Some("0-199999")), "{answer}");
        let closing = served.ask("PUT", &format!("{upload}?digest={digest}"), &[], b"");
        assert_created(served, &closing, &blob, &digest);
        let upload = served.begin("a");
        let closing = served.ask("PUT", &format!("{upload}?digest={digest}"), &headers, &framed);
        assert_created(served, &closing, &blob, &digest);
    });
}

#[test]
fn an_upload_tells_how_far_it_is_and_can_be_cancelled() {
    everywhere_with(
        |settings| settings.pushes.chunk_min_bytes = 4096,
        |served| {
            let begun = served.ask("POST", "/v2/a/blobs/uploads/", &[], b"");
            assert_eq!(begun.header("oci-chunk-min-length"), Some("4096"));
            assert_eq!(begun.header("range"), Some("0-0"));
            let upload = location(&begun);
            let id = begun.header("docker-upload-uuid").unwrap();
            assert!(upload.ends_with(id));
            for answer in [served.get(&upload), served.head(&upload)] {
                assert_eq!((answer.status, answer.header("range")), (204, Some("0-0")));
            }
            assert_eq!(served.delete(&upload).status, 204);
            for method in ["GET", "PATCH", "DELETE"] {
                let answer = served.ask(method, &upload, &[], b"");
                expect(&answer, 404, "BLOB_UPLOAD_UNKNOWN");
            }
        },
    );
}

#[test]
fn an_upload_belongs_to_its_repository() {
    everywhere(|served| {
        let upload = served.begin("mine").replace("/v2/mine/", "/v2/theirs/");
        for method in ["GET", "PATCH", "DELETE"] {
            expect(&served.ask(method, &upload, &[], b""), 404, "BLOB_UPLOAD_UNKNOWN");
        }
    });
}

#[test]
fn a_chunk_that_contradicts_itself_is_refused() {
    everywhere(|served| {
        let upload = served.begin("a");
        for (range, code) in [
            ("0-9", "SIZE_INVALID"),
            ("bytes 0-3/4", "BLOB_UPLOAD_INVALID"),
            ("3-0", "BLOB_UPLOAD_INVALID"),
            ("0-18446744073709551615", "BLOB_UPLOAD_INVALID"),
        ] {
            let answer = served.ask("PATCH", &upload, &[("content-range", range)], b"four");
            expect(&answer, 400, code);
        }
        assert_eq!(served.get(&upload).header("range"), Some("0-0"));
    });
}
