//! What a decision costs: locate, understand, route, and all three for one request of a blob.
//!
//! The scale is that of a large project: 20,000 prefixes of the lengths that AWS publishes, 500,000
//! objects on 24 copies. The inputs are 32,768 requests made beforehand, each with an object, a
//! repository and a client of its own; with what they touch that is more than 10 MiB, beyond what
//! a core has for itself, so that a look-up pays for memory as it does in a server.
//!
//! Beside the whole and its parts stand naive twins, what one would write first: a hash table for
//! each prefix length, strings split and joined, objects in a hash table by text, copies sorted by
//! score. All randomness comes from one seed.

mod naive;
mod scene;
mod synthetic;

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use landbridge_core::request::parse;

use crate::naive::Naive;
use crate::scene::{Ask, Scene};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let scene = Scene::new(2026);
    let naive = Naive::new(&scene);
    for ask in &scene.asks {
        let (ours, twin) = (scene.decide(ask), naive.decide(&scene, ask));
        assert_eq!(ours.map(|ours| ours.reason), twin.map(|(_, reason)| reason), "{ask:?}");
    }
    let everyone: Vec<&Ask> = scene.asks.iter().collect();
    let (known, default): (Vec<&Ask>, Vec<&Ask>) =
        scene.asks.iter().partition(|ask| scene.has_own_tiers(ask.place));
    let asks = everyone.as_slice();

    measure(&mut criterion, "locate/ours", asks, |ask| scene.locate(ask));
    measure(&mut criterion, "locate/naive", asks, |ask| naive.locate(ask));
    measure(&mut criterion, "understand/ours", asks, |ask| {
        black_box(parse(&ask.path, None)).is_ok()
    });
    measure(&mut criterion, "understand/naive", asks, |ask| naive::understand(&ask.path));
    for (who, asks) in [("known", known.as_slice()), ("default", default.as_slice())] {
        measure(&mut criterion, &format!("route/{who}/ours"), asks, |ask| {
            scene.route(ask.place, ask.network, &ask.repository, &ask.digest)
        });
        measure(&mut criterion, &format!("decision/{who}/ours"), asks, |ask| scene.decide(ask));
        measure(&mut criterion, &format!("decision/{who}/naive"), asks, |ask| {
            naive.decide(&scene, ask)
        });
    }
    let mut location = Vec::with_capacity(256);
    measure(&mut criterion, "decision/with-location/ours", asks, |ask| {
        scene.decide(ask).map(|candidate| scene.write_location(candidate, ask, &mut location))
    });
    criterion.final_summary();
}

fn measure<T>(
    criterion: &mut Criterion,
    name: &str,
    asks: &[&Ask],
    mut part: impl FnMut(&Ask) -> T,
) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    let mut asks = asks.iter().cycle();
    group.bench_function("request", |bencher| {
        bencher.iter(|| asks.next().map(|ask| black_box(part(black_box(ask)))));
    });
    group.finish();
}
