//! Through the embedded topology.

use std::net::IpAddr;

use anyhow::Result;
use landbridge_testkit::image::{Image, Recipe};
use landbridge_testkit::{Containerd, Dockerd, Forwarder, Layout, Platforms, Podman, Skopeo};

use crate::content::{Content, single, source};
use crate::running::{Data, Front, Records};

const NOTHING: Vec<String> = Vec::new();

fn served() -> (Content, Data, Front) {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    (content, data, front)
}

#[test]
fn an_empty_directory_gets_this_program_as_an_image_that_runs() {
    let data = Data::new().unwrap();
    let front = Front::over(data.path()).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let podman = Podman::new().unwrap();
    for tag in ["latest", version] {
        let reference = front.reference(&format!("landbridge:{tag}"));
        podman.pull(&reference).unwrap();
        let printed = podman.run(&reference, &["--version"]).unwrap();
        assert_eq!(printed, format!("landbridge {version}"));
    }
    let tags = front.get("/v2/landbridge/tags/list").unwrap().json().unwrap();
    assert_eq!(tags["tags"], serde_json::json!([version, "latest"]));
    front.stop().unwrap();

    // A directory that has something already gets nothing more, and keeps what it has.
    let image = Recipe::default().pack().unwrap();
    let (_dir, layout) = single(&image).unwrap();
    data.import(&source(&layout), "other").unwrap();
    let front = Front::over(data.path()).unwrap();
    let repositories = front.get("/v2/_catalog").unwrap().json().unwrap();
    assert_eq!(repositories["repositories"], serde_json::json!(["landbridge", "other"]));
}

#[test]
fn skopeo_and_podman_pull() {
    let (content, _data, front) = served();
    let skopeo = Skopeo::new().unwrap();
    let one = skopeo.pull(&front.reference("app:v1"), Platforms::One).unwrap();
    assert_eq!((&one.digest, one.lacks(&content.amd)), (&content.amd.manifest.digest, NOTHING));
    let all = skopeo.pull(&front.reference("app:v1"), Platforms::All).unwrap();
    assert_eq!((&all.digest, all.lacks(&content.arm)), (&content.index.digest, NOTHING));
    let by_digest = front.reference(&format!("app@{}", content.index.digest));
    assert_eq!(skopeo.pull(&by_digest, Platforms::All).unwrap().lacks(&content.amd), NOTHING);
    let docker = skopeo.pull(&front.reference("app:docker"), Platforms::One).unwrap();
    assert_eq!(docker.lacks(&content.docker), NOTHING);
    let inspected = skopeo.inspect(&front.reference("app:v1")).unwrap();
    assert_eq!(inspected["RepoTags"], serde_json::json!(crate::content::TAGS));

    let podman = Podman::new().unwrap();
    for (tag, image) in [("v1", &content.amd), ("docker", &content.docker)] {
        let reference = front.reference(&format!("app:{tag}"));
        assert_eq!(podman.pull(&reference).unwrap().lacks(image), NOTHING);
        assert_eq!(podman.run(&reference, &[]).unwrap(), image.greeting);
    }
}

#[test]
fn containerd_pulls_with_hosts_toml() {
    let (content, data, front) = served();
    let containerd = Containerd::start().unwrap();
    containerd.mirror("registry.example", &format!("http://{}", front.address)).unwrap();
    let one = containerd.pull("registry.example/app:v1", Platforms::One).unwrap();
    assert_eq!((&one.digest, one.lacks(&content.amd)), (&content.index.digest, NOTHING));
    let all = containerd.pull(&front.reference("app:v1"), Platforms::All).unwrap();
    assert_eq!(all.lacks(&content.arm), NOTHING);
    let docker = containerd.pull("registry.example/app:docker", Platforms::One).unwrap();
    assert_eq!(docker.lacks(&content.docker), NOTHING);
    front.stop().unwrap();
    let records = Records::read(&data.path().join("records")).unwrap();
    assert!(records.all().unwrap().iter().any(|record| record.agent == "containerd"));
    assert!(!records.text().contains("registry.example"), "a query parameter is never kept");
}

