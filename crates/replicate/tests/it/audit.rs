//! Audits of real directories, through a server that can be made to do everything wrong.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use landbridge_core::Digest;
use landbridge_replicate::{
    Audit, AuditReport, Budget, Choice, CopyReport, Depth, Effect, FindingKind, Stop, Verdict,
    audit,
};
use landbridge_store::BucketLayout;
use landbridge_testkit::image::Image;

use crate::served::{Fault, Served};
use crate::world::{World, oci};

/// One image in an authority and a mirror that is served.
struct Audited {
    world: World,
    image: Image,
    served: Served,
}

/// What is asked, with what tests leave as it is.
#[derive(Clone, Copy)]
struct Asked {
    depth: Depth,
    effect: Effect,
    choice: Choice,
    budget: Budget,
}

const FULL: Asked = Asked {
    depth: Depth::Full,
    effect: Effect::Mark,
    choice: Choice::all(1),
    budget: Budget { bytes: None, time: None },
};
const REPAIR: Asked = Asked { effect: Effect::Repair, ..FULL };

impl Audited {
    async fn new() -> Self {
        let world = World::new();
        let (layout, image) = world.image("image", 1, "v1");
        world.import(&oci(&layout), "a:v1").await.unwrap();
        let served = Served::start(&world.dir.path().join("aws"));
        Self { world, image, served }
    }

    async fn audit(&self, asked: Asked) -> AuditReport {
        let stop = Stop::new();
        self.audit_until(asked, &stop).await
    }

    async fn audit_until(&self, asked: Asked, stop: &Stop) -> AuditReport {
        let Asked { depth, effect, choice, budget } = asked;
        let request = Audit {
            publication: &self.world.publication,
            faces: vec![None, Some(self.served.face(BucketLayout::ContainersImages))],
            registry: None,
            depth,
            choice,
            budget,
            effect,
            at_once: 4,
            stop,
        };
        audit(&request, &|_| {}).await.unwrap()
    }

    /// The file of an object in the mirror.
    fn file(&self, digest: &str) -> PathBuf {
        self.world.dir.path().join("aws/containers/images").join(digest)
    }

    async fn lacks(&self) -> Vec<Digest> {
        self.world.mirror().get_holding().await.unwrap().unwrap().lacks
    }
}

fn found(copy: &CopyReport) -> Vec<(FindingKind, u64)> {
    copy.counts.iter().map(|(kind, count)| (*kind, *count)).collect()
}

fn one(kind: FindingKind) -> Vec<(FindingKind, u64)> {
    vec![(kind, 1)]
}

#[tokio::test]
async fn nothing_is_wrong_with_what_was_just_published() {
    let audited = Audited::new().await;
    for depth in [Depth::Presence, Depth::Ranges, Depth::Full] {
        let before = audited.served.requests();
        let report = audited.audit(Asked { depth, ..FULL }).await;
        assert_eq!(report.verdict(), Verdict::Clean, "{report}");
        let requests = audited.served.requests() - before;
        let each = 1 + u64::from(depth >= Depth::Ranges) + u64::from(depth >= Depth::Full);
        assert_eq!((report.copies[1].looked, requests), (4, 4 * each), "{report}");
    }
}

