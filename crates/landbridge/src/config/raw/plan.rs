//! The plan of migrations as it is written: `migration.yaml`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::raw::failover::Mode;
use crate::config::scalar::access::Repositories;
use crate::config::scalar::{Generation, Moment, Name, Period, PlaceName, Successor, WebUrl};

/// How old names are left, phase by phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawPlan {
    /// One old name's way to its successor each.
    #[schemars(required)]
    pub(crate) moves: Option<Vec<RawMove>>,
    /// When releases were or will be made, for rules of the policy that count notice in releases.
    #[serde(default)]
    pub(crate) releases: Vec<Moment>,
}

/// One old name's way to its successor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawMove {
    /// What sites, reports and metrics call it. It decides which clients a share takes first, so it
    /// must stay as it is while one is under way.
    #[schemars(required)]
    pub(crate) name: Option<Name>,
    /// The host name that users are to write instead, with its port if that is not the usual one.
    #[schemars(required)]
    pub(crate) successor: Option<Successor>,
    /// How much users may rely on the old name: which rule of the policy says how much notice they
    /// are owed. Without it, no rule does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stability: Option<Name>,
    /// Where users can read what to do; told in `Link` headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) guide: Option<WebUrl>,
    /// What happens when. Each names one phase; a phase may come several times, with other
    /// repositories or clients, or at another time.
    #[schemars(required)]
    pub(crate) phases: Option<Vec<RawStep>>,
}

/// One phase of a migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawStep {
    /// What happens.
    #[schemars(required)]
    pub(crate) phase: Option<RawPhase>,
    /// When users were told of it, from which their notice counts. Without it, the start of the
    /// move's first `announce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) announced: Option<Moment>,
    /// When it begins, as `2023-03-20` (midnight in UTC) or `2023-03-20T16:00:00Z`.
    #[schemars(required)]
    pub(crate) start: Option<Moment>,
    /// When it ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<Moment>,
    /// Since when it is taken back for good; `landbridge migrate abort` writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aborted: Option<Moment>,
    /// The repositories that it concerns, by their names under the successor, as `team/app` or
    /// `team/**`. Without it, all.
    #[serde(default)]
    pub(crate) repositories: Vec<Repositories>,
    /// Where the clients are that it concerns. Without it, anywhere.
    #[serde(default)]
    pub(crate) clients: Vec<RawClients>,
    /// Whether it does what it says.
    #[serde(default)]
    pub(crate) mode: Mode,
    /// What users are told as long as it is under way, in a `Warning` header: printable ASCII; all
    /// messages of a move together at most 4,096 bytes.
    #[serde(default)]
    pub(crate) message: String,
    /// Of a `redirect` and a `brownout`: which share of clients it concerns, and since when; it
    /// must not go down. Who is in it stays in it. Without it, all clients from the start on.
    #[serde(default)]
    pub(crate) shares: Vec<RawShare>,
    /// Of a `freeze`: the generation that the old name shows, by its digest. Without it nothing is
    /// frozen by a front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<Generation>,
    /// Of a `brownout`: when it refuses. Nothing extends them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) windows: Option<Vec<RawWindow>>,
    /// Of a `brownout`: how it refuses; `unavailable` without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<RawAnswer>,
    /// Of a `brownout`: how many pulls each front refuses in one window at most; the others are
    /// served. A brownout needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cap_pulls: Option<u32>,
    /// What must be so before it begins.
    #[serde(default)]
    pub(crate) entry: Vec<RawGate>,
    /// What must be so before a later phase of the same repositories and clients begins.
    #[serde(default)]
    pub(crate) exit: Vec<RawGate>,
    /// Of a `brownout` and a `redirect` with `shares`: when a front takes it back by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) abort: Option<RawAbort>,
}

/// The phases.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawPhase {
    /// Users are told.
    Announce,
    /// Both names work, and users of the old one are told at each pull.
    Dual,
    /// What is promoted from now on appears under the new name only.
    Freeze,
    /// The old name sends a share of its clients to the new one.
    Redirect,
    /// In published windows the old name refuses to begin pulls.
    Brownout,
    /// Some repositories are gone from the old name, for ever.
    Tombstone,
    /// The old name is gone, for ever.
    Sunset,
}

/// A provider's clients, or those of one of its regions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawClients {
    /// The provider. Without it, clients in no known cloud.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<PlaceName>,
    /// The region. Without it, all of the provider's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<PlaceName>,
}

/// From when on a share holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawShare {
    /// Since when.
    #[schemars(required)]
    pub(crate) from: Option<Moment>,
    /// Which part of all pairs of a client's network and a repository, from 0 to 100.
    #[schemars(required)]
    pub(crate) percent: Option<f64>,
}

/// From when to when a brownout refuses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWindow {
    /// The first moment.
    #[schemars(required)]
    pub(crate) start: Option<Moment>,
    /// The first moment after it.
    #[schemars(required)]
    pub(crate) end: Option<Moment>,
}

/// How a brownout refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RawAnswer {
    /// 503: clients try again.
    Unavailable,
    /// 410: clients give up and say so.
    Gone,
}

/// Something that must be so. Somebody looks, and writes down when it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawGate {
    /// What must be so, in words.
    #[schemars(required)]
    pub(crate) gate: Option<String>,
    /// Since when it is. Without it the gate is shut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passed: Option<Moment>,
    /// Where that can be seen: a report's or an issue's identifier.
    #[serde(default)]
    pub(crate) evidence: String,
}

/// When a front takes a step back by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RawAbort {
    /// By how many points of percent more requests of the moved clients than of the others may go
    /// wrong: be answered by an error, or be asked again.
    pub(crate) margin: f64,
    /// How many requests of each are needed to judge.
    #[schemars(range(min = 1))]
    pub(crate) minimum_requests: u32,
    /// Over how long they are counted.
    pub(crate) window: Period,
    /// A program and its arguments, which no shell reads, that takes the step back by any exit code
    /// but 0.
    pub(crate) command: Vec<String>,
}

impl Default for RawAbort {
    fn default() -> Self {
        Self {
            margin: 5.0,
            minimum_requests: 1_000,
            window: Period::seconds(10 * 60),
            command: Vec::new(),
        }
    }
}
