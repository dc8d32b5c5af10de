//! Every order in which the steps of two sides can fall, tried.
//!
//! A task's poll makes exactly one step in a world of a few variables, so that a schedule is a
//! list of whose turn it is. All schedules are run to their ends. That faults are found is shown
//! by protocols that have one.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::*;

const OLD: i64 = 0;
const BEFORE_CONDEMNATION: i64 = 5;
const CONDEMNED: i64 = 10;
const BEGINNING: i64 = 100;
const GRACE: Duration = Duration::from_secs(40);

/// The store, and what the two sides said at the end.
#[derive(Debug, Clone, Default)]
struct World {
    clock: i64,
    object: Option<i64>,
    lease: Option<i64>,
    marker: Option<(i64, bool)>,
    is_linked: bool,
    /// What the client was told, or told.
    answer: Option<Presence>,
    swept: Option<Swept>,
}

#[derive(Clone)]
struct Model(Arc<Mutex<World>>);

impl Model {
    /// One step: nothing on the first poll, all of it on the second.
    async fn step<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut is_asked = false;
        std::future::poll_fn(|_| {
            if std::mem::replace(&mut is_asked, true) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let mut world = self.world();
        world.clock += 1;
        act(&mut world)
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }
}

fn time(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn digest() -> Digest {
    Digest::sha256_of(b"the one")
}

impl Steps for Model {
    async fn object(&self, _: &Digest) -> Result<Option<Seen>, StoreError> {
        let seen = self.step(|world| world.object).await;
        Ok(seen.map(|at| Seen { size: 1, modified: time(at) }))
    }

    async fn leased_at(&self, _: &Digest) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.step(|world| world.lease).await.map(time))
    }

    async fn lease(&self, _: &Digest) -> Result<(), StoreError> {
        self.step(|world| world.lease = Some(world.clock)).await;
        Ok(())
    }

    async fn condemned(&self, _: &Digest) -> Result<Option<Condemned>, StoreError> {
        let marker = self.step(|world| world.marker).await;
        Ok(marker.map(|(since, deleting)| Condemned { since: time(since), deleting }))
    }

    async fn mark_deleting(&self, _: &Digest, since: Timestamp) -> Result<(), StoreError> {
        self.step(|world| world.marker = Some((since.as_second(), true))).await;
        Ok(())
    }

    async fn withdraw(&self, _: &Digest) -> Result<(), StoreError> {
        self.step(|world| world.marker = None).await;
        Ok(())
    }

    async fn delete_object(&self, _: &Digest) -> Result<(), StoreError> {
        self.step(|world| world.object = None).await;
        Ok(())
    }

    async fn delete_lease(&self, _: &Digest) -> Result<(), StoreError> {
        self.step(|world| world.lease = None).await;
        Ok(())
    }
}

type Task = Pin<Box<dyn Future<Output = ()>>>;
type Side = fn(Model) -> Task;

/// Runs every schedule of these sides, from this world on, and says in how many of them `is_right`
/// was false at the end, and how many there are.
fn explore(begin: &World, sides: &[Side], is_right: impl Fn(&World) -> bool) -> (usize, usize) {
    let (mut wrong, mut all) = (0, 0);
    let mut schedule: Vec<usize> = Vec::new();
    loop {
        let model = Model(Arc::new(Mutex::new(begin.clone())));
        let mut tasks: Vec<Task> = sides.iter().map(|side| side(model.clone())).collect();
        let mut context = Context::from_waker(Waker::noop());
        tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        let mut choices = Vec::new();
        while !tasks.is_empty() {
            let at = choices.len();
            if at == schedule.len() {
                schedule.push(0);
            }
            choices.push(tasks.len());
            let turn = schedule[at];
            if tasks[turn].as_mut().poll(&mut context).is_ready() {
                drop(tasks.remove(turn));
            }
        }
        all += 1;
        wrong += usize::from(!is_right(&model.world()));
        loop {
            let Some(last) = schedule.pop() else { return (wrong, all) };
            if last + 1 < choices[schedule.len()] {
                schedule.push(last + 1);
                break;
            }
        }
    }
}

