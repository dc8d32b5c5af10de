//! What an import brings, and what a second one leaves alone.

use std::sync::Mutex;

use landbridge_replicate::Progress;
use landbridge_testkit::image::{Algorithm, Blob, Kind, Packing, Recipe, index, referrer};

use crate::world::{World, archive, oci};

#[tokio::test]
async fn an_index_comes_with_all_platforms_and_with_what_is_about_them() {
    let world = World::new();
    let layout = world.layout("layout");
    let amd = Recipe::default().pack().unwrap();
    let arm =
        Recipe { seed: 2, architecture: "arm64".to_owned(), ..Recipe::default() }.pack().unwrap();
    let (inner, other) = (index(&[&arm]), Recipe { seed: 3, ..Recipe::default() }.pack().unwrap());
    let mut list = serde_json::from_slice::<serde_json::Value>(&index(&[&amd]).bytes).unwrap();
    list["manifests"].as_array_mut().unwrap().push(inner.descriptor());
    let list = Blob::new(Algorithm::Sha256, &inner.media_type, list.to_string().into_bytes());
    let sbom = referrer(&arm.manifest, "text/spdx", b"sbom");
    let signature = referrer(&sbom.manifest, "text/signature", b"signature");
    for image in [&amd, &arm, &other] {
        layout.put_image(image).unwrap();
    }
    layout.put(&inner).unwrap();
    layout.tag("v1", &list).unwrap();
    layout.tag("other", &other.manifest).unwrap();
    layout.put_referrer(&signature).unwrap();
    layout.put_referrer(&sbom).unwrap();

    let report = world.import(&format!("{}:v1", oci(&layout)), "my/app:v2").await.unwrap();
    assert_eq!(report.sequence, Some(1));
    assert_eq!(world.tag("my/app", "v2").await.unwrap().to_string(), list.digest);
    for blob in amd.blobs().chain(arm.blobs()).chain([&inner, &list, &sbom.manifest]) {
        world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
    world.assert_everywhere(&signature.payload.digest, b"signature").await;
    world.assert_nowhere(&other.manifest.digest).await;
    let repository = world.repository("my/app").await;
    let about: Vec<_> =
        repository.referrers.iter().map(|entry| entry.subject.to_string()).collect();
    assert!(about.contains(&arm.manifest.digest) && about.contains(&sbom.manifest.digest));
    assert_eq!(repository.manifests.len(), 6);
    assert_eq!(report.objects, report.objects_read);
    assert_eq!(report.bytes_written, 2 * report.bytes_read);
}

#[tokio::test]
async fn a_second_import_publishes_and_copies_nothing() {
    let world = World::new();
    let (layout, _) = world.image("layout", 1, "v1");
    let first = world.import(&oci(&layout), "a").await.unwrap();
    let second = world.import(&oci(&layout), "a").await.unwrap();
    assert_eq!(second.generation, first.generation);
    assert_eq!((second.sequence, second.bytes_written, second.objects_checked), (None, 0, 0));
    assert_eq!(world.pointer().await.unwrap().content().sequence, 1);
    assert!(second.to_string().contains("nothing new to publish"), "{second}");

    // The same content from another form of source is the same generation.
    let file = world.dir.path().join("image.tar");
    let third = world.import(&archive(&layout, &file, usize::MAX), "a:v1").await.unwrap();
    assert_eq!((third.generation, third.sequence), (first.generation, None));
}

#[tokio::test]
async fn every_image_of_a_layout_keeps_its_own_tag() {
    let world = World::new();
    let (layout, v1) = world.image("layout", 1, "v1");
    let v2 = Recipe { seed: 2, kind: Kind::Docker, ..Recipe::default() }.pack().unwrap();
    layout.put_image(&v2).unwrap();
    layout.tag("v2", &v2.manifest).unwrap();
    let report = world.import(&oci(&layout), "my/app").await.unwrap();
    assert_eq!(report.sequence, Some(1), "both in one publication");
    assert_eq!(world.tag("my/app", "v1").await.unwrap().to_string(), v1.manifest.digest);
    assert_eq!(world.tag("my/app", "v2").await.unwrap().to_string(), v2.manifest.digest);
}

#[tokio::test]
async fn a_moved_tag_leaves_the_old_image_by_its_digest() {
    let world = World::new();
    let (first, old) = world.image("first", 1, "v1");
    let (second, new) = world.image("second", 2, "v1");
    world.import(&oci(&first), "a:latest").await.unwrap();
    let report = world.import(&oci(&second), "a:latest").await.unwrap();
    assert_eq!(report.tags[0].before.unwrap().to_string(), old.manifest.digest);
    assert_eq!(world.tag("a", "latest").await.unwrap().to_string(), new.manifest.digest);
    let repository = world.repository("a").await;
    assert!(repository.manifest(&old.manifest.digest.parse().unwrap()).is_some());
    assert_eq!(world.pointer().await.unwrap().content().sequence, 2);
}

#[tokio::test]
async fn a_mirror_that_lost_an_object_gets_it_again_without_a_new_pointer() {
    let world = World::new();
    let (layout, image) = world.image("layout", 1, "v1");
    world.import(&oci(&layout), "a").await.unwrap();
    let layer = &image.layers[0];
    let lost = world.dir.path().join("aws/containers/images").join(&layer.digest);
    std::fs::remove_file(lost).unwrap();
    let report = world.import(&oci(&layout), "a").await.unwrap();
    assert_eq!((report.sequence, report.objects_read), (None, 1));
    world.assert_everywhere(&layer.digest, &layer.bytes).await;
}

#[tokio::test]
async fn an_import_may_run_on_any_thread() {
    fn on_any_thread<T: Send>(work: T) -> T {
        work
    }
    let world = World::new();
    let (layout, _) = world.image("layout", 1, "v1");
    let source = oci(&layout);
    on_any_thread(world.import(&source, "a")).await.unwrap();
    on_any_thread(world.prepare(&source, "a")).await.unwrap();
}

#[tokio::test]
async fn a_dry_run_writes_nothing() {
    let world = World::new();
    let (layout, image) = world.image("layout", 1, "quay.io/my/app:v1");
    let plan = world.prepare(&oci(&layout), "").await.unwrap();
    let text = plan.to_string();
    assert!(text.starts_with(&format!("my/app:v1 is new: {}", image.manifest.digest)), "{text}");
    assert!(text.contains("  aws: write 4 ("), "{text}");
    world.assert_nowhere(&image.manifest.digest).await;
    assert!(world.pointer().await.is_none());
}

#[tokio::test]
async fn progress_adds_up_to_what_was_planned() {
    let world = World::new();
    let layout = world.layout("layout");
    let image = Recipe { layer_bytes: 9 << 20, ..Recipe::default() }.pack().unwrap();
    layout.put_image(&image).unwrap();
    layout.tag("v1", &image.manifest).unwrap();
    let told = Mutex::new(Vec::new());
    let listener = |progress| told.lock().unwrap().push(progress);
    world.import_and_tell(&oci(&layout), "a", &listener).await.unwrap();
    let (mut planned, mut advanced, mut finished) = (None, 0, 0);
    let (mut work, mut placed) = (Vec::new(), [(0, 0); 2]);
    for progress in told.into_inner().unwrap() {
        match progress {
            Progress::Planned { objects, bytes, copies } => {
                planned = Some((objects, bytes));
                work = copies;
            }
            Progress::Placed { copy, size } => {
                let (objects, bytes) = &mut placed[copy.index()];
                (*objects, *bytes) = (*objects + 1, *bytes + size);
            }
            Progress::Advanced { bytes, .. } => advanced += bytes,
            Progress::Finished { .. } => finished += 1,
            _ => {}
        }
    }
    assert_eq!(planned, Some((finished, advanced)));
    assert_eq!(finished, 4);
    let work: Vec<_> = work.iter().map(|copy| (&*copy.name, copy.objects, copy.bytes)).collect();
    let [authority, aws] = placed;
    assert_eq!(work, [("authority", authority.0, authority.1), ("aws", aws.0, aws.1)]);
    world.assert_everywhere(&image.layers[1].digest, &image.layers[1].bytes).await;
}

#[tokio::test]
async fn what_docker_saved_is_imported_under_its_own_name() {
    let world = World::new();
    let recipe = Recipe { packing: Packing::Plain, kind: Kind::Docker, ..Recipe::default() };
    let image = recipe.pack().unwrap();
    let list = serde_json::json!([{
        "Config": "config.json", "RepoTags": ["hello:v1"], "Layers": ["0.tar", "1.tar"],
    }]);
    let mut saved = tar::Builder::new(Vec::new());
    for (path, bytes) in [
        ("config.json", &image.config.bytes),
        ("0.tar", &image.layers[0].bytes),
        ("1.tar", &image.layers[1].bytes),
        ("manifest.json", &list.to_string().into_bytes()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        saved.append_data(&mut header, path, bytes.as_slice()).unwrap();
    }
    let file = world.dir.path().join("saved.tar");
    std::fs::write(&file, saved.into_inner().unwrap()).unwrap();
    let report = world.import(&format!("docker-archive:{}", file.display()), "").await.unwrap();
    assert_eq!(report.tags[0].name, "hello:v1");
    world.assert_everywhere(&image.config.digest, &image.config.bytes).await;
    world.assert_everywhere(&image.layers[1].digest, &image.layers[1].bytes).await;
    assert_eq!(world.repository("hello").await.objects.len(), 3);
}

#[tokio::test]
async fn a_mirror_that_fails_stops_nothing_and_catches_up_later() {
    let world = World::new();
    let (layout, image) = world.image("layout", 1, "v1");
    let (there, away) = (world.dir.path().join("aws"), world.dir.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    std::fs::write(&there, "no directory").unwrap();
    let report = world.import(&oci(&layout), "a").await.unwrap();
    assert_eq!(report.sequence, Some(1));
    assert!(report.warnings.iter().any(|warning| warning.contains("`aws`")), "{report}");

    std::fs::remove_file(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    let report = world.import(&oci(&layout), "a").await.unwrap();
    assert_eq!((report.sequence, report.warnings.as_slice()), (None, [].as_slice()));
    for blob in image.blobs() {
        world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
    let holding = world.mirror().get_holding().await.unwrap().unwrap();
    assert_eq!((holding.generations, holding.lacks), (vec![report.generation], Vec::new()));
}
