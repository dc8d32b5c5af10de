//! The raw client, the forwarder and the file system, against what Landbridge did not write.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use landbridge_testkit::{DockerRegistry, Fault, Forwarder, Tmpfs, http};

#[test]
fn a_raw_client_and_a_forwarder_speak_to_a_real_registry() {
    let registry = DockerRegistry::start().unwrap();
    let direct = http::get(registry.address(), "/v2/").unwrap();
    assert_eq!((direct.status, direct.text().as_str()), (200, "{}"));
    let missing = http::get(registry.address(), "/v2/a/manifests/x").unwrap();
    assert_eq!(missing.error_code().as_deref(), Some("MANIFEST_UNKNOWN"));
    let forwarder = Forwarder::start(registry.address(), "192.0.2.7".parse().unwrap()).unwrap();
    assert_eq!(http::get(forwarder.address(), "/v2/").unwrap().text(), "{}");
}

#[test]
fn a_forwarder_adds_the_address_and_passes_the_answer_untouched() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let answering = thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        stream
            .write_all(b"HTTP/1.1 307 Elsewhere\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    let forwarder = Forwarder::start(&address, "192.0.2.7".parse().unwrap()).unwrap();
    let answer =
        http::ask(forwarder.address(), "GET", "/a%2Fb?c", &[("Range", "bytes=1-")]).unwrap();
    assert_eq!((answer.status, answer.header("location")), (307, Some("/x")));
    let request = answering.join().unwrap();
    assert!(request.starts_with("GET /a%2Fb?c HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\r\nRange: bytes=1-\r\n"), "{request}");
    assert!(request.contains("\r\nX-Forwarded-For: 192.0.2.7\r\n"), "{request}");
    assert_eq!(request.matches("Connection:").count(), 1, "{request}");
}

#[test]
fn a_small_file_system_fills_up_grows_and_is_made_read_only() {
    let tmpfs = Tmpfs::mount(64 << 10).unwrap();
    let file = tmpfs.path().join("file");
    assert!(std::fs::write(&file, vec![0; 1 << 20]).is_err());
    tmpfs.resize(4 << 20).unwrap();
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    tmpfs.make_read_only().unwrap();
    assert!(std::fs::write(&file, "x").is_err());
}

#[test]
fn a_faulty_proxy_spoils_what_a_real_registry_answers() {
    let registry = DockerRegistry::start().unwrap();
    let faulty = |fault| Forwarder::start_faulty(registry.address(), fault).unwrap();
    let cut = http::get(faulty(Fault::CutAfter(1)).address(), "/v2/").expect_err("it is cut");
    assert!(format!("{cut:#}").contains("cut off after 1 of 2 bytes"), "{cut:#}");
    let wrong = http::get(faulty(Fault::LastByte).address(), "/v2/").unwrap();
    assert_eq!(wrong.text(), "{~");
    assert_eq!(http::get(faulty(Fault::Unavailable).address(), "/v2/").unwrap().status, 503);
}
