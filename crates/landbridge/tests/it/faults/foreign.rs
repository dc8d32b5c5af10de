//! Pointers in the authority that nobody should believe: what publishes does, and what serves.

use std::fs;
use std::path::PathBuf;

use landbridge_core::pointer::Pointer;
use landbridge_sign::LocalKey;

use super::looked::pull;
use super::trouble::Trouble;
use super::world::{Kind, World};
use crate::running::until;

const FAR: u64 = 5_000;

/// Makes the envelope of a pointer.
type Forgery<'a> = &'a dyn Fn(&mut Forger) -> Vec<u8>;

/// Whoever can write into the authority, or has another project's key.
struct Forger {
    trouble: Trouble,
    own: LocalKey,
}

impl Forger {
    fn new() -> Self {
        let world = World::new(Kind::Directory).only(&["east", "south"]);
        let own = LocalKey::open(&world.dir.path().join("key.pem")).unwrap();
        let trouble = Trouble::new(world, 24_000, |registry| registry.address().to_owned());
        Self { trouble, own }
    }

    fn file(&self, place: &str, sequence: u64) -> PathBuf {
        self.trouble.world.dir.path().join(place).join(format!("pointers/{sequence:020}"))
    }

    /// What is in force, as somebody else would have it.
    fn forged(&mut self, change: &dyn Fn(&mut Pointer)) -> Pointer {
        let mut pointer = self.trouble.look().pointer.content().clone();
        pointer.sequence += 1;
        "forged".clone_into(&mut pointer.reason);
        change(&mut pointer);
        pointer
    }
}

/// One that is not signed by a trusted key, is of another catalog, was put where it does not belong,
/// has no end or is nonsense: a run publishes above it, says what it found and exits with 1, and a
/// front serves on and says the same.
///
/// Seen to fail: with a run that keeps what it refused to itself (exit 0).
#[test]
fn a_pointer_that_is_none_is_reported_by_all_and_believed_by_nobody() {
    let stranger = LocalKey::generate().unwrap();
    let sign = |it: &mut Forger, change: &dyn Fn(&mut Pointer)| {
        let pointer = it.forged(change);
        it.own.sign_pointer(&pointer)
    };
    let cases: [(&str, Forgery<'_>, u64, &str); 6] = [
        ("a wrong key", &|it| stranger.sign_pointer(&it.forged(&|_| {})), 2, "sign"),
        (
            "another catalog",
            &|it| sign(it, &|pointer| "other".clone_into(&mut pointer.catalog)),
            2,
            "catalog `other`",
        ),
        ("a replay", &|it| fs::read(it.file("authority", 1)).unwrap(), 2, "does not belong"),
        ("endless", &|_| vec![b' '; 64 << 20], 2, "limit"),
        ("nonsense", &|_| b"{}".to_vec(), 2, "malformed"),
        ("fast forward", &|it| sign(it, &|pointer| pointer.sequence = FAR), FAR, "1000 ahead"),
    ];
    for (what, envelope, sequence, why) in cases {
        let mut forger = Forger::new();
        let envelope = envelope(&mut forger);
        fs::write(forger.file("authority", sequence), envelope).unwrap();
        let name = format!("{sequence:020}");
        forger.trouble.front_says(&[&name, why]);
        let tag = forger.trouble.push();
        let Forger { trouble, .. } = forger;
        assert!(pull(&trouble.front, "app:v0").unwrap().is_some(), "{what}");
        let run = trouble.world.replicate(&trouble.file);
        // Above what is in the way, as far as that is within reach.
        let next = if sequence == 2 { 3 } else { 2 };
        assert_eq!(
            (run.code, run.report["sequence"].as_u64()),
            (Some(1), Some(next)),
            "{what}: {run:?}"
        );
        let warnings = run.report["warnings"].to_string();
        assert!(warnings.contains(&name) && warnings.contains(why), "{what}: {run:?}");
        until(|| pull(&trouble.front, &tag), Option::is_some).unwrap();
        assert!(pull(&trouble.front, "app:v0").unwrap().is_some(), "{what}");
    }
}

/// An authority that shows an old state: the newest pointer is gone, and mirrors have it. A run does
/// not publish another one with its number, and a front stays where it was.
///
/// Seen to fail: with a run that does not ask its mirrors (it publishes another pointer 2).
#[test]
fn an_authority_that_lost_its_newest_pointer_is_not_published_in() {
    let mut forger = Forger::new();
    let tag = forger.trouble.push();
    forger.trouble.heals("the second release", &tag);
    let last = forger.file("authority", 2);
    let kept = fs::read(&last).unwrap();
    fs::remove_file(&last).unwrap();
    forger.trouble.front_says(&["has lost pointer 2"]);
    let next = forger.trouble.push();
    let run = forger.trouble.world.replicate(&forger.trouble.file);
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.stderr.contains("has pointer 2, signed by the trusted keys"), "{run:?}");
    assert!(!last.exists(), "another pointer 2");
    assert!(pull(&forger.trouble.front, &tag).unwrap().is_some());
    // As the message says: from the mirror.
    assert_eq!(fs::read(forger.file("south", 2)).unwrap(), kept);
    fs::copy(forger.file("south", 2), &last).unwrap();
    forger.trouble.heals("restored", &next);
}

/// Two histories with one number, signed by the same keys: a front keeps the one that it saw first
/// and says so.
///
/// Seen to fail: with a front that follows whatever lies there now.
#[test]
fn of_two_pointers_with_one_number_a_front_keeps_the_first() {
    let mut forger = Forger::new();
    let tag = forger.trouble.push();
    let old = forger.trouble.look().pointer.content().generation;
    forger.trouble.heals("the second release", &tag);
    let other = forger.forged(&|pointer| (pointer.sequence, pointer.generation) = (2, old));
    let file = forger.file("authority", 2);
    let kept = fs::read(&file).unwrap();
    fs::write(&file, forger.own.sign_pointer(&other)).unwrap();
    forger.trouble.front_says(&["another pointer 2"]);
    assert!(pull(&forger.trouble.front, &tag).unwrap().is_some());
    fs::write(&file, kept).unwrap();
    let next = forger.trouble.push();
    forger.trouble.heals("restored", &next);
}
