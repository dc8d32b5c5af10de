//! Start and stop.

use landbridge_origin::settings::Settings;
use landbridge_origin::{Origin, StartError};

use crate::content::bytes;
use crate::served::{Served, Store, request};

#[test]
fn an_open_origin_listens_on_loopback_only() {
    let served = Served::start(Store::Memory);
    let settings =
        Settings { address: ([0, 0, 0, 0], 0).into(), ..Settings::local(served.bucket.clone(), 0) };
    let refused = served.runtime.block_on(Origin::start(settings)).unwrap_err();
    assert!(matches!(refused, StartError::Open { .. }), "{refused}");
    assert!(refused.to_string().contains("127.0.0.1"));
}

#[test]
fn a_request_that_is_under_way_ends_before_the_origin_does() {
    let mut served = Served::start(Store::Memory);
    let blob = bytes(1, 1000);
    let digest = landbridge_core::Digest::sha256_of(&blob);
    let target = format!("/v2/a/blobs/uploads/?digest={digest}");
    let mut wire = served.connect();
    let head = [("content-length", "1000"), ("expect", "100-continue")];
    wire.send(&request("POST", &target, &head, b"")).unwrap();
    // The origin reads the body: the request is under way.
    wire.peek().unwrap();
    let rest = std::thread::spawn(move || {
        wire.send(&blob).unwrap();
        let interim = wire.answer("POST").unwrap().unwrap();
        assert_eq!(interim.status, 100);
        wire.answer("POST").unwrap().unwrap()
    });
    served.stop();
    let answer = rest.join().unwrap();
    assert_eq!(answer.status, 201, "{answer}");
    let stored = served.runtime.block_on(served.bucket.size_of(&digest)).unwrap();
    assert_eq!(stored, Some(1000));
}