#[tokio::test]
async fn what_clients_cannot_use_is_found_noted_and_copied_again() {
    let audited = Audited::new().await;
    let [one, two] = [0, 1].map(|at| audited.image.layers[at].digest.clone());
    fs::remove_file(audited.file(&one)).unwrap();
    let size = fs::metadata(audited.file(&two)).unwrap().len();
    fs::write(audited.file(&two), vec![7; usize::try_from(size).unwrap()]).unwrap();
    fs::write(audited.file(&audited.image.config.digest), "short").unwrap();

    // A size tells nothing of the bytes.
    let shallow = audited.audit(Asked { depth: Depth::Ranges, effect: Effect::Report, ..FULL });
    let shallow = shallow.await;
    let expected = [(FindingKind::Absent, 1), (FindingKind::WrongSize, 1)];
    assert_eq!(found(&shallow.copies[1]), expected, "{shallow}");
    assert_eq!(audited.lacks().await, []);

    let report = audited.audit(FULL).await;
    let kinds = [FindingKind::Absent, FindingKind::WrongSize, FindingKind::WrongBytes];
    assert_eq!(found(&report.copies[1]), kinds.map(|kind| (kind, 1)), "{report}");
    assert_eq!((report.verdict(), report.copies[1].marked), (Verdict::Findings, 3), "{report}");
    assert_eq!(audited.lacks().await.len(), 3);
    assert!(report.copies[0].counts.is_empty(), "{report}");

    let repaired = audited.audit(REPAIR).await;
    assert_eq!((repaired.verdict(), repaired.copies[1].repaired), (Verdict::Findings, 3));
    assert!(repaired.copies[1].findings.iter().all(|finding| finding.repaired), "{repaired}");
    assert_eq!(audited.lacks().await, []);
    for blob in audited.image.blobs() {
        audited.world.assert_everywhere(&blob.digest, &blob.bytes).await;
    }
    let again = audited.audit(FULL).await;
    assert_eq!(again.verdict(), Verdict::Clean, "{again}");
}

#[tokio::test]
async fn a_copy_that_lies_is_found_by_asking_it_as_clients_do() {
    use FindingKind::{
        Absent, Encoded, NoRanges, NoSize, NotImmutable, Truncated, WrongBytes, WrongType,
    };
    let audited = Audited::new().await;
    let layer = audited.image.layers[0].digest.clone();
    let table = [
        (Fault::Lies, Absent),
        (Fault::OtherBytes, WrongBytes),
        (Fault::Cut, Truncated),
        (Fault::Gzip, Encoded),
        (Fault::IgnoresRanges, NoRanges),
        (Fault::NoLength, NoSize),
        (Fault::Html, WrongType),
        (Fault::Uncached, NotImmutable),
    ];
    for (fault, kind) in table {
        audited.served.spoil(&layer, fault);
        let report = audited.audit(FULL).await;
        assert_eq!(found(&report.copies[1]), one(kind), "{fault:?}: {report}");
        assert_eq!(report.verdict(), Verdict::Findings);
        let lacks = audited.lacks().await;
        assert_eq!(lacks.len(), usize::from(kind.is_unusable()), "{fault:?}");

        // The bucket is right, so copying again is of no use, and it says so.
        if kind.is_unusable() {
            let report = audited.audit(REPAIR).await;
            assert_eq!(report.copies[1].repaired, 0, "{fault:?}: {report}");
            assert!(report.to_string().contains("is still bad"), "{fault:?}: {report}");
        }
        audited.served.heal();
        let report = audited.audit(REPAIR).await;
        let expected = if kind.is_unusable() { one(FindingKind::Unclaimed) } else { Vec::new() };
        assert_eq!(found(&report.copies[1]), expected, "{fault:?}: {report}");
        assert_eq!(audited.lacks().await, []);
    }
}

#[tokio::test]
async fn what_is_bad_in_the_authority_is_repaired_from_a_mirror_that_has_it_right() {
    let audited = Audited::new().await;
    let layer = &audited.image.layers[0];
    let hex = layer.digest.strip_prefix("sha256:").unwrap();
    let file = audited.world.dir.path().join("origin/blobs/sha256").join(hex);
    fs::write(&file, vec![0; layer.bytes.len()]).unwrap();
    let report = audited.audit(FULL).await;
    assert_eq!(found(&report.copies[0]), one(FindingKind::WrongBytes), "{report}");
    let report = audited.audit(REPAIR).await;
    assert_eq!(report.copies[0].repaired, 1, "{report}");
    assert_eq!(fs::read(&file).unwrap(), layer.bytes);
    // With nobody who has it right, nothing is done but to say so.
    for file in [&file, &audited.file(&layer.digest)] {
        fs::write(file, vec![0; layer.bytes.len()]).unwrap();
    }
    let report = audited.audit(REPAIR).await;
    assert!(report.to_string().contains("no other copy has it"), "{report}");
    assert_eq!(fs::read(&file).unwrap().len(), layer.bytes.len());
}

