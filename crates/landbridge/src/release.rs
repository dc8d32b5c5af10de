//! Publishing: the one way in, for `landbridge import`, `landbridge replicate` and the image that an
//! empty data directory begins with.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use jiff::Timestamp;
use landbridge_core::Digest;
use landbridge_core::money::{Currency, Money};
use landbridge_core::pointer::Keys;
use landbridge_core::price::{Rates, Spot};
use landbridge_core::reference::ImageName;
use landbridge_registry::Source;
use landbridge_replicate::{
    Import, ImportError, Keep, Listener, Pace, Plan, Priced, PruneReport, Publishing,
    RegistrySource, Replication, Report, Stop, Tariff, WithdrawalChange, WithdrawalReport, import,
    prepare_import, prepare_replication, prune, replicate, roll_back, withdraw,
};
use landbridge_sign::{LocalKey, Signer};
use landbridge_store::publish::{Mirror, Publication, Published};
use landbridge_store::read::Follow;
use landbridge_store::{Bucket, BucketLayout, Require, Verify};
use url::Url;

use crate::config::is_here;
use crate::embedded::{CATALOG, DataDirectory};
use crate::replication::{KeySource, ReplicationSettings, Target};

/// After this the pointer of a local topology begins to alarm. Nobody renews it, and an alarm is
/// all that it is.
const EXPIRY: Duration = Duration::from_hours(365 * 24);

/// Where releases are published, and who signs them.
pub(crate) struct Press {
    publication: Publication,
    signers: Vec<Signer>,
    expires: Duration,
    pace: Pace,
    /// How sites follow it: the newest release first, which all may come to.
    follows: Vec<Follow>,
    verify: Verify,
    despite_gaps: Option<String>,
    renew: bool,
    stop: Stop,
    tariff: Tariff,
}

impl Press {
    /// Makes the directory and its signing key if they are absent, and opens its buckets.
    pub(crate) fn open(data: &DataDirectory) -> anyhow::Result<Self> {
        let directory = data.path().display();
        let key_file = data.key();
        let keys = key_file.parent().unwrap_or(data.path());
        fs::create_dir_all(keys)
            .with_context(|| format!("cannot make the data directory `{directory}`"))?;
        let key = LocalKey::open_or_create(&key_file)?;
        let mirrors = data
            .mirrors()
            .map(|(name, provider, path)| {
                let provider = Some(provider.to_owned());
                Ok(Mirror { provider, bucket: open_bucket(&path)?, name })
            })
            .collect::<anyhow::Result<_>>()?;
        let publication = Publication {
            authority: open_bucket(&data.origin())?,
            mirrors,
            catalog: CATALOG.to_owned(),
            keys: Keys::new(vec![key.public().clone()], 1)?,
            minimum_sequence: 0,
            require: Require::default(),
        };
        let signers = vec![Signer::Ed25519(Box::new(key))];
        let free = Priced { spot: Spot::default(), rates: Rates::free(Currency::USD) };
        let tariff = Tariff {
            currency: Currency::USD,
            here: free.clone(),
            source: Priced::default(),
            copies: vec![free; publication.mirrors.len() + 1],
            most: None,
        };
        Ok(Self::over(publication, signers, (EXPIRY, Pace::USUAL), tariff))
    }

    /// Opens the buckets that a configuration names, for looking at them: nobody signs yet.
    pub(crate) fn of(settings: &ReplicationSettings) -> anyhow::Result<Self> {
        let publication = publication(settings)?;
        let times = (settings.expires, settings.pace);
        let press = Self::over(publication, Vec::new(), times, settings.tariff.clone());
        let others = settings.follows.iter().filter(|follow| **follow != Follow::Newest);
        let follows = press.follows.iter().chain(others).copied().collect();
        Ok(Self { follows, verify: settings.verify, ..press })
    }

    fn over(
        publication: Publication,
        signers: Vec<Signer>,
        (expires, pace): (Duration, Pace),
        tariff: Tariff,
    ) -> Self {
        let follows = vec![Follow::Newest];
        let (verify, despite_gaps, renew, stop) = (Verify::default(), None, false, Stop::new());
        Self {
            publication,
            signers,
            expires,
            pace,
            follows,
            verify,
            despite_gaps,
            renew,
            stop,
            tariff,
        }
    }

    /// What a prune keeps: what it is asked to, and what sites show that follow late or are pinned.
    pub(crate) fn keep(&self, releases: usize, time: Duration) -> Keep {
        let mut keep = Keep { releases, time, pinned: Vec::new() };
        for follow in &self.follows {
            match *follow {
                Follow::Newest => {}
                Follow::Later(delay) => keep.time = keep.time.max(time + delay),
                Follow::Pinned(generation) => keep.pinned.push(generation),
            }
        }
        keep
    }

    /// How sites follow what is published.
    pub(crate) fn follows(&self) -> &[Follow] {
        &self.follows
    }

    /// The same for a registry whose prices are not configured: on this machine it charges nothing.
    pub(crate) fn reading(mut self, registry: &Url) -> Self {
        if is_here(registry) {
            self.tariff.source.rates = Rates::free(self.tariff.currency);
        }
        self
    }

    /// What it costs.
    pub(crate) fn tariff(&self) -> &Tariff {
        &self.tariff
    }

    /// Refuses plans that cost more.
    pub(crate) fn costing(mut self, most: Option<Money>) -> Self {
        self.tariff.most = most;
        self
    }

