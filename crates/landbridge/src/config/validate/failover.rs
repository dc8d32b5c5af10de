//! What it may cost when copies fail: edges lead to copies of the site, and every cap can be counted.

use std::collections::BTreeMap;
use std::time::Duration;

use landbridge_core::caps::{Amount, Cap};
use landbridge_core::price::Spot;
use landbridge_core::route::Over;
use landbridge_front::settings as front;

use super::prices::PriceBook;
use super::sites::Serving;
use super::{Validator, as_usize};
use crate::config::path::Path;
use crate::config::raw::Raw;
use crate::config::raw::failover::{self as raw, Edge, Overflow};

/// The copies, and what is known of prices.
pub(super) struct PricedCopies<'a> {
    /// `None` if one of them is wrong.
    pub(super) settings: Option<&'a [front::CopySettings]>,
    pub(super) prices: &'a PriceBook,
}

impl Validator<'_> {
    pub(super) fn failover(&mut self, raw: &Raw) -> front::FailoverSettings {
        let (raw, at) = (&raw.failover, Path::dotted("failover"));
        let every =
            self.at_least(raw.fronts_every, Duration::from_secs(1), &at.field("fronts_every"));
        if raw.fronts_command.as_ref().is_some_and(Vec::is_empty) {
            self.report(&at.field("fronts_command"), "is empty: name a program");
        }
        front::FailoverSettings {
            mode: mode(raw.mode),
            fronts: front::Fronts {
                count: raw.fronts,
                command: raw.fronts_command.clone().map(|words| (words, every)),
            },
            reserve_permille: raw.reserve_permille,
            pull: self.at_least(raw.pull, Duration::from_secs(1), &at.field("pull")),
            pulls: as_usize(raw.pulls.into()),
        }
    }

    /// Notes what each copy charges.
    pub(super) fn price(copies: &mut [front::CopySettings], prices: &PriceBook) {
        for copy in copies {
            let spot = Spot { provider: copy.provider.clone(), region: copy.region.clone() };
            copy.rates = prices.of_face(&copy.name, &spot, &copy.face);
        }
    }

    pub(super) fn overflow(
        &mut self,
        rules: &[Overflow],
        serving: &Serving<'_>,
        prices: &PricedCopies<'_>,
        at: &Path,
    ) -> Option<Vec<front::OverflowRule>> {
        let mut first = BTreeMap::new();
        let mut result = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let at = at.item(index);
            let Spot { provider, region } = clients(rule);
            if let (None, Some(region)) = (&provider, &region) {
                let message = format!("whose region is `{region}`? Name the `provider` too");
                self.report(&at.field("region"), message);
            }
            let key = |region| (provider.clone(), region);
            let earlier = first.get(&key(region.clone())).or_else(|| first.get(&key(None)));
            if let Some(earlier) = earlier {
                let message = format!(
                    "overflow[{earlier}] takes these clients already: remove one, or put this one before it"
                );
                self.report(&at, message);
            }
            first.entry(key(region.clone())).or_insert(index);
            let edges = self.edges(rule, serving, prices, &at.field("edges"));
            result.push(edges.map(|edges| front::OverflowRule { provider, region, edges }));
        }
        result.into_iter().collect()
    }

    fn edges(
        &mut self,
        rule: &Overflow,
        serving: &Serving<'_>,
        prices: &PricedCopies<'_>,
        at: &Path,
    ) -> Option<Vec<front::OverflowEdge>> {
        let mut edges: Vec<Option<front::OverflowEdge>> = Vec::new();
        for (index, edge) in rule.edges.iter().enumerate() {
            let at = at.item(index);
            let copy = edge.copy.as_ref();
            let copy = copy.and_then(|name| self.serving(name, serving, &at.field("copy")));
            if copy.is_some() && edges.iter().flatten().any(|other| Some(other.copy) == copy) {
                self.report(&at.field("copy"), "has an edge already: keep one of them");
            }
            let cap = self.cap(edge, &at);
            if let Some(settings) = copy.and_then(|copy| prices.settings?.get(copy)) {
                self.can_be_counted(rule, edge, settings, prices.prices, &at);
            }
            let over = match edge.over {
                raw::Over::Next => Over::Next,
                raw::Over::Slow => Over::Slow,
                raw::Over::Refuse => Over::Refuse,
            };
            edges.push(copy.map(|copy| front::OverflowEdge { copy, cap, over }));
        }
        edges.into_iter().collect()
    }

    fn cap(&mut self, edge: &Edge, at: &Path) -> Cap {
        if edge.hour.is_none() && edge.day.is_none() {
            self.report(at, "has no cap: write what may be spent in an `hour` or a `day`");
        }
        let mut amount = |cap: &Option<raw::Cap>, field: &str| {
            let Some(cap) = cap else { return Amount::UNLIMITED };
            if cap.bytes.is_none() && cap.money.is_none() {
                self.report(&at.field(field), "limits nothing: write `bytes` or `money`");
            }
            let micros = cap.money.map(|sum| u64::try_from(sum.0.micros()).unwrap_or(u64::MAX));
            Amount {
                bytes: cap.bytes.map_or(u64::MAX, |size| size.0),
                micros: micros.unwrap_or(u64::MAX),
            }
        };
        Cap { hour: amount(&edge.hour, "hour"), day: amount(&edge.day, "day") }
    }

    /// A cap on money needs a price for whoever may come over the edge, in the same currency.
    fn can_be_counted(
        &mut self,
        rule: &Overflow,
        edge: &Edge,
        copy: &front::CopySettings,
        prices: &PriceBook,
        at: &Path,
    ) {
        for (field, cap) in [("hour", &edge.hour), ("day", &edge.day)] {
            let Some(sum) = cap.as_ref().and_then(|cap| cap.money) else { continue };
            let at = at.field(field).field("money");
            if sum.0.currency() != prices.currency {
                let message = format!("is `{sum}`, but prices are in {}", prices.currency);
                self.report(&at, message);
            }
            let own = Spot { provider: copy.provider.clone(), region: copy.region.clone() };
            if copy.rates.egress(&own, &clients(rule)).is_none() {
                let name = &copy.name;
                let message = format!(
                    "cannot be counted: nobody knows what `{name}` charges for what goes to these clients; write it in `prices`"
                );
                self.report(&at, message);
            }
        }
    }
}

/// Whose rule it is.
fn clients(rule: &Overflow) -> Spot {
    Spot {
        provider: rule.provider.as_ref().map(ToString::to_string),
        region: rule.region.as_ref().map(ToString::to_string),
    }
}

pub(super) const fn mode(raw: raw::Mode) -> front::Mode {
    match raw {
        raw::Mode::Observe => front::Mode::Observe,
        raw::Mode::Enforce => front::Mode::Enforce,
    }
}
