//! What an explanation says where failing over has a price: edges, how much of their caps is spent,
//! and copies that nobody approved of.

use std::collections::BTreeMap;

use landbridge_core::place::PlaceId;
use landbridge_core::route::{Decision, Edge, EdgeId, StickyKey};
use landbridge_core::topology::{CopyId, CopySet};

use super::Verdict;
use crate::failover::seconds_now;
use crate::settings::Mode;
use crate::snapshot::Site;
use crate::world::World;

/// Whose decision it is, and about what.
pub(super) struct Asked {
    pub(super) place: PlaceId,
    pub(super) key: StickyKey,
    pub(super) holders: CopySet,
    pub(super) usable: CopySet,
    /// Bytes of the whole pull.
    pub(super) pull: u64,
}

/// What caps and approved ways over make of a decision.
pub(super) struct Judgement {
    mode: Mode,
    decision: Decision,
    own: CopySet,
    /// What is said of each copy to which an edge leads.
    edges: BTreeMap<CopyId, String>,
    /// The edge that keeps the client away, if one does.
    closed: Option<String>,
}

/// The judgement; `None` where anyone may serve these clients, or where their own copies lack the
/// object: that is nobody's failure.
pub(super) fn judge(world: &World, site: &Site, asked: &Asked) -> Option<Judgement> {
    let failover = &world.running.failover;
    let edges = site.routes.overflow(asked.place)?;
    let own = site.routes.own_copies(asked.place);
    if asked.holders.and(own).is_empty() {
        return None;
    }
    let Asked { place, key, holders, usable, pull } = *asked;
    let now = seconds_now();
    let decision =
        site.routes.decide(place, key, holders, usable, |edge| failover.room(edge, key, pull, now));
    let describe = |edge: &Edge| {
        let standing = failover.standing(edge.id, now)?;
        let (hour, day) = standing.permille;
        let name = standing.name;
        Some((
            edge.copy,
            format!(
                "overflow `{name}`, {} % of its hour and {} % of its day are spent",
                hour / 10,
                day / 10
            ),
        ))
    };
    let name = |edge: EdgeId| failover.standing(edge, now).map(|it| it.name.to_owned());
    let closed = match decision {
        Decision::To(..) | Decision::Nobody => None,
        Decision::Slow(edge) | Decision::Refuse(edge) => name(edge),
    };
    let edges = edges.iter().filter_map(describe).collect();
    Some(Judgement { mode: failover.mode(), decision, own, edges, closed })
}

impl Judgement {
    /// The verdicts of the route as the caps leave them.
    pub(super) fn reorder(self, verdicts: Vec<(CopyId, Verdict)>) -> Vec<(CopyId, Verdict)> {
        match self.mode {
            Mode::Enforce => self.enforced(verdicts),
            Mode::Observe => self.observed(verdicts),
        }
    }

    fn enforced(&self, verdicts: Vec<(CopyId, Verdict)>) -> Vec<(CopyId, Verdict)> {
        let chosen = match self.decision {
            Decision::To(to, _) => Some(to.copy),
            Decision::Slow(_) | Decision::Refuse(_) | Decision::Nobody => None,
        };
        let mut judged: Vec<_> = verdicts
            .into_iter()
            .map(|(copy, mut verdict)| {
                let is_chosen = Some(copy) == chosen;
                let mut rank = 1;
                if let (Some(edge), false) = (self.edges.get(&copy), self.own.contains(copy)) {
                    let route = verdict.reason.split(", ").skip(1);
                    let more: Vec<_> = [edge.as_str()].into_iter().chain(route).collect();
                    verdict.reason = more.join(", ");
                    if chosen.is_none() {
                        verdict.reason.push_str(", which leaves no room for a pull now");
                    }
                } else if !self.own.contains(copy) {
                    "not approved for these clients (`overflow`)".clone_into(&mut verdict.reason);
                    rank = 2;
                }
                let outcome = match (is_chosen, rank) {
                    (true, _) => "chosen",
                    (false, 1) if chosen.is_some() => "fallback",
                    (false, _) => "rejected",
                };
                outcome.clone_into(&mut verdict.outcome);
                (if is_chosen { 0 } else { rank }, copy, verdict)
            })
            .collect();
        judged.sort_by_key(|(rank, ..)| *rank);
        judged.into_iter().map(|(_, copy, verdict)| (copy, verdict)).collect()
    }

    fn observed(&self, mut verdicts: Vec<(CopyId, Verdict)>) -> Vec<(CopyId, Verdict)> {
        if let Some((copy, verdict)) = verdicts.first_mut() {
            let would = match (self.decision, &self.closed) {
                (Decision::To(to, _), _) if to.copy == *copy => None,
                (Decision::To(to, _), _) => self.edges.get(&to.copy).cloned(),
                (Decision::Slow(_), Some(edge)) => {
                    Some(format!("429, for the cap of `{edge}` is near"))
                }
                (Decision::Refuse(_), Some(edge)) => {
                    Some(format!("503, for the cap of `{edge}` is spent"))
                }
                (Decision::Slow(_) | Decision::Refuse(_) | Decision::Nobody, _) => None,
            };
            if let Some(would) = would {
                verdict.reason.push_str("; `failover.mode: enforce` would make it ");
                verdict.reason.push_str(&would);
            }
        }
        verdicts
    }
}
