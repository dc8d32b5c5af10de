//! How a long import is shown: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressStyle};
use landbridge_replicate::Progress;

/// Where progress goes. Results go to standard output; this does not.
pub(crate) enum Display {
    /// One bar for all bytes.
    Bar(ProgressBar),
    /// A line for each object.
    Lines,
}

impl Display {
    /// A bar if standard error is a terminal.
    pub(crate) fn on_stderr() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines;
        }
        let bar = ProgressBar::new(0);
        let style =
            ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Bar(bar)
    }

    /// Shows one step.
    pub(crate) fn show(&self, progress: &Progress) {
        match self {
            Self::Bar(bar) => advance(bar, progress),
            Self::Lines => {
                if let Some(line) = line(progress) {
                    // Nobody listens any more; the import goes on.
                    let _ = writeln!(std::io::stderr(), "{line}");
                }
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn advance(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Planned { bytes, .. } => {
            bar.reset();
            bar.set_length(*bytes);
        }
        Progress::Advanced { bytes, .. } => bar.inc(*bytes),
        Progress::Publishing { .. } => bar.set_message("publishing"),
        Progress::Rebasing { .. } => bar.set_message("another release came first"),
        Progress::Started { .. } | Progress::Finished { .. } => {}
    }
}

fn line(progress: &Progress) -> Option<String> {
    match progress {
        Progress::Planned { objects, bytes } => {
            Some(format!("{objects} objects to copy, {bytes} bytes"))
        }
        Progress::Finished { digest } => Some(format!("{digest} is in place")),
        Progress::Publishing { generation } => Some(format!("publishing generation {generation}")),
        Progress::Rebasing { attempt } => {
            Some(format!("another release came first; attempt {attempt}"))
        }
        Progress::Started { .. } | Progress::Advanced { .. } => None,
    }
}