/// Condemned long ago; what else there is differs.
fn worlds() -> impl Iterator<Item = World> {
    let leases = [None, Some(BEFORE_CONDEMNATION), Some(CONDEMNED)];
    let objects = [None, Some(OLD), Some(CONDEMNED)];
    leases.into_iter().flat_map(move |lease| {
        objects.into_iter().flat_map(move |object| {
            [false, true].into_iter().flat_map(move |is_linked| {
                [false, true].map(|deleting| World {
                    clock: BEGINNING,
                    object,
                    lease,
                    is_linked,
                    marker: Some((CONDEMNED, deleting)),
                    ..World::default()
                })
            })
        })
    })
}

fn freshness() -> Freshness {
    Freshness { now: time(BEGINNING), enough: GRACE / 2 }
}

/// The worst clock that there can be: whatever is there counts as new.
fn wrong_clock() -> Freshness {
    Freshness { now: time(0), enough: Duration::MAX }
}

fn collect(model: Model) -> Task {
    Box::pin(async move {
        let begun = begin_deleting(&model, &digest(), time(BEGINNING), GRACE).await.unwrap();
        let deleting = match begun {
            Ok(deleting) => deleting,
            Err(swept) => return model.world().swept = Some(swept),
        };
        let is_reachable = model.step(|world| world.is_linked).await;
        let unlink = async {
            model.step(|_| ()).await;
            Ok::<_, StoreError>(())
        };
        let swept = deleting.settle(&model, is_reachable, unlink).await.unwrap();
        model.world().swept = Some(swept);
    })
}

