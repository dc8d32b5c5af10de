//! Pushed to an origin of one's own, pulled through the front.

use std::fs;
use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use landbridge_testkit::http::{self, Answer, Wire};
use landbridge_testkit::image::{Artifact, Blob, Recipe, referrer};
use landbridge_testkit::{Buildah, Containerd, Dockerd, Platforms, Podman, Skopeo};
use serde_json::json;

use crate::content::{Content, SBOM, SIGNATURE, TAGS};
use crate::program::landbridge;
use crate::running::{Data, Front, OwnOrigin, until};

const NOTHING: Vec<String> = Vec::new();

/// Sends one request with a body.
fn send(address: &str, method: &str, target: &str, kind: &str, body: &[u8]) -> Result<Answer> {
    let mut wire = Wire::connect(address)?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len(),
    );
    wire.send(&[head.as_bytes(), body].concat())?;
    wire.answer(method)?.context("closed without an answer")
}

/// Pushes an artifact as it is, without a tag.
fn push(address: &str, repository: &str, artifact: &Artifact) -> Result<()> {
    for Blob { digest, bytes, .. } in [&artifact.config, &artifact.payload] {
        let target = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = send(address, "POST", &target, "application/octet-stream", bytes)?;
        ensure!(answer.status == 201, "{answer}");
    }
    let Blob { digest, media_type, bytes } = &artifact.manifest;
    let target = format!("/v2/{repository}/manifests/{digest}");
    let answer = send(address, "PUT", &target, media_type, bytes)?;
    ensure!(answer.status == 201, "{answer}");
    Ok(())
}

#[test]
fn what_is_pushed_to_the_local_topology_is_pulled_through_its_front() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let origin = front.origin().unwrap();
    let (skopeo, podman) = (Skopeo::new().unwrap(), Podman::new().unwrap());

    // Looked for before it is there: that must not be remembered for long.
    assert_eq!(front.get("/v2/demo/manifests/1").unwrap().status, 404);
    let images = [&content.amd, &content.arm];
    skopeo.push_to(&content.index, &images, &format!("{origin}/demo:1"), None).unwrap();
    let target = "/v2/demo/manifests/1";
    let found = until(|| front.get(target), |answer| answer.status == 200).unwrap();
    assert_eq!(found.body, content.index.bytes);
    let pulled = skopeo.pull(&front.reference("demo:1"), Platforms::All).unwrap();
    assert_eq!((pulled.lacks(&content.amd), pulled.lacks(&content.arm)), (NOTHING, NOTHING));

    // podman packs the layers anew: what nothing published has, front and origin give alike.
    let image = Recipe { seed: 60, ..Recipe::default() }.pack().unwrap();
    let first = format!("{origin}/demo/deeper:1");
    skopeo.push_to(&image.manifest, &[&image], &first, None).unwrap();
    let through = front.reference("demo/deeper:1");
    assert_eq!(podman.pull(&through).unwrap().lacks(&image), NOTHING);
    podman.push(&through, &format!("{origin}/demo/again:1")).unwrap();
    let again = front.reference("demo/again:1");
    let (here, there) = (
        skopeo.pull(&again, Platforms::One).unwrap(),
        skopeo.pull(&format!("{origin}/demo/again:1"), Platforms::One).unwrap(),
    );
    assert_eq!((&here.digest, here.stored), (&there.digest, there.stored));
    podman.pull(&again).unwrap();
    assert_eq!(podman.run(&again, &[]).unwrap(), image.greeting);

    let buildah = Buildah::new().unwrap();
    assert_eq!(buildah.pull(&through).unwrap().lacks(&image), NOTHING);
    buildah.push(&through, &format!("{origin}/demo/built:1")).unwrap();
    let built = front.reference("demo/built:1");
    assert_eq!(buildah.pull(&built).unwrap().lacks(&image), NOTHING);
    assert_eq!(podman.pull(&built).unwrap().lacks(&image), NOTHING);

    let containerd = Containerd::start().unwrap();
    let by_containerd = containerd.pull(&through, Platforms::One).unwrap();
    assert_eq!(by_containerd.lacks(&image), NOTHING);
    let dockerd = Dockerd::start().unwrap();
    assert_eq!(dockerd.pull(&through).unwrap().lacks(&image), NOTHING);

    // A published tag keeps its meaning; one that is deleted is gone, here and there.
    skopeo.push_to(&image.manifest, &[&image], &format!("{origin}/app:v1"), None).unwrap();
    let published = front.get("/v2/app/manifests/v1").unwrap();
    assert_eq!(published.body, content.index.bytes);
    assert_eq!(http::ask(&origin, "DELETE", target, &[]).unwrap().status, 202);
    until(|| front.get(target), |answer| answer.status == 404).unwrap();
    front.stop().unwrap();

    // It was all kept.
    let front = Front::over(data.path()).unwrap();
    let pulled = skopeo.pull(&front.reference("demo/deeper:1"), Platforms::One).unwrap();
    assert_eq!(pulled.lacks(&image), NOTHING);
}

