//! What is done beside requests for an old name: the moved are compared with the others, programs
//! are asked, and what a restart must not forget is written down.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use landbridge_core::migration::Verdict;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::kept::Kept;
use super::state::{LegacyState, LegacyStates, write_if_changed};

const EVERY: Duration = Duration::from_secs(2);
/// How often programs are asked, in rounds.
const PROGRAMS: u32 = 15;
/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Tends all old names of one configuration until `stop`, and writes what they know a last time.
pub(crate) async fn tend(
    states: Arc<LegacyStates>,
    directory: Option<PathBuf>,
    stop: CancellationToken,
) {
    let mut judged: HashMap<String, Vec<i64>> = HashMap::new();
    let mut written: HashMap<String, Option<Kept>> = HashMap::new();
    let mut round = 0_u32;
    loop {
        let is_over = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_none();
        round = round.wrapping_add(1);
        for state in states.iter() {
            let now = states.now();
            let last = judged.entry(state.site.clone()).or_default();
            // Whoever goes on with this state judges; this one only writes down what it knows.
            let verdicts = if is_over { Vec::new() } else { state.judge(now.as_second(), last) };
            for (step, verdict) in verdicts {
                if let Verdict::Worse { moved, others } = verdict {
                    let why = format!(
                        "of {} requests of the moved {} went wrong, of {} others {}",
                        moved.requests, moved.bad, others.requests, others.bad
                    );
                    abort(state, step, now, &why);
                }
            }
            if !is_over && round % PROGRAMS == 1 {
                for (step, words) in state.programs(now) {
                    if let Err(why) = asked(&words).await {
                        abort(state, step, now, &why);
                    }
                }
            }
            if let Some(directory) = directory.clone() {
                keep(state, directory, written.entry(state.site.clone()).or_default()).await;
            }
        }
        if is_over {
            return;
        }
    }
}

fn abort(state: &LegacyState, step: usize, at: jiff::Timestamp, why: &str) {
    let phase = state.migration.steps()[step].phase.name();
    if state.abort(step, at, why.to_owned()) {
        error!(
            site = state.site,
            migration = state.migration.name(),
            phase,
            step,
            why,
            "this front takes a step of the migration back; `landbridge migrate abort` does so for all"
        );
    }
}

/// Asks a program; another exit code than 0 is its word to take the step back. One that cannot be
/// started or does not end has said nothing.
async fn asked(words: &[String]) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped());
    let output = tokio::time::timeout(LIMIT, command.kill_on_drop(true).output()).await;
    match output {
        Ok(Ok(output)) if output.status.success() => Ok(()),
        Ok(Ok(output)) => {
            let said: String =
                String::from_utf8_lossy(&output.stdout).trim().chars().take(200).collect();
            Err(format!("`{program}` ended with {}: {said}", output.status))
        }
        Ok(Err(why)) => {
            warn!(program, %why, "a migration's program cannot be asked");
            Ok(())
        }
        Err(_) => {
            warn!(program, seconds = LIMIT.as_secs(), "a migration's program does not end");
            Ok(())
        }
    }
}

async fn keep(state: &Arc<LegacyState>, directory: PathBuf, last: &mut Option<Kept>) {
    let (kept, site, mut before) = (state.kept(), state.site.clone(), last.take());
    let writing = tokio::task::spawn_blocking(move || {
        let written = write_if_changed(&directory, &site, &kept, &mut before);
        (before, written)
    });
    match writing.await {
        Ok((now, written)) => {
            *last = now;
            if let Err(error) = written {
                warn!(site = state.site, %error, "what this front knows of an old name cannot be kept over a restart");
            }
        }
        // The task does not panic and is not cancelled.
        Err(_) => *last = None,
    }
}
