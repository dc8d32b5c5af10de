//! Sources that are refused, and leave nothing to be seen.

use std::fs;

use landbridge_registry::SourceError;
use landbridge_replicate::ImportError;
use landbridge_testkit::image::Recipe;

use crate::world::{World, archive, oci};

/// Asserts that nothing was published and that the error names this blob's hex.
async fn assert_refused(world: &World, error: &ImportError, digest: &str) {
    let hex = digest.strip_prefix("sha256:").unwrap();
    assert!(error.to_string().contains(hex), "{error}");
    assert!(world.pointer().await.is_none());
    world.assert_nowhere(digest).await;
}

#[tokio::test]
async fn a_flipped_bit_in_a_blob_is_refused_by_the_blobs_name() {
    for layer_bytes in [10_000, 9 << 20] {
        let world = World::new();
        let layout = world.layout("layout");
        let image = Recipe { layer_bytes, ..Recipe::default() }.pack().unwrap();
        layout.put_image(&image).unwrap();
        layout.tag("v1", &image.manifest).unwrap();
        let digest = &image.layers[1].digest;
        let path = layout.blob_path(digest);
        let mut bytes = fs::read(&path).unwrap();
        bytes[5000] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = world.import(&oci(&layout), "a").await.unwrap_err();
        assert!(
            matches!(
                error,
                ImportError::Corrupt { .. } | ImportError::Source(SourceError::Corrupt { .. })
            ),
            "{error}"
        );
        assert_refused(&world, &error, digest).await;
    }
}

#[tokio::test]
async fn a_blob_that_is_cut_or_missing_is_refused_before_anything_is_copied() {
    let world = World::new();
    let (layout, image) = world.image("layout", 1, "v1");
    let digest = &image.layers[1].digest;
    let path = layout.blob_path(digest);
    fs::write(&path, &image.layers[1].bytes[..5000]).unwrap();
    let error = world.import(&oci(&layout), "a").await.unwrap_err();
    assert_refused(&world, &error, digest).await;
    fs::remove_file(&path).unwrap();
    let error = world.import(&oci(&layout), "a").await.unwrap_err();
    assert_refused(&world, &error, digest).await;
    for blob in image.blobs() {
        world.assert_nowhere(&blob.digest).await;
    }
}

#[tokio::test]
async fn an_archive_that_is_cut_anywhere_publishes_nothing() {
    let world = World::new();
    let (layout, _) = world.image("layout", 1, "v1");
    let file = world.dir.path().join("image.tar");
    archive(&layout, &file, usize::MAX);
    let whole = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
    for size in (0..whole - 1024).step_by(4000) {
        let error = world.import(&archive(&layout, &file, size), "a:v1").await.unwrap_err();
        assert!(error.to_string().contains("image.tar"), "{error}");
        assert!(world.pointer().await.is_none());
    }
    world.import(&archive(&layout, &file, usize::MAX), "a:v1").await.unwrap();
}

#[tokio::test]
async fn images_without_a_name_are_refused_with_the_way_out() {
    let world = World::new();
    let (layout, _) = world.image("layout", 1, "v1");
    let error = world.import(&oci(&layout), "").await.unwrap_err();
    assert!(matches!(error, ImportError::Naming(_)), "{error}");
    let error = world.import(&oci(&world.layout("empty")), "a").await.unwrap_err();
    assert_eq!(error.to_string(), "the source holds no image");
}

#[tokio::test]
async fn a_stranger_with_another_key_publishes_nothing() {
    let (world, mut stranger) = (World::new(), World::new());
    let (layout, _) = world.image("layout", 1, "v1");
    world.import(&oci(&layout), "a").await.unwrap();
    stranger.publication.authority = world.authority().clone();
    let error = stranger.import(&oci(&layout), "b").await.unwrap_err();
    assert!(matches!(error, ImportError::NoTrustedPointer { .. }), "{error}");
    assert_eq!(world.pointer().await.unwrap().content().sequence, 1);
}
