//! The suite's `tag list`: order, pages and their links.

use landbridge_core::media_type::OCI_MANIFEST;
use serde_json::json;

use crate::content::{encode, image};
use crate::served::{Served, everywhere, expect};

/// The address of the next page.
fn next(answer: &landbridge_testkit::http::Answer) -> Option<String> {
    let link = answer.header("link")?;
    Some(link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

fn follow(served: &Served, first: &str, key: &str) -> Vec<Vec<String>> {
    let (mut pages, mut target) = (Vec::new(), Some(first.to_owned()));
    while let Some(page) = target {
        let answer = served.get(&page);
        assert_eq!(answer.status, 200, "{answer}");
        let entries = answer.json().unwrap()[key].clone();
        pages.push(serde_json::from_value(entries).unwrap());
        target = next(&answer);
    }
    pages
}

#[test]
fn tags_are_listed_in_order_a_page_at_a_time() {
    everywhere(|served| {
        let bytes = encode(&image(served, "a/b", 1));
        for tag in ["b", "A", "_x", "a", "10", "9"] {
            assert_eq!(served.push("a/b", tag, OCI_MANIFEST, &bytes).status, 201);
        }
        let sorted = ["10", "9", "A", "_x", "a", "b"];
        let all = served.get("/v2/a/b/tags/list");
        assert_eq!(all.json().unwrap(), json!({"name": "a/b", "tags": sorted}));
        assert_eq!(next(&all), None);
        let pages = follow(served, "/v2/a/b/tags/list?n=4", "tags");
        assert_eq!(pages, [&sorted[..4], &sorted[4..]]);
        let pages = follow(served, "/v2/a/b/tags/list?n=3", "tags");
        assert_eq!(pages, [&sorted[..3], &sorted[3..]]);
        let after = served.get("/v2/a/b/tags/list?last=A").json().unwrap();
        assert_eq!(after["tags"], json!(sorted[3..]));
        let between = served.get("/v2/a/b/tags/list?last=Zz&n=1").json().unwrap();
        assert_eq!(between["tags"], json!(["_x"]));
        let none = served.get("/v2/a/b/tags/list?n=0");
        assert_eq!(none.json().unwrap()["tags"], json!([]));
        assert_eq!(next(&none), None);
        let refused = served.get("/v2/a/b/tags/list?n=x");
        expect(&refused, 400, "PAGINATION_NUMBER_INVALID");
    });
}

#[test]
fn a_repository_without_tags_is_known_and_has_an_empty_list() {
    everywhere(|served| {
        served.push_blob("a", b"only a blob");
        let list = served.get("/v2/a/tags/list");
        assert_eq!(list.json().unwrap(), json!({"name": "a", "tags": []}));
    });
}

#[test]
fn repositories_are_listed_in_order_a_page_at_a_time() {
    everywhere(|served| {
        for name in ["b", "a/b", "a", "a-b", "a/b/c"] {
            let bytes = encode(&image(served, name, 1));
            assert_eq!(served.push(name, "v1", OCI_MANIFEST, &bytes).status, 201);
        }
        let all = follow(served, "/v2/_catalog", "repositories").concat();
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!((&all, all.len()), (&sorted, 5));
        for n in 1..4 {
            let pages = follow(served, &format!("/v2/_catalog?n={n}"), "repositories");
            assert!(pages.iter().all(|page| page.len() <= n));
            assert_eq!(pages.concat(), all);
        }
    });
}
