//! Connections that say too little, too slowly or something else.

use std::time::{Duration, Instant};

use landbridge_testkit::http::Wire;

use crate::content::Content;
use crate::running::{Data, Front, landbridge};

const FIRST_BYTE: Duration = Duration::from_secs(1);
const HEADER_TIME: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(2);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(10);

/// A front whose limits are so small that a test can wait for them.
fn impatient(limits: &[(&str, &str)]) -> (Content, Data, Front) {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let mut command = landbridge();
    command.args(["serve", "--data"]).arg(data.path());
    for (name, value) in limits {
        command.env(format!("LANDBRIDGE_LISTEN_LIMITS_{name}"), value);
    }
    let front = Front::start(&mut command).unwrap();
    (content, data, front)
}

/// Sends `bytes` and waits until the connection is closed; after how long, and what came.
fn closed_after(front: &Front, bytes: &[u8]) -> (Duration, Vec<u8>) {
    let start = Instant::now();
    let mut wire = Wire::connect(&front.address).unwrap();
    wire.send(bytes).unwrap();
    let rest = wire.rest().unwrap();
    (start.elapsed(), rest)
}

fn is_alive(front: &Front) {
    assert_eq!(front.get("/v2/").unwrap().status, 200);
}

#[test]
fn a_connection_that_says_nothing_is_closed_at_its_deadline() {
    let limits = [("FIRST_BYTE", "1s"), ("HEADER_TIME", "20s"), ("IDLE", "20s")];
    let (_content, _data, front) = impatient(&limits);
    // Nothing, and a beginning of HTTP/2's preface that does not go on.
    for bytes in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM"] {
        let (after, rest) = closed_after(&front, bytes);
        assert!(after >= FIRST_BYTE && after < SLACK, "{bytes:?}: closed after {after:?}");
        assert_eq!(rest, b"", "{bytes:?}");
    }
    is_alive(&front);
}

#[test]
fn a_head_that_does_not_end_and_a_connection_without_requests_are_closed() {
    let limits = [("FIRST_BYTE", "20s"), ("HEADER_TIME", "1s"), ("IDLE", "2s")];
    let (_content, _data, front) = impatient(&limits);
    for bytes in
        [&b"G"[..], b"GET /v2/ HTTP/1.1\r\n", b"GET /v2/ HTTP/1.1\r\nHost: x\r\n", b"PUT /v2/ HTT"]
    {
        let (after, rest) = closed_after(&front, bytes);
        assert!(after >= HEADER_TIME && after < SLACK, "{bytes:?}: closed after {after:?}");
        let shown = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || shown.starts_with("HTTP/1.1 408"), "{bytes:?}: {shown}");
    }
    let (after, rest) = closed_after(&front, b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(rest.starts_with(b"HTTP/1.1 200"));
    assert!(after >= HEADER_TIME.min(IDLE) && after < SLACK, "closed after {after:?}");
    is_alive(&front);
}

#[test]
fn http_2_that_is_none_is_closed() {
    let limits = [("FIRST_BYTE", "1s"), ("HEADER_TIME", "1s"), ("IDLE", "2s")];
    let (_content, _data, front) = impatient(&limits);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for garbage in [
        &b"garbage that is no frame at all"[..],
        &[0xff; 64],
        &[0; 64],
        b"",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x01",
    ] {
        let (after, rest) = closed_after(&front, &[preface, garbage].concat());
        assert!(after < SLACK, "{garbage:?}: closed after {after:?}");
        assert!(!String::from_utf8_lossy(&rest).contains("HTTP/1.1"), "{garbage:?}");
    }
    let (after, _) = closed_after(&front, b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n");
    assert!(after < SLACK);
    is_alive(&front);
}

/// A connection that has asked something, and been answered.
fn used(front: &Front) -> Option<Wire> {
    let mut wire = Wire::connect(&front.address).unwrap();
    wire.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answer = wire.answer("GET").unwrap()?;
    assert_eq!(answer.status, 200);
    Some(wire)
}

#[test]
fn when_there_are_too_many_connections_the_idle_ones_make_room_and_not_the_one_at_work() {
    let limits = [("CONNECTIONS", "8"), ("FIRST_BYTE", "60s")];
    let (_content, _data, front) = impatient(&limits);
    let mut working = used(&front).unwrap();
    let mut ask = || {
        working.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        working.answer("GET").unwrap().map(|answer| answer.status)
    };
    let mut idle: Vec<_> = (0..7).map(|_| used(&front).unwrap()).collect();
    let mut newcomers = Vec::new();
    while newcomers.len() < 5 {
        assert_eq!(ask(), Some(200));
        // Refused for as long as the others have only just been answered.
        newcomers.extend(used(&front));
    }
    assert_eq!(ask(), Some(200));
    for wire in &mut idle {
        wire.send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    let gone = idle.iter_mut().map(|wire| wire.answer("GET").unwrap().is_none());
    assert_eq!(gone.filter(|gone| *gone).count(), 5, "one for each newcomer");
    let metrics = landbridge_testkit::http::get(&front.admin, "/metrics").unwrap().text();
    assert!(metrics.contains("landbridge_closed_idle_connections_total 5"), "{metrics}");
}

#[test]
fn one_network_has_no_more_connections_than_it_may() {
    let limits = [("CONNECTIONS_PER_NETWORK", "3"), ("FIRST_BYTE", "60s")];
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let shown = data.shown().unwrap();
    let file = data.path().join("alone.yaml");
    // Loopback is a trusted proxy by default, which may have any number.
    let alone = shown.replace("- 127.0.0.0/8\n", "- 10.0.0.0/8\n");
    assert_ne!(alone, shown);
    for (text, taken) in [(&alone, 3), (&shown, 9)] {
        std::fs::write(&file, text).unwrap();
        let mut command = landbridge();
        command.args(["serve", "--config"]).arg(&file);
        for (name, value) in limits {
            command.env(format!("LANDBRIDGE_LISTEN_LIMITS_{name}"), value);
        }
        let front = Front::start(&mut command).unwrap();
        let open: Vec<_> = (0..9).filter_map(|_| used(&front)).collect();
        assert_eq!(open.len(), taken);
        drop(open);
        crate::running::until(|| Ok(used(&front).is_some()), |answers| *answers).unwrap();
    }
}
