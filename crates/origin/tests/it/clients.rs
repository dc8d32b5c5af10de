//! Real clients push and pull.

use std::time::Duration;

use landbridge_testkit::image::{Image, Kind, Recipe, index};
use landbridge_testkit::{Containerd, Dockerd, Origin, Platforms, Podman, Skopeo, run};

const LIMIT: Duration = Duration::from_mins(1);
const NOTHING: Vec<String> = Vec::new();

fn recipe(seed: u64, kind: Kind) -> Image {
    Recipe { seed, kind, ..Recipe::default() }.pack().unwrap()
}

/// An origin to which skopeo has pushed `app:v1`.
fn published(image: &Image) -> (Origin, Skopeo) {
    let (origin, skopeo) = (Origin::start().unwrap(), Skopeo::new().unwrap());
    let reference = origin.reference("app:v1");
    skopeo.push_to(&image.manifest, &[image], &reference, None).unwrap();
    (origin, skopeo)
}

#[test]
fn skopeo_pushes_an_index_pulls_lists_and_deletes_it() {
    let (first, second) = (recipe(1, Kind::Oci), recipe(2, Kind::Oci));
    let (origin, skopeo) = published(&first);
    let index = index(&[&first, &second]);
    let reference = origin.reference("app:all");
    skopeo.push_to(&index, &[&first, &second], &reference, None).unwrap();
    let pulled = skopeo.pull(&reference, Platforms::All).unwrap();
    assert_eq!(pulled.digest, index.digest);
    assert_eq!((pulled.lacks(&first), pulled.lacks(&second)), (NOTHING, NOTHING));
    let inspected = skopeo.inspect(&origin.reference("app:v1")).unwrap();
    assert_eq!(inspected["Digest"], first.manifest.digest);
    assert_eq!(inspected["RepoTags"], serde_json::json!(["all", "v1"]));
    let mut delete = skopeo.command().unwrap();
    delete.args(["delete", "--tls-verify=false"]).arg(format!("docker://{reference}"));
    run(&mut delete, LIMIT).unwrap();
    let inspected = skopeo.inspect(&origin.reference("app:v1")).unwrap();
    assert_eq!(inspected["RepoTags"], serde_json::json!(["v1"]));
    // From one repository to another, which mounts what is there.
    let mut copy = skopeo.command().unwrap();
    copy.args(["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    copy.arg(format!("docker://{}", origin.reference("app:v1")));
    copy.arg(format!("docker://{}", origin.reference("copy:v1")));
    run(&mut copy, LIMIT).unwrap();
    let pulled = skopeo.pull(&origin.reference("copy:v1"), Platforms::One).unwrap();
    assert_eq!((pulled.digest.as_str(), pulled.lacks(&first)), (&*first.manifest.digest, NOTHING));
}

#[test]
fn podman_pulls_pushes_and_pulls_again() {
    let image = recipe(3, Kind::Docker);
    let (origin, skopeo) = published(&image);
    let (from, to) = (origin.reference("app:v1"), origin.reference("by/podman:v1"));
    let podman = Podman::new().unwrap();
    assert_eq!(podman.pull(&from).unwrap().lacks(&image), NOTHING);
    let mut push = podman.command().unwrap();
    run(push.args(["push", "--tls-verify=false", &from, &to]), LIMIT).unwrap();
    assert!(skopeo.inspect(&to).unwrap()["Digest"].is_string());
    let another = Podman::new().unwrap();
    another.pull(&to).unwrap();
    assert_eq!(another.run(&to, &[]).unwrap(), image.greeting);
}

#[test]
fn dockerd_pulls_pushes_and_pulls_again() {
    let image = recipe(4, Kind::Docker);
    let (origin, skopeo) = published(&image);
    let (from, to) = (origin.reference("app:v1"), origin.reference("by/dockerd:v1"));
    let dockerd = Dockerd::start().unwrap();
    assert_eq!(dockerd.pull(&from).unwrap().lacks(&image), NOTHING);
    run(dockerd.command().unwrap().args(["tag", &from, &to]), LIMIT).unwrap();
    run(dockerd.command().unwrap().args(["push", &to]), LIMIT).unwrap();
    assert!(skopeo.inspect(&to).unwrap()["Digest"].is_string());
    assert!(!dockerd.pull(&to).unwrap().digest.is_empty());
}

#[test]
fn containerd_pulls_pushes_and_pulls_again() {
    let image = recipe(5, Kind::Oci);
    let (origin, skopeo) = published(&image);
    let (from, to) = (origin.reference("app:v1"), origin.reference("by/containerd:v1"));
    let containerd = Containerd::start().unwrap();
    assert_eq!(containerd.pull(&from, Platforms::One).unwrap().lacks(&image), NOTHING);
    run(containerd.command().unwrap().args(["images", "tag", &from, &to]), LIMIT).unwrap();
    let mut push = containerd.command().unwrap();
    run(push.args(["images", "push", "--plain-http", &to]), LIMIT).unwrap();
    assert_eq!(skopeo.inspect(&to).unwrap()["Digest"], image.manifest.digest);
    assert_eq!(containerd.pull(&to, Platforms::One).unwrap().lacks(&image), NOTHING);
}
