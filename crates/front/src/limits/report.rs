//! The report of who asks for most: networks, never addresses, and not many of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

use landbridge_core::limits::Usage;
use serde::Serialize;

use super::{Limits, lock};
use crate::settings::Mode;

/// How many networks a list has at most.
const MOST: usize = 50;

/// Who asked for most in the last hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// `observe` or `enforce`.
    mode: &'static str,
    /// Networks that are remembered, and how many could be.
    networks: usize,
    networks_at_most: usize,
    /// How many of them are beyond a limit of their own now.
    limited: usize,
    by_bytes: Vec<Row>,
    by_requests: Vec<Row>,
}

/// One network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    network: String,
    bytes: u64,
    requests: u64,
    limited: bool,
}

impl Limits {
    /// Who asked for most in the last hour.
    pub(crate) fn report(&self) -> Report {
        let mut by_bytes = Top::default();
        let mut by_requests = Top::default();
        let (mut networks, mut networks_at_most, mut limited) = (0, 0, 0);
        self.each(|usage| {
            networks += 1;
            limited += usize::from(usage.is_limited);
            by_bytes.offer(usage.bytes, usage);
            by_requests.offer(usage.requests, usage);
        });
        for shard in &self.book.shards {
            networks_at_most += lock(shard).capacity().0;
        }
        let rows = |top: Top| {
            let row = |usage: Usage| Row {
                network: usage.network.cidr(self.book.lengths).to_string(),
                bytes: usage.bytes,
                requests: usage.requests,
                limited: usage.is_limited,
            };
            top.sorted().map(row).collect()
        };
        Report {
            mode: match self.settings.mode {
                Mode::Observe => "observe",
                Mode::Enforce => "enforce",
            },
            networks,
            networks_at_most,
            limited,
            by_bytes: rows(by_bytes),
            by_requests: rows(by_requests),
        }
    }

    /// How many networks are beyond a limit of their own now.
    pub(crate) fn limited(&self) -> usize {
        let mut limited = 0;
        self.each(|usage| limited += usize::from(usage.is_limited));
        limited
    }

    /// Visits all networks, one lock after the other.
    fn each(&self, mut visit: impl FnMut(Usage)) {
        let now = self.book.now();
        for shard in &self.book.shards {
            lock(shard).usage(&self.settings.budgets, now).for_each(&mut visit);
        }
    }
}

/// The largest of many, without keeping the others.
#[derive(Default)]
struct Top(BinaryHeap<Reverse<(u64, Usage)>>);

impl Top {
    fn offer(&mut self, amount: u64, usage: Usage) {
        let is_more = |Reverse((least, _)): &Reverse<(u64, Usage)>| amount > *least;
        if amount > 0 && (self.0.len() < MOST || self.0.peek().is_some_and(is_more)) {
            self.0.push(Reverse((amount, usage)));
            if self.0.len() > MOST {
                self.0.pop();
            }
        }
    }

    fn sorted(self) -> impl Iterator<Item = Usage> {
        self.0.into_sorted_vec().into_iter().map(|Reverse((_, usage))| usage)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, networks, networks_at_most, limited, .. } = self;
        writeln!(
            f,
            "mode {mode}; {networks} networks remembered of at most {networks_at_most}; {limited} limited now"
        )?;
        for (title, rows) in [("bytes", &self.by_bytes), ("requests", &self.by_requests)] {
            writeln!(f, "\nmost {title} in the last hour")?;
            for row in rows {
                let state = if row.limited { "  limited" } else { "" };
                let (network, gib) = (&row.network, row.bytes as f64 / f64::from(1 << 30));
                writeln!(
                    f,
                    "  {network:<24} {gib:>10.3} GiB {:>9} manifests{state}",
                    row.requests
                )?;
            }
        }
        Ok(())
    }
}
