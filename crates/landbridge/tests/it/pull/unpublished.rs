//! Through a front whose origin has generations, and a registry with what is not published yet.

use std::fs;

use anyhow::Result;
use landbridge_testkit::image::{Algorithm, Image, Recipe};
use landbridge_testkit::{DockerRegistry, Platforms, Skopeo};
use serde_json::json;
use tempfile::TempDir;

use crate::content::{Content, TAGS};
use crate::program::landbridge;
use crate::running::{Data, Front, Records};

const NOTHING: Vec<String> = Vec::new();

/// `app` is published; in the registry are another image as `app:v1` and as `app:next`, and one as
/// `demo:1`.
struct Both {
    content: Content,
    pushed: Image,
    skopeo: Skopeo,
    registry: DockerRegistry,
    _data: Data,
    dir: TempDir,
    front: Front,
}

fn both(delivery: &str) -> Result<Both> {
    let content = Content::pack()?;
    let data = content.data()?;
    let skopeo = Skopeo::new()?;
    let registry = DockerRegistry::start()?;
    let pushed = Recipe { seed: 50, ..Recipe::default() }.pack()?;
    for name in ["app:v1", "app:next", "demo:1"] {
        skopeo.push(&pushed.manifest, &[&pushed], &registry, name)?;
    }
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("landbridge.yaml");
    let path = data.path().display();
    fs::write(
        &file,
        format!(
            "ranges: [{{ name: demonstration, demonstration: true }}]\n\
             origins:\n\
             - name: origin\n\
             \x20 store: {{ url: {path}/origin, catalog: landbridge-data, keys: [{path}/keys/landbridge.pem.pub] }}\n\
             \x20 registry: {{ url: \"{}\", delivery: {delivery} }}\n\
             mirrors: [{{ name: near, provider: aws, region: us-east-2, embedded: {{ store: {path}/mirrors/aws-us-east-2 }} }}]\n\
             sites: [{{ name: all, hosts: [\"*\"], origin: origin, catalog_api: true, default: [{{ copy: near }}] }}]\n\
             cache: {{ absent: 100ms, fetch_timeout: 2s }}\n\
             records: {{ directory: {}/records }}\n",
            registry.url(),
            dir.path().display(),
        ),
    )?;
    let front = Front::configured(&file)?;
    Ok(Both { content, pushed, skopeo, registry, _data: data, dir, front })
}

#[test]
fn what_is_published_and_what_is_only_pushed_is_pulled_alike() {
    for delivery in ["proxy", "redirect"] {
        let both = both(delivery).unwrap();
        let Both { content, pushed, skopeo, registry, front, .. } = &both;
        let published = skopeo.pull(&front.reference("app:v1"), Platforms::All).unwrap();
        assert_eq!(published.digest, content.index.digest, "the generation's word stands");
        assert_eq!(published.lacks(&content.arm), NOTHING);
        for name in ["app:next", "demo:1", &format!("demo@{}", pushed.manifest.digest)] {
            let pulled = skopeo.pull(&front.reference(name), Platforms::One).unwrap();
            assert_eq!((&pulled.digest, pulled.lacks(pushed)), (&pushed.manifest.digest, NOTHING));
        }
        let layer = &pushed.layers[0];
        let blob = format!("/v2/demo/blobs/{}", layer.digest);
        let answer = front.ask("GET", &blob, &[("Range", "bytes=100-199")]).unwrap();
        match delivery {
            "proxy" => assert_eq!((answer.status, &answer.body[..]), (206, &layer.bytes[100..200])),
            _ => assert_eq!(
                answer.header("location"),
                Some(&*format!("{}{blob}", registry.url())),
                "{answer}"
            ),
        }
        both.front.stop().unwrap();
        let records = Records::read(&both.dir.path().join("records")).unwrap();
        for record in records.all().unwrap() {
            let is_blob = record.kind == "blob" && record.method == "GET" && record.status < 400;
            let is_pushed = record.repository == "demo" || record.tag == "next";
            if is_blob && is_pushed {
                assert_eq!(record.copy, "origin/registry", "{record:?}");
            } else if is_blob && record.repository == "app" {
                assert!(["near", "origin/registry"].contains(&&*record.copy), "{record:?}");
            }
        }
    }
}

