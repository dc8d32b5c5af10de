//! Request lines, headers, bodies and methods.

use landbridge_testkit::http::{self, Wire};

use super::{Target, check};

/// Everything that is answered to `bytes` on one connection that the client then has no more to say on.
fn answers(target: &Target, bytes: &[u8]) -> Vec<http::Answer> {
    let mut wire = Wire::connect(&target.front.address).unwrap();
    wire.send(bytes).unwrap();
    wire.finish().unwrap();
    let mut all = Vec::new();
    while let Some(answer) = wire.answer("GET").unwrap() {
        check(&answer).unwrap();
        all.push(answer);
    }
    target.is_alive().unwrap();
    all
}

#[test]
fn other_methods_are_not_allowed() {
    let target = Target::start().unwrap();
    for method in
        ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get", "G", "X-EVIL"]
    {
        for path in [
            "/v2/",
            "/v2/app/manifests/v1",
            "/v2/app/blobs/uploads/",
            &target.blob(),
            "/",
            "/-/mirror/aws-us-east-2/x",
        ] {
            let answer = target.front.ask(method, path, &[]).unwrap();
            let what = format!("{method} {path}: {answer}");
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{what}");
            assert_eq!(answer.error_code().as_deref(), Some("UNSUPPORTED"), "{what}");
        }
    }
    for request in [
        "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
    ] {
        let answer = target.send(request.as_bytes()).unwrap().unwrap();
        assert!(matches!(answer.status, 400 | 405), "{request}: {answer}");
    }
}

#[test]
fn a_line_break_ends_a_request_or_is_refused_wherever_it_is() {
    let target = Target::start().unwrap();
    let blob = target.blob();
    for breaks in ["\r", "\n", "\r\n", "\0", "\r\n\r\n", "\n\n", "\u{b}", "\u{85}"] {
        for request in [
            format!(
                "GET {blob}{breaks}Evil: x HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n"
            ),
            format!(
                "GET {blob} HTTP/1.1{breaks}Evil: x\r\nHost: front\r\nConnection: close\r\n\r\n"
            ),
            format!("GET{breaks}{blob} HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n"),
            format!(
                "GET {blob} HTTP/1.1\r\nHost: front{breaks}Evil: x\r\nConnection: close\r\n\r\n"
            ),
            format!(
                "GET {blob} HTTP/1.1\r\nHost: front\r\nX-Forwarded-For: 3.5.140.1{breaks}Evil: x\r\nConnection: close\r\n\r\n"
            ),
            format!(
                "GET {blob} HTTP/1.1\r\nHost: front\r\nRange: bytes=0-1{breaks}Evil: x\r\nConnection: close\r\n\r\n"
            ),
            format!(
                "GET {blob} HTTP/1.1\r\nHost: front\r\nUser{breaks}Agent: x\r\nConnection: close\r\n\r\n"
            ),
            format!("{breaks}GET {blob} HTTP/1.1\r\nHost: front\r\nConnection: close\r\n\r\n"),
        ] {
            for answer in answers(&target, request.as_bytes()) {
                let is_expected = matches!(answer.status, 307 | 400);
                assert!(is_expected, "{request:?}: {answer}");
            }
        }
    }
}

#[test]
fn malformed_requests_are_refused() {
    let target = Target::start().unwrap();
    for request in [
        &b"\r\n\r\n\r\n"[..],
        b"\x00\x01\x02\x03",
        b"GET\r\n\r\n",
        b"GET /v2/\r\n\r\n",
        b"GET /v2/ HTTP/9.9\r\nHost: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\n: x\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
        b"GET /v2/ HTTP/1.1\r\nH\xc3\xb6st: x\r\n\r\n",
        b"GET  /v2/  HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        for answer in answers(&target, request) {
            let shown = String::from_utf8_lossy(request);
            assert!(matches!(answer.status, 400 | 404 | 405 | 505), "{shown:?}: {answer}");
        }
    }
}

#[test]
fn a_body_is_no_request() {
    let target = Target::start().unwrap();
    let after = "GET /v2/app/tags/list HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    // Content that a GET should not have is no request of its own. The connection goes on with the next one, or ends.
    for content in [
        "Content-Length: 5\r\n\r\nhello",
        "Content-Length: 52\r\n\r\nGET /v2/app/manifests/smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{content}{after}");
        let all = answers(&target, request.as_bytes());
        assert!(matches!(all.len(), 1 | 2), "{content:?}: {all:?}");
        assert_eq!((all[0].status, all[0].text().as_str()), (200, "{}"), "{content:?}");
        for next in &all[1..] {
            assert_eq!(next.json().unwrap()["name"], "app", "{content:?}");
        }
    }
    // A long one is not: the connection is closed instead.
    let long = format!(
        "GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n{}{after}",
        "x".repeat(100_000)
    );
    let all = answers(&target, long.as_bytes());
    assert_eq!(all.iter().map(|answer| answer.status).collect::<Vec<_>>(), [413]);
}

#[test]
fn two_lengths_smuggle_nothing() {
    let target = Target::start().unwrap();
    let smuggled = "GET /v2/app/manifests/smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    for heads in [
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: \x0bchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: y\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ] {
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{heads}\r\n0\r\n\r\n{smuggled}");
        let all = answers(&target, request.as_bytes());
        assert!(all.len() <= 1, "{heads:?} had {} answers: {all:?}", all.len());
        assert!(all.iter().all(|answer| matches!(answer.status, 200 | 400)), "{heads:?}: {all:?}");
    }
    // A chunk's size that another reader would take for another.
    for chunk in
        ["0x0\r\n\r\n", "5;x\nhello\r\n0\r\n\r\n", "fffffffffffffffff\r\n", "-1\r\n", " 0\r\n\r\n"]
    {
        let request = format!(
            "GET /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{smuggled}"
        );
        let all = answers(&target, request.as_bytes());
        assert!(all.len() <= 1, "{chunk:?} had {} answers: {all:?}", all.len());
    }
}

#[test]
fn heads_have_a_limit() {
    let target = Target::start().unwrap();
    for request in [
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nBig: {}\r\n\r\n", "x".repeat(20_000)),
        format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(20_000)),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(2_000)),
        format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(150)),
        format!("{} /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", "M".repeat(20_000)),
    ] {
        let answer = target.send(request.as_bytes()).unwrap();
        let is_refused =
            answer.as_ref().is_none_or(|answer| matches!(answer.status, 400 | 414 | 431));
        assert!(is_refused, "{} bytes: {answer:?}", request.len());
    }
}
