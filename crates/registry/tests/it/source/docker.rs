//! Archives of `docker save`, as old and new versions write them.

use std::fs;
use std::process::Command;

use landbridge_core::manifest::Manifest;
use landbridge_registry::{Source, SourceError};
use landbridge_testkit::image::{Image, Kind, Packing, Recipe};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::layout::{bytes, digest, open};

fn image(packing: Packing) -> Image {
    Recipe { packing, kind: Kind::Docker, ..Recipe::default() }.pack().unwrap()
}

fn file(builder: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, path, content).unwrap();
}

/// Archives the image's files under `blobs/sha256`, with this list of names for it.
fn save(image: &Image, names: &Value) -> tar::Builder<Vec<u8>> {
    let path = |digest: &str| format!("blobs/{}", digest.replacen(':', "/", 1));
    let mut builder = tar::Builder::new(Vec::new());
    for blob in [&image.config].into_iter().chain(&image.layers) {
        file(&mut builder, &path(&blob.digest), &blob.bytes);
    }
    let layers: Vec<_> = image.layers.iter().map(|layer| path(&layer.digest)).collect();
    let list =
        json!([{ "Config": path(&image.config.digest), "RepoTags": names, "Layers": layers }]);
    file(&mut builder, "manifest.json", list.to_string().as_bytes());
    builder
}

async fn read(builder: tar::Builder<Vec<u8>>, suffix: &str) -> Result<Source, SourceError> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image.tar");
    fs::write(&path, builder.into_inner().unwrap()).unwrap();
    // The open file outlives its directory.
    open(&format!("docker-archive:{}{suffix}", path.display())).await
}

async fn assert_reads_as(source: &Source, image: &Image) {
    let (_, manifest) = source.manifest(&source.images()[0].descriptor).await.unwrap();
    let expected = Manifest::parse(&image.manifest.bytes, None).unwrap();
    assert_eq!(manifest.media_type, expected.media_type);
    assert_eq!(manifest.blobs, expected.blobs);
    for blob in [&image.config].into_iter().chain(&image.layers) {
        assert_eq!(bytes(source, &digest(&blob.digest)).await.unwrap(), blob.bytes);
    }
}

#[tokio::test]
async fn plain_and_compressed_layers_are_taken_as_they_lie_there() {
    for packing in [Packing::Plain, Packing::Gzip] {
        let image = image(packing);
        let source = read(save(&image, &json!(["a/b:v1", "a/b:latest"])), "").await.unwrap();
        let names: Vec<_> = source.images().iter().map(|image| image.name.as_deref()).collect();
        assert_eq!(names, [Some("a/b:v1"), Some("a/b:latest")]);
        assert_eq!(source.images()[0].descriptor, source.images()[1].descriptor);
        assert_reads_as(&source, &image).await;
    }
}

#[tokio::test]
async fn a_name_is_found_however_it_is_written() {
    let image = image(Packing::Plain);
    for wanted in ["busybox", "busybox:latest", "docker.io/library/busybox:latest"] {
        let names = json!(["other:v1", "busybox:latest"]);
        let source = read(save(&image, &names), &format!(":{wanted}")).await.unwrap();
        assert_eq!(source.images()[0].name.as_deref(), Some("busybox:latest"));
        assert_eq!((source.images().len(), source.listed().len()), (1, 2));
    }
    assert!(read(save(&image, &Value::Null), "").await.unwrap().images()[0].name.is_none());
    let error = read(save(&image, &Value::Null), ":busybox").await.unwrap_err();
    assert!(matches!(error, SourceError::NoSuchImage { .. }), "{error}");
}

#[tokio::test]
async fn the_links_of_old_versions_are_followed() {
    let image = image(Packing::Plain);
    let mut builder = tar::Builder::new(Vec::new());
    file(&mut builder, "c.json", &image.config.bytes);
    file(&mut builder, "one/layer.tar", &image.layers[0].bytes);
    file(&mut builder, "two/layer.tar", &image.layers[1].bytes);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "three/layer.tar", "../two/layer.tar").unwrap();
    let layers = ["one/layer.tar", "three/layer.tar"];
    let list = json!([{ "Config": "c.json", "RepoTags": null, "Layers": layers }]);
    file(&mut builder, "manifest.json", list.to_string().as_bytes());
    assert_reads_as(&read(builder, "").await.unwrap(), &image).await;
}

#[tokio::test]
async fn what_does_not_fit_together_is_refused_by_name() {
    let whole = image(Packing::Gzip);
    let mut swapped = whole.clone();
    swapped.layers.swap(0, 1);
    let error = read(save(&swapped, &Value::Null), "").await.unwrap_err();
    assert!(error.to_string().contains("is corrupt: it unpacks to sha256:"), "{error}");

    let mut cut = whole.clone();
    cut.layers[1].bytes.truncate(5000);
    let error = read(save(&cut, &Value::Null), "").await.unwrap_err();
    assert!(error.to_string().contains("gzip data is damaged"), "{error}");

    let mut fewer = whole.clone();
    fewer.layers.pop();
    let error = read(save(&fewer, &Value::Null), "").await.unwrap_err();
    assert!(error.to_string().contains("lists 2 layers"), "{error}");

    let mut builder = tar::Builder::new(Vec::new());
    file(&mut builder, "manifest.json", br#"[{"Config":"gone.json","Layers":[]}]"#);
    let error = read(builder, "").await.unwrap_err();
    assert!(matches!(error, SourceError::Missing { .. }), "{error}");

    let mut builder = tar::Builder::new(Vec::new());
    file(&mut builder, "index.json", b"{}");
    let error = read(builder, "").await.unwrap_err();
    assert!(error.to_string().contains("read it as `oci-archive:"), "{error}");
}

#[tokio::test]
async fn skopeo_makes_the_same_manifest_but_for_calling_plain_layers_gzip() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("image.tar");
    let image = image(Packing::Plain);
    fs::write(&path, save(&image, &json!(["a/b:v1"])).into_inner().unwrap()).unwrap();
    let reference = format!("docker-archive:{}", path.display());
    let mut skopeo = Command::new("skopeo");
    let output = skopeo.args(["inspect", "--raw", &reference]).output().expect("skopeo runs");
    let theirs = String::from_utf8(output.stdout).unwrap().replace(".tar.gzip", ".tar");
    let source = open(&reference).await.unwrap();
    let (ours, _) = source.manifest(&source.images()[0].descriptor).await.unwrap();
    assert_eq!(theirs, String::from_utf8_lossy(&ours));
}