#[test]
fn lists_are_of_both() {
    let both = both("proxy").unwrap();
    let Both { front, .. } = &both;
    let tags = |query: &str| {
        let answer = front.get(&format!("/v2/app/tags/list{query}")).unwrap();
        (answer.json().unwrap()["tags"].clone(), answer.header("link").map(str::to_owned))
    };
    let mut all: Vec<&str> = TAGS.into_iter().chain(["next"]).collect();
    all.sort_unstable();
    assert_eq!(tags(""), (json!(all), None));
    let next = "</v2/app/tags/list?n=3&last=next>; rel=\"next\"".to_owned();
    assert_eq!(tags("?n=3"), (json!(["docker", "latest", "next"]), Some(next)));
    assert_eq!(tags("?n=3&last=next"), (json!(["schema1", "sha512", "v1"]), None));
    let demo = front.get("/v2/demo/tags/list").unwrap().json().unwrap();
    assert_eq!(demo["tags"], json!(["1"]));
    let repositories = front.get("/v2/_catalog").unwrap().json().unwrap();
    assert_eq!(repositories["repositories"], json!(["app", "demo"]));
}

#[test]
fn a_registry_that_is_lost_takes_nothing_of_what_is_published() {
    let Both { content, skopeo, registry, front, _data, .. } = both("proxy").unwrap();
    drop(registry);
    for _ in 0..5 {
        let unknown = front.get("/v2/demo/manifests/1").unwrap();
        assert_eq!((unknown.status, unknown.error_code().as_deref()), (503, Some("UNAVAILABLE")));
    }
    let published = skopeo.pull(&front.reference("app:v1"), Platforms::All).unwrap();
    assert_eq!(published.lacks(&content.amd), NOTHING);
    let tags = front.get("/v2/app/tags/list").unwrap().json().unwrap();
    assert_eq!(tags["tags"], json!(TAGS));
    let subject = &content.index.digest;
    let referrers = front.get(&format!("/v2/app/referrers/{subject}")).unwrap().json().unwrap();
    assert_eq!(referrers["manifests"].as_array().unwrap().len(), 2);
    let repositories = front.get("/v2/_catalog").unwrap().json().unwrap();
    assert_eq!(repositories["repositories"], json!(["app"]));
    let unknown = format!("/v2/demo/blobs/{}", crate::content::unknown(Algorithm::Sha256));
    assert_eq!(front.get(&unknown).unwrap().status, 503);
}

#[test]
fn what_neither_has_is_not_there() {
    let both = both("redirect").unwrap();
    let Both { front, .. } = &both;
    for (target, code) in [
        ("/v2/app/manifests/nothing".to_owned(), "MANIFEST_UNKNOWN"),
        ("/v2/nobody/manifests/v1".to_owned(), "MANIFEST_UNKNOWN"),
        ("/v2/nobody/tags/list".to_owned(), "NAME_UNKNOWN"),
        (format!("/v2/app/blobs/{}", crate::content::unknown(Algorithm::Sha256)), "BLOB_UNKNOWN"),
    ] {
        let answer = front.get(&target).unwrap();
        assert_eq!((answer.status, answer.error_code().as_deref()), (404, Some(code)), "{target}");
    }
}

#[test]
fn an_explanation_says_which_it_was() {
    let both = both("proxy").unwrap();
    let Both { front, .. } = &both;
    let server = format!("http://{}", front.admin);
    let explain = |image: &str| {
        let ran = landbridge(&["explain", image, "--from", "192.0.2.1", "--server", &server]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout
    };
    insta::assert_snapshot!(explain("demo:1"), @"
    client    192.0.2.1 is in no known cloud
    ranges    demonstration: 55 prefixes
    names     origin: live from the origin's registry, not in the generation (pointer 1, generation sha256:572a914b13c191b3bb06214db92fdccbfb66a68cc3f3d3b1ea8b9c144630b887)
    image     demo:1 at site all

    manifest (1 object, 559 bytes): inline: the front answers it itself
      sha256:bad931565b6de6ffe8513c7f0734a568cdb139bd9f2fb588044f9d0757e85194

    config and layers (3 objects, 20723 bytes): streamed through the front
      sha256:a4a82e46cad1b9dd7584d4180b94d15deb926c9746423289a067b03c21ab5cf8
      sha256:ede57def3de7dd1681d89ee18050bd717a032ac599d99d7cbc2f93442e018029
      sha256:9dc7c8c5c9b38066f5b58d3ffc4c5665a6207cdf06707e13834bbfe84e621b78
      chosen    origin/registry: not in the generation, but in the origin's registry
      rejected  origin: is not known to hold it
      rejected  near (aws/us-east-2): is not known to hold it
    ");
    let published = explain("app:v1");
    assert!(published.contains("names     origin: pointer 1, generation sha256:"), "{published}");
    assert!(published.contains("chosen    near"), "{published}");
}
