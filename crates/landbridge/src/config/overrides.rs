//! What the environment and flags say over the file.
//!
//! Every single value outside of a list has a variable, named after its path; there is no list of
//! them to keep. A variable that looks like one and names no field is reported, never ignored
//! silently.

use super::path::Path;
use super::problem::did_you_mean;
use super::reference;
use super::shape::Shape;

/// How all of Landbridge's variables begin.
const PREFIX: &str = "LANDBRIDGE_";
/// Variables of the command itself, see its flags.
const COMMAND_VARIABLES: [&str; 4] =
    ["LANDBRIDGE_CONFIG", "LANDBRIDGE_DATA", "LANDBRIDGE_LOG", "LANDBRIDGE_LOG_FORMAT"];

/// One value that is set over the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Override {
    /// Which.
    pub(crate) path: Path,
    /// The flag or variable, for messages.
    pub(crate) name: String,
    /// The text of the value.
    pub(crate) text: String,
}

impl Override {
    /// What the flag `name` says of the field `path`.
    pub(crate) fn flag(name: &str, path: &str, text: &str) -> Self {
        Self { path: Path::dotted(path), name: name.to_owned(), text: text.to_owned() }
    }
}

/// The variable of a field: `records.mode` → `LANDBRIDGE_RECORDS_MODE`.
pub(crate) fn variable_name(path: &Path) -> String {
    format!("{PREFIX}{}", path.to_string().to_uppercase().replace('.', "_"))
}

/// What the environment sets, and a warning for each variable that begins like one of ours and is
/// none.
pub(crate) fn from_environment(
    shape: &Shape,
    environment: impl IntoIterator<Item = (String, String)>,
) -> (Vec<Override>, Vec<String>) {
    let known = reference::variables(shape);
    let mut set = Vec::new();
    let mut warnings = Vec::new();
    for (name, text) in environment {
        if !name.starts_with(PREFIX) || COMMAND_VARIABLES.contains(&name.as_str()) {
            continue;
        }
        if let Some((_, path)) = known.iter().find(|(variable, _)| *variable == name) {
            set.push(Override { path: path.clone(), name, text });
        } else {
            let hint = did_you_mean(&name, known.iter().map(|(variable, _)| variable.as_str()));
            warnings.push(format!("the variable {name} sets nothing{hint}"));
        }
    }
    set.sort_by(|a, b| a.name.cmp(&b.name));
    (set, warnings)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::raw::Raw;

    #[test]
    fn every_single_value_has_a_variable_of_its_own() {
        let variables = reference::variables(&Shape::of_file::<Raw>());
        let names: BTreeSet<_> = variables.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), variables.len());
        assert!(names.contains(&"LANDBRIDGE_LISTEN_LIMITS_FIRST_BYTE".to_owned()));
        assert!(names.iter().all(|name| !COMMAND_VARIABLES.contains(&name.as_str())));
    }

    #[test]
    fn the_environment_sets_fields_and_a_wrong_name_is_reported() {
        let environment = [
            ("LANDBRIDGE_RECORDS_MODE", "off"),
            ("LANDBRIDGE_RECORD_MODE", "off"),
            ("LANDBRIDGE_CONFIG", "f"),
            ("PATH", "/bin"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
        let (set, warnings) = from_environment(&Shape::of_file::<Raw>(), environment);
        assert_eq!(set, [Override::flag("LANDBRIDGE_RECORDS_MODE", "records.mode", "off")]);
        assert_eq!(
            warnings,
            [
                "the variable LANDBRIDGE_RECORD_MODE sets nothing; did you mean `LANDBRIDGE_RECORDS_MODE`?"
            ]
        );
    }
}
