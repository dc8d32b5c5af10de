//! What every store promises of leases, condemnations and collectors.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_store::{
    Bucket, BucketLayout, Collector, CollectorError, Creation, Leases, PrepareError, Presence,
    Repositories, Reprieve, StoreError, SweepError, Swept,
};
use url::Url;

const HOUR: Duration = Duration::from_hours(1);
const NONE: Duration = Duration::ZERO;
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn every_promise(repositories: &Repositories) {
    leases_are_written_when_they_are_needed(repositories).await;
    what_is_condemned_goes_unless_somebody_relies_on_it(repositories).await;
    a_sweep_that_failed_is_cleared_up(repositories).await;
    one_collects_at_a_time(repositories).await;
}

/// An object of a few bytes of its own.
async fn put(repositories: &Repositories, text: &str) -> Digest {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    let digest = Digest::sha256_of(&bytes);
    let size = bytes.len() as u64;
    let source = futures::stream::iter([Ok::<_, std::io::Error>(bytes)]);
    repositories.bucket().put_object(&digest, size, "a/b", source).await.unwrap();
    digest
}

/// Asks the store for the time until it is later than now: some tell it to the second.
async fn let_time_pass(leases: &Leases) {
    let now = leases.store_now().await.unwrap();
    while leases.store_now().await.unwrap() <= now {
        tokio::task::yield_now().await;
    }
}

async fn collector(leases: &Leases) -> Collector {
    leases.collector(HOUR).await.unwrap()
}

async fn sweep(collector: &mut Collector, digests: &[Digest], grace: Duration) -> Vec<Swept> {
    let swept = collector
        .sweep(digests, grace, async || Ok::<_, StoreError>(|_: &Digest| false), async |_| Ok(()))
        .await
        .unwrap();
    digests
        .iter()
        .map(|digest| swept.iter().find(|(swept, _)| swept == digest).unwrap().1)
        .collect()
}

async fn leases_are_written_when_they_are_needed(repositories: &Repositories) {
    let leases = repositories.leases();
    let now = leases.store_now().await.unwrap();
    assert!(now.duration_since(Timestamp::now()).unsigned_abs() < Duration::from_mins(1));

    // Nobody fills the bucket with leases of what is not there.
    let absent = Digest::sha256_of(b"not there");
    assert_eq!(leases.report_present(&absent, HOUR).await.unwrap(), Presence::Absent);
    assert_eq!(leases.leased_at(&absent).await.unwrap(), None);

    let digest = put(repositories, "young").await;
    let present = Presence::Present { size: 5 };
    assert_eq!(leases.report_present(&digest, HOUR).await.unwrap(), present);
    assert_eq!(leases.leased_at(&digest).await.unwrap(), None, "it is younger than any lease");
    assert_eq!(leases.report_present(&digest, NONE).await.unwrap(), present);
    let first = leases.leased_at(&digest).await.unwrap().unwrap();
    let_time_pass(leases).await;
    assert_eq!(leases.report_present(&digest, HOUR).await.unwrap(), present);
    assert_eq!(leases.leased_at(&digest).await.unwrap(), Some(first));
    assert_eq!(leases.report_present(&digest, NONE).await.unwrap(), present);
    assert!(leases.leased_at(&digest).await.unwrap().unwrap() > first);
    let all: Vec<_> = leases.all().try_collect().await.unwrap();
    assert!(all.iter().any(|listed| listed.item == digest));
}

