//! What a plan will cost, edge by edge, before anything moves. Pure.
//!
//! Bytes are paid by whoever sends them. Objects pass through this program, so that what is read is
//! an edge from its place to here, paid there, and what is written one from here to a copy; only a
//! store that copies by itself is an edge between two copies. Requests are paid by the copy that
//! gets them.
//!
//! It is an upper bound of what the plan does: documents are counted before they are compressed,
//! and large objects as if each were written in parts. What nobody can plan is not in it: repeated
//! requests, and catching up mirrors that fail on the way.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use landbridge_core::generation::Document as _;
use landbridge_core::money::{Currency, Money, MoneyError};
use landbridge_core::price::{Rates, Spot};
use landbridge_core::topology::{CopyId, CopySet};
use serde::Serialize;

use crate::error::ImportError;
use crate::plan::{Plan, PlannedObject};
use crate::report::Size;

/// How a bill calls this program.
const HERE: &str = "here";
/// Parts in which the stores that take parts get large objects.
const PART_BYTES: u64 = 8 << 20;
/// What a pointer or a holding takes, roughly; nobody pays for less than a millionth of it.
const NOTE_BYTES: u64 = 4 << 10;
/// So many mirrors keep the documents of generations.
const KEEPERS: usize = 2;
/// Edges that a refusal names.
const DEAREST: usize = 3;

/// What a run is charged, and how much it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// In which currency all of it is.
    pub currency: Currency,
    /// This program: what it charges for sending.
    pub here: Priced,
    /// The registry that is read.
    pub source: Priced,
    /// The authority, then the mirrors in their order.
    pub copies: Vec<Priced>,
    /// A plan that costs more is refused.
    pub most: Option<Money>,
}

/// A place and what it charges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Priced {
    /// Where it is.
    pub spot: Spot,
    /// Its prices.
    pub rates: Rates,
}

impl Tariff {
    /// The copies of `set`, the one that is read most cheaply from here first; what has no price
    /// comes last.
    pub(crate) fn cheapest_first(&self, number: usize) -> Vec<CopyId> {
        let mut all: Vec<_> = (0..number).filter_map(CopyId::new).collect();
        // Stable: of equals, the authority first.
        all.sort_by_key(|id| {
            let price = self
                .copies
                .get(id.index())
                .and_then(|copy| copy.rates.egress(&copy.spot, &self.here.spot)?.of(1 << 40).ok());
            price.map_or(i64::MAX, Money::micros)
        });
        all
    }
}

/// Where a plan's object is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadAt {
    /// It has been read already.
    Memory,
    /// In the source.
    Source,
    /// In a copy.
    Copy(CopyId),
}

/// Who brings the bytes of a plan: decided by the supply, which carries it out the same way.
pub(crate) trait Ways {
    /// Where an object is read that has to pass through here.
    fn read_at(&self, object: &PlannedObject) -> ReadAt;
    /// The copy from which the store of another one makes it by itself.
    fn copied_from(&self, object: &PlannedObject, to: CopyId) -> Option<CopyId>;
}

/// What happens on an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// Objects are read to be written elsewhere.
    Read,
    /// Objects are looked at to make sure that they are right.
    Check,
    /// Objects are written.
    Write,
    /// A store copies objects by itself.
    Copy,
    /// A release's documents, pointer and holding are written.
    Documents,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Check => "check",
            Self::Write => "write",
            Self::Copy => "copy within the store",
            Self::Documents => "documents",
        })
    }
}

/// What goes from one place to another for one purpose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Who sends.
    pub from: String,
    /// Who receives.
    pub to: String,
    /// What for.
    pub flow: Flow,
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests that are charged for.
    pub requests: u64,
    /// What it costs; `None` if there is no price for it.
    pub cost: Option<Money>,
}

/// What a plan costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Costs {
    /// Where something happens.
    pub edges: Vec<Edge>,
    /// All that has a price.
    pub total: Money,
}

impl Costs {
    /// Edges that have no price.
    pub fn unpriced(&self) -> impl Iterator<Item = &Edge> {
        self.edges.iter().filter(|edge| edge.cost.is_none())
    }

    /// Refuses what is too dear, or may be. `spent` is what the run has cost before.
    pub fn check(&self, most: Money, spent: Money) -> Result<(), ImportError> {
        let total = self.total.checked_add(spent)?;
        // In another currency it is not known to be less.
        if total.partial_cmp(&most).is_none_or(Ordering::is_gt) {
            let mut dearest: Vec<_> = self.edges.iter().collect();
            dearest.sort_by_key(|edge| std::cmp::Reverse(edge.cost.map(Money::micros)));
            let dearest = dearest.iter().take(DEAREST).map(ToString::to_string);
            let dearest = dearest.collect::<Vec<_>>().join("; ");
            return Err(ImportError::TooDear { total, most, dearest });
        }
        match self.unpriced().next() {
            Some(edge) => Err(ImportError::Unpriced { edge: edge.to_string(), most }),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, flow, objects, bytes, requests, cost } = self;
        write!(f, "{from} -> {to}: {flow} {objects} ({}), {requests} requests: ", Size(*bytes))?;
        match cost {
            Some(cost) => write!(f, "{cost}"),
            None => write!(f, "no price is known"),
        }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for edge in &self.edges {
            writeln!(f, "  {edge}")?;
        }
        match self.unpriced().count() {
            0 => write!(f, "costs at most {}", self.total),
            1 => write!(f, "costs at most {}, and one edge that has no price", self.total),
            count => {
                write!(f, "costs at most {}, and {count} edges that have no price", self.total)
            }
        }
    }
}