#[test]
fn referrers_and_tags_are_of_the_generation_and_the_origin() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let front = Front::over(data.path()).unwrap();
    let origin = front.origin().unwrap();
    let another = referrer(&content.index, SIGNATURE, b"signed again");
    push(&origin, "app", &another).unwrap();
    push(&origin, "app", &content.signature).unwrap();
    let subject = &content.index.digest;
    let listed = |query: &str| {
        let answer = front.get(&format!("/v2/app/referrers/{subject}{query}")).unwrap();
        let entries = answer.json().unwrap()["manifests"].as_array().unwrap().clone();
        entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let sorted = |artifacts: &[&Artifact]| {
        let mut digests: Vec<_> =
            artifacts.iter().map(|artifact| artifact.manifest.digest.clone()).collect();
        digests.sort();
        digests
    };
    let (signature, sbom) = (&content.signature, &content.sbom);
    assert_eq!(listed(""), sorted(&[signature, sbom, &another]));
    assert_eq!(listed(&format!("?artifactType={SIGNATURE}")), sorted(&[signature, &another]));
    let escaped = SBOM.replace('+', "%2B");
    assert_eq!(listed(&format!("?artifactType={escaped}")), sorted(&[sbom]));

    let skopeo = Skopeo::new().unwrap();
    skopeo
        .push_to(&content.amd.manifest, &[&content.amd], &format!("{origin}/app:new"), None)
        .unwrap();
    let mut tags: Vec<&str> = TAGS.into_iter().chain(["new"]).collect();
    tags.sort_unstable();
    let list = front.get("/v2/app/tags/list").unwrap().json().unwrap();
    assert_eq!(list["tags"], json!(tags));
}

#[test]
fn an_origin_alone_takes_pushes_and_keeps_them() {
    let data = Data::new().unwrap();
    let image = Recipe::default().pack().unwrap();
    let skopeo = Skopeo::new().unwrap();
    let origin = OwnOrigin::over(data.path()).unwrap();
    skopeo.push_to(&image.manifest, &[&image], &origin.reference("demo:1"), None).unwrap();
    origin.stop().unwrap();
    let origin = OwnOrigin::over(data.path()).unwrap();
    let pulled = skopeo.pull(&origin.reference("demo:1"), Platforms::One).unwrap();
    assert_eq!((&pulled.digest, pulled.lacks(&image)), (&image.manifest.digest, NOTHING));

    let store = data.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, hint) in [(taken.as_str(), "--listen"), ("0.0.0.0:0", "listen on 127.0.0.1")] {
        let refused = landbridge(&["origin", "--store", store, "--listen", address]);
        assert_eq!(refused.code, 2, "{}", refused.stderr);
        let last = refused.stderr.lines().last().unwrap();
        assert!(last.starts_with("error: ") && last.contains(hint), "{last}");
    }
}

/// Where clients can be sent to the origin's bucket, they are, for what is not published too.
#[test]
fn a_bucket_that_clients_can_reach_serves_what_is_only_pushed() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (path, here) = (data.path().display(), dir.path().display());
    let origin = OwnOrigin::over(&data.path().join("origin")).unwrap();
    let write = |name: &str, text: String| {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        file
    };
    // Stands for the cloud's own server before the bucket.
    let bucket = Front::configured(&write(
        "bucket.yaml",
        format!(
            "origins: [{{ name: none, registry: {{ url: \"http://{}\" }} }}]\n\
             mirrors: [{{ name: bucket, embedded: {{ store: {path}/origin }} }}]\n\
             sites: [{{ name: none, hosts: [none.example], origin: none }}]\n\
             records: {{ directory: {here}/bucket-records }}\n",
            origin.address
        ),
    ))
    .unwrap();
    let front = Front::configured(&write(
        "front.yaml",
        format!(
            "origins:\n\
             - name: origin\n\
             \x20 store: {{ url: {path}/origin, catalog: landbridge-data, keys: [{path}/keys/landbridge.pem.pub], public_url: \"http://{}/-/mirror/bucket\" }}\n\
             \x20 registry: {{ url: \"http://{}\", delivery: proxy }}\n\
             sites: [{{ name: all, hosts: [\"*\"], origin: origin }}]\n\
             records: {{ directory: {here}/records }}\n",
            bucket.address, origin.address
        ),
    ))
    .unwrap();
    let image = Recipe { seed: 61, ..Recipe::default() }.pack().unwrap();
    let skopeo = Skopeo::new().unwrap();
    skopeo.push_to(&image.manifest, &[&image], &origin.reference("demo:1"), None).unwrap();
    let layer = &image.layers[0];
    let target = format!("/v2/demo/blobs/{}", layer.digest);
    let answer = front.get(&target).unwrap();
    let hex = layer.digest.strip_prefix("sha256:").unwrap();
    let expected = format!("http://{}/-/mirror/bucket/blobs/sha256/{hex}", bucket.address);
    assert_eq!((answer.status, answer.header("location")), (307, Some(&*expected)));
    assert_eq!(front.follow("GET", &target, &[]).unwrap().body, layer.bytes);
    // What a repository does not have is not served, whatever lies in the bucket.
    let elsewhere = front.get(&format!("/v2/other/blobs/{}", layer.digest)).unwrap();
    assert_eq!((elsewhere.status, elsewhere.error_code().as_deref()), (404, Some("BLOB_UNKNOWN")));
    let pulled = skopeo.pull(&front.reference("demo:1"), Platforms::One).unwrap();
    assert_eq!(pulled.lacks(&image), NOTHING);
}
