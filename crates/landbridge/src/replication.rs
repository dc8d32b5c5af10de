//! Replication, from plain settings to buckets, a registry and keys.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use landbridge_core::RepositoryName;
use landbridge_core::pointer::Keys;
use landbridge_front::settings::{Follow, LiveRegistry};
use landbridge_registry::Credentials;
use landbridge_registry::client::{ClientSettings, ClientSettingsError, RegistryClient};
use landbridge_replicate::{Pace, Tariff};
use landbridge_sign::{KeyCommand, Signer};
use landbridge_store::{BucketLayout, Require, Verify};
use url::Url;

/// Requests that the registry gets at once.
const MAX_INFLIGHT: usize = 16;
/// How long it may take to answer, and between two pieces of a blob.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What is replicated, from where and to where.
#[derive(Debug, Clone)]
pub(crate) struct ReplicationSettings {
    /// The registry.
    pub(crate) registry: LiveRegistry,
    /// Its repositories; without them all.
    pub(crate) repositories: Option<Vec<RepositoryName>>,
    /// Promotion manifests that name its repositories instead.
    pub(crate) promotions: Option<PathBuf>,
    /// Who signs.
    pub(crate) signers: Vec<KeySource>,
    /// The catalog's name.
    pub(crate) catalog: String,
    /// Whose signatures fronts believe.
    pub(crate) keys: Keys,
    /// Pointers below it do not count.
    pub(crate) minimum_sequence: u64,
    /// Which mirrors must have all of a release before it is published.
    pub(crate) require: Require,
    /// The bucket whose pointers count.
    pub(crate) authority: Target,
    /// The buckets that serve the same objects.
    pub(crate) mirrors: Vec<Target>,
    /// How sites follow what is published.
    pub(crate) follows: Vec<Follow>,
    /// What it costs.
    pub(crate) tariff: Tariff,
    /// How long until a pointer begins to alarm.
    pub(crate) expires: Duration,
    /// How what copies had before is verified.
    pub(crate) verify: Verify,
    /// How fast, and how patiently.
    pub(crate) pace: Pace,
}

/// Where a key that signs is found. It is looked for only by whoever publishes: a front reads the
/// same file and has no such key.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// A PEM file.
    File(PathBuf),
    /// A variable with PEM text.
    Variable(String),
    /// With somebody else, whom a command asks.
    Command(KeyCommand),
}

impl KeySource {
    /// The key.
    pub(crate) fn open(&self) -> anyhow::Result<Signer> {
        Ok(match self {
            Self::File(path) => Signer::open(path)?,
            Self::Variable(name) => {
                let pem = std::env::var(name)
                    .with_context(|| format!("the variable `{name}` has no signing key"))?;
                Signer::from_pem(&pem, &format!("the variable `{name}`"))?
            }
            Self::Command(command) => Signer::Command(command.clone()),
        })
    }
}

/// A bucket that is written to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Its name in reports.
    pub(crate) name: String,
    /// The provider where it is, if that is known.
    pub(crate) provider: Option<String>,
    /// Where it is.
    pub(crate) url: Url,
    /// How objects are named in it.
    pub(crate) layout: BucketLayout,
    /// The address at which clients reach it, if they do.
    pub(crate) public: Option<Url>,
}

/// A registry as it is read, and as everyone may read it if we are let in as somebody.
pub(crate) struct Clients {
    pub(crate) own: RegistryClient,
    pub(crate) anonymous: Option<RegistryClient>,
}

impl Clients {
    /// Speaks to nobody yet.
    pub(crate) fn new(
        url: &Url,
        repository_prefix: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Self, ClientSettingsError> {
        let client = |credentials| {
            RegistryClient::new(ClientSettings {
                url: url.clone(),
                repository_prefix: repository_prefix.to_owned(),
                credentials,
                connect_timeout: CONNECT_TIMEOUT,
                answer_timeout: ANSWER_TIMEOUT,
                max_inflight: MAX_INFLIGHT,
            })
        };
        let anonymous = credentials.map(|_| client(None)).transpose()?;
        Ok(Self { own: client(credentials.cloned())?, anonymous })
    }
}
