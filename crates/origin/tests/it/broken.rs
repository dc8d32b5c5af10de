//! Connections that break, stall or say nothing, and uploads that go on after them.

use std::time::Duration;

use landbridge_core::Digest;

use crate::content::bytes;
use crate::served::{Served, Store, everywhere, request};

#[test]
fn an_upload_goes_on_where_its_connection_broke() {
    everywhere(|served| {
        let blob = bytes(1, 400_000);
        let digest = Digest::sha256_of(&blob);
        let upload = served.begin("a");
        let length = blob.len().to_string();
        let head = request("PATCH", &upload, &[("content-length", &length)], b"");
        let mut wire = served.connect();
        wire.send(&head).unwrap();
        wire.send(&blob[..150_000]).unwrap();
        wire.finish().unwrap();
        // The end of the connection says that the broken chunk was dealt with.
        wire.rest().unwrap();
        let status = until(|| {
            let status = served.get(&upload);
            (status.header("range") != Some("0-0")).then_some(status)
        });
        assert_eq!((status.status, status.header("range")), (204, Some("0-149999")));
        let range = "150000-399999";
        let rest = served.ask("PATCH", &upload, &[("content-range", range)], &blob[150_000..]);
        assert_eq!((rest.status, rest.header("range")), (202, Some("0-399999")), "{rest}");
        let closing = served.ask("PUT", &format!("{upload}?digest={digest}"), &[], b"");
        assert_eq!(closing.status, 201, "{closing}");
        assert_eq!(served.get(&format!("/v2/a/blobs/{digest}")).body, blob);
    });
}

/// Asks again until there is an answer: what a broken connection leaves is written behind its back.
fn until<T>(ask: impl Fn() -> Option<T>) -> T {
    let end = std::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(std::time::Instant::now() < end, "it did not happen");
        std::thread::yield_now();
    }
}

#[test]
fn a_blob_that_breaks_off_is_not_there() {
    everywhere(|served| {
        let blob = bytes(2, 100_000);
        let digest = Digest::sha256_of(&blob);
        let length = blob.len().to_string();
        let target = format!("/v2/a/blobs/uploads/?digest={digest}");
        let mut wire = served.connect();
        wire.send(&request("POST", &target, &[("content-length", &length)], b"")).unwrap();
        wire.send(&blob[..99_999]).unwrap();
        wire.finish().unwrap();
        wire.rest().unwrap();
        assert_eq!(served.get(&format!("/v2/a/blobs/{digest}")).status, 404);
        let put = served.ask("POST", &target, &[], &blob);
        assert_eq!(put.status, 201, "{put}");
    });
}

#[test]
fn who_asks_before_sending_is_refused_without_sending() {
    let served = Served::start(Store::Memory);
    let upload = served.begin("a").replace("/v2/a/", "/v2/b/");
    let headers = [("content-length", "1000000"), ("expect", "100-continue")];
    let mut wire = served.connect();
    wire.send(&request("PATCH", &upload, &headers, b"")).unwrap();
    let answer = wire.answer("PATCH").unwrap().unwrap();
    assert_eq!((answer.status, answer.error_code().as_deref()), (404, Some("BLOB_UPLOAD_UNKNOWN")));
}

#[test]
fn who_is_refused_while_sending_much_reads_why() {
    let served = Served::start(Store::Memory);
    let upload = served.begin("a");
    let body = bytes(3, 3 << 20);
    let range = [("content-range", "7-3145734")];
    let refused = served.ask("PATCH", &upload, &range, &body);
    assert_eq!((refused.status, refused.header("range")), (416, Some("0-0")), "{refused}");
}

#[test]
fn whoever_sends_nothing_is_cut_off() {
    let served = Served::start_with(Store::Memory, |settings| {
        settings.connections.head = Duration::from_millis(200);
        settings.connections.stall = Duration::from_millis(200);
    });
    let mut silent = served.connect();
    assert_eq!(silent.rest().unwrap(), b"");
    let mut half = served.connect();
    half.send(b"GET /v2/ HTTP/1.1\r\nhost: ").unwrap();
    half.rest().unwrap();
    let upload = served.begin("a");
    let mut stalled = served.connect();
    let head = request("PATCH", &upload, &[("content-length", "10")], b"12345");
    stalled.send(&head).unwrap();
    let answer = stalled.answer("PATCH").unwrap().unwrap();
    assert_eq!(answer.error_code().as_deref(), Some("BLOB_UPLOAD_INVALID"), "{answer}");
    assert_eq!(served.get(&upload).header("range"), Some("0-4"));
}

#[test]
fn a_head_that_is_too_large_and_a_connection_too_many_are_refused() {
    let served = Served::start_with(Store::Memory, |settings| {
        settings.connections.head_bytes = 8192;
        settings.connections.open = 1;
    });
    let mut first = served.connect();
    first.send(b"GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(first.answer("GET").unwrap().unwrap().status, 200);
    let mut second = served.connect();
    second.send(b"GET /v2/ HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(second.answer("GET").unwrap(), None);
    let long = format!("GET /v2/ HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(20_000));
    first.send(long.as_bytes()).unwrap();
    let refused = first.answer("GET").unwrap();
    assert!(refused.is_none_or(|answer| answer.status == 431));
}