async fn what_is_condemned_goes_unless_somebody_relies_on_it(repositories: &Repositories) {
    let leases = repositories.leases();
    let texts = ["goes", "is leased", "is reported", "is linked", "stays a little"];
    let mut digests = Vec::new();
    for text in texts {
        digests.push(put(repositories, text).await);
    }
    let gone = Digest::sha256_of(b"gone before");
    let never = put(repositories, "never condemned").await;
    leases.lease(&digests[0]).await.unwrap();
    let_time_pass(leases).await;

    let mut collector = collector(leases).await;
    for digest in digests.iter().chain([&gone]) {
        assert_eq!(leases.condemned(digest).await.unwrap(), None);
        let condemned = collector.condemn(digest).await.unwrap();
        assert!(!condemned.deleting);
        let_time_pass(leases).await;
        assert_eq!(collector.condemn(digest).await.unwrap(), condemned, "it keeps its time");
        assert_eq!(leases.condemned(digest).await.unwrap(), Some(condemned));
    }
    let marked: Vec<_> = leases.all_condemned().try_collect().await.unwrap();
    let marked: BTreeSet<_> = marked.iter().map(|listed| listed.item).collect();
    assert_eq!(marked, digests.iter().chain([&gone]).copied().collect());

    let early = sweep(&mut collector, &[digests[4], never], HOUR).await;
    assert_eq!(early, [Swept::TooEarly, Swept::NotCondemned]);
    assert_eq!(leases.condemned(&digests[4]).await.unwrap().map(|c| c.deleting), Some(false));

    leases.lease(&digests[1]).await.unwrap();
    let reported = leases.report_present(&digests[2], NONE).await.unwrap();
    assert_eq!(reported, Presence::Present { size: 11 });
    let asked = [digests[0], digests[1], digests[2], digests[3], gone];
    let linked = digests[3];
    let unlinked = std::sync::Mutex::new(Vec::new());
    let mark = async || {
        // Nobody can be told now that one of them is there.
        for digest in asked {
            assert_eq!(leases.condemned(&digest).await?.map(|c| c.deleting), Some(true));
            let told = leases.report_present(&digest, HOUR).await?;
            let expected = if digest == gone { Presence::Absent } else { Presence::Deleting };
            assert_eq!(told, expected);
        }
        Ok::<_, StoreError>(move |digest: &Digest| *digest == linked)
    };
    let unlink = async |digest: &Digest| {
        assert_eq!(repositories.bucket().size_of(digest).await?, None, "the object goes first");
        unlinked.lock().unwrap().push(*digest);
        Ok(())
    };
    let swept = collector.sweep(&asked, NONE, mark, unlink).await.unwrap();
    let expected = [
        Swept::Deleted { size: 4 },
        Swept::Reprieved(Reprieve::Leased),
        Swept::Reprieved(Reprieve::Leased),
        Swept::Reprieved(Reprieve::Reachable),
        Swept::Gone,
    ];
    assert_eq!(swept, asked.into_iter().zip(expected).collect::<Vec<_>>());
    assert_eq!(*unlinked.lock().unwrap(), [digests[0], gone]);
    for digest in asked {
        assert_eq!(leases.condemned(&digest).await.unwrap(), None);
        let is_there = repositories.bucket().size_of(&digest).await.unwrap().is_some();
        assert_eq!(is_there, digest != digests[0] && digest != gone);
    }
    assert_eq!(leases.leased_at(&digests[0]).await.unwrap(), None);

    collector.withdraw(&digests[4]).await.unwrap();
    assert_eq!(leases.condemned(&digests[4]).await.unwrap(), None);
    collector.delete_lease(&digests[1]).await.unwrap();
    assert_eq!(leases.leased_at(&digests[1]).await.unwrap(), None);
    collector.release().await.unwrap();
}

async fn a_sweep_that_failed_is_cleared_up(repositories: &Repositories) {
    let leases = repositories.leases();
    let digest = put(repositories, "almost").await;
    let_time_pass(leases).await;
    let mut first = collector(leases).await;
    first.condemn(&digest).await.unwrap();
    let no_roots = async || Err::<fn(&Digest) -> bool, _>("the roots cannot be read");
    let failed = first.sweep(&[digest], NONE, no_roots, async |_| Ok(())).await;
    assert!(matches!(failed, Err(SweepError::Caller(_))), "{failed:?}");
    assert_eq!(leases.report_present(&digest, HOUR).await.unwrap(), Presence::Deleting);
    // While a collector is at work a writer waits, but not for ever.
    let waited = leases.prepare_write(&digest, Duration::from_millis(30)).await;
    assert!(matches!(waited, Err(PrepareError::BeingDeleted(_))), "{waited:?}");
    first.release().await.unwrap();
    // Once there is none, the writer ends it.
    leases.prepare_write(&digest, NONE).await.unwrap();
    let present = Presence::Present { size: 6 };
    assert_eq!(leases.report_present(&digest, HOUR).await.unwrap(), present);

    // What cannot be unlinked is ended by the next collector.
    let digest = put(repositories, "nearly").await;
    let_time_pass(leases).await;
    let mut second = collector(leases).await;
    second.condemn(&digest).await.unwrap();
    let no_roots = async || Ok::<_, &str>(|_: &Digest| false);
    let failed = second.sweep(&[digest], NONE, no_roots, async |_| Err("no unlinking")).await;
    assert!(matches!(failed, Err(SweepError::Caller("no unlinking"))), "{failed:?}");
    second.release().await.unwrap();
    assert_eq!(leases.report_present(&digest, HOUR).await.unwrap(), Presence::Absent);
    let mut third = collector(leases).await;
    // What was turned once goes on, however long the grace.
    assert_eq!(sweep(&mut third, &[digest], HOUR).await, [Swept::Gone]);
    assert_eq!(leases.condemned(&digest).await.unwrap(), None);

    // A writer that meets a deletion gets through when it is over.
    let digest = put(repositories, "meanwhile").await;
    let_time_pass(leases).await;
    third.condemn(&digest).await.unwrap();
    let mut writer = None;
    let mark = async || {
        assert_eq!(leases.report_present(&digest, HOUR).await?, Presence::Deleting);
        let leases = leases.clone();
        writer = Some(tokio::spawn(async move { leases.prepare_write(&digest, PATIENCE).await }));
        Ok::<_, StoreError>(|_: &Digest| true)
    };
    third.sweep(&[digest], NONE, mark, async |_| Ok(())).await.unwrap();
    writer.unwrap().await.unwrap().unwrap();
    third.release().await.unwrap();
}

