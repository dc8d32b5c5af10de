//! Through a front over a registry that Landbridge did not write.

use std::fs;
use std::net::IpAddr;

use anyhow::Result;
use landbridge_testkit::{
    Containerd, DockerRegistry, Dockerd, Forwarder, Platforms, Podman, Skopeo,
};
use tempfile::TempDir;

use crate::content::{Content, single, source};
use crate::running::{Data, Front, Records};

const NOTHING: Vec<String> = Vec::new();

/// docker-registry as the origin, and one mirror in AWS: a bucket, which another front serves, that has the amd64 image
/// and lacks everything else.
struct Live {
    content: Content,
    skopeo: Skopeo,
    registry: DockerRegistry,
    _mirror_data: Data,
    _mirror: Front,
    dir: TempDir,
    front: Front,
}

fn live() -> Result<Live> {
    let content = Content::pack()?;
    let skopeo = Skopeo::new()?;
    let registry = DockerRegistry::start()?;
    content.push(&skopeo, &registry)?;

    let mirror_data = Data::new()?;
    let (_layout_dir, layout) = single(&content.amd)?;
    mirror_data.import(&source(&layout), "app:v1")?;
    let mirror = Front::over(mirror_data.path())?;

    let dir = tempfile::tempdir()?;
    let file = dir.path().join("landbridge.yaml");
    fs::write(
        &file,
        format!(
            "trusted_proxies: {{ cidrs: [127.0.0.0/8] }}\n\
         ranges: [{{ name: demonstration, demonstration: true }}]\n\
         origins: [{{ name: origin, registry: {{ url: \"{}\" }} }}]\n\
         mirrors: [{{ name: bucket, provider: aws, region: ap-northeast-2, bucket: {{ url: \"http://{}/-/mirror/aws-us-east-2\" }} }}]\n\
         sites: [{{ name: all, hosts: [\"*\"], origin: origin }}]\n\
         records: {{ directory: {}/records }}\n",
            registry.url(),
            mirror.address,
            dir.path().display(),
        ),
    )?;
    let front = Front::configured(&file)?;
    Ok(Live { content, skopeo, registry, _mirror_data: mirror_data, _mirror: mirror, dir, front })
}

#[test]
fn every_client_pulls() {
    let live = live().unwrap();
    let (front, content) = (&live.front, &live.content);
    let one = live.skopeo.pull(&front.reference("app:v1"), Platforms::One).unwrap();
    assert_eq!((&one.digest, one.lacks(&content.amd)), (&content.amd.manifest.digest, NOTHING));
    let all = live.skopeo.pull(&front.reference("app:v1"), Platforms::All).unwrap();
    assert_eq!((&all.digest, all.lacks(&content.arm)), (&content.index.digest, NOTHING));

    let podman = Podman::new().unwrap();
    let containerd = Containerd::start().unwrap();
    containerd.mirror("registry.example", &format!("http://{}", front.address)).unwrap();
    let dockerd = Dockerd::start().unwrap();
    for (tag, image) in [("v1", &content.amd), ("docker", &content.docker)] {
        let reference = front.reference(&format!("app:{tag}"));
        assert_eq!(podman.pull(&reference).unwrap().lacks(image), NOTHING, "podman {tag}");
        assert_eq!(podman.run(&reference, &[]).unwrap(), image.greeting);
        let named = format!("registry.example/app:{tag}");
        let pulled = containerd.pull(&named, Platforms::One).unwrap();
        assert_eq!(pulled.lacks(image), NOTHING, "containerd {tag}");
        assert_eq!(dockerd.pull(&reference).unwrap().lacks(image), NOTHING, "dockerd {tag}");
    }
}

#[test]
fn a_mirror_serves_what_it_has_to_its_neighbours_and_the_origin_everything_else() {
    let live = live().unwrap();
    let content = &live.content;
    for address in ["3.5.140.1", "34.28.0.1", "192.0.2.1"] {
        let place: IpAddr = address.parse().unwrap();
        let forwarder = Forwarder::start(&live.front.address, place).unwrap();
        let pulled = live.skopeo.pull(&forwarder.reference("app:v1"), Platforms::All).unwrap();
        assert_eq!((pulled.lacks(&content.amd), pulled.lacks(&content.arm)), (NOTHING, NOTHING));
    }
    live.front.stop().unwrap();
    let records = Records::read(&live.dir.path().join("records")).unwrap();
    let records = records.all().unwrap();
    let mut seen = 0;
    for record in records.iter().filter(|record| record.kind == "blob" && record.method == "GET") {
        let digest = record.digest.unwrap().to_string();
        let is_in_bucket = content
            .amd
            .layers
            .iter()
            .chain([&content.amd.config])
            .any(|blob| blob.digest == digest);
        let expected = if is_in_bucket && record.provider == "aws" { "bucket" } else { "origin" };
        assert_eq!(record.copy, expected, "{record:?}");
        seen += 1;
    }
    assert_eq!(seen, 3 * 6, "three places, six blobs each: {records:?}");
}

