//! One phase of a plan, from what is written to core's words.

use std::time::Duration;

use jiff::Timestamp;
use landbridge_core::migration::{
    AbortRule, Brownout, ClientPlace, Gate, Mode, Phase, Refusal, Scope, Share, SharePoint, Step,
    Window,
};

use super::Reader;
use crate::config::path::Path;
use crate::config::raw::failover::Mode as RawMode;
use crate::config::raw::plan::{
    RawAbort, RawAnswer, RawClients, RawGate, RawShare, RawStep, RawWindow,
};
use crate::config::scalar::Period;

impl Reader<'_> {
    /// A step; `told` is when users were told of all that says nothing else.
    pub(super) fn step(
        &mut self,
        raw: &RawStep,
        told: Option<Timestamp>,
        at: &Path,
    ) -> Option<Step> {
        let clients = self.clients(&raw.clients, &at.field("clients"));
        let shares = self.shares(&raw.shares, &at.field("shares"));
        let brownout = self.brownout(raw, at);
        let abort = raw.abort.as_ref().map(|abort| self.abort(abort, &at.field("abort")));
        let (phase, start) = (Phase::from(raw.phase?), raw.start?.0);
        let announced = raw.announced.map(|moment| moment.0).or(told).unwrap_or(start);
        Some(Step {
            end: raw.end.map(|moment| moment.0),
            aborted: raw.aborted.map(|moment| moment.0),
            scope: Scope {
                repositories: raw.repositories.iter().map(|it| it.0.clone()).collect(),
                places: clients,
            },
            mode: match raw.mode {
                RawMode::Observe => Mode::Observe,
                RawMode::Enforce => Mode::Enforce,
            },
            message: raw.message.clone(),
            shares: shares?,
            generation: raw.generation.map(|it| it.0),
            brownout: brownout?,
            entry: gates(&raw.entry)?,
            exit: gates(&raw.exit)?,
            abort,
            ..Step::new(phase, announced, start)
        })
    }

    fn clients(&mut self, raw: &[RawClients], at: &Path) -> Vec<ClientPlace> {
        for (index, clients) in raw.iter().enumerate() {
            if let (None, Some(region)) = (&clients.provider, &clients.region) {
                let message = format!("whose region is `{region}`? Name the `provider` too");
                self.report(&at.item(index).field("region"), message);
            }
        }
        let place = |clients: &RawClients| ClientPlace {
            provider: clients.provider.as_ref().map(ToString::to_string).unwrap_or_default(),
            region: clients.region.as_ref().map(ToString::to_string),
        };
        raw.iter().map(place).collect()
    }

    fn shares(&mut self, raw: &[RawShare], at: &Path) -> Option<Vec<SharePoint>> {
        let mut points = Vec::new();
        for (index, point) in raw.iter().enumerate() {
            let share = point.percent.map(|percent| {
                Share::of_percent(percent).unwrap_or_else(|error| {
                    let at = at.item(index).field("percent");
                    self.report(&at, error.to_string());
                    // What follows can still be held against it.
                    if percent < 0.0 { Share::NONE } else { Share::ALL }
                })
            });
            let from = point.from.map(|moment| moment.0);
            points.push(from.zip(share).map(|(from, share)| SharePoint { from, share }));
        }
        points.into_iter().collect()
    }

    /// What only a brownout has; `None` if something in it is missing.
    #[expect(clippy::option_option, reason = "absent and wrong are two things")]
    fn brownout(&mut self, raw: &RawStep, at: &Path) -> Option<Option<Brownout>> {
        let is_brownout = raw.phase.map(Phase::from) == Some(Phase::Brownout);
        let others = [("answer", raw.answer.is_some()), ("cap_pulls", raw.cap_pulls.is_some())];
        for (name, _) in others.iter().filter(|(_, is_written)| *is_written && !is_brownout) {
            self.report(&at.field(name), "is for a brownout: take it away");
        }
        if is_brownout && raw.cap_pulls.is_none() {
            let message = "is missing: how many pulls may a front refuse in one window at most?";
            self.report(&at.field("cap_pulls"), message);
        }
        let Some(windows) = &raw.windows else { return Some(None) };
        let window = |raw: &RawWindow| Some(Window { start: raw.start?.0, end: raw.end?.0 });
        Some(Some(Brownout {
            windows: windows.iter().map(window).collect::<Option<_>>()?,
            refusal: match raw.answer {
                None | Some(RawAnswer::Unavailable) => Refusal::Unavailable,
                Some(RawAnswer::Gone) => Refusal::Gone,
            },
            cap_pulls: raw.cap_pulls.map_or(0, u64::from),
        }))
    }

    fn abort(&mut self, raw: &RawAbort, at: &Path) -> AbortRule {
        if !(0.0..=100.0).contains(&raw.margin) {
            let message = format!("{} is not from 0 to 100, in points of percent", raw.margin);
            self.report(&at.field("margin"), message);
        }
        let least = Period(Duration::from_secs(2));
        if raw.window.0 < least.0 {
            let message = format!("`{}` is too short: at least `{least}`", raw.window);
            self.report(&at.field("window"), message);
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 0 to 1,000; what is not has been reported"
        )]
        let margin = (raw.margin * 10.0).round() as u32;
        AbortRule {
            margin,
            minimum_requests: raw.minimum_requests.into(),
            window_seconds: u32::try_from(raw.window.0.as_secs()).unwrap_or(u32::MAX),
            command: raw.command.clone(),
        }
    }
}

fn gates(raw: &[RawGate]) -> Option<Vec<Gate>> {
    let gate = |raw: &RawGate| {
        Some(Gate {
            name: raw.gate.clone()?,
            passed: raw.passed.map(|moment| moment.0),
            evidence: raw.evidence.clone(),
        })
    };
    raw.iter().map(gate).collect()
}
