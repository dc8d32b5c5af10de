//! `landbridge man`: manual pages, generated from the definitions of the command line.

use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::{Exit, OrExit as _, Outcome};
use crate::output;

pub(super) fn run(directory: Option<&Path>) -> Outcome {
    if let Some(directory) = directory {
        let what = || format!("cannot write the manual pages to `{}`", directory.display());
        std::fs::create_dir_all(directory).with_context(what).or_failed()?;
        clap_mangen::generate_to(Cli::command(), directory).with_context(what).or_failed()?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).or_failed()?;
        output::print(&String::from_utf8_lossy(&page))?;
    }
    Ok(Exit::Done)
}
