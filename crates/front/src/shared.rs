//! What all threads of a front share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use arc_swap::ArcSwap;

use crate::metrics::Metrics;
use crate::record_log::RecordLog;
use crate::world::World;

/// Shared by the threads that answer, the admin listener and what runs in the background.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What requests are answered with; replaced whole.
    pub(crate) world: ArcSwap<World>,
    pub(crate) metrics: Metrics,
    pub(crate) records: RecordLog,
    /// Open public connections.
    pub(crate) connections: AtomicUsize,
}

impl Shared {
    /// The world of this moment, kept as long as the caller holds it.
    pub(crate) fn world(&self) -> Arc<World> {
        self.world.load_full()
    }
}
