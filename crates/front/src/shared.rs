//! What all threads of a front share.

use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use landbridge_core::migration::Client;
use landbridge_core::record::{AccessRecord, product};

use crate::answer::Answer;
use crate::connections::Connections;
use crate::metrics::Metrics;
use crate::pull::Asked;
use crate::record_log::RecordLog;
use crate::world::World;

/// Shared by the threads that answer, the admin listener and what runs in the background.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What requests are answered with; replaced whole.
    pub(crate) world: ArcSwap<World>,
    pub(crate) metrics: Metrics,
    pub(crate) records: RecordLog,
    /// Public connections.
    pub(crate) connections: Connections,
}

impl Shared {
    /// The world of this moment, kept as long as the caller holds it.
    pub(crate) fn world(&self) -> Arc<World> {
        self.world.load_full()
    }

    /// Writes the record of an answer by `thread`, and counts it.
    pub(crate) fn record(&self, world: &World, thread: usize, asked: &Asked<'_>, answer: &Answer) {
        let kind = asked.kind();
        let status = answer.response.status().as_u16();
        self.metrics.count(kind, status);
        let copy = answer.copy.map(|copy| {
            let counters = &world.running.counters[copy.index()];
            counters.answers.inc();
            counters.bytes.inc_by(answer.bytes);
            &*world.snapshot.copy(copy).name
        });
        let site = asked.site.map(|site| world.snapshot.site_settings(site).name.as_str());
        world.watch(asked, answer);
        if let Some(limits) = &world.running.limits {
            limits.charge(asked, answer.bytes);
        }
        let Client { provider, region, .. } = asked.migrant();
        let record = AccessRecord {
            time: "",
            site: site.unwrap_or_default(),
            method: asked.head.method.as_str(),
            kind: kind.name(),
            repository: asked.repository(),
            tag: asked.tag(),
            digest: answer.digest.as_ref(),
            provider,
            region,
            copy: copy.unwrap_or_default(),
            status,
            bytes: answer.bytes,
            agent: product(asked.agent()),
        };
        self.records.write(thread, SystemTime::now(), record);
    }
}
