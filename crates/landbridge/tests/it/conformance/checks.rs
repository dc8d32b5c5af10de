//! The checks. Like the suite's, they look at the answer at the end of redirects.

use landbridge_testkit::http::Answer;
use landbridge_testkit::image::{Algorithm, Blob, digest};
use serde_json::{Value, json};

use super::pushed::{FIRST_TYPE, INDEX, MANIFEST, Pushed, REPOSITORY, SECOND_TYPE};
use crate::running::{Data, Front};

/// What every manifest request says.
const ACCEPT: [(&str, &str); 2] = [("Accept", INDEX), ("Accept", MANIFEST)];

struct Suite {
    pushed: Pushed,
    _data: Data,
    front: Front,
}

fn suite() -> Suite {
    let pushed = Pushed::make().unwrap();
    let data = pushed.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    Suite { pushed, _data: data, front }
}

impl Suite {
    fn ask(&self, method: &str, rest: &str, headers: &[(&str, &str)]) -> Answer {
        self.front.follow(method, &format!("/v2/{REPOSITORY}/{rest}"), headers).unwrap()
    }

    fn referrers(&self, rest: &str) -> (Answer, Vec<Value>) {
        let answer = self.ask("GET", &format!("referrers/{rest}"), &[]);
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(INDEX)), "{answer}");
        let index = answer.json().unwrap();
        assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
        let manifests = index["manifests"].as_array().unwrap().clone();
        (answer, manifests)
    }
}

/// An answer with exactly this content.
fn assert_is(answer: &Answer, blob: &Blob, method: &str, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {answer}");
    assert_eq!(answer.header("content-length"), Some(&*blob.bytes.len().to_string()), "{what}");
    if method == "HEAD" {
        assert_eq!(answer.body, b"", "{what}");
    } else {
        assert!(answer.body == blob.bytes, "{what}: other bytes");
    }
    assert_eq!(answer.header("docker-content-digest"), Some(&*blob.digest), "{what}");
}

#[test]
fn ping() {
    assert_eq!(suite().front.get("/v2/").unwrap().status, 200);
}

#[test]
fn empty_lists() {
    let suite = suite();
    assert_eq!(suite.front.get("/v2/conformance/nothing/tags/list").unwrap().status, 404);
    for by in [Algorithm::Sha256, Algorithm::Sha512] {
        assert_eq!(suite.referrers(&digest(by, b"random")).1, Vec::<Value>::new());
    }
}

#[test]
fn tag_list() {
    let suite = suite();
    let mut tags: Vec<_> = suite.pushed.tagged.iter().map(|(tag, _)| tag.as_str()).collect();
    tags.sort_unstable();
    let all = suite.ask("GET", "tags/list", &[]).json().unwrap();
    assert_eq!(all, json!({ "name": REPOSITORY, "tags": tags }));
    let (_, last) = (0, tags[tags.len() / 2 - 1]);
    let rest = suite.ask("GET", &format!("tags/list?last={last}"), &[]).json().unwrap();
    assert_eq!(rest["tags"], json!(&tags[tags.len() / 2..]));
    let page = suite.ask("GET", "tags/list?n=3", &[]);
    assert_eq!(page.json().unwrap()["tags"], json!(&tags[..3]));
    // By its own `Link` headers a client finds every tag once.
    let mut found = Vec::new();
    let mut next = Some(format!("/v2/{REPOSITORY}/tags/list?n=4"));
    while let Some(target) = next {
        let page = suite.front.get(&target).unwrap();
        let list = page.json().unwrap();
        found.extend(
            list["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_owned()),
        );
        next = page.header("link").map(|link| {
            let (target, relation) = link.split_once(';').unwrap();
            assert_eq!(relation.trim(), "rel=\"next\"");
            target.trim_matches(['<', '>']).to_owned()
        });
    }
    assert_eq!(found, tags);
}

#[test]
fn manifests_by_tag_and_digest() {
    let suite = suite();
    for (tag, manifest) in &suite.pushed.tagged {
        for method in ["GET", "HEAD"] {
            for reference in [tag, &manifest.digest] {
                let what = format!("{method} {tag} by {reference}");
                let answer = suite.ask(method, &format!("manifests/{reference}"), &ACCEPT);
                assert_is(&answer, manifest, method, &what);
                assert_eq!(answer.header("content-type"), Some(&*manifest.media_type), "{what}");
            }
        }
    }
}

#[test]
fn blobs() {
    let suite = suite();
    for blob in &suite.pushed.blobs {
        for method in ["GET", "HEAD"] {
            let what = format!("{method} {}", blob.digest);
            let answer = suite.ask(method, &format!("blobs/{}", blob.digest), &[]);
            assert_is(&answer, blob, method, &what);
        }
    }
}

#[test]
fn blob_ranges() {
    let suite = suite();
    let ranged = &suite.pushed.ranged;
    let ask =
        |range: &str| suite.ask("GET", &format!("blobs/{}", ranged.digest), &[("Range", range)]);
    for (range, from, to) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
    ] {
        let answer = ask(range);
        assert_eq!(answer.status, 206, "{range}: {answer}");
        assert_eq!(answer.body, ranged.bytes[from..=to], "{range}");
        assert_eq!(answer.header("content-length"), Some(&*(to - from + 1).to_string()), "{range}");
        let expected = format!("bytes {from}-{to}/2048");
        assert_eq!(answer.header("content-range"), Some(&*expected), "{range}");
    }
    for range in ["bytes=500-0", "bytes=5000-10000"] {
        assert_eq!(ask(range).status, 416, "{range}");
    }
}