#[test]
fn dockerd_pulls() {
    let (content, _data, front) = served();
    let dockerd = Dockerd::start().unwrap();
    for (tag, image) in [("v1", &content.amd), ("docker", &content.docker)] {
        let pulled = dockerd.pull(&front.reference(&format!("app:{tag}"))).unwrap();
        assert_eq!(pulled.lacks(image), NOTHING, "{tag}");
    }
}

/// What the records say of the blobs that one place pulled.
fn blobs_from(data: &Data, provider: &str, region: &str) -> Result<Vec<(String, u64)>> {
    let records = Records::read(&data.path().join("records"))?;
    let here = records.all()?.into_iter().filter(|record| {
        record.kind == "blob"
            && record.method == "GET"
            && (&*record.provider, &*record.region) == (provider, region)
    });
    Ok(here.map(|record| (record.copy.into_owned(), record.bytes)).collect())
}

#[test]
fn clients_in_three_places_get_the_copy_that_is_theirs() {
    let (content, data, front) = served();
    let skopeo = Skopeo::new().unwrap();
    for address in ["3.5.140.1", "34.28.0.1", "192.0.2.1"] {
        let place: IpAddr = address.parse().unwrap();
        let forwarder = Forwarder::start(&front.address, place).unwrap();
        let pulled = skopeo.pull(&forwarder.reference("app:v1"), Platforms::All).unwrap();
        assert_eq!((pulled.lacks(&content.amd), pulled.lacks(&content.arm)), (NOTHING, NOTHING));
    }
    front.stop().unwrap();

    let sizes = |image: &Image| -> u64 {
        image.layers.iter().chain([&image.config]).map(|blob| blob.bytes.len() as u64).sum()
    };
    let pulled_bytes = sizes(&content.amd) + sizes(&content.arm);
    for (provider, region, copies) in [
        ("aws", "ap-northeast-2", &["aws-us-east-2"][..]),
        ("gcp", "us-central1", &["gcp-us-central1"][..]),
        // One of the two, and always the same one.
        ("", "", &["aws-us-east-2", "gcp-us-central1"][..]),
    ] {
        let blobs = blobs_from(&data, provider, region).unwrap();
        assert!(blobs.len() >= 6, "{provider}: {blobs:?}");
        let bytes: u64 = blobs.iter().map(|(_, bytes)| bytes).sum();
        assert!(bytes >= pulled_bytes, "{provider}: {bytes} of {pulled_bytes}");
        let first = &blobs[0].0;
        assert!(copies.contains(&first.as_str()), "{provider}: {first}");
        assert!(blobs.iter().all(|(copy, _)| copy == first), "{provider}: {blobs:?}");
    }
    let records = Records::read(&data.path().join("records")).unwrap();
    for address in ["3.5.140.1", "34.28.0.1", "192.0.2.1", "127.0.0.1"] {
        assert!(!records.text().contains(address), "an address is never kept");
    }
}

#[test]
fn a_running_front_sees_what_is_imported() {
    let (content, data, front) = served();
    let image = Recipe { seed: 77, ..Recipe::default() }.pack().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    layout.put_image(&image).unwrap();
    layout.tag("v1", &image.manifest).unwrap();
    data.import(&source(&layout), "app:v1").unwrap();
    let target = format!("/v2/app/manifests/{}", image.manifest.digest);
    crate::running::until(|| front.get(&target), |answer| answer.status == 200).unwrap();
    let by_tag = front.get("/v2/app/manifests/v1").unwrap();
    assert_eq!(by_tag.header("docker-content-digest"), Some(&*image.manifest.digest));
    // A pull that began before goes on: what the tag meant until now is still there by digest.
    let before = front.get(&format!("/v2/app/manifests/{}", content.index.digest)).unwrap();
    assert_eq!((before.status, before.body), (200, content.index.bytes));
}
