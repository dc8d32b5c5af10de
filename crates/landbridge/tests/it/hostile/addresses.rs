//! Who is asked, and who asks: hosts, targets and forged addresses.

use std::fs;

use landbridge_testkit::http;

use super::Target;
use crate::content::Content;
use crate::running::Front;

#[test]
fn a_host_chooses_a_site_and_nothing_else() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let shown = data.shown().unwrap();
    assert!(shown.contains("- \"*\"") || shown.contains("- '*'"), "{shown}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("landbridge.yaml");
    let named =
        shown.replace("- \"*\"", "- registry.example").replace("- '*'", "- registry.example");
    fs::write(&file, named).unwrap();
    let front = Front::configured(&file).unwrap();
    let blob = format!("/v2/app/blobs/{}", content.amd.layers[0].digest);
    let ask = |line: &str, hosts: &[&str]| {
        let hosts: Vec<_> = hosts.iter().map(|host| format!("Host: {host}\r\n")).collect();
        let hosts = hosts.concat();
        let mut wire = http::Wire::connect(&front.address).unwrap();
        wire.send(format!("GET {line} HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n").as_bytes())
            .unwrap();
        let answer = wire.answer("GET").unwrap().unwrap();
        let is_relative = |location: &str| location.starts_with("/-/mirror/");
        assert!(answer.header("location").is_none_or(is_relative), "{line} {hosts}: {answer}");
        answer
    };
    for host in [
        "registry.example",
        "registry.example:8080",
        "REGISTRY.Example",
        "registry.example:",
        " registry.example ",
    ] {
        assert_eq!(ask(&blob, &[host]).status, 307, "{host}");
    }
    for host in [
        "evil.example",
        "registry.example.evil.example",
        "evil.registry.example",
        "registry.example:evil",
        "user@registry.example",
        "registry.example@evil.example",
        "registry.example/",
        "registry.example/..",
        "registry.example,evil.example",
        "registry.example evil",
        "[::1]",
        "127.0.0.1",
        "",
        "*",
        "registry%2eexample",
        "registry.example%00",
        "registry.example#x",
        "registry.example?x",
        "registry.example\\",
        "\"registry.example\"",
        "registry.exampl\u{e9}",
    ] {
        let answer = ask(&blob, &[host]);
        assert!(matches!(answer.status, 400 | 404), "{host:?}: {answer}");
    }
    // Two of them, or none, are an error: whoever stands in between may have looked at the other one.
    for hosts in [
        &[][..],
        &["registry.example", "evil.example"],
        &["evil.example", "registry.example"],
        &["registry.example", "registry.example"],
    ] {
        let answer = ask(&blob, hosts);
        assert_eq!(
            (answer.status, answer.error_code().as_deref()),
            (400, Some("REQUEST_INVALID")),
            "{hosts:?}: {answer}"
        );
    }
    // The target's own authority is the one that counts (RFC 9112, section 3.2.2).
    for (line, host, status) in [
        (format!("http://registry.example{blob}"), "registry.example", 307),
        (format!("http://registry.example{blob}"), "evil.example", 307),
        (format!("https://registry.example:1{blob}"), "evil.example", 307),
        (format!("http://evil.example{blob}"), "registry.example", 404),
        (format!("http://user@registry.example{blob}"), "registry.example", 404),
        (format!("ftp://evil.example{blob}"), "registry.example", 404),
        ("http://evil.example".to_owned(), "registry.example", 404),
    ] {
        let answer = ask(&line, &[host]);
        assert!(answer.status == status || answer.status == 400, "{line} for {host}: {answer}");
    }
}

#[test]
fn a_forged_address_is_ignored_unless_a_proxy_is_trusted_to_say_it() {
    let target = Target::start().unwrap();
    let blob = target.blob();
    let location = |headers: &[(&str, &str)]| {
        let answer = target.front.ask("GET", &blob, headers).unwrap();
        assert_eq!(answer.status, 307, "{headers:?}: {answer}");
        super::check(&answer).unwrap();
        answer.header("location").unwrap().to_owned()
    };
    let aws = location(&[("X-Forwarded-For", "3.5.140.1")]);
    assert!(aws.contains("/aws-us-east-2/"));
    // The rightmost address that is no proxy of ours counts, whatever is left of it.
    for line in [
        "34.28.0.1, 3.5.140.1",
        "evil, 3.5.140.1",
        "34.28.0.1,, 3.5.140.1 ,127.0.0.1",
        "\"34.28.0.1, 3.5.140.1",
        "3.5.140.1:80",
        "::ffff:3.5.140.1",
        "[::ffff:3.5.140.1]:80",
        "<script>, 3.5.140.1",
        "\\\", 3.5.140.1",
        "34.28.0.1 3.5.140.1, 3.5.140.1",
    ] {
        assert_eq!(location(&[("X-Forwarded-For", line)]), aws, "{line}");
    }
    let both = [("X-Forwarded-For", "34.28.0.1"), ("X-Forwarded-For", "3.5.140.1")];
    assert_eq!(location(&both), aws);
    // What is no address is as if it were not there.
    let local = location(&[]);
    let flood = "34.28.0.1,".repeat(1_000) + "x";
    for line in [
        "",
        ",",
        ", , ,",
        "unknown",
        "_hidden",
        "localhost",
        "evil.example",
        "999.1.1.1",
        "3.5.140.1.1",
        "3.5.140",
        "0x3.5.140.1",
        "3.5.140.1/8",
        "[3.5.140.1]",
        "3.5.140.1:port",
        "fe80::1%eth0",
        ":",
        "[",
        "]",
        "\"",
        "%33.5.140.1",
        "3.5.140.1%00",
        "\u{fffd}",
        &flood,
        "http://evil.example",
        "127.0.0.1",
    ] {
        assert_eq!(location(&[("X-Forwarded-For", line)]), local, "{line:?}");
    }
    for name in [
        "Forwarded",
        "X-Real-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Forwarded-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
    ] {
        assert_eq!(location(&[(name, "for=3.5.140.1")]), local, "{name}");
        assert_eq!(location(&[(name, "34.28.0.1")]), local, "{name}");
    }
    let bytes = [b"GET ", blob.as_bytes(), b" HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: \xff\xfe, 3.5.140.1\r\nConnection: close\r\n\r\n"].concat();
    assert_eq!(target.send(&bytes).unwrap().unwrap().header("location"), Some(&*aws));
}

#[test]
fn what_agents_say_of_themselves_breaks_no_record() {
    let target = Target::start().unwrap();
    let agents: [&[u8]; 6] = [b"\"}{\"", b"\xff\xfe", b"a\tb", b"\\", b"{{7*7}}", &[b'a'; 5000]];
    for agent in agents {
        let request = [
            b"GET /v2/app/manifests/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUser-Agent: ",
            agent,
            b"\r\n\r\n",
        ]
        .concat();
        assert_eq!(target.send(&request).unwrap().unwrap().status, 200);
    }
    let Target { _data: data, front, .. } = target;
    front.stop().unwrap();
    let records = crate::running::Records::read(&data.path().join("records")).unwrap();
    let manifests =
        records.all().unwrap().into_iter().filter(|record| record.kind == "manifest").count();
    assert_eq!(manifests, agents.len());
}
