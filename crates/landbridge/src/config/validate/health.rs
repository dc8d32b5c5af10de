//! How copies are probed, and what an operator says of one.

use std::time::Duration;

use landbridge_core::health::HealthSettings;
use landbridge_front::settings as front;

use super::Validator;
use super::failover::mode;
use crate::config::path::Path;
use crate::config::raw::Raw;
use crate::config::raw::health::{Override, OverrideState};

impl Validator<'_> {
    pub(super) fn probes(&mut self, raw: &Raw) -> front::ProbeSettings {
        let (raw, at) = (&raw.health, Path::dotted("health"));
        let mut least =
            |period, field| self.at_least(period, Duration::from_millis(100), &at.field(field));
        front::ProbeSettings {
            mode: mode(raw.mode),
            period: least(raw.period, "period"),
            timeout: least(raw.timeout, "timeout"),
            health: HealthSettings {
                fall: raw.fall,
                rise: raw.rise,
                return_over: raw.return_over.0,
            },
            budget_requests: raw.budget.requests.into(),
            budget_bytes: raw.budget.bytes.0,
        }
    }
}

/// What an operator says. One that has ended is no mistake: files stay as they are.
pub(super) fn operator(raw: Option<&Override>) -> Option<front::Override> {
    let raw = raw?;
    Some(front::Override {
        state: match raw.state? {
            OverrideState::Drain => front::OverrideState::Drain,
            OverrideState::Force => front::OverrideState::Force,
        },
        until: raw.until?.0,
        reason: raw.reason.clone()?,
    })
}
