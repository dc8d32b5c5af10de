//! What is wrong with a configuration, all of it, each with its place.

use std::fmt;

use super::document::Place;
use super::path::Path;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where the offending text stands.
    pub(crate) place: Place,
    /// The way to it; empty for the file as a whole.
    pub(crate) path: Path,
    /// What is wrong and what to do.
    pub(crate) message: String,
}

/// Everything that is wrong with one configuration; never empty.
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// The problems of `file`, in the order of the file. `None` if there are none.
    pub(crate) fn new(file: &str, mut list: Vec<Problem>) -> Option<Self> {
        list.sort_by(|a, b| a.place.cmp(&b.place));
        (!list.is_empty()).then(|| Self { file: file.to_owned(), list })
    }

    /// For what cannot happen: settings are missing and nothing was reported.
    pub(crate) fn unexplained(file: &str) -> Self {
        let message =
            "is refused for a reason that was not recorded: please report this".to_owned();
        let problem = Problem { place: Place::START, path: Path::default(), message };
        Self { file: file.to_owned(), list: vec![problem] }
    }

    /// The same, as problems of a file that names this one.
    pub(crate) fn seen_from_another(self) -> impl Iterator<Item = Problem> {
        let Self { file, list } = self;
        list.into_iter().map(move |problem| match problem.place {
            Place::File { line, column } => {
                let file = file.clone();
                Problem { place: Place::Other { file, line, column }, ..problem }
            }
            Place::Override(_) | Place::Other { .. } => problem,
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { place, path, message }) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            match place {
                Place::File { line, column } => write!(f, "{}:{line}:{column}: ", self.file)?,
                Place::Override(name) => write!(f, "{name}: ")?,
                Place::Other { file, line, column } => write!(f, "{file}:{line}:{column}: ")?,
            }
            if !path.steps().is_empty() {
                write!(f, "{path}: ")?;
            }
            f.write_str(message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// `; did you mean …?` with the nearest of `known`, or nothing if none is near.
pub(crate) fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, known).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// The name that somebody who wrote `wrong` most likely meant.
fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Less alike than this is a guess, not a hint.
    const ALIKE: f64 = 0.75;
    let wrong = wrong.to_lowercase();
    (known.into_iter())
        .map(|name| (strsim::jaro_winkler(&wrong, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, name)| name)
}
