//! What it may cost when copies fail: the ways over that were approved, and their caps.

use std::time::Duration;

use landbridge_core::caps::{Cap, Terms};
use landbridge_core::route::Over;

use super::Settings;

/// Whether something that refuses or moves clients does so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// It only counts what it would have done.
    #[default]
    Observe,
    /// It does it.
    Enforce,
}

/// What holds for all overflow edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailoverSettings {
    /// Whether caps are applied.
    pub mode: Mode,
    /// Who else spends from the same caps.
    pub fronts: Fronts,
    /// How far beyond a cap pulls that were let in may go, in thousandths of it.
    pub reserve_permille: u16,
    /// For how long a pull that was let in counts as under way.
    pub pull: Duration,
    /// The most pulls under way that are remembered for each edge.
    pub pulls: usize,
}

impl FailoverSettings {
    /// How `cap` is applied.
    pub(crate) fn terms(&self, cap: Cap) -> Terms {
        let Self { reserve_permille, pull, pulls, .. } = *self;
        Terms { cap, reserve_permille, pull, pulls }
    }
}

/// The fronts that share each cap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fronts {
    /// How many there are at least; above zero.
    pub count: u32,
    /// A program that prints how many there are now, and how often it is asked.
    pub command: Option<(Vec<String>, Duration)>,
}

/// Where clients may go whose own copies fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverflowRule {
    /// The clients' provider; `None` is everyone whom no other rule names.
    pub provider: Option<String>,
    /// The clients' region; `None` is any of the provider that no earlier rule names.
    pub region: Option<String>,
    /// In order; none if they may go nowhere.
    pub edges: Vec<OverflowEdge>,
}

/// One way over, by what people call it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedEdge<'a> {
    pub(crate) site: &'a str,
    pub(crate) rule: &'a OverflowRule,
    pub(crate) edge: &'a OverflowEdge,
    /// The copy that it leads to.
    pub(crate) to: &'a str,
}

impl NamedEdge<'_> {
    /// What it is called in metrics, messages and the checkpoint: whose clients go where.
    pub(crate) fn name(&self) -> String {
        let OverflowRule { provider, region, .. } = self.rule;
        let clients = match (provider, region) {
            (None, _) => "everyone else".to_owned(),
            (Some(provider), None) => provider.clone(),
            (Some(provider), Some(region)) => format!("{provider} {region}"),
        };
        format!("{clients} to {}", self.to)
    }
}

impl Settings {
    /// All edges, in the order of their numbers.
    pub(crate) fn edges(&self) -> impl Iterator<Item = NamedEdge<'_>> {
        let rules =
            self.sites.iter().flat_map(|site| site.overflow.iter().map(move |it| (site, it)));
        rules.flat_map(move |(site, rule)| {
            rule.edges.iter().map(move |edge| {
                let to = self.copies.get(edge.copy).map(|copy| &*copy.name).unwrap_or_default();
                NamedEdge { site: &site.name, rule, edge, to }
            })
        })
    }
}

/// One way over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverflowEdge {
    /// The copy, by place in the list.
    pub copy: usize,
    /// What the fleet may spend on it.
    pub cap: Cap,
    /// What becomes of clients beyond that.
    pub over: Over,
}
