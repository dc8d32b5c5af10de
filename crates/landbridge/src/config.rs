//! The configuration, from text to what a front is told.
//!
//! A file becomes a [`document`] in which every value knows its line; flags and the environment
//! are set over it; its form is [`check`]ed against the [`shape`] of the types in [`raw`]; those
//! types read what is left, and [`validate`](mod@validate) judges whether it makes sense. Each stage adds its
//! problems to one list, so that a person sees all of them at once.
//!
//! Invariant: settings only come out of a configuration with which nothing is wrong.

mod check;
mod document;
mod keys;
mod overrides;
mod path;
mod plan;
mod policy;
mod problem;
pub(crate) mod raw;
mod reference;
pub(crate) mod scalar;
mod shape;
mod validate;

use std::net::SocketAddr;
use std::path::{Path as FilePath, PathBuf};

use anyhow::Context as _;
use landbridge_front::settings::{OriginKind, Settings};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use url::Url;

use document::{Node, Place};
pub(crate) use overrides::Override;
pub(crate) use path::Path;
pub(crate) use plan::{Move, Plan, load as load_plan, unknown_stability, with_aborted};
pub(crate) use policy::{Promised, load as load_policy};
use problem::Problem;
pub(crate) use problem::Problems;
use raw::Raw;
use raw::plan::RawPlan;
use raw::policy::RawPolicy;
use shape::Shape;
pub(crate) use validate::{Secrets, is_here};
use validate::{Surroundings, validate};

use crate::own::{OwnSettings, reachable};
use crate::replication::ReplicationSettings;

/// The text of a configuration and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// What messages call it.
    name: String,
    text: String,
    /// The directory from which its relative paths are taken.
    base: PathBuf,
}

impl Source {
    /// Reads a file.
    pub(crate) fn read(file: &FilePath) -> anyhow::Result<Self> {
        Self::read_called("configuration", file)
    }

    /// Reads a file that messages call a `what`.
    pub(crate) fn read_called(what: &str, file: &FilePath) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the {what} `{name}`"))?;
        let absolute = std::path::absolute(file)
            .with_context(|| format!("cannot tell the directory of `{name}`"))?;
        let base = absolute.parent().unwrap_or(FilePath::new("/")).to_owned();
        Ok(Self { name, text, base })
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The same with another text.
    pub(crate) fn with_text(&self, text: String) -> Self {
        Self { text, ..self.clone() }
    }

    /// One that says nothing, for a command whose flags say all; relative paths are taken from the
    /// current directory.
    pub(crate) fn nothing(name: &str) -> anyhow::Result<Self> {
        let base = std::env::current_dir().context("cannot tell the current directory")?;
        Ok(Self { name: name.to_owned(), text: String::new(), base })
    }

    /// A configuration that was made in code, as the text that a person would have written.
    pub(crate) fn of(raw: &Raw, name: &str, base: &FilePath) -> anyhow::Result<Self> {
        Ok(Self { name: name.to_owned(), text: to_yaml(raw)?, base: base.to_owned() })
    }
}

/// What a configuration means.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// What a front is told; none in a file of nothing but an origin of one's own.
    pub(crate) front: Option<Settings>,
    /// What an origin of one's own is told, if there is one.
    pub(crate) own: Option<OwnSettings>,
    /// What a replication is told, if there is one.
    pub(crate) replicate: Option<ReplicationSettings>,
    /// The file of the plan of migrations, if there is one.
    pub(crate) plan: Option<PathBuf>,
    /// The copies that are this origin, without an address of their own.
    own_registries: Vec<usize>,
}

impl Config {
    /// What a front is told, once it is known where the origin of one's own listens in fact.
    pub(crate) fn for_front(self, own: Option<SocketAddr>) -> anyhow::Result<Settings> {
        let mut front = self.front.context(
            "there are no sites to answer for, only an `origin`: `landbridge origin` starts that",
        )?;
        let registries = front.origins.iter_mut().filter_map(|origin| match &mut origin.kind {
            OriginKind::Registry(registry) => Some(registry),
            OriginKind::Store { registry, .. } => registry.as_mut(),
        });
        for registry in registries.filter(|it| self.own_registries.contains(&it.copy)) {
            if let Some(url) = own.and_then(own_url) {
                registry.url = url;
            }
        }
        Ok(front)
    }
}

