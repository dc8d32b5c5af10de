//! The origin of one's own: what it is told, before its bucket is opened.

mod access;
mod events;

use std::num::NonZeroU32;
use std::time::Duration;

use landbridge_core::manifest::MAX_MANIFEST_BYTES;
use landbridge_origin::Access;
use landbridge_origin::gc::{self, Retention};
use landbridge_origin::limits::{self, LimitSettings};
use landbridge_origin::settings::{self as origin, ClientSettings, ConnectionLimits, PushRules};

use super::{Validator, as_usize};
use crate::config::path::Path;
use crate::config::raw::own::{self as raw, Own, OwnListening, PushLimits};
use crate::config::scalar::Size;
use crate::own::OwnSettings;

impl Validator<'_> {
    pub(super) fn own(&mut self, raw: &Own) -> Option<OwnSettings> {
        let at = Path::dotted("origin");
        self.own_address(raw, &at.field("listen").field("address"));
        let tls = raw.listen.tls.as_ref();
        let tls = tls.map(|tls| self.tls(tls, &at.field("listen").field("tls")));
        let connections = self.own_connections(&raw.listen, &at.field("listen"));
        let access = raw.access.as_ref().map(|access| self.access(access, &at.field("access")));
        let (trusted_proxies, forwarded_header) =
            self.proxies(raw.trusted_proxies.as_ref(), &at.field("trusted_proxies"));
        let pushes = self.push_rules(raw, &raw.limits, &at.field("limits"));
        let events = self.events(&raw.events, &at.field("events"));
        let gc_at = at.field("gc");
        let grace = self.at_least(raw.gc.grace, Duration::from_mins(1), &gc_at.field("grace"));
        let store = raw.store.as_ref().and_then(|store| self.store(store, &at.field("store")));
        Some(OwnSettings {
            store: store?,
            address: raw.listen.address.0,
            tls: if_written(tls)?,
            drain: raw.listen.drain.0,
            connections,
            access: if_written(access)?,
            writes: match raw.writes {
                raw::Writes::Allowed => origin::Writes::Taken,
                raw::Writes::Refused => origin::Writes::Refused,
            },
            clients: ClientSettings { trusted_proxies, forwarded_header },
            limits: client_limits(&raw.clients),
            pushes,
            events: events?,
            grace,
            uploads: raw.gc.uploads.0,
            retention: retention(&raw.gc.retention)?,
        })
    }

    /// Strangers could write at an address that is not loopback, if nothing says who may.
    fn own_address(&mut self, raw: &Own, at: &Path) {
        let address = raw.listen.address;
        if raw.access.is_none() && !Access::Open.may_listen_on(address.0.ip()) {
            let message = format!(
                "`{address}` is no loopback address, and without access rules everyone could push and delete there: say who may in `origin.access.rules`, or listen on 127.0.0.1"
            );
            self.report(at, message);
        }
    }

    fn own_connections(&mut self, raw: &OwnListening, at: &Path) -> ConnectionLimits {
        if raw.header < Size(8 << 10) {
            let message = format!("`{}` is too small: at least `8KiB`", raw.header);
            self.report(&at.field("header"), message);
        }
        let second = Duration::from_secs(1);
        ConnectionLimits {
            open: as_usize(raw.connections.into()),
            head_bytes: as_usize(raw.header.0),
            head: self.at_least(raw.header_time, second, &at.field("header_time")),
            stall: self.at_least(raw.stall, second, &at.field("stall")),
        }
    }

    fn push_rules(&mut self, raw: &Own, limits: &PushLimits, at: &Path) -> PushRules {
        if limits.manifest > Size(MAX_MANIFEST_BYTES as u64) {
            let message = format!(
                "`{}` is more than clients and fronts take: at most `{}`",
                limits.manifest,
                Size(MAX_MANIFEST_BYTES as u64)
            );
            self.report(&at.field("manifest"), message);
        }
        PushRules {
            manifest_bytes: as_usize(limits.manifest.0),
            blob_bytes: limits.blob.map_or(u64::MAX, |size| size.0),
            chunk_min_bytes: limits.chunk.map_or(0, |size| size.0),
            sparse: match raw.sparse {
                raw::Sparse::Refused => origin::Sparse::Refused,
                raw::Sparse::Indexes => origin::Sparse::Indexes,
                raw::Sparse::Anything => origin::Sparse::Anything,
            },
            ..PushRules::default()
        }
    }
}

/// What need not be there but must be right: `None` if it is wrong.
#[expect(clippy::option_option, reason = "absent and wrong are two things")]
fn if_written<T>(part: Option<Option<T>>) -> Option<Option<T>> {
    match part {
        None => Some(None),
        Some(part) => part.map(Some),
    }
}

fn client_limits(raw: &raw::Clients) -> LimitSettings {
    // The form has no zero here.
    let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    LimitSettings {
        mode: match raw.mode {
            raw::LimitMode::Off => limits::LimitMode::Off,
            raw::LimitMode::Observe => limits::LimitMode::Observe,
            raw::LimitMode::Enforce => limits::LimitMode::Enforce,
        },
        requests_per_second: number(raw.requests_per_second),
        burst: number(raw.burst),
        uploads: number(raw.uploads),
        clients: raw.remembered.into(),
    }
}

fn retention(raw: &raw::Retention) -> Option<Retention> {
    let tags = raw.tags.iter().map(|rule| {
        Some(gc::TagRule {
            repositories: rule.repositories.clone()?.0,
            tags: rule.tags.clone()?.0,
            keep: as_usize(rule.keep?.into()),
            order: match rule.order {
                raw::Order::Version => gc::Order::Version,
                raw::Order::Pushed => gc::Order::Pushed,
            },
        })
    });
    Some(Retention { tags: tags.collect::<Option<_>>()?, untagged: raw.untagged.map(|age| age.0) })
}
