//! Numbers that somebody else counts, told beside the front's own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// The numbers; all clones have the same ones.
#[derive(Clone, Default)]
pub(super) struct Exported(Arc<Mutex<Vec<Number>>>);

struct Number {
    name: &'static str,
    help: &'static str,
    read: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl Exported {
    /// Tells what `read` says, from now on.
    pub(super) fn add(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        let mut numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.push(Number { name, help, read: Box::new(read) });
    }
}

impl Collector for Exported {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let numbers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for Number { name, help, read } in &*numbers {
            let told = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(read()).encode(told)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exported")
    }
}
