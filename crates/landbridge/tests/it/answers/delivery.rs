//! Sites that stream blobs through the front, over copies that break.

use std::fs;
use std::path::Path;

use anyhow::Result;
use insta::assert_snapshot;
use landbridge_testkit::image::{Image, Recipe};
use landbridge_testkit::{Fault, Forwarder, http};
use tempfile::TempDir;

use crate::content::{self, source};
use crate::running::{Data, Front};

/// A front whose blobs stream from two mirrors: `near`, which clients in AWS get first, behind `fault`, and `far`.
/// Both are buckets that another front serves.
struct Streaming {
    image: Image,
    _data: Data,
    _backing: Front,
    near: Forwarder,
    _dir: TempDir,
    front: Front,
}

const IN_AWS: (&str, &str) = ("X-Forwarded-For", "3.5.140.1");

fn streaming(fault: Fault) -> Result<Streaming> {
    let image = Recipe { layer_bytes: 300_000, ..Recipe::default() }.pack()?;
    let (_layout_dir, layout) = content::single(&image)?;
    let data = Data::new()?;
    data.import(&source(&layout), "app:v1")?;
    let backing = Front::over(data.path())?;
    let near = Forwarder::start_faulty(&backing.address, fault)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("landbridge.yaml");
    fs::write(
        &file,
        config(data.path(), &near.url(), &format!("http://{}", backing.address), dir.path()),
    )?;
    let front = Front::configured(&file)?;
    Ok(Streaming { image, _data: data, _backing: backing, near, _dir: dir, front })
}

fn config(data: &Path, near: &str, far: &str, dir: &Path) -> String {
    let (data, dir) = (data.display(), dir.display());
    format!(
        "trusted_proxies: {{ cidrs: [127.0.0.0/8] }}\n\
         ranges:\n\
         - {{ name: demonstration, demonstration: true }}\n\
         origins:\n\
         - name: origin\n  store:\n    url: {data}/origin\n    catalog: landbridge-data\n    keys: [{data}/keys/landbridge.pem.pub]\n    poll: 1s\n\
         mirrors:\n\
         - name: near\n  provider: aws\n  region: ap-northeast-2\n  bucket: {{ url: \"{near}/-/mirror/aws-us-east-2\", store: {data}/mirrors/aws-us-east-2 }}\n\
         - name: far\n  bucket: {{ url: \"{far}/-/mirror/gcp-us-central1\", store: {data}/mirrors/gcp-us-central1 }}\n\
         sites:\n\
         - {{ name: all, hosts: [\"*\"], origin: origin, delivery: proxy, default: [{{ copy: far }}] }}\n\
         records: {{ directory: {dir}/records }}\n"
    )
}

impl Streaming {
    fn layer(&self) -> (String, &[u8]) {
        let layer = &self.image.layers[0];
        (format!("/v2/app/blobs/{}", layer.digest), &layer.bytes)
    }
}

#[test]
fn a_streamed_blob_is_answered_as_a_stored_one() {
    let world = streaming(Fault::CutAfter(usize::MAX)).unwrap();
    let (target, bytes) = world.layer();
    let ask = |method, headers: &[(&str, &str)]| world.front.ask(method, &target, headers).unwrap();
    let whole = ask("GET", &[IN_AWS]);
    assert!(whole.body == bytes, "{} of {} bytes", whole.body.len(), bytes.len());
    assert_snapshot!("streamed", whole);
    assert_snapshot!("streamed_head", ask("HEAD", &[IN_AWS]));
    let part = ask("GET", &[IN_AWS, ("Range", "bytes=1000-1009")]);
    assert_eq!(part.body, bytes[1000..=1009]);
    assert_snapshot!("streamed_range", part);
    assert_eq!(ask("GET", &[IN_AWS, ("Range", "bytes=-5")]).body, bytes[bytes.len() - 5..]);
    assert_snapshot!("streamed_range_beyond", ask("GET", &[IN_AWS, ("Range", "bytes=9999999-")]));
    let etag = format!("\"{}\"", world.image.layers[0].digest);
    assert_snapshot!("streamed_known", ask("GET", &[IN_AWS, ("If-None-Match", &etag)]));
}

#[test]
fn a_copy_that_breaks_off_is_continued_from_the_next_one() {
    let world = streaming(Fault::CutAfter(100_000)).unwrap();
    let (target, bytes) = world.layer();
    for _ in 0..3 {
        let whole = world.front.ask("GET", &target, &[IN_AWS]).unwrap();
        assert_eq!(whole.status, 200);
        assert!(whole.body == bytes, "{} of {} bytes", whole.body.len(), bytes.len());
    }
    let headers = [IN_AWS, ("Range", "bytes=50000-249999")];
    let part = world.front.ask("GET", &target, &headers).unwrap();
    assert_eq!(part.status, 206);
    assert!(part.body == bytes[50_000..250_000], "{} bytes", part.body.len());
    assert!(world.front.log().contains("failed in the middle"), "{}", world.front.log());
}

#[test]
fn a_copy_with_wrong_bytes_is_cut_off_reported_and_avoided() {
    let world = streaming(Fault::LastByte).unwrap();
    let (target, bytes) = world.layer();
    let near = http::get(
        world.near.address(),
        &format!(
            "/-/mirror/aws-us-east-2/blobs/{}",
            world.image.layers[0].digest.replacen(':', "/", 1)
        ),
    );
    assert!(near.unwrap().body != bytes, "the fault is there");
    let error = world.front.ask("GET", &target, &[IN_AWS]).expect_err("the connection is cut");
    assert!(format!("{error:#}").contains("cut off"), "{error:#}");
    let log = world.front.wait_for("served wrong bytes").map(|_| world.front.log()).unwrap();
    assert!(log.contains(&world.image.layers[0].digest), "{log}");
    let again = world.front.ask("GET", &target, &[IN_AWS]).unwrap();
    assert!(again.body == bytes, "the other copy serves it");
}

#[test]
fn a_manifest_is_verified_and_read_from_the_next_copy() {
    let world = streaming(Fault::LastByte).unwrap();
    let manifest = &world.image.manifest;
    for target in
        ["/v2/app/manifests/v1".to_owned(), format!("/v2/app/manifests/{}", manifest.digest)]
    {
        let answer = world.front.ask("GET", &target, &[IN_AWS]).unwrap();
        assert_eq!((answer.status, &answer.body), (200, &manifest.bytes), "{target}");
    }
    assert!(world.front.log().contains("wrong bytes"), "{}", world.front.log());
}

#[test]
fn a_copy_that_only_fails_is_passed_over_and_then_left_alone() {
    let world = streaming(Fault::Unavailable).unwrap();
    let (target, bytes) = world.layer();
    for _ in 0..5 {
        let answer = world.front.ask("GET", &target, &[IN_AWS]).unwrap();
        assert!(answer.body == bytes, "the other copy serves it");
    }
    let log = world.front.wait_for("left alone for a while").map(|_| world.front.log()).unwrap();
    assert_eq!(log.matches("left alone for a while").count(), 1, "{log}");
}
