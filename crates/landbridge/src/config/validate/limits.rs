//! Limits of client networks: whether they can be kept.

use std::num::NonZeroU64;

use landbridge_core::limits::{Allowance, Budget, Budgets, PrefixLengths, Rate};
use landbridge_front::settings as front;

use super::failover::mode;
use super::{Validator, required};
use crate::config::path::Path;
use crate::config::raw::limits::{Allowances, ClientLimits};
use crate::config::scalar::Size;

/// The longest that it may take until a burst is allowed anew: longer ones are mistakes, and kept
/// in no memory over a restart.
const LONGEST_RECOVERY_DAYS: u64 = 31;

impl Validator<'_> {
    pub(super) fn client_limits(&mut self, raw: &ClientLimits) -> Option<front::LimitSettings> {
        let at = Path::dotted("limits");
        let (least, most) = (Size(1 << 20), Size(16 << 30));
        if raw.memory < least || raw.memory > most {
            let message = format!("`{}` is not from `{least}` to `{most}`", raw.memory);
            self.report(&at.field("memory"), message);
        }
        let network = self.budget(&raw.network, &at.field("network"));
        let repository = self.budget(&raw.repository, &at.field("repository"));
        Some(front::LimitSettings {
            mode: mode(raw.mode),
            lengths: PrefixLengths { v4: raw.networks.ipv4, v6: raw.networks.ipv6 },
            budgets: Budgets { network: network?, repository: repository? },
            exempt: raw.exempt.iter().map(|network| network.0).collect(),
            memory_bytes: raw.memory.0,
        })
    }

    fn budget(&mut self, raw: &Allowances, at: &Path) -> Option<Budget> {
        let requests = raw
            .requests
            .as_ref()
            .map(|it| self.allowance(it.rate?.0, it.burst.map(u64::from), &at.field("requests")));
        let bytes = raw
            .bytes
            .as_ref()
            .map(|it| self.allowance(it.rate?.0, it.burst.map(|size| size.0), &at.field("bytes")));
        Some(Budget { requests: required(requests)?, bytes: required(bytes)? })
    }

    fn allowance(&mut self, rate: Rate, burst: Option<u64>, at: &Path) -> Option<Allowance> {
        let at = at.field("burst");
        let Some(burst) = burst.map_or(Some(rate.amount), NonZeroU64::new) else {
            self.report(&at, "is 0, with which nothing would ever be allowed");
            return None;
        };
        let allowance = Allowance::new(rate, burst);
        let days = allowance.recovery_seconds() / 86_400;
        if days >= LONGEST_RECOVERY_DAYS {
            let message = format!(
                "takes {days} days to be allowed anew at this rate, more than {LONGEST_RECOVERY_DAYS}: take a higher rate or a smaller burst"
            );
            self.report(&at, message);
        }
        Some(allowance)
    }
}
