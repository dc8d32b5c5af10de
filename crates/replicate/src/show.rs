//! One release, as it is described to people: what it names, who holds it.

use std::collections::BTreeMap;
use std::fmt;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use landbridge_core::Digest;
use landbridge_core::generation::{Repository, Root};
use landbridge_core::reference::RepositoryName;
use landbridge_store::Pin;
use landbridge_store::publish::Publication;
use serde::Serialize;

use crate::error::ImportError;
use crate::history::{Release, Said, releases};
use crate::report::Size;

/// Documents that are read at once.
const AT_ONCE: usize = 16;

/// A generation, and all that is known of it. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// It.
    pub generation: Digest,
    /// Every release that named it, newest first.
    pub releases: Vec<Release>,
    /// Why it is pinned, if it is.
    pub pin: Option<Pin>,
    /// What it consists of, by name.
    pub repositories: Vec<ShownRepository>,
    /// Objects, manifests among them, each once however many repositories list it.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What each mirror says of it.
    pub mirrors: Vec<ShownMirror>,
}

/// A repository of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownRepository {
    /// Its name.
    pub name: RepositoryName,
    /// How many tags it has.
    pub tags: usize,
    /// How many manifests.
    pub manifests: usize,
    /// Bytes of all that it lists.
    pub bytes: u64,
}

/// A mirror's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownMirror {
    /// Its name.
    pub name: String,
    /// What it says.
    #[serde(flatten)]
    pub says: Says,
}

/// What a mirror's holding says of a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "holds")]
pub enum Says {
    /// All of it is there.
    All,
    /// All but these.
    Lacks {
        /// How many.
        objects: usize,
    },
    /// It says nothing of this generation.
    Nothing,
    /// It could not be asked.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Describes a generation that was published; reads all of its documents.
pub async fn show(publication: &Publication, generation: &Digest) -> Result<Shown, ImportError> {
    let Publication { authority, catalog, mirrors, .. } = publication;
    let names_it = |release: &Release| match &release.said {
        Said::Believed { generation: named, .. } => named == generation,
        Said::Refused(_) => false,
    };
    let releases = releases(publication).await?.into_iter().filter(names_it).collect();
    let pins = authority.pins().await?;
    let pin = pins.into_iter().find(|(pinned, _)| pinned == generation).map(|(_, pin)| pin);

    let root: Root = authority.get_document(generation).await?;
    let mut all: BTreeMap<Digest, u64> = BTreeMap::new();
    let mut repositories = Vec::with_capacity(root.repositories.len());
    let digests: Vec<Digest> = root.repositories.iter().map(|entry| entry.digest).collect();
    let read: Vec<_> =
        digests.iter().map(|digest| authority.get_document::<Repository>(digest)).collect();
    let mut read = stream::iter(read).buffered(AT_ONCE);
    while let Some(repository) = read.try_next().await? {
        repositories.push(ShownRepository {
            tags: repository.tags.len(),
            manifests: repository.manifests.len(),
            bytes: repository.listed().map(|(_, size)| size).sum(),
            name: repository.name.clone(),
        });
        all.extend(repository.listed());
    }

    let mut shown = Vec::with_capacity(mirrors.len());
    for mirror in mirrors {
        let says = match mirror.bucket.get_holding().await {
            Err(error) => Says::Unknown { why: landbridge_core::cause::chain(&error) },
            Ok(Some(holding))
                if holding.catalog == *catalog && holding.generations.contains(generation) =>
            {
                match holding.lacks.iter().filter(|lacks| all.contains_key(*lacks)).count() {
                    0 => Says::All,
                    objects => Says::Lacks { objects },
                }
            }
            Ok(_) => Says::Nothing,
        };
        shown.push(ShownMirror { name: mirror.name.clone(), says });
    }
    Ok(Shown {
        generation: *generation,
        releases,
        pin,
        repositories,
        objects: all.len() as u64,
        bytes: all.values().sum(),
        mirrors: shown,
    })
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("has all of it"),
            Self::Lacks { objects } => write!(f, "has it but for {objects} objects"),
            Self::Nothing => f.write_str("does not say that it has it"),
            Self::Unknown { why } => write!(f, "cannot be asked: {why}"),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, releases, pin, repositories, objects, bytes, mirrors } = self;
        writeln!(f, "generation {generation}")?;
        for Release { sequence, said } in releases {
            let Said::Believed { issued, expires, reason, in_force, .. } = said else { continue };
            let in_force = if *in_force { " and in force" } else { "" };
            writeln!(
                f,
                "release {sequence}: issued {issued:.0}{in_force}, expires {expires:.0}: {reason}"
            )?;
        }
        if let Some(Pin { reason, since }) = pin {
            writeln!(f, "pinned since {since:.0}: {reason}")?;
        }
        let count = repositories.len();
        writeln!(f, "{count} repositories, {objects} objects ({})", Size(*bytes))?;
        for ShownRepository { name, tags, manifests, bytes } in repositories {
            writeln!(f, "  {name}: {tags} tags, {manifests} manifests ({})", Size(*bytes))?;
        }
        let mut mirrors = mirrors.iter().peekable();
        while let Some(ShownMirror { name, says }) = mirrors.next() {
            write!(f, "mirror `{name}` {says}")?;
            if mirrors.peek().is_some() {
                writeln!(f)?;
            }
        }
        Ok(())
    }
}
