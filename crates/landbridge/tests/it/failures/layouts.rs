//! Layouts that are not what they say.

use std::fs;

use landbridge_testkit::Layout;
use landbridge_testkit::image::{Image, Recipe};

use super::pull_everything;
use crate::content::{Content, single, source};
use crate::running::{Data, Failed, Front, landbridge, run_to_end};

fn refused(data: &Data, from: &str) -> Failed {
    let failed =
        run_to_end(landbridge().args(["import", from, "app:bad", "--data"]).arg(data.path()))
            .unwrap();
    assert!(failed.stderr.contains("error: "), "{from}: {failed:?}");
    failed
}

/// The blob that is spoilt, and how.
fn spoil(what: &str, image: &Image, layout: &Layout) -> String {
    let blob = match what {
        "manifest" => &image.manifest,
        "config" => &image.config,
        _ => &image.layers[1],
    };
    let file = layout.blob_path(&blob.digest);
    match what {
        "missing" => fs::remove_file(file).unwrap(),
        "truncated" => fs::write(file, &blob.bytes[..blob.bytes.len() / 2]).unwrap(),
        "longer" => fs::write(file, [&blob.bytes[..], b"x"].concat()).unwrap(),
        "empty" => fs::write(file, b"").unwrap(),
        _ => {
            let mut bytes = blob.bytes.clone();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(file, bytes).unwrap();
        }
    }
    blob.digest.clone()
}

#[test]
fn a_spoilt_blob_is_named_and_nothing_becomes_visible() {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let before = {
        let front = Front::over(data.path()).unwrap();
        front.get("/v2/app/tags/list").unwrap().text()
    };
    let spoilt = ["manifest", "config", "flipped", "missing", "truncated", "longer", "empty"];
    let image = |at: usize| Recipe { seed: 50 + at as u64, ..Recipe::default() }.pack().unwrap();
    for (at, what) in spoilt.into_iter().enumerate() {
        let image = image(at);
        let (_dir, layout) = single(&image).unwrap();
        let digest = spoil(what, &image, &layout);
        let failed = refused(&data, &source(&layout));
        assert_eq!(failed.code, Some(3), "{what}: {failed:?}");
        // By its digest, or as the file that is missing.
        let (_, hex) = digest.split_once(':').unwrap();
        assert!(failed.stderr.contains(hex), "{what}: {failed:?}");
    }
    let front = Front::over(data.path()).unwrap();
    assert_eq!(front.get("/v2/app/tags/list").unwrap().text(), before);
    for at in 0..spoilt.len() {
        let image = image(at);
        let manifest = format!("/v2/app/manifests/{}", image.manifest.digest);
        assert_eq!(front.get(&manifest).unwrap().status, 404);
        for blob in image.layers.iter().chain([&image.config]) {
            assert_eq!(front.get(&format!("/v2/app/blobs/{}", blob.digest)).unwrap().status, 404);
        }
    }
}

#[test]
fn what_is_no_layout_is_refused_with_a_hint() {
    let data = Data::new().unwrap();
    let (_dir, good) = single(&Recipe::default().pack().unwrap()).unwrap();
    data.import(&source(&good), "app:v1").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display();
    fs::create_dir(dir.path().join("empty")).unwrap();
    fs::write(dir.path().join("file"), "no archive").unwrap();
    fs::create_dir(dir.path().join("broken")).unwrap();
    fs::write(dir.path().join("broken/index.json"), "{\"schemaVersion\": 2, \"manifests\": [")
        .unwrap();
    for (from, code, says) in [
        (format!("oci:{path}/nothing"), 3, "nothing"),
        (format!("oci:{path}/empty"), 3, "index.json"),
        (format!("oci:{path}/broken"), 3, "index.json"),
        (format!("oci-archive:{path}/file"), 3, "file"),
        (format!("docker-archive:{path}/file"), 3, "file"),
        (format!("{}:nothing", source(&good)), 3, "nothing"),
        ("zip:file".to_owned(), 2, "zip"),
        (String::new(), 2, "oci:"),
    ] {
        let failed = refused(&data, &from);
        assert_eq!(failed.code, Some(code), "{from}: {failed:?}");
        assert!(failed.stderr.contains(says), "{from}: {failed:?}");
    }
    for name in ["APP:v1", "app:v1:v2", "app@sha256:x", "../app", "app:", ""] {
        let failed = run_to_end(
            landbridge().args(["import", &source(&good), name, "--data"]).arg(data.path()),
        )
        .unwrap();
        assert_eq!(failed.code, Some(2), "{name:?}: {failed:?}");
    }
    let found = pull_everything(&Front::over(data.path()).unwrap()).unwrap();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["app:v1"]);
}

#[test]
fn a_truncated_archive_is_refused() {
    let image = Recipe { layer_bytes: 100_000, ..Recipe::default() }.pack().unwrap();
    let (dir, layout) = single(&image).unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all(".", layout.dir()).unwrap();
    let whole = builder.into_inner().unwrap();
    let file = dir.path().join("archive.tar");
    let data = Data::new().unwrap();
    for part in [0, 1, 2, 4, 8, 9] {
        fs::write(&file, &whole[..whole.len() * part / 10]).unwrap();
        let failed = refused(&data, &format!("oci-archive:{}", file.display()));
        assert_eq!(failed.code, Some(3), "{part}: {failed:?}");
    }
    fs::write(&file, &whole).unwrap();
    data.import(&format!("oci-archive:{}", file.display()), "app:v1").unwrap();
    assert_eq!(pull_everything(&Front::over(data.path()).unwrap()).unwrap().len(), 1);
}
