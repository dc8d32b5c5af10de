//! Mirrors as everybody sees them: their pointers, their objects, and what an audit makes of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use landbridge_core::Digest;
use landbridge_core::pointer::Pointer;
use landbridge_sign::LocalKey;
use landbridge_testkit::run;
use serde_json::Value;

use super::looked::pull;
use super::trouble::Trouble;
use super::world::{Kind, World};
use crate::running::{Failed, Front, LIMIT, landbridge, run_to_end, until};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn trouble(seed: u64, authority: Kind, mirrors: &[&str]) -> Trouble {
    let world = World::new(authority).only(mirrors);
    Trouble::new(world, seed, |registry| registry.address().to_owned())
}

/// A release that expired is served on, and `--renew` publishes it once more for a later day:
/// the same generation, no object, no document, nothing new in what mirrors say that they hold.
#[test]
fn a_release_that_expired_is_served_on_and_renewed_and_nothing_else_changes() {
    let mut trouble = trouble(25_000, Kind::Directory, &["east", "south"]);
    // The same release, published once more and long ago.
    let first = trouble.look().pointer;
    let expired = Pointer {
        sequence: 2,
        previous: Some(*first.envelope()),
        expires: Timestamp::now() - DAY,
        ..first.content().clone()
    };
    let dir = trouble.world.dir.path().to_owned();
    let key = LocalKey::open(&dir.join("key.pem")).unwrap();
    let file = dir.join(format!("authority/pointers/{:020}", expired.sequence));
    fs::write(file, key.sign_pointer(&expired)).unwrap();
    trouble.front_says(&["sequence=2"]);
    assert!(pull(&trouble.front, "app:v0").unwrap().is_some());
    let front = trouble.world.front();
    until(|| pull(&front, "app:v0"), Option::is_some).unwrap();

    // Without being told to, a run leaves it as it is.
    let holdings = trouble.holdings();
    let same = trouble.world.replicate(&trouble.file);
    assert!(same.report["sequence"].is_null(), "{same:?}");
    trouble.world.stores.take();
    let mut command = trouble.world.command(&["replicate", "--renew", "--json"], &trouble.file);
    let told = run(&mut command, LIMIT).unwrap().text();
    let report: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(report["sequence"], 3, "{report}");
    assert_eq!((&report["objects_read"], &report["bytes_written"]), (&0.into(), &0.into()));
    let stores = trouble.world.stores.take();
    assert_eq!(stores.targets("PUT", "/blobs/"), Vec::<&str>::new());
    let renewed = trouble.look().pointer.content().clone();
    assert_eq!((renewed.sequence, renewed.generation), (3, expired.generation));
    assert!(renewed.expires > Timestamp::now() + 80 * DAY, "{renewed:?}");
    for (before, after) in holdings.iter().zip(trouble.holdings()) {
        assert_eq!((&after.generations, &after.lacks), (&before.generations, &before.lacks));
        assert_eq!(after.pointer, Some(3));
    }
}

/// A front that has mirrors' public faces only, and an authority that stands still: it learns of the
/// next release from the faces, running or started anew.
#[test]
fn a_newer_pointer_is_found_in_mirrors_by_their_public_faces_alone() {
    let mut trouble = trouble(26_000, Kind::Directory, &["east", "west"]);
    // What the authority was, for whoever reads it here.
    let dir = trouble.world.dir.path().to_owned();
    let (from, to) = (dir.join("authority"), dir.join("frozen"));
    run(Command::new("cp").arg("-r").args([&from, &to]), LIMIT).unwrap();
    let file = trouble.world.configure_with("faces.yaml", "127.0.0.1:1", |config| {
        config.as_object_mut().unwrap().remove("replicate");
        let origin = config["origins"][0].as_object_mut().unwrap();
        origin.remove("registry");
        origin["store"]["url"] = "frozen".into();
        for mirror in config["mirrors"].as_array_mut().unwrap() {
            mirror["bucket"].as_object_mut().unwrap().remove("store");
        }
    });
    let front = Front::configured(&file).unwrap();
    assert!(pull(&front, "app:v0").unwrap().is_some());
    let tag = trouble.push();
    assert_eq!(pull(&front, &tag).unwrap(), None);
    trouble.heals("the second release", &tag);
    until(|| pull(&front, &tag), Option::is_some).unwrap();
    assert!(!to.join(format!("pointers/{:020}", 2)).exists());
    drop(front);
    let front = Front::configured(&file).unwrap();
    until(|| pull(&front, &tag), Option::is_some).unwrap();
}

/// `landbridge audit` of a bucket in S3 through its public address: what is missing, too short or
/// altered is found, the holding says so at once, and `--repair` puts it back.
#[test]
fn an_audit_of_a_bucket_finds_what_its_public_address_does_not_give_and_repairs_it() {
    let mut trouble = trouble(27_000, Kind::Directory, &["east", "south"]);
    let tag = trouble.push();
    trouble.heals("the second release", &tag);
    let file = trouble.file.clone();
    let audit = |trouble: &Trouble, arguments: &[&str]| {
        let mut command = landbridge();
        command.args(["audit", "--check", "full", "--copies-only", "--json"]).args(arguments);
        command.arg("--config").arg(&file).envs(trouble.world.s3.environment());
        let Failed { code, stdout, stderr } = run_to_end(&mut command).unwrap();
        let report = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
        let report: Value = report.unwrap_or_else(|| panic!("{stderr}"));
        let east = report["copies"].as_array().unwrap().iter().find(|it| it["name"] == "east");
        (code, east.cloned().unwrap(), stderr)
    };
    let (code, east, stderr) = audit(&trouble, &[]);
    assert_eq!(code, Some(0), "{east} {stderr}");
    let through = east["through"].as_str().unwrap();
    assert!(trouble.world.s3.public("east").starts_with(through), "{through}");

    let files = super::looked::object_files(&trouble.world, &trouble.world.mirrors[0]);
    let [absent, short, altered] = [0, 1, 2].map(|at| files[at].clone());
    fs::remove_file(&absent).unwrap();
    let mut bytes = fs::read(&short).unwrap();
    bytes.pop();
    fs::write(&short, bytes).unwrap();
    let mut bytes = fs::read(&altered).unwrap();
    bytes[0] ^= 1;
    fs::write(&altered, bytes).unwrap();
    let (code, east, stderr) = audit(&trouble, &[]);
    assert_eq!(code, Some(1), "{east} {stderr}");
    for kind in ["absent", "wrong_size", "wrong_bytes"] {
        assert_eq!(east["counts"][kind], 1, "{east}");
    }
    let lacks = trouble.holdings()[0].lacks.clone();
    assert_eq!(lacks.len(), 3, "{lacks:?}");
    let is_there = |path: &PathBuf| {
        let hash = path.file_name().unwrap().to_string_lossy().into_owned();
        lacks.iter().any(|digest: &Digest| digest.hex().to_string().starts_with(&hash))
    };
    assert!([&absent, &short, &altered].into_iter().all(is_there), "{lacks:?}");

    let (code, east, stderr) = audit(&trouble, &["--repair"]);
    assert_eq!((code, &east["repaired"]), (Some(1), &3.into()), "{east} {stderr}");
    assert_eq!(trouble.holdings()[0].lacks.len(), 0);
    let (code, east, stderr) = audit(&trouble, &[]);
    assert_eq!(code, Some(0), "{east} {stderr}");
    trouble.looker.forget();
    assert_eq!(trouble.look().complete.len(), 2);
}