#[test]
fn missing() {
    let suite = suite();
    for by in [Algorithm::Sha256, Algorithm::Sha512] {
        let random = digest(by, b"random");
        for rest in [format!("blobs/{random}"), format!("manifests/{random}")] {
            for method in ["GET", "HEAD"] {
                assert_eq!(suite.ask(method, &rest, &ACCEPT).status, 404, "{method} {rest}");
            }
        }
    }
    assert_eq!(suite.ask("GET", "manifests/missing-tag", &ACCEPT).status, 404);
    // A blob is no manifest, and another repository's manifest is not this one's.
    let blob = &suite.pushed.ranged.digest;
    assert_eq!(suite.ask("GET", &format!("manifests/{blob}"), &ACCEPT).status, 404);
    let manifest = &suite.pushed.tagged[0].1.digest;
    let elsewhere = format!("/v2/conformance/repo2/manifests/{manifest}");
    assert_eq!(suite.front.get(&elsewhere).unwrap().status, 404);
}

#[test]
fn invalid_digests() {
    let suite = suite();
    for rest in [
        "manifests/sha256:baddigeststring",
        "blobs/sha256:baddigeststring",
        "referrers/sha256:baddigeststring",
        "referrers/no-digest",
    ] {
        let answer = suite.ask("GET", rest, &[]);
        let code = answer.error_code();
        assert_eq!((answer.status, code.as_deref()), (400, Some("DIGEST_INVALID")), "{rest}");
    }
}

#[test]
fn referrers() {
    let suite = suite();
    let by_digest = |list: &mut Vec<Value>| list.sort_by_key(|entry| entry["digest"].to_string());
    for subject in [&suite.pushed.subject.digest, &suite.pushed.missing_subject] {
        let expected = |kind: Option<&str>| {
            let mut expected: Vec<_> = (suite.pushed.referrers.iter())
                .filter(|(about, entry)| {
                    about == subject && kind.is_none_or(|kind| entry["artifactType"] == kind)
                })
                .map(|(_, entry)| entry.clone())
                .collect();
            by_digest(&mut expected);
            expected
        };
        let (answer, mut listed) = suite.referrers(subject);
        by_digest(&mut listed);
        assert_eq!(listed, expected(None));
        assert_eq!(answer.header("oci-filters-applied"), None);
        for kind in [FIRST_TYPE, SECOND_TYPE, "application/vnd.example.nothing"] {
            let query = format!("{subject}?artifactType={}", kind.replace('/', "%2F"));
            let (answer, mut listed) = suite.referrers(&query);
            by_digest(&mut listed);
            assert_eq!(listed, expected(Some(kind)), "{kind}");
            assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
        }
    }
}
