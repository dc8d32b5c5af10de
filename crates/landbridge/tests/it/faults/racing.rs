//! Two who publish at the same time.

use std::collections::BTreeMap;
use std::time::Instant;

use landbridge_core::Digest;
use landbridge_testkit::{Origin, Server};

use super::looked::Looker;
use super::world::{Kind, World, ended, image, push};
use crate::client::Client;
use crate::running::{Failed, LIMIT};

/// In 200 races nothing was lost either: `LANDBRIDGE_RACES=200`.
const RACES: u64 = 15;
const VARIABLE: &str = "LANDBRIDGE_RACES";

/// Two replications, each from a registry of its own, into one repository of one authority in S3:
/// one wins, the other rebases, and what both published is in force. Pointers are one after the
/// other, and none ever becomes another one.
///
/// Seen to fail: with a pointer that is written whatever lies there (`r0-0 is not in force`).
#[test]
fn of_two_that_replicate_at_once_one_wins_and_nothing_is_lost() {
    let races = std::env::var(VARIABLE).ok().map_or(RACES, |races| races.parse().unwrap());
    let began = Instant::now();
    let world = World::new(Kind::S3).only(&["east", "south"]);
    let registries = [Origin::start().unwrap(), Origin::start().unwrap()];
    let files = [("one.yaml", &registries[0]), ("two.yaml", &registries[1])]
        .map(|(file, registry)| world.configure(file, registry.address()));
    let mut clients = registries.each_ref().map(|registry| Client::new(registry.address()));
    let mut looker = Looker::new();
    let mut pushed: BTreeMap<String, Digest> = BTreeMap::new();
    let (mut rebases, mut stopped) = (0, 0);
    for race in 0..races {
        for (at, client) in clients.iter_mut().enumerate() {
            // Few of the objects are the same.
            let seed = 10_000 + 2 * race + at as u64;
            let image = image(seed, 1, 2_000);
            let tag = format!("r{race}-{at}");
            push(client, "shared/app", &[&tag], &image).unwrap();
            pushed.insert(format!("shared/app:{tag}"), image.manifest.digest.parse().unwrap());
        }
        let mut runs = files
            .each_ref()
            .map(|file| Server::spawn(&mut world.command(&["replicate", "--json"], file)).unwrap());
        for (run, file) in runs.iter_mut().zip(&files) {
            let status = run.wait(LIMIT).unwrap();
            // What it wrote last may come after its end.
            let last = if status.code() == Some(3) { "error: " } else { "\"report\"" };
            run.wait_for(last, LIMIT).unwrap();
            let (stdout, stderr) = (run.log(), run.log());
            let run = ended(Failed { code: status.code(), stderr, stdout });
            match run.code {
                Some(0 | 1) => rebases += run.report["rebases"].as_u64().unwrap(),
                Some(3) => {
                    // Whoever stops says so, and what it did not publish it does now.
                    assert!(run.stderr.contains("another publication"), "{run:?}");
                    stopped += 1;
                    assert_eq!(world.replicate(file).code, Some(0));
                }
                _ => panic!("{run:?}"),
            }
        }
        let in_force = looker.look(&world).unwrap().unwrap();
        for (tag, digest) in &pushed {
            assert_eq!(in_force.tags.get(tag), Some(digest), "{tag} is not in force, race {race}");
        }
        // Each published once.
        assert_eq!(in_force.pointer.content().sequence, 2 * (race + 1));
    }
    // Whose word on a mirror was lost is put right by the next run.
    for file in &files {
        let run = world.replicate(file);
        assert_eq!((run.code, &run.report["sequence"]), (Some(0), &serde_json::Value::Null));
    }
    looker.forget();
    let whole = looker.look(&world).unwrap().unwrap();
    assert_eq!(whole.complete.len(), world.mirrors.len());
    let generation = whole.pointer.content().generation;
    for mirror in &world.mirrors {
        let holding = looker.holding(mirror).unwrap();
        assert!(holding.generations.contains(&generation) && holding.lacks.is_empty());
    }
    tell(&format!("{races} races: {rebases} rebases, {stopped} stopped, in {:?}", began.elapsed()));
    assert!(rebases + stopped >= races / 2, "they hardly met: {rebases} rebases in {races} races");
}

#[expect(clippy::print_stdout, reason = "seen if the test fails")]
fn tell(text: &str) {
    println!("{text}");
}