#[tokio::test]
async fn a_copy_that_is_busy_is_waited_for_and_one_that_is_down_is_given_up() {
    let audited = Audited::new().await;
    audited.served.spoil("", Fault::Busy(2));
    let began = std::time::Instant::now();
    let report = audited.audit(Asked { depth: Depth::Presence, ..FULL }).await;
    assert_eq!(report.verdict(), Verdict::Clean, "{report}");
    assert!(began.elapsed() >= Duration::from_secs(1));

    audited.served.spoil("", Fault::Down);
    let report = audited.audit(Asked { depth: Depth::Presence, ..FULL }).await;
    assert_eq!(found(&report.copies[1]), [(FindingKind::Failing, 4)], "{report}");
    assert_eq!(report.verdict(), Verdict::Failed, "{report}");
    // To fail is not to lack.
    assert_eq!(audited.lacks().await, []);
}

#[tokio::test]
async fn a_mirror_that_says_nothing_of_the_generation_is_brought_back() {
    let audited = Audited::new().await;
    fs::remove_file(audited.world.dir.path().join("aws/holding.json")).unwrap();
    fs::remove_file(audited.file(&audited.image.layers[0].digest)).unwrap();
    let report = audited.audit(FULL).await;
    let expected = [(FindingKind::Absent, 1), (FindingKind::Behind, 1)];
    assert_eq!(found(&report.copies[1]), expected, "{report}");
    let report = audited.audit(REPAIR).await;
    assert_eq!(report.copies[1].notes, [""; 0], "{report}");
    assert_eq!(audited.audit(FULL).await.verdict(), Verdict::Clean);
}

#[tokio::test]
async fn a_budget_ends_it_in_order_and_says_what_was_not_looked_at() {
    let audited = Audited::new().await;
    let stopped = |budget| Asked { budget, ..FULL };
    let nothing = audited.audit(stopped(Budget { bytes: Some(0), time: None })).await;
    assert_eq!((nothing.copies[1].looked, nothing.copies[1].planned), (0, 4), "{nothing}");
    assert!(nothing.to_string().contains("not looked at: 4 objects"), "{nothing}");
    let time = Some(Duration::ZERO);
    let late = audited.audit(stopped(Budget { bytes: None, time })).await;
    assert_eq!((late.copies[0].looked, late.verdict()), (0, Verdict::Clean), "{late}");
    let stop = Stop::new();
    stop.ask();
    let ended = audited.audit_until(FULL, &stop).await;
    assert_eq!(ended.copies[0].looked, 0, "{ended}");

    // The same seed looks at the same; what is known to be lacking is always looked at.
    let sample = Asked { choice: Choice { share_ppm: 0, seed: 9 }, ..FULL };
    assert_eq!(audited.audit(sample).await.copies[1].planned, 0);
    fs::remove_file(audited.file(&audited.image.layers[0].digest)).unwrap();
    audited.audit(FULL).await;
    let report = audited.audit(sample).await;
    assert_eq!(found(&report.copies[1]), one(FindingKind::Absent), "{report}");
}

#[tokio::test]
async fn metrics_have_every_kind_for_every_copy() {
    let audited = Audited::new().await;
    fs::remove_file(audited.file(&audited.image.layers[0].digest)).unwrap();
    let report = audited.audit(FULL).await;
    let text = report.prometheus("2026-11-22T00:00:00Z".parse().unwrap());
    let lines = |name: &str| {
        let name = format!("landbridge_audit_{name}");
        let is_sample = |line: &&str| line.starts_with(&name);
        text.lines().filter(is_sample).map(str::to_owned).collect::<Vec<_>>()
    };
    let tags = 2;
    assert_eq!(lines("findings{").len(), 2 * (FindingKind::ALL.len() - tags), "{text}");
    let absent = r#"landbridge_audit_findings{copy="aws",kind="absent"} 1"#;
    assert!(text.contains(absent), "{text}");
    assert_eq!(
        lines("end_timestamp_seconds"),
        ["landbridge_audit_end_timestamp_seconds 1795305600"]
    );
    let helps = text.lines().filter(|line| line.starts_with("# HELP")).count();
    let types = text.lines().filter(|line| line.starts_with("# TYPE")).count();
    assert_eq!((helps, types), (9, 9), "{text}");
}
