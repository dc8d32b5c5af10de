//! Images and layouts.

use std::fs;

use landbridge_testkit::Layout;
use landbridge_testkit::image::{Algorithm, Kind, Packing, Recipe, digest, index, referrer};
use serde_json::Value;

#[test]
fn equal_recipes_give_equal_images_and_other_seeds_share_nothing() {
    let image = Recipe::default().pack().unwrap();
    let other = Recipe { seed: 2, ..Recipe::default() }.pack().unwrap();
    assert_eq!(image, Recipe::default().pack().unwrap());
    assert!(other.layers.iter().all(|layer| !image.layers.contains(layer)));
}

#[test]
fn every_descriptor_of_a_manifest_names_a_blob_of_the_image() {
    for kind in [Kind::Oci, Kind::Docker] {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for packing in [Packing::Gzip, Packing::Plain] {
                let image =
                    Recipe { kind, algorithm, packing, ..Recipe::default() }.pack().unwrap();
                let manifest: Value = serde_json::from_slice(&image.manifest.bytes).unwrap();
                assert_eq!(manifest["mediaType"], image.manifest.media_type);
                assert_eq!(manifest["config"], image.config.descriptor());
                for (number, layer) in image.layers.iter().enumerate() {
                    assert_eq!(manifest["layers"][number], layer.descriptor());
                    assert_eq!(layer.digest, digest(algorithm, &layer.bytes));
                    assert_eq!(
                        packing == Packing::Plain,
                        digest(Algorithm::Sha256, &layer.bytes) == image.diff_ids[number]
                    );
                }
            }
        }
    }
}

#[test]
fn a_layout_has_tagged_indexes_and_untagged_referrers() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path().join("layout")).unwrap();
    let arm =
        Recipe { seed: 2, architecture: "arm64".to_owned(), ..Recipe::default() }.pack().unwrap();
    let amd = Recipe::default().pack().unwrap();
    layout.put_image(&arm).unwrap();
    layout.put_image(&amd).unwrap();
    let both = index(&[&amd, &arm]);
    layout.tag("v1", &both).unwrap();
    let signature = referrer(&both, "application/vnd.example.signature", b"signed");
    layout.put_referrer(&signature).unwrap();

    let listed: Value =
        serde_json::from_slice(&fs::read(layout.dir().join("index.json")).unwrap()).unwrap();
    assert_eq!(listed["manifests"][0]["digest"], both.digest);
    assert_eq!(listed["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "v1");
    assert_eq!(listed["manifests"][1], signature.manifest.descriptor());
    assert_eq!(fs::read(layout.blob_path(&both.digest)).unwrap(), both.bytes);
    let subject: Value = serde_json::from_slice(&signature.manifest.bytes).unwrap();
    assert_eq!(subject["subject"], both.descriptor());
}
