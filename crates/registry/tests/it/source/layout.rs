//! Layouts in directories, whole and broken.

use std::fs;
use std::path::Path;

use futures::TryStreamExt as _;
use landbridge_core::Digest;
use landbridge_registry::{Source, SourceError, SourceLimits, SourceReference};
use landbridge_testkit::Layout;
use landbridge_testkit::image::{Image, Recipe, index};
use tempfile::TempDir;

pub(crate) async fn open(text: &str) -> Result<Source, SourceError> {
    Source::open(&text.parse().unwrap(), SourceLimits::default()).await
}

/// A layout with one image under `v1`.
pub(crate) fn layout() -> (TempDir, Layout, Image) {
    let dir = TempDir::new().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    let image = Recipe::default().pack().unwrap();
    layout.put_image(&image).unwrap();
    layout.tag("v1", &image.manifest).unwrap();
    (dir, layout, image)
}

pub(crate) fn digest(text: &str) -> Digest {
    text.parse().unwrap()
}

pub(crate) async fn bytes(source: &Source, digest: &Digest) -> Result<Vec<u8>, SourceError> {
    let blob = source.read(digest).await?;
    let chunks: Vec<_> = blob.into_stream().try_collect().await?;
    Ok(chunks.concat())
}

fn message(error: &SourceError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

#[tokio::test]
async fn an_image_is_read_as_it_was_written() {
    let (_dir, layout, image) = layout();
    let other = Recipe { seed: 2, layer_bytes: 600_000, ..Recipe::default() }.pack().unwrap();
    layout.put_image(&other).unwrap();
    layout.tag("both", &index(&[&image, &other])).unwrap();

    let source = open(&format!("oci:{}", layout.dir().display())).await.unwrap();
    let names: Vec<_> = source.images().iter().map(|image| image.name.as_deref()).collect();
    assert_eq!(names, [Some("v1"), Some("both")]);

    let source = open(&format!("oci:{}:both", layout.dir().display())).await.unwrap();
    let (_, list) = source.manifest(&source.images()[0].descriptor).await.unwrap();
    let (raw, manifest) = source.manifest(&list.children[1]).await.unwrap();
    assert_eq!(raw, other.manifest.bytes);
    for (descriptor, blob) in manifest.blobs[1..].iter().zip(&other.layers) {
        assert_eq!(source.size(&descriptor.digest).await.unwrap(), descriptor.size);
        assert_eq!(bytes(&source, &descriptor.digest).await.unwrap(), blob.bytes);
    }
    assert_eq!(source.listed().len(), 2);
}

#[tokio::test]
async fn a_name_that_is_not_there_is_answered_by_those_that_are() {
    let (_dir, layout, _) = layout();
    let error = open(&format!("oci:{}:v2", layout.dir().display())).await.unwrap_err();
    assert!(error.to_string().ends_with("holds no image `v2`: it holds `v1`"), "{error}");
    let error = open(&format!("oci:{}:@1", layout.dir().display())).await.unwrap_err();
    assert!(matches!(error, SourceError::NoSuchImage { .. }));
}

#[tokio::test]
async fn what_is_no_layout_is_told_what_it_is() {
    let dir = TempDir::new().unwrap();
    let here = dir.path().display();
    let error = open(&format!("oci:{here}")).await.unwrap_err();
    assert!(error.to_string().contains("no `index.json`"), "{error}");
    let error = open(&format!("oci-archive:{here}")).await.unwrap_err();
    assert!(error.to_string().contains(&format!("read as `oci:{here}`")), "{error}");
    let error = open(&format!("oci:{here}/absent")).await.unwrap_err();
    assert!(matches!(error, SourceError::Open { .. }), "{error}");
    fs::write(dir.path().join("file"), "x").unwrap();
    let error = open(&format!("oci:{here}/file")).await.unwrap_err();
    assert!(error.to_string().contains("oci-archive:FILE"), "{error}");
}

#[tokio::test]
async fn an_index_that_is_huge_or_malformed_is_refused_by_name() {
    let (_dir, layout, _) = layout();
    let file = layout.dir().join("index.json");
    let reference = format!("oci:{}", layout.dir().display());
    for (content, expected) in [
        ("{", "is malformed"),
        ("{}", "is malformed"),
        (r#"{"schemaVersion":2,"config":null,"layers":[]}"#, "is malformed"),
        (r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:0"}]}"#, "is malformed"),
    ] {
        fs::write(&file, content).unwrap();
        let error = open(&reference).await.unwrap_err();
        let text = message(&error);
        assert!(text.contains("index.json") && text.contains(expected), "{text}");
    }
    fs::File::create(&file).unwrap().set_len(5 << 30).unwrap();
    assert!(matches!(open(&reference).await.unwrap_err(), SourceError::TooLarge { .. }));
}

/// What happens to the layout's manifest when its file is replaced.
async fn manifest_error(replace: impl FnOnce(&Path)) -> SourceError {
    let (_dir, layout, image) = layout();
    replace(&layout.blob_path(&image.manifest.digest));
    let source = open(&format!("oci:{}", layout.dir().display())).await.unwrap();
    let error = source.manifest(&source.images()[0].descriptor).await.unwrap_err();
    let hex = image.manifest.digest.strip_prefix("sha256:").unwrap();
    assert!(error.to_string().contains(hex), "{error}");
    error
}

#[tokio::test]
async fn a_blob_that_is_missing_wrong_or_no_file_is_named() {
    let missing = manifest_error(|path| fs::remove_file(path).unwrap()).await;
    assert!(matches!(missing, SourceError::Missing { .. }), "{missing}");
    let cut = manifest_error(|path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[1..]).unwrap();
    });
    assert!(matches!(cut.await, SourceError::Corrupt { .. }));
    let flipped = manifest_error(|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    assert!(matches!(flipped.await, SourceError::Corrupt { .. }));
    let directory = manifest_error(|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
    assert!(matches!(directory.await, SourceError::NotAFile { .. }));
    let fifo = manifest_error(|path| {
        fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    });
    assert!(matches!(fifo.await, SourceError::NotAFile { .. }));
}

#[tokio::test]
async fn a_link_may_lead_about_in_a_layout_but_not_out_of_it() {
    let (dir, layout, image) = layout();
    let layer = layout.blob_path(&image.layers[0].digest);
    let moved = layout.dir().join("moved");
    fs::rename(&layer, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &layer).unwrap();
    let source = open(&format!("oci:{}", layout.dir().display())).await.unwrap();
    let wanted = digest(&image.layers[0].digest);
    assert_eq!(bytes(&source, &wanted).await.unwrap(), image.layers[0].bytes);

    let outside = dir.path().join("outside");
    fs::rename(&moved, &outside).unwrap();
    fs::remove_file(&layer).unwrap();
    std::os::unix::fs::symlink(&outside, &layer).unwrap();
    let error = source.read(&wanted).await.unwrap_err();
    assert!(matches!(error, SourceError::NotAFile { .. }), "{error}");
}

#[tokio::test]
async fn a_layout_that_was_made_by_the_program_itself_needs_no_spelling() {
    let dir = TempDir::with_prefix("a:b").unwrap();
    let layout = Layout::create(dir.path()).unwrap();
    let image = Recipe::default().pack().unwrap();
    layout.put_image(&image).unwrap();
    layout.tag("v1", &image.manifest).unwrap();
    let reference = SourceReference::layout(dir.path());
    let source = Source::open(&reference, SourceLimits::default()).await.unwrap();
    assert_eq!(source.images().len(), 1);
}