#[test]
fn a_lost_origin_is_served_from_memory_and_said_to_be_lost() {
    let live = live().unwrap();
    let front = &live.front;
    let by_digest = format!("/v2/app/manifests/{}", live.content.index.digest);
    let known = front.get("/v2/app/manifests/v1").unwrap();
    assert_eq!((known.status, &known.body), (200, &live.content.index.bytes));
    drop(live.registry);
    assert_eq!(front.get("/v2/app/manifests/v1").unwrap().body, known.body);
    assert_eq!(front.get(&by_digest).unwrap().body, known.body);
    let unknown = front.get("/v2/app/manifests/docker").unwrap();
    assert_eq!((unknown.status, unknown.error_code().as_deref()), (503, Some("UNAVAILABLE")));
    front.wait_for("origin").unwrap();
}

#[test]
fn what_the_origin_lacks_is_not_there() {
    let live = live().unwrap();
    for (target, code) in [
        ("/v2/app/manifests/nothing", "MANIFEST_UNKNOWN"),
        ("/v2/nobody/tags/list", "NAME_UNKNOWN"),
    ] {
        let answer = live.front.get(target).unwrap();
        assert_eq!((answer.status, answer.error_code().as_deref()), (404, Some(code)), "{target}");
    }
    // docker-registry does not know the referrers API; the answer is the specification's all the same.
    let subject = &live.content.index.digest;
    let referrers = live.front.get(&format!("/v2/app/referrers/{subject}")).unwrap();
    assert_eq!(
        (referrers.status, &referrers.json().unwrap()["manifests"]),
        (200, &serde_json::json!([]))
    );
    let tags = live.front.get("/v2/app/tags/list").unwrap().json().unwrap();
    assert_eq!(tags["tags"], serde_json::json!(["docker", "latest", "v1"]));
}

#[test]
fn a_private_origin_is_streamed_with_the_fronts_own_password() {
    let content = Content::pack().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let registry = DockerRegistry::start_private().unwrap();
    content.push(&skopeo, &registry).unwrap();
    let login = registry.login().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    fs::write(dir.path().join("password"), format!("{}\n", login.password)).unwrap();
    let file = dir.path().join("landbridge.yaml");
    let text = format!(
        "origins:\n\
         - name: origin\n  registry:\n    url: \"{}\"\n    delivery: proxy\n    \
         credentials: {{ username: {}, password_file: {path}/password }}\n\
         sites: [{{ name: all, hosts: [\"*\"], origin: origin }}]\n\
         records: {{ directory: {path}/records }}\n",
        registry.url(),
        login.user,
    );
    fs::write(&file, &text).unwrap();
    let front = Front::configured(&file).unwrap();
    let all = skopeo.pull(&front.reference("app:v1"), Platforms::All).unwrap();
    assert_eq!((all.lacks(&content.amd), all.lacks(&content.arm)), (NOTHING, NOTHING));
    let layer = &content.amd.layers[0];
    let blob = format!("/v2/app/blobs/{}", layer.digest);
    let part = front.ask("GET", &blob, &[("Range", "bytes=100-199")]).unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &layer.bytes[100..200]));
    assert_eq!(front.ask("HEAD", &blob, &[]).unwrap().status, 200);

    // With a wrong one nothing is served, and neither password is told to anyone.
    fs::write(dir.path().join("password"), "to-push\n").unwrap();
    let refused = Front::configured(&file).unwrap();
    let answer = refused.get("/v2/app/manifests/v1").unwrap();
    assert!(matches!(answer.status, 403 | 503), "{answer}");
    for log in [front.stop().unwrap(), refused.stop().unwrap()] {
        assert!(!log.contains("to-pu"), "{log}");
    }
}