/// A collector that is killed after some steps, and another one after it.
fn collect_after_a_kill<const STEPS: usize>(model: Model) -> Task {
    Box::pin(async move {
        let mut first = collect(model.clone());
        let mut polls = 0;
        std::future::poll_fn(|context| {
            polls += 1;
            let is_over = first.as_mut().poll(context).is_ready() || polls > STEPS;
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(first);
        model.world().swept = None;
        collect(model).await;
    })
}

fn report(model: Model) -> Task {
    Box::pin(async move {
        let answer = report_present(&model, &digest(), &freshness()).await.unwrap();
        model.world().answer = Some(answer);
    })
}

/// Whoever was told that it is there finds it.
fn is_kept(world: &World) -> bool {
    !matches!(world.answer, Some(Presence::Present { .. })) || world.object.is_some()
}

#[test]
fn what_was_reported_present_is_not_deleted() {
    for begin in worlds() {
        let (wrong, all) = explore(&begin, &[report, collect], is_kept);
        assert_eq!(wrong, 0, "of {all}: {begin:?}");
        let (wrong, all) = explore(&begin, &[report, report], is_kept);
        assert_eq!(wrong, 0, "of {all}: {begin:?}");
    }
}

#[test]
fn a_collector_that_died_anywhere_is_followed_by_one_that_ends_its_work() {
    let killed: [Side; 9] = [
        collect_after_a_kill::<0>,
        collect_after_a_kill::<1>,
        collect_after_a_kill::<2>,
        collect_after_a_kill::<3>,
        collect_after_a_kill::<4>,
        collect_after_a_kill::<5>,
        collect_after_a_kill::<6>,
        collect_after_a_kill::<7>,
        collect_after_a_kill::<8>,
    ];
    for begin in worlds() {
        for collector in killed {
            let ends = |world: &World| world.marker.is_none() && is_kept(world);
            let (wrong, all) = explore(&begin, &[report, collector], ends);
            assert_eq!(wrong, 0, "of {all}: {begin:?}");
        }
    }
}

/// A push: check what the manifest refers to, link the manifest, check again, or withdraw.
fn push(model: Model, freshness: Freshness) -> Task {
    Box::pin(async move {
        let check = async || {
            let found = report_present(&model, &digest(), &freshness).await.unwrap();
            matches!(found, Presence::Present { .. })
        };
        if !check().await {
            return;
        }
        model.step(|world| world.is_linked = true).await;
        if check().await {
            model.world().answer = Some(Presence::Present { size: 1 });
        } else {
            model.step(|world| world.is_linked = false).await;
        }
    })
}

#[test]
fn an_acknowledged_manifest_keeps_its_references_whatever_the_clocks_say() {
    for begin in worlds().filter(|world| !world.is_linked) {
        let sides: [Side; 2] =
            [|model| push(model, freshness()), |model| push(model, wrong_clock())];
        for push in sides {
            let (wrong, all) = explore(&begin, &[push, collect], is_kept);
            assert_eq!(wrong, 0, "of {all}: {begin:?}");
            let (wrong, all) = explore(&begin, &[push, collect_after_a_kill::<3>], is_kept);
            assert_eq!(wrong, 0, "of {all}: {begin:?}");
        }
    }
}

/// An upload. A directory gives the object the time of the bytes, which may be long ago.
fn write(model: Model, modified: Option<i64>) -> Task {
    Box::pin(async move {
        for _ in 0..3 {
            if may_write(&model, &digest()).await.unwrap() {
                let write = |world: &mut World| world.object = modified.or(Some(world.clock));
                model.step(write).await;
                model.world().answer = Some(Presence::Present { size: 1 });
                return;
            }
        }
    })
}

#[test]
fn what_was_written_after_the_lease_is_not_deleted() {
    for begin in worlds() {
        let sides: [Side; 2] = [|model| write(model, None), |model| write(model, Some(OLD))];
        for write in sides {
            let (wrong, all) = explore(&begin, &[write, collect], is_kept);
            assert_eq!(wrong, 0, "of {all}: {begin:?}");
        }
    }
}

#[test]
fn what_nobody_relies_on_is_deleted_and_what_somebody_does_is_not() {
    for begin in worlds() {
        let ends = |world: &World| {
            let is_relied_on = begin.is_linked
                || begin.lease == Some(CONDEMNED)
                || begin.object == Some(CONDEMNED);
            let left = if is_relied_on { begin.object } else { None };
            world.object == left && world.marker.is_none()
        };
        assert_eq!(explore(&begin, &[collect], ends), (0, 1), "{begin:?}");
    }
    let begin = World { marker: Some((BEGINNING - 39, false)), ..worlds().next().unwrap() };
    let early = |world: &World| world.swept == Some(Swept::TooEarly) && world.marker.is_some();
    assert_eq!(explore(&begin, &[collect], early), (0, 1));
}

fn old_world() -> World {
    let marker = Some((CONDEMNED, false));
    World { clock: BEGINNING, object: Some(OLD), marker, ..World::default() }
}

#[test]
fn a_protocol_that_reads_before_it_writes_is_found_out() {
    let marker_first: Side = |model| {
        Box::pin(async move {
            let marker = model.condemned(&digest()).await.unwrap();
            model.lease(&digest()).await.unwrap();
            let seen = model.object(&digest()).await.unwrap();
            if seen.is_some() && marker.is_none_or(|marker| !marker.deleting) {
                model.world().answer = Some(Presence::Present { size: 1 });
            }
        })
    };
    assert!(explore(&old_world(), &[marker_first, collect], is_kept).0 > 0);

    let one_look: Side = |model| {
        Box::pin(async move {
            let seen = model.object(&digest()).await.unwrap();
            model.lease(&digest()).await.unwrap();
            let marker = model.condemned(&digest()).await.unwrap();
            if seen.is_some() && marker.is_none_or(|marker| !marker.deleting) {
                model.world().answer = Some(Presence::Present { size: 1 });
            }
        })
    };
    assert!(explore(&old_world(), &[one_look, collect], is_kept).0 > 0);

    let one_check: Side = |model| {
        Box::pin(async move {
            let found = report_present(&model, &digest(), &wrong_clock()).await.unwrap();
            if matches!(found, Presence::Present { .. }) {
                model.step(|world| world.is_linked = true).await;
                model.world().answer = Some(found);
            }
        })
    };
    assert!(explore(&old_world(), &[one_check, collect], is_kept).0 > 0);

    let roots_first: Side = |model| {
        Box::pin(async move {
            let is_reachable = model.step(|world| world.is_linked).await;
            let begun = begin_deleting(&model, &digest(), time(BEGINNING), GRACE).await.unwrap();
            let unlink = async { Ok::<_, StoreError>(()) };
            begun.unwrap().settle(&model, is_reachable, unlink).await.unwrap();
        })
    };
    let push: Side = |model| push(model, wrong_clock());
    assert!(explore(&old_world(), &[push, roots_first], is_kept).0 > 0);
}
