//! `landbridge config`: check, show, explain, schema.

use std::path::Path;

use anyhow::anyhow;

use crate::cli::{ConfigCommand, Where};
use crate::config::{self, Config, Secrets, Source};
use crate::embedded::{self, DataDirectory};
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;

pub(super) fn run(command: ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check { file } => check(&file),
        ConfigCommand::Show { from } => show(&from),
        ConfigCommand::Explain { markdown: true, of, .. } => {
            output::print(&config::reference_markdown(of))?;
            Ok(Exit::Done)
        }
        ConfigCommand::Explain { path, of, markdown: false } => {
            let text = config::explain(of, path.as_deref().unwrap_or_default());
            output::print(&text.map_err(|message| anyhow!(message)).or_usage()?)?;
            Ok(Exit::Done)
        }
        ConfigCommand::Schema { of } => {
            let schema = serde_json::to_string_pretty(&config::schema(of)).or_failed()?;
            output::print_line(&schema)?;
            Ok(Exit::Done)
        }
    }
}

/// The file alone, without the environment: it is checked for where it will be used.
fn check(file: &Path) -> Outcome {
    let source = Source::read(file).or_usage()?;
    match config::load(&source, &[], Secrets::Skip) {
        Ok(Config { front: None, .. }) => {
            output::print_line(&format!(
                "{}: nothing is wrong; an origin of its own and no sites",
                file.display()
            ))?;
            Ok(Exit::Done)
        }
        Ok(Config { front: Some(settings), .. }) => {
            let (sites, origins) = (settings.sites.len(), settings.origins.len());
            let is_origins = |copy: &usize| {
                let mut origins = settings.origins.iter();
                origins.any(|origin| {
                    origin.copy == *copy
                        || origin.kind.registry().is_some_and(|it| it.copy == *copy)
                })
            };
            let mirrors = (0..settings.copies.len()).filter(|copy| !is_origins(copy)).count();
            output::print_line(&format!(
                "{}: nothing is wrong; sites: {sites}, origins: {origins}, mirrors: {mirrors}",
                file.display()
            ))?;
            Ok(Exit::Done)
        }
        Err(problems) => {
            output::print_line(&problems.to_string())?;
            let (count, plural) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
            Err(anyhow!("{count} problem{plural} in `{}`", file.display())).or_usage()
        }
    }
}

fn show(from: &Where) -> Outcome {
    let (overrides, _) = config::environment();
    let source = match &from.config {
        Some(file) => Source::read(file).or_usage()?,
        None => embedded::source(&DataDirectory::at(&from.data()).or_usage()?, from.ranges)?,
    };
    output::print(&config::effective(&source, &overrides).or_usage()?)?;
    Ok(Exit::Done)
}
