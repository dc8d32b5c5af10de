//! `origin.events` as it is written: who is told of pushes and deletions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::scalar::{FilePath, Name, Period, Size, WebUrl};

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Events {
    /// JSON lines in files of a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<EventFile>,
    /// Servers that are sent each event as JSON by `POST`.
    pub(crate) webhooks: Vec<Webhook>,
}

/// Events as lines of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventFile {
    /// The directory, of this process alone; made if it is absent. The file is `events.jsonl`.
    #[schemars(required)]
    pub(crate) directory: Option<FilePath>,
    /// A file that has grown beyond this is rotated.
    #[serde(default = "EventFile::rotate")]
    pub(crate) rotate: Size,
    /// How many rotated files are kept.
    #[schemars(range(min = 1))]
    #[serde(default = "EventFile::keep")]
    pub(crate) keep: u32,
}

impl EventFile {
    const fn rotate() -> Size {
        Size(64 << 20)
    }

    const fn keep() -> u32 {
        16
    }
}

/// A server that is told: exactly one of `url`, `url_file` and `url_variable`. An answer of 2xx
/// takes an event; 408, 429, 5xx and no answer are tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Webhook {
    /// What logs call it.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// Where events are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<WebUrl>,
    /// A file that holds the address and nothing else, for one that is a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_file: Option<FilePath>,
    /// The environment variable that holds the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_variable: Option<String>,
    /// A file that holds a key under which each event is signed: the header
    /// `Landbridge-Signature` is `sha256=` and the HMAC-SHA256 of the body in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_file: Option<FilePath>,
    /// The environment variable that holds such a key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_variable: Option<String>,
    /// Events that may wait for it; more are dropped, counted and reported.
    #[schemars(range(min = 1))]
    #[serde(default = "Webhook::queue")]
    pub(crate) queue: u32,
    /// How long one attempt may take.
    #[serde(default = "Webhook::timeout")]
    pub(crate) timeout: Period,
    /// How long one event is tried altogether, with growing pauses, before it is dropped.
    #[serde(default = "Webhook::give_up")]
    pub(crate) give_up: Period,
}

impl Webhook {
    const fn queue() -> u32 {
        10_000
    }

    const fn timeout() -> Period {
        Period::seconds(10)
    }

    const fn give_up() -> Period {
        Period::seconds(10 * 60)
    }
}
