//! Arguments of `landbridge config`.

use std::path::PathBuf;

use clap::Subcommand;

use super::Where;
use crate::config::File;

/// Check, show and explain the configuration
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Check a file and name everything that is wrong with it: file, line, column, field
    #[command(
        after_help = "Exits with 2 if anything is wrong. Passwords are not read; other files that it names are.\n\nExample:\n  landbridge config check landbridge.yaml"
    )]
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print the configuration that is in effect, after the environment, with all defaults
    #[command(
        after_help = "Without --config, that of the local topology: a good start for one's own.\n\nExample:\n  landbridge config show > landbridge.yaml"
    )]
    Show {
        #[command(flatten)]
        from: Where,
    },
    /// Explain fields of the configuration: what they take, their defaults, what they mean
    #[command(
        after_help = "Examples:\n  landbridge config explain\n  landbridge config explain sites.routes\n  landbridge config explain --of migration moves.phases\n  landbridge config explain --markdown > docs/configuration.md"
    )]
    Explain {
        /// A field, as `records.mode`; without it, all
        path: Option<String>,
        /// Of which file
        #[arg(long, value_name = "FILE", default_value = "landbridge")]
        of: File,
        /// Print the whole reference as Markdown
        #[arg(long, conflicts_with = "path")]
        markdown: bool,
    },
    /// Print the JSON schema of the configuration, for editors
    Schema {
        /// Of which file
        #[arg(long, value_name = "FILE", default_value = "landbridge")]
        of: File,
    },
}