/// One end of an edge, in the order in which edges are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Node {
    Source,
    Copy(usize),
    Here,
}

#[derive(Debug, Clone, Copy, Default)]
struct Load {
    objects: u64,
    bytes: u64,
    reads: u64,
    writes: u64,
}

impl Load {
    fn add(&mut self, bytes: u64, reads: u64, writes: u64) {
        self.objects += 1;
        self.bytes += bytes;
        self.reads += reads;
        self.writes += writes;
    }
}

/// What a plan costs if `ways` brings it.
pub(crate) fn plan_costs(
    plan: &Plan,
    ways: &impl Ways,
    tariff: &Tariff,
) -> Result<Costs, MoneyError> {
    let mut loads: BTreeMap<(Flow, Node, Node), Load> = BTreeMap::new();
    let mut add = |flow, from, to, bytes, reads, writes| {
        loads.entry((flow, from, to)).or_default().add(bytes, reads, writes);
    };
    let copies = || (0..plan.copies.len()).filter_map(CopyId::new);
    for object in &plan.objects {
        let size = object.size;
        for id in copies().filter(|id| object.unconfirmed.contains(*id)) {
            let read = if object.read_back.contains(id) { size } else { 0 };
            add(Flow::Check, Node::Copy(id.index()), Node::Here, read, 1, 0);
        }
        let mut passing = CopySet::EMPTY;
        for id in copies().filter(|id| object.lacking.contains(*id)) {
            let to = Node::Copy(id.index());
            if let Some(from) = ways.copied_from(object, id) {
                add(Flow::Copy, Node::Copy(from.index()), to, size, 1, 1);
            } else {
                passing = passing.with(id);
                add(Flow::Write, Node::Here, to, size, 1, writes_of(size));
            }
        }
        if passing.is_empty() {
            continue;
        }
        match ways.read_at(object) {
            ReadAt::Memory => {}
            ReadAt::Source => add(Flow::Read, Node::Source, Node::Here, size, 1, 0),
            ReadAt::Copy(id) => {
                add(Flow::Read, Node::Copy(id.index()), Node::Here, size, 1, 0);
            }
        }
    }
    if plan.publishes() {
        let documents = documents(plan);
        for (keeper, id) in copies().enumerate() {
            let to = Node::Copy(id.index());
            // The authority keeps them, and so do some mirrors; all get a pointer and a note.
            for bytes in documents.iter().filter(|_| keeper <= KEEPERS) {
                add(Flow::Documents, Node::Here, to, *bytes, 1, 1);
            }
            add(Flow::Documents, Node::Here, to, NOTE_BYTES, 1, 2);
        }
    }
    let edge = |((flow, from, to), load)| edge(plan, tariff, flow, from, to, load);
    let edges: Vec<Edge> = loads.into_iter().map(edge).collect::<Result<_, _>>()?;
    let total = Money::sum(tariff.currency, edges.iter().filter_map(|edge| edge.cost))?;
    Ok(Costs { edges, total })
}

/// The sizes of the documents that are new.
fn documents(plan: &Plan) -> Vec<u64> {
    let changed = plan.repositories.iter().filter(|new| !plan.known.contains(&new.name));
    let documents =
        changed.flat_map(|new| new.documents().map(|bytes| bytes.len() as u64).collect::<Vec<_>>());
    documents.chain([plan.root.encode().len() as u64]).collect()
}

fn writes_of(size: u64) -> u64 {
    if size <= PART_BYTES { 1 } else { size.div_ceil(PART_BYTES) + 2 }
}

fn edge(
    plan: &Plan,
    tariff: &Tariff,
    flow: Flow,
    from: Node,
    to: Node,
    load: Load,
) -> Result<Edge, MoneyError> {
    let Load { objects, bytes, reads, writes } = load;
    let unknown = Priced::default();
    let place = |node| match node {
        Node::Source => &tariff.source,
        Node::Here => &tariff.here,
        Node::Copy(at) => tariff.copies.get(at).unwrap_or(&unknown),
    };
    let name = |node| match node {
        Node::Source => "the registry".to_owned(),
        Node::Here => HERE.to_owned(),
        Node::Copy(at) => plan.copies.get(at).cloned().unwrap_or_default(),
    };
    // Whoever is asked charges for the question, whoever sends for the bytes.
    let asked = place(if to == Node::Here { from } else { to });
    let sender = place(from);
    let parts = [
        (bytes, sender.rates.egress(&sender.spot, &place(to).spot).map(|price| price.of(bytes))),
        (reads, asked.rates.reads.map(|price| price.of(reads))),
        (writes, asked.rates.writes.map(|price| price.of(writes))),
    ];
    let mut cost = Some(Money::zero(tariff.currency));
    for (_, price) in parts.into_iter().filter(|(quantity, _)| *quantity > 0) {
        cost = match (cost, price) {
            (Some(cost), Some(price)) => Some(cost.checked_add(price?)?),
            _ => None,
        };
    }
    let (from, to) = (name(from), name(to));
    Ok(Edge { from, to, flow, objects, bytes, requests: reads + writes, cost })
}

#[cfg(test)]
mod tests;
