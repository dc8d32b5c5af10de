//! The double of Google's storage refuses what the real one would, and whatever it does not know.

#![allow(clippy::unwrap_used, reason = "a test whose means fail has failed")]

use landbridge_store::{Bucket, BucketLayout, StoreError};
use landbridge_testkit::Gcs;
use landbridge_testkit::http::{Answer, Wire};
use url::Url;

struct Asked {
    gcs: Gcs,
    bucket: String,
    address: String,
}

impl Asked {
    fn new() -> Self {
        let gcs = Gcs::start().unwrap();
        let bucket = gcs.address().bucket(BucketLayout::Blobs, "").unwrap();
        let url = Url::parse(bucket.name()).unwrap();
        let (bucket, address) = (url.host_str().unwrap().to_owned(), gcs.address().to_string());
        Self { gcs, bucket, address }
    }

    fn ask(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> Answer {
        let mut wire = Wire::connect(&self.address).unwrap();
        let head = format!(
            "{method} /{}{target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n{headers}\r\n",
            self.bucket,
            Gcs::TOKEN,
            body.len()
        );
        wire.send(&[head.as_bytes(), body].concat()).unwrap();
        wire.answer(method).unwrap().unwrap()
    }

    fn code(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> (u16, String) {
        let answer = self.ask(method, target, headers, body);
        let text = answer.text();
        let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        (answer.status, code.map(|(code, _)| code.to_owned()).unwrap_or_default())
    }
}

#[test]
fn what_is_not_known_is_refused_and_remembered() {
    let asked = Asked::new();
    let cases = [
        ("PUT", "/a", "x-goog-acl: public-read\r\n"),
        ("PUT", "/a", "x-amz-meta-a: b\r\n"),
        ("PUT", "/a", "content-encoding: gzip\r\n"),
        ("PUT", "/a", "x-goog-if-generation-match: none\r\n"),
        ("GET", "/a?acl", ""),
        ("GET", "?list-type=1", ""),
        ("GET", "?list-type=2&fetch-owner=true", ""),
        ("PATCH", "/a", ""),
        ("GET", "/%ff", ""),
    ];
    for (method, target, headers) in cases {
        let (status, _) = asked.code(method, target, headers, b"");
        assert_eq!(status, 400, "{method} {target} {headers}");
    }
    let name = format!("/{}", "a".repeat(1025));
    assert_eq!(asked.code("PUT", &name, "", b"").0, 400);
    assert_eq!(asked.gcs.refused().len(), cases.len() + 1);
}

#[test]
fn answers_have_the_statuses_and_codes_of_the_documentation() {
    let asked = Asked::new();
    let is = |expected: (u16, &str), method: &str, target: &str, headers: &str| {
        let (status, code) = asked.code(method, target, headers, b"bytes");
        assert_eq!((status, &*code), expected, "{method} {target} {headers}");
    };
    let if_none = "x-goog-if-generation-match: 0\r\n";
    is((404, "NoSuchKey"), "GET", "/a", "");
    is((404, "NoSuchKey"), "DELETE", "/a", "");
    is((404, "NoSuchUpload"), "PUT", "/a?partNumber=1&uploadId=1", "");
    is((200, ""), "PUT", "/a", if_none);
    is((412, "PreconditionFailed"), "PUT", "/a", if_none);
    is((206, ""), "GET", "/a", "range: bytes=4-9\r\n");
    is((416, "InvalidRange"), "GET", "/a", "range: bytes=5-9\r\n");
    let from = format!("x-goog-copy-source: {}/a\r\n", asked.bucket);
    is((200, ""), "PUT", "/b", &from);
    is((412, "PreconditionFailed"), "PUT", "/b", &format!("{from}{if_none}"));
    is((204, ""), "DELETE", "/a", "");
    is((404, "NoSuchKey"), "PUT", "/b", &from);

    let first = asked.ask("GET", "/b", "", b"");
    let tag = first.header("etag").unwrap();
    is((304, ""), "GET", "/b", &format!("if-none-match: {tag}\r\n"));
    let head = asked.ask("HEAD", "/b", "", b"");
    assert_eq!((head.status, head.header("content-length")), (200, Some("5")));
    assert_eq!(head.header("x-goog-generation"), first.header("x-goog-generation"));
    assert_eq!(asked.gcs.refused(), Vec::<String>::new());
}

#[test]
fn parts_must_be_large_enough_in_order_and_the_ones_that_were_uploaded() {
    let asked = Asked::new();
    let begun = asked.ask("POST", "/a?uploads", "", b"").text();
    let (_, rest) = begun.split_once("<UploadId>").unwrap();
    let upload = rest.split_once("</UploadId>").unwrap().0;
    let part = |number: u32, bytes: &[u8]| {
        let target = format!("/a?partNumber={number}&uploadId={upload}");
        asked.ask("PUT", &target, "", bytes).header("etag").unwrap().to_owned()
    };
    let complete = |parts: &[(u32, &str)]| {
        let part = |(number, tag): &(u32, &str)| {
            format!("<Part><ETag>{tag}</ETag><PartNumber>{number}</PartNumber></Part>")
        };
        let parts: String = parts.iter().map(part).collect();
        let document = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
        asked.code("POST", &format!("/a?uploadId={upload}"), "", document.as_bytes()).1
    };
    let large = vec![1; 5 << 20];
    let (small, first, last) = (part(1, b"small"), part(2, &large), part(3, b"last"));
    assert_eq!(complete(&[]), "MalformedXML");
    assert_eq!(complete(&[(1, &small), (2, &first)]), "EntityTooSmall");
    assert_eq!(complete(&[(3, &last), (2, &first)]), "InvalidPartOrder");
    assert_eq!(complete(&[(2, &last), (3, &last)]), "InvalidPart");
    assert_eq!(complete(&[(2, &first), (3, &last)]), "");
    assert_eq!(complete(&[(2, &first), (3, &last)]), "NoSuchUpload");
    assert_eq!(asked.ask("GET", "/a", "", b"").body, [&large[..], b"last"].concat());
}

#[test]
fn listings_come_in_pages_and_in_order() {
    let asked = Asked::new();
    for number in 0..25 {
        for name in ["a", "b%2Fc", "%C3%A4%26"] {
            let made = asked.ask("PUT", &format!("/{name}-{number:02}%2Fx"), "", b"");
            assert_eq!(made.status, 200, "{made}");
        }
    }
    let mut found = Vec::new();
    let mut token = String::new();
    loop {
        let target = format!("?list-type=2&prefix=b%2F&delimiter=%2F&continuation-token={token}");
        let page = asked.ask("GET", &target, "", b"").text();
        let prefixes = page.split("<Prefix>").skip(1);
        found.extend(prefixes.map(|rest| rest.split_once("</Prefix>").unwrap().0.to_owned()));
        let Some((_, rest)) = page.split_once("<NextContinuationToken>") else { break };
        token = rest.split_once("</NextContinuationToken>").unwrap().0.replace('/', "%2F");
    }
    assert_eq!(found, (0..25).map(|number| format!("b/c-{number:02}/")).collect::<Vec<_>>());
    let rest = asked.ask("GET", "?list-type=2&start-after=%C3%A4%26-23%2Fx", "", b"").text();
    assert_eq!(rest.matches("<Contents>").count(), 1, "{rest}");
    assert!(rest.contains("<Key>ä&amp;-24/x</Key>"), "{rest}");
}

#[tokio::test]
async fn strangers_are_refused_at_once() {
    let asked = Asked::new();
    let url = Url::parse(&format!("gs://{}/", asked.bucket)).unwrap();
    let endpoint = ("google_base_url".to_owned(), format!("http://{}", asked.address));
    let bucket = Bucket::open_with(&url, BucketLayout::Blobs, &[endpoint]).unwrap();
    // The token is looked for nowhere: neither in files nor at the address of a cloud's machine.
    let read = bucket.get_holding().await.unwrap_err();
    let written = bucket.probe_create().await.unwrap_err();
    for error in [read, written] {
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
    }
}
