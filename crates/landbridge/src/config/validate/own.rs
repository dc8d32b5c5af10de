//! The origin of one's own: what it is told, before its bucket is opened.

use std::time::Duration;

use landbridge_core::manifest::MAX_MANIFEST_BYTES;
use landbridge_origin::settings::{self as origin, ConnectionLimits, PushRules};

use super::{Validator, as_usize};
use crate::config::path::Path;
use crate::config::raw::own::{Own, OwnListening, PushLimits, Sparse};
use crate::config::scalar::Size;
use crate::own::OwnSettings;

impl Validator<'_> {
    pub(super) fn own(&mut self, raw: &Own) -> Option<OwnSettings> {
        let at = Path::dotted("origin");
        let connections = self.own_connections(&raw.listen, &at.field("listen"));
        let pushes = self.push_rules(raw, &raw.limits, &at.field("limits"));
        let grace =
            self.at_least(raw.gc.grace, Duration::from_mins(1), &at.field("gc").field("grace"));
        let store = self.store(raw.store.as_ref()?, &at.field("store"))?;
        Some(OwnSettings {
            store,
            address: raw.listen.address.0,
            drain: raw.listen.drain.0,
            connections,
            pushes,
            grace,
        })
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
                Sparse::Refused => origin::Sparse::Refused,
                Sparse::Indexes => origin::Sparse::Indexes,
                Sparse::Anything => origin::Sparse::Anything,
            },
            ..PushRules::default()
        }
    }
}
