//! Pins: generations that are kept whatever came after them.
//!
//! `pins/<algorithm>/<hex>` in the authority, one object for each. They are not signed: whoever can
//! write here can delete what they protect.

use futures::TryStreamExt as _;
use jiff::Timestamp;
use landbridge_core::Digest;
use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::facts::{Keep, MAX_FACT_BYTES};
use crate::repositories::{names, parse_path, path};

const PINS: &str = "pins";
const AT_ONCE: usize = 16;

/// Why a generation is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

impl Bucket {
    /// The generations that are pinned. A pin that cannot be read is an error, since somebody relies
    /// on it.
    pub async fn pins(&self) -> Result<Vec<(Digest, Pin)>, StoreError> {
        let listed = names(self, PINS, None, parse_path);
        let read = listed.map_ok(|found| async move {
            let pin = self.get_json::<Pin>(&key(&found.item), MAX_FACT_BYTES).await?;
            // Taken off meanwhile.
            Ok(pin.map(|pin| (found.item, pin.value)))
        });
        read.try_buffered(AT_ONCE).try_filter_map(async |pin| Ok(pin)).try_collect().await
    }

    /// Pins a generation, or changes the reason.
    pub async fn put_pin(&self, generation: &Digest, pin: &Pin) -> Result<(), StoreError> {
        self.put_json(Keep::Durable, &key(generation), pin).await
    }

    /// Takes a pin off; false if there was none.
    pub async fn delete_pin(&self, generation: &Digest) -> Result<bool, StoreError> {
        self.delete_fact(&key(generation)).await
    }
}

fn key(generation: &Digest) -> String {
    format!("{PINS}/{}", path(generation))
}
