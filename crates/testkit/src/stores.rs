//! Stores that run beside the tests: where one is, and how a whole suite is run over it.
//!
//! Why: one emulator serves a suite, and a test binary has no place for what all its tests share. So one test starts
//! the emulator and then its own binary once more, which learns from a variable where its stores are to be.
//!
//! Invariant: every bucket is a new one.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use landbridge_store::{Bucket, BucketLayout};
use url::Url;

use crate::{azurite, garage, gcs, process};

/// The variable by which a suite's process learns where its stores are: kind, address and the file in which it notes
/// every bucket that it makes.
const OFFER: &str = "LANDBRIDGE_TEST_STORE";
/// A suite over an emulator takes minutes.
const SUITE: Duration = Duration::from_mins(30);

/// What speaks which interface, and how well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreKind {
    /// Azure's Blob Storage, emulated.
    Azurite,
    /// S3, by a server that does not honour conditional writes.
    Garage,
    /// Google Cloud Storage, by the double in this crate.
    Gcs,
}

impl StoreKind {
    const ALL: [Self; 3] = [Self::Azurite, Self::Garage, Self::Gcs];

    /// Whether it creates an object only if there is none, so that it may be an authority.
    pub const fn creates(self) -> bool {
        match self {
            Self::Azurite | Self::Gcs => true,
            Self::Garage => false,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Azurite => "azurite",
            Self::Garage => "garage",
            Self::Gcs => "gcs",
        }
    }
}

/// Where a store listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreAddress {
    kind: StoreKind,
    address: String,
    notes: Option<PathBuf>,
}

impl StoreAddress {
    pub(crate) fn new(kind: StoreKind, address: &str) -> Self {
        Self { kind, address: address.to_owned(), notes: None }
    }

    /// The store over which this process is to run its tests, if it was started for that.
    ///
    /// It is an error if the variable cannot be understood.
    pub fn offered() -> Result<Option<Self>> {
        let Ok(offer) = std::env::var(OFFER) else { return Ok(None) };
        let mut words = offer.splitn(3, ' ');
        let name = words.next();
        let kind = StoreKind::ALL.into_iter().find(|kind| Some(kind.name()) == name);
        let (Some(kind), Some(address), Some(notes)) = (kind, words.next(), words.next()) else {
            bail!("{OFFER} is no offer: {offer:?}");
        };
        Ok(Some(Self { kind, address: address.to_owned(), notes: Some(notes.into()) }))
    }

    /// What is there.
    pub fn kind(&self) -> StoreKind {
        self.kind
    }

    /// Opens a new, empty bucket there, below this prefix.
    pub fn bucket(&self, layout: BucketLayout, prefix: &str) -> Result<Bucket> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("bucket-{}-{made}", std::process::id());
        let open = match self.kind {
            StoreKind::Azurite => azurite::bucket,
            StoreKind::Garage => garage::bucket,
            StoreKind::Gcs => gcs::bucket,
        };
        let bucket = open(&self.address, &name, layout, prefix)?;
        if let Some(notes) = &self.notes {
            writeln!(OpenOptions::new().append(true).open(notes)?, "{name}")?;
        }
        Ok(bucket)
    }

    /// Runs tests of this binary once more, over this store, with these arguments of libtest.
    ///
    /// It is an error, with all that was written, if a test fails or if none of them asked for a bucket.
    pub fn run_again(&self, arguments: &[&str]) -> Result<()> {
        let notes = tempfile::NamedTempFile::new()?;
        let offer = format!("{} {} {}", self.kind.name(), self.address, notes.path().display());
        let mut command = Command::new(std::env::current_exe()?);
        process::run(command.args(arguments).env(OFFER, offer), SUITE)?;
        ensure!(!fs::read(notes.path())?.is_empty(), "no test asked for a bucket");
        Ok(())
    }
}

impl fmt::Display for StoreAddress {
    /// `IP:PORT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

pub(crate) fn open(url: &str, layout: BucketLayout, options: &[(&str, &str)]) -> Result<Bucket> {
    let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Ok(Bucket::open_with(&Url::parse(url)?, layout, &options.collect::<Vec<_>>())?)
}

/// The program of an emulator, which a variable names.
pub(crate) fn program(variable: &str, store: &str) -> Result<OsString> {
    std::env::var_os(variable)
        .with_context(|| format!("{variable} is not set: run `scripts/stores {store}`"))
}
