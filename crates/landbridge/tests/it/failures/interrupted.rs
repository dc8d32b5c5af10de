//! Imports that are killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use landbridge_testkit::image::Recipe;
use landbridge_testkit::{Server, Signal};

use super::pull_everything;
use crate::content::{single, source};
use crate::running::{Data, Front, LIMIT, Records, landbridge, until};

const MOMENTS: u32 = 50;

/// A number in [0, 1) for each `at`, always the same one.
fn chance(at: u32) -> f64 {
    let mixed = u64::from(at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 40) as f64 / f64::from(1 << 24)
}

#[test]
fn an_import_that_is_killed_at_any_moment_loses_nothing() {
    let data = Data::new().unwrap();
    let image = |seed: u64| {
        let recipe = Recipe { seed, layers: 1, layer_bytes: 100_000, ..Recipe::default() };
        let image = recipe.pack().unwrap();
        let (dir, layout) = single(&image).unwrap();
        (image.manifest.digest, source(&layout), dir)
    };
    // How long one takes, once the directory is there.
    let mut known = BTreeMap::new();
    let mut whole = Duration::ZERO;
    for (seed, name) in [(1_000, "app:first"), (1_001, "app:second")] {
        let (digest, layout, _dir) = image(seed);
        let start = Instant::now();
        data.import(&layout, name).unwrap();
        whole = start.elapsed();
        known.insert(name.to_owned(), digest);
    }

    let (mut killed, mut too_late) = (0, 0);
    for moment in 0..MOMENTS {
        let (digest, layout, _dir) = image(u64::from(moment));
        let name = format!("app:v{moment}");
        // Spread over the whole of an import, each a little aside of its place.
        let delay = whole.mul_f64((f64::from(moment) + chance(moment)) / f64::from(MOMENTS));
        let mut import = landbridge();
        import.args(["import", &layout, &name, "--data"]).arg(data.path());
        let mut import = Server::spawn(&mut import).unwrap();
        // This is no wait for something to happen: the moment is what is tested.
        std::thread::sleep(delay);
        match import.signal(Signal::KILL) {
            Ok(()) => killed += 1,
            Err(_) => too_late += 1,
        }
        import.wait(LIMIT).unwrap();

        let mut now = pull_everything(&Front::over(data.path()).unwrap()).unwrap();
        // The new tag is there with all that it means, or not at all; everything else is as it was.
        let added = now.remove(&name);
        assert!(added.is_none_or(|added| added == digest), "killed after {delay:?} of {whole:?}");
        assert_eq!(now, known, "killed after {delay:?} of {whole:?}");
        // A second try completes it, as the next look shows.
        data.import(&layout, &name).unwrap();
        known.insert(name, digest);
    }
    let now = pull_everything(&Front::over(data.path()).unwrap()).unwrap();
    assert_eq!(now, known);
    assert!(killed > MOMENTS / 2, "{killed} were killed, {too_late} had ended");
}

#[test]
fn two_imports_at_once_both_become_visible() {
    let data = Data::new().unwrap();
    let layouts: Vec<_> = (1..=2)
        .map(|seed| single(&Recipe { seed, ..Recipe::default() }.pack().unwrap()).unwrap())
        .collect();
    let imports: Vec<_> = (layouts.iter().zip(["app:one", "app:two"]))
        .map(|((_, layout), name)| {
            let mut import = landbridge();
            import.args(["import", &source(layout), name, "--data"]).arg(data.path());
            Server::spawn(&mut import).unwrap()
        })
        .collect();
    for mut import in imports {
        let status = import.wait(Duration::from_mins(1)).unwrap();
        assert!(status.success(), "{}", import.log());
    }
    let found = pull_everything(&Front::over(data.path()).unwrap()).unwrap();
    assert_eq!(found.into_keys().collect::<Vec<_>>(), ["app:one", "app:two"]);
}

#[test]
fn a_front_that_is_killed_loses_no_record_that_is_a_second_old() {
    let data = Data::new().unwrap();
    let image = Recipe::default().pack().unwrap();
    let (_dir, layout) = single(&image).unwrap();
    data.import(&source(&layout), "app:v1").unwrap();
    let directory = data.path().join("records");
    let mut asked = 0;
    for round in 0..3 {
        let front = Front::over(data.path()).unwrap();
        for _ in 0..20 {
            assert_eq!(front.get("/v2/app/manifests/v1").unwrap().status, 200);
            asked += 1;
        }
        let start = Instant::now();
        let lines = || Ok(Records::read(&directory)?.text().lines().count());
        until(lines, |lines| *lines == asked).unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "round {round}: {:?}", start.elapsed());
        front.signal(Signal::KILL).unwrap();
        // What follows goes after what is there, line by line.
        assert_eq!(Records::read(&directory).unwrap().all().unwrap().len(), asked);
    }
}