    /// Publishes though mirrors that must have all of it have not, if there is a reason.
    pub(crate) fn despite_gaps(self, reason: Option<&str>) -> Self {
        Self { despite_gaps: reason.map(str::to_owned), ..self }
    }

    /// Publishes without news too, if so wanted.
    pub(crate) fn renewing(self, renew: bool) -> Self {
        Self { renew, ..self }
    }

    /// The same, for publishing: with the keys that the configuration names.
    pub(crate) fn signing(settings: &ReplicationSettings) -> anyhow::Result<Self> {
        let signers = settings.signers.iter().map(KeySource::open).collect::<Result<_, _>>()?;
        Ok(Self { signers, ..Self::of(settings)? })
    }

    /// Where it publishes.
    pub(crate) fn publication(&self) -> &Publication {
        &self.publication
    }

    /// Ends what it is doing.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Makes an older generation the one in force again.
    pub(crate) async fn roll_back(
        &self,
        generation: Digest,
        reason: &str,
    ) -> Result<Published, ImportError> {
        roll_back(&self.publishing(), generation, reason).await
    }

    /// Deletes what no kept generation lists.
    pub(crate) async fn prune(&self, keep: &Keep) -> Result<PruneReport, ImportError> {
        prune(&self.publishing(), keep).await
    }

    /// Changes what is withdrawn.
    pub(crate) async fn withdraw(
        &self,
        change: &WithdrawalChange,
        reason: &str,
    ) -> Result<WithdrawalReport, ImportError> {
        withdraw(&self.publishing(), change, reason).await
    }

    /// Whether nothing was ever published here.
    pub(crate) async fn is_blank(&self) -> anyhow::Result<bool> {
        let base = self.publication.base().await?;
        Ok(base.pointer().is_none() && base.refused().is_empty())
    }

    /// What [`Press::publish`] would do.
    pub(crate) async fn plan(
        &self,
        source: &Source,
        name: Option<&ImageName>,
    ) -> Result<Plan, ImportError> {
        prepare_import(&self.import(source, name)).await
    }

    /// Publishes the images of `source` under `name`, or under their own names.
    pub(crate) async fn publish(
        &self,
        source: &Source,
        name: Option<&ImageName>,
        listener: Listener<'_>,
    ) -> Result<Report, ImportError> {
        import(&self.import(source, name), listener).await
    }

    fn import<'a>(&'a self, source: &'a Source, destination: Option<&'a ImageName>) -> Import<'a> {
        Import { source, destination, publishing: self.publishing() }
    }

    /// What [`Press::replicate`] would do.
    pub(crate) async fn plan_replication(
        &self,
        source: RegistrySource<'_>,
    ) -> Result<Plan, ImportError> {
        prepare_replication(&self.replication(source)).await
    }

    /// Publishes what is new in a registry.
    pub(crate) async fn replicate(
        &self,
        source: RegistrySource<'_>,
        listener: Listener<'_>,
    ) -> Result<Report, ImportError> {
        replicate(&self.replication(source), listener).await
    }

    fn replication<'a>(&'a self, source: RegistrySource<'a>) -> Replication<'a> {
        let tariff = Some(&self.tariff);
        Replication { source, publishing: Publishing { tariff, ..self.publishing() } }
    }

    fn publishing(&self) -> Publishing<'_> {
        let now = Timestamp::now();
        let Self { publication, signers, pace, verify, despite_gaps, renew, stop, .. } = self;
        Publishing {
            publication,
            signers,
            now,
            expires: self.expiry(now),
            verify: *verify,
            pace: *pace,
            despite_gaps: despite_gaps.as_deref(),
            renew: *renew,
            stop,
            tariff: None,
        }
    }

    fn expiry(&self, now: Timestamp) -> Timestamp {
        // Fails only at the end of time.
        now.checked_add(self.expires).unwrap_or(Timestamp::MAX)
    }
}

/// Opens the buckets that a configuration names; no key is needed to read what was published.
pub(crate) fn publication(settings: &ReplicationSettings) -> anyhow::Result<Publication> {
    let open = |target: &Target| {
        let opened = Bucket::open(&target.url, target.layout);
        opened.with_context(|| format!("the bucket of `{}` cannot be opened", target.name))
    };
    let mirrors = settings
        .mirrors
        .iter()
        .map(|mirror| {
            Ok(Mirror {
                name: mirror.name.clone(),
                provider: mirror.provider.clone(),
                bucket: open(mirror)?,
            })
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(Publication {
        authority: open(&settings.authority)?,
        mirrors,
        catalog: settings.catalog.clone(),
        keys: settings.keys.clone(),
        minimum_sequence: settings.minimum_sequence,
        require: settings.require.clone(),
    })
}

fn open_bucket(directory: &Path) -> anyhow::Result<Bucket> {
    let url = Url::from_directory_path(directory)
        .map_err(|()| anyhow!("`{}` is not an absolute path", directory.display()))?;
    Ok(Bucket::open(&url, BucketLayout::Blobs)?)
}

/// Takes the data directory for one `serve`; others may import into it all the same. The lock ends
/// with the process, however it ends.
pub(crate) fn lock(data: &DataDirectory) -> anyhow::Result<File> {
    let path = data.path().join("serve.lock");
    let what = || format!("cannot write to the data directory `{}`", data.path().display());
    let file =
        File::options().create(true).write(true).truncate(false).open(&path).with_context(what)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(anyhow!(
            "another `landbridge serve` uses `{}`: stop it, or take another directory with --data",
            data.path().display()
        )),
        Err(TryLockError::Error(error)) => Err(error).with_context(what),
    }
}
