//! Stores that answer without end: what publishes gives up and names them, what serves goes on.

use landbridge_testkit::S3Fault;

use super::looked::pull;
use super::trouble::Trouble;
use super::world::{Kind, World};

const ALWAYS: u32 = u32::MAX;

/// Pointers, documents, holdings, lists and objects without end, in the authority and in a mirror
/// that must have everything.
///
/// Seen to fail: without the limit of what a directory lists (the run did not end).
#[test]
fn a_store_without_end_is_named_and_the_front_serves_on() {
    let world = World::new(Kind::S3).only(&["east", "south"]);
    let mut trouble = Trouble::new(world, 22_000, |registry| registry.address().to_owned());
    let table = [
        ("/authority/pointers/", S3Fault::Endless, "pointers/"),
        ("prefix=pointers", S3Fault::EndlessList("pointers"), "more than 100000 entries"),
        ("prefix=withdrawn", S3Fault::EndlessList("withdrawn"), "more than 100000 entries"),
        ("/authority/generations/", S3Fault::Endless, "generations/"),
        ("/east/holding.json", S3Fault::Endless, "east"),
        ("/east/blobs/", S3Fault::Endless, "east"),
    ];
    for (part, fault, culprit) in table {
        let what = format!("{fault:?} at {part}");
        let tag = trouble.push();
        let before = trouble.look();
        trouble.world.s3.fail_at(part, fault, ALWAYS);
        let run = trouble.world.replicate(&trouble.file);
        assert_eq!(run.code, Some(3), "{what}: {run:?}");
        assert!(run.stderr.contains(culprit), "{what}: {run:?}");
        run.assert_brief();
        // Documents are read when there is something new, and objects by clients.
        if !part.contains("generations") && !part.contains("blobs") {
            trouble.front_says(&[culprit]);
        }
        if !part.contains("blobs") {
            for tag in before.tags.keys() {
                assert!(pull(&trouble.front, tag).unwrap().is_some(), "{what}");
            }
        }
        trouble.world.s3.fail_at(part, fault, 0);
        trouble.unchanged(&what, &before);
        trouble.heals(&what, &tag);
    }
}
