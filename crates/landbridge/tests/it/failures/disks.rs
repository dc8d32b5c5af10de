//! Disks that are full or take nothing.

use landbridge_testkit::Tmpfs;
use landbridge_testkit::image::Recipe;

use super::pull_everything;
use crate::content::{single, source};
use crate::running::{Front, import, landbridge, run_to_end};

const MIB: u64 = 1 << 20;

#[test]
fn a_full_disk_is_said_to_be_full_and_what_was_there_stays() {
    let tmpfs = Tmpfs::mount(8 * MIB).unwrap();
    let data = tmpfs.path().join("data");
    let (_dir, small) = single(&Recipe::default().pack().unwrap()).unwrap();
    import(&data, &source(&small), "app:small").unwrap();
    let front = Front::over(&data).unwrap();
    let before = pull_everything(&front).unwrap();

    let large = Recipe { seed: 2, layers: 3, layer_bytes: 3 * 1024 * 1024, ..Recipe::default() };
    let (_dir, large) = single(&large.pack().unwrap()).unwrap();
    let failed = run_to_end(
        landbridge().args(["import", &source(&large), "app:large", "--data"]).arg(&data),
    )
    .unwrap();
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.stderr.contains("error: "), "{failed:?}");
    assert!(failed.stderr.contains("No space left on device"), "{failed:?}");
    // To the last byte.
    std::fs::write(tmpfs.path().join("filler"), vec![0; 8 << 20]).unwrap_err();
    // The front over the same full disk goes on answering, and so does a new one, which can take
    // no pushes.
    assert_eq!(pull_everything(&front).unwrap(), before);
    front.stop().unwrap();
    let front = Front::over(&data).unwrap();
    assert_eq!(pull_everything(&front).unwrap(), before);

    tmpfs.resize(128 * MIB).unwrap();
    import(&data, &source(&large), "app:large").unwrap();
    front.stop().unwrap();
    let after = pull_everything(&Front::over(&data).unwrap()).unwrap();
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn a_read_only_directory_is_refused_by_name_and_left_as_it_is() {
    let tmpfs = Tmpfs::mount(64 * MIB).unwrap();
    let data = tmpfs.path().join("data");
    let (_dir, layout) = single(&Recipe::default().pack().unwrap()).unwrap();
    import(&data, &source(&layout), "app:v1").unwrap();
    tmpfs.make_read_only().unwrap();
    let (_dir, other) = single(&Recipe { seed: 2, ..Recipe::default() }.pack().unwrap()).unwrap();
    for arguments in [
        vec!["import", &source(&other), "app:v2"],
        vec!["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"],
    ] {
        let failed = run_to_end(landbridge().args(&arguments).arg("--data").arg(&data)).unwrap();
        assert_eq!(failed.code, Some(3), "{failed:?}");
        assert!(failed.stderr.contains(&*data.to_string_lossy()), "{failed:?}");
        assert!(failed.stderr.contains("Read-only file system"), "{failed:?}");
        assert_eq!(failed.stdout, "", "nothing is announced that does not run");
    }
    // An empty one too.
    let failed = run_to_end(
        landbridge()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(tmpfs.path().join("new")),
    )
    .unwrap();
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.stderr.contains("Read-only file system"), "{failed:?}");
}

#[test]
fn an_empty_directory_that_is_too_small_for_the_first_image_says_so() {
    let tmpfs = Tmpfs::mount(MIB).unwrap();
    let failed = run_to_end(
        landbridge()
            .args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(tmpfs.path()),
    )
    .unwrap();
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(failed.stderr.contains("No space left on device"), "{failed:?}");
    tmpfs.resize(2_048 * MIB).unwrap();
    let front = Front::over(tmpfs.path()).unwrap();
    assert_eq!(front.get("/v2/landbridge/manifests/latest").unwrap().status, 200);
}
