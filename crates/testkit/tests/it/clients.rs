//! Every client pulls from docker-registry what skopeo pushed there.

use anyhow::Result;
use landbridge_testkit::image::{Blob, Image, Kind, Recipe, index};
use landbridge_testkit::{Containerd, DockerRegistry, Dockerd, Platforms, Podman, Skopeo};

/// A registry with `app:v1`, an index of two platforms, and `app:docker`, a Docker image.
struct Published {
    registry: DockerRegistry,
    skopeo: Skopeo,
    amd: Image,
    arm: Image,
    index: Blob,
    docker: Image,
}

fn published() -> Result<Published> {
    published_in(DockerRegistry::start()?)
}

fn published_in(registry: DockerRegistry) -> Result<Published> {
    let skopeo = Skopeo::new()?;
    let amd = Recipe::default().pack()?;
    let arm = Recipe { seed: 2, architecture: "arm64".to_owned(), ..Recipe::default() }.pack()?;
    let docker = Recipe { seed: 3, kind: Kind::Docker, ..Recipe::default() }.pack()?;
    let index = index(&[&amd, &arm]);
    skopeo.push(&index, &[&amd, &arm], &registry, "app:v1")?;
    skopeo.push(&docker.manifest, &[&docker], &registry, "app:docker")?;
    Ok(Published { registry, skopeo, amd, arm, index, docker })
}

const NOTHING: Vec<String> = Vec::new();

#[test]
fn skopeo_pulls_one_platform_or_all() {
    let published = published().unwrap();
    let reference = published.registry.reference("app:v1");
    let one = published.skopeo.pull(&reference, Platforms::One).unwrap();
    assert_eq!(one.digest, published.amd.manifest.digest);
    assert_eq!(one.lacks(&published.amd), NOTHING);
    assert!(!one.lacks(&published.arm).is_empty());

    let all = published.skopeo.pull(&reference, Platforms::All).unwrap();
    assert_eq!(all.digest, published.index.digest);
    assert_eq!(all.lacks(&published.amd), NOTHING);
    assert_eq!(all.lacks(&published.arm), NOTHING);
    assert!(all.stored.contains(&published.index.digest));
    assert_eq!(published.skopeo.inspect(&reference).unwrap()["Digest"], published.index.digest);
}

#[test]
fn podman_pulls_and_runs() {
    let published = published().unwrap();
    let podman = Podman::new().unwrap();
    for (tag, image, top) in [
        ("v1", &published.amd, &published.index),
        ("docker", &published.docker, &published.docker.manifest),
    ] {
        let reference = published.registry.reference(&format!("app:{tag}"));
        let pulled = podman.pull(&reference).unwrap();
        assert_eq!(pulled.digest, top.digest);
        assert_eq!(pulled.lacks(image), NOTHING);
        assert_eq!(podman.run(&reference, &[]).unwrap(), image.greeting);
    }
}

#[test]
fn containerd_pulls_one_platform_or_all() {
    let published = published().unwrap();
    let containerd = Containerd::start().unwrap();
    let reference = published.registry.reference("app:v1");
    let one = containerd.pull(&reference, Platforms::One).unwrap();
    assert_eq!(one.digest, published.index.digest);
    assert_eq!(one.lacks(&published.amd), NOTHING);
    assert!(!one.lacks(&published.arm).is_empty());

    let all = containerd.pull(&reference, Platforms::All).unwrap();
    assert_eq!(all.lacks(&published.arm), NOTHING);
    assert!(all.stored.contains(&published.index.digest));
}

#[test]
fn containerd_pulls_a_name_that_a_mirror_answers_for() {
    let published = published().unwrap();
    let containerd = Containerd::start().unwrap();
    containerd.mirror("registry.example", &published.registry.url()).unwrap();
    let pulled = containerd.pull("registry.example/app:docker", Platforms::One).unwrap();
    assert_eq!(pulled.digest, published.docker.manifest.digest);
    assert_eq!(pulled.lacks(&published.docker), NOTHING);
    assert!(published.registry.log().contains("ns=registry.example"));
}

#[test]
fn dockerd_pulls_without_touching_the_network() {
    let published = published().unwrap();
    let dockerd = Dockerd::start().unwrap();
    let pulled = dockerd.pull(&published.registry.reference("app:v1")).unwrap();
    assert_eq!(pulled.digest, published.index.digest);
    assert_eq!(pulled.lacks(&published.amd), NOTHING);
    let pulled = dockerd.pull(&published.registry.reference("app:docker")).unwrap();
    assert_eq!(pulled.digest, published.docker.manifest.digest);
    assert_eq!(pulled.lacks(&published.docker), NOTHING);
}

#[test]
fn a_private_registry_takes_its_reader_and_refuses_strangers() {
    let published = published_in(DockerRegistry::start_private().unwrap()).unwrap();
    let reference = published.registry.reference("app:v1");
    let error =
        published.skopeo.pull(&reference, Platforms::One).expect_err("no credentials").to_string();
    assert!(error.contains("authentication required") || error.contains("unauthorized"), "{error}");
}
