//! Standard output, whose reader may have gone: `landbridge config explain | head`.

use std::io::{self, Write as _};

use crate::exit::{OrExit as _, Outcome};

/// Writes `text` as it is, and flushes. A reader that has enough is no error.
pub(crate) fn print(text: &str) -> Outcome<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.or_failed(),
    }
}

/// Writes `text` and a line end.
pub(crate) fn print_line(text: &str) -> Outcome<()> {
    print(&format!("{text}\n"))
}