/// An origin of one's own, as this machine reaches it.
fn own_url(listens_at: SocketAddr) -> Option<Url> {
    Url::parse(&format!("http://{}", reachable(listens_at))).ok()
}

/// What `source` means with `overrides` set over it, the last one winning, or all that is wrong.
pub(crate) fn load(
    source: &Source,
    overrides: &[Override],
    secrets: Secrets,
) -> Result<Config, Problems> {
    let mut problems = Vec::new();
    let settings = read::<Raw>(source, overrides, &mut problems).and_then(|(document, raw)| {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let surroundings = Surroundings { base: source.base.clone(), processors, secrets };
        validate(&raw, &document, &surroundings, &mut problems)
    });
    match (Problems::new(&source.name, problems), settings) {
        (None, Some(settings)) => Ok(settings),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::unexplained(&source.name)),
    }
}

/// `source` with `overrides` set over it and all defaults written out, as YAML. Only its form is
/// checked, since the files that it names need not be there.
pub(crate) fn effective(source: &Source, overrides: &[Override]) -> anyhow::Result<String> {
    let mut problems = Vec::new();
    let raw: Option<Raw> = read(source, overrides, &mut problems).map(|(_, raw)| raw);
    match Problems::new(&source.name, problems) {
        Some(problems) => Err(problems.into()),
        None => to_yaml(&raw.unwrap_or_default()),
    }
}

/// The document and what its types read in it.
fn read<T: JsonSchema + DeserializeOwned>(
    source: &Source,
    overrides: &[Override],
    problems: &mut Vec<Problem>,
) -> Option<(Node, T)> {
    let mut document = match Node::parse(&source.text) {
        Ok(document) => document,
        Err(problem) => {
            problems.push(problem);
            return None;
        }
    };
    for Override { path, name, text } in overrides {
        document.set(path, text, name);
    }
    let kept = check::check(&document, &Shape::of_file::<T>(), problems);
    if !document.is_mapping() {
        return None;
    }
    match serde_json::from_value(kept.to_json()) {
        Ok(raw) => Some((document, raw)),
        // The types refuse what the check let through, which the tests of `shape` rule out.
        Err(error) => {
            let (place, message) = (Place::START, error.to_string());
            problems.push(Problem { place, path: Path::default(), message });
            None
        }
    }
}

fn to_yaml(raw: &Raw) -> anyhow::Result<String> {
    serde_saphyr::to_string(raw).context("cannot write the configuration as YAML")
}

/// What the environment sets over a file, and warnings about variables that set nothing.
pub(crate) fn environment() -> (Vec<Override>, Vec<String>) {
    let texts = |(name, text): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, text.into_string().ok()?))
    };
    overrides::from_environment(&Shape::of_file::<Raw>(), std::env::vars_os().filter_map(texts))
}

/// The reference of a field, or of all for an empty `path`, as plain text.
pub(crate) fn explain(file: File, path: &str) -> Result<String, String> {
    reference::explain(&file.shape(), path)
}

/// The whole reference as Markdown.
pub(crate) fn reference_markdown(file: File) -> String {
    let head = match file {
        File::Landbridge => reference::CONFIGURATION_HEAD,
        File::Migration => reference::PLAN_HEAD,
        File::Policy => reference::POLICY_HEAD,
    };
    reference::markdown(&file.shape(), head)
}

/// The JSON schema of a file.
pub(crate) fn schema(file: File) -> schemars::Schema {
    match file {
        File::Landbridge => schemars::schema_for!(Raw),
        File::Migration => schemars::schema_for!(RawPlan),
        File::Policy => schemars::schema_for!(RawPolicy),
    }
}

/// The files that people write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum File {
    /// The configuration, `landbridge.yaml`
    #[default]
    Landbridge,
    /// The plan of migrations, `migration.yaml`
    Migration,
    /// What users were promised, `policy.yaml`
    Policy,
}

impl File {
    fn shape(self) -> Shape {
        match self {
            Self::Landbridge => Shape::of_file::<Raw>(),
            Self::Migration => Shape::of_file::<RawPlan>(),
            Self::Policy => Shape::of_file::<RawPolicy>(),
        }
    }
}

#[cfg(test)]
mod tests;
