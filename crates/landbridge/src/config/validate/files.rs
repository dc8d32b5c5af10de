//! Files that a configuration names: where they are, whether they can be read, and secrets in them.

use std::path::{Path as FilePath, PathBuf};

use landbridge_listen::TlsFiles;

use super::Validator;
use crate::config::path::Path;
use crate::config::raw::Tls;
use crate::config::scalar::FilePath as RawPath;

/// Whether passwords are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secrets {
    /// From their files and variables.
    Read,
    /// No: a file is checked where they are not known.
    Skip,
}

impl Validator<'_> {
    /// The path, absolute.
    pub(super) fn resolve(&self, path: &RawPath) -> PathBuf {
        self.surroundings.base.join(FilePath::new(path.as_str()))
    }

    /// The path, reported if there is no file that can be read.
    pub(super) fn existing_file(&mut self, path: &RawPath, at: &Path) -> PathBuf {
        let resolved = self.resolve(path);
        if let Err(error) = std::fs::File::open(&resolved) {
            self.report(at, format!("`{}` cannot be read: {error}", resolved.display()));
        }
        resolved
    }

    /// What stands in the file or the variable that is configured as `NAME_file` or `NAME_variable`
    /// below `at`; an empty text where secrets are not read. `None` if neither is configured, or
    /// it cannot be read.
    pub(super) fn secret(
        &mut self,
        name: &str,
        file: Option<&RawPath>,
        variable: Option<&str>,
        at: &Path,
    ) -> Option<String> {
        if self.surroundings.secrets == Secrets::Skip {
            return Some(String::new());
        }
        let (field, read) = match (file, variable) {
            (Some(file), _) => {
                let path = self.resolve(file);
                let read = std::fs::read_to_string(&path)
                    // Editors and `echo` end a file with a line end that nobody means.
                    .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
                    .map_err(|error| format!("`{}` cannot be read: {error}", path.display()));
                ("file", read)
            }
            (None, Some(variable)) => {
                let read = std::env::var(variable)
                    .map_err(|error| format!("the variable `{variable}` cannot be used: {error}"));
                ("variable", read)
            }
            (None, None) => return None,
        };
        match read {
            Ok(text) => Some(text),
            Err(message) => {
                self.report(&at.field(&format!("{name}_{field}")), message);
                None
            }
        }
    }

    /// The files of a certificate; `None` if one is missing.
    pub(super) fn tls(&mut self, raw: &Tls, at: &Path) -> Option<TlsFiles> {
        let certificate = self.existing_file(raw.certificate.as_ref()?, &at.field("certificate"));
        let key = self.existing_file(raw.key.as_ref()?, &at.field("key"));
        Some(TlsFiles { certificate, key })
    }
}