async fn one_collects_at_a_time(repositories: &Repositories) {
    let leases = repositories.leases();
    let first = collector(leases).await;
    for _ in 0..2 {
        let second = leases.collector(HOUR).await;
        let Err(error @ CollectorError::Busy { .. }) = second else { panic!("{second:?}") };
        assert!(error.to_string().contains("another garbage collection"), "{error}");
    }
    first.release().await.unwrap();

    let start = std::sync::Arc::new(tokio::sync::Barrier::new(5));
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (leases, start) = (leases.clone(), std::sync::Arc::clone(&start));
        racers.spawn(async move {
            start.wait().await;
            leases.collector(Duration::from_secs(1)).await
        });
    }
    let (mut won, lost): (Vec<_>, Vec<_>) =
        racers.join_all().await.into_iter().partition(Result::is_ok);
    match repositories.creation() {
        Creation::Conditional => assert_eq!((won.len(), lost.len()), (1, 4)),
        Creation::ReadBack => assert!(!won.is_empty()),
    }
    assert!(lost.iter().all(|lost| matches!(lost, Err(CollectorError::Busy { .. }))));
    // It dies; once it has been silent for as long as it said, the next one comes.
    let mut dead = won.pop().unwrap().unwrap();
    let next = loop {
        match leases.collector(HOUR).await {
            Ok(next) => break next,
            Err(error) => assert!(matches!(error, CollectorError::Busy { .. }), "{error}"),
        }
    };
    let late = dead.condemn(&Digest::sha256_of(b"late")).await;
    assert!(matches!(late, Err(CollectorError::Lost)), "{late:?}");
    dead.release().await.unwrap();
    let busy = leases.collector(HOUR).await;
    assert!(matches!(busy, Err(CollectorError::Busy { .. })), "the dead one releases nothing");
    next.release().await.unwrap();
}

#[tokio::test]
async fn a_collector_is_heard_of_while_it_works_for_long() {
    let bucket = Bucket::open(&Url::parse("memory:///").unwrap(), BucketLayout::Blobs).unwrap();
    let repositories = Repositories::open(bucket).await.unwrap();
    let leases = repositories.leases();
    let digest = put(&repositories, "in the end").await;
    let_time_pass(leases).await;
    let stale_after = Duration::from_secs(3);
    let mut collector = leases.collector(stale_after).await.unwrap();
    collector.condemn(&digest).await.unwrap();
    let begun = leases.store_now().await.unwrap();
    let mark = async || {
        let mut pause = tokio::time::interval(Duration::from_millis(50));
        while leases.store_now().await?.duration_since(begun).unsigned_abs() < stale_after * 3 / 2 {
            pause.tick().await;
            let busy = leases.collector(stale_after).await;
            assert!(matches!(busy, Err(CollectorError::Busy { .. })), "{busy:?}");
        }
        Ok::<_, StoreError>(|_: &Digest| false)
    };
    let swept = collector.sweep(&[digest], NONE, mark, async |_| Ok(())).await.unwrap();
    assert_eq!(swept, [(digest, Swept::Deleted { size: 10 })]);
}
