//! How many fronts share the caps: at least what the configuration says, more if a program says so.
//!
//! A number that is too high makes each front's part too small, which is safe; so of several
//! numbers the highest of the day counts, and what cannot be a number changes nothing.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Failover, seconds_now};

/// How long the program may take.
const LIMIT: Duration = Duration::from_secs(10);
/// More fronts than anybody has: a number beyond it is a mistake.
const MOST: u32 = 10_000;

/// Asks the configured program again and again, until `stop`. Returns at once if there is none.
pub(crate) async fn ask_for_fronts(failover: Arc<Failover>, stop: CancellationToken) {
    let Some((words, every)) = failover.settings.fronts.command.clone() else { return };
    let mut day = 0;
    let mut is_failing = false;
    loop {
        match told(&words).await {
            Ok(number) => {
                is_failing = false;
                let today = seconds_now() / (24 * 60 * 60);
                failover.share_with(number, today > day);
                day = today;
            }
            Err(why) if !is_failing => {
                is_failing = true;
                let fronts = failover.fronts();
                warn!(
                    command = words.first(),
                    why, fronts, "nobody says how many fronts there are; the last number stays"
                );
            }
            Err(_) => {}
        }
        if stop.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
            return;
        }
    }
}

impl Failover {
    /// How many fronts share each cap.
    pub(crate) fn fronts(&self) -> u32 {
        self.fronts.load(Ordering::Relaxed)
    }

    /// Shares the caps among `number` fronts, or as many as were told of before on the same day.
    pub(crate) fn share_with(&self, number: u32, is_new_day: bool) {
        let number = number.max(self.settings.fronts.count);
        let before = if is_new_day {
            self.fronts.swap(number, Ordering::Relaxed)
        } else {
            self.fronts.fetch_max(number, Ordering::Relaxed)
        };
        if self.fronts() != before {
            info!(
                before,
                now = self.fronts(),
                "the number of fronts that share each cap has changed"
            );
        }
    }
}

async fn told(words: &[String]) -> Result<u32, String> {
    let (program, arguments) = words.split_first().ok_or("there is no program")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output()).await;
    let output = output.map_err(|_| format!("it took longer than {} s", LIMIT.as_secs()))?;
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    match text.trim().parse() {
        Ok(number) if (1..=MOST).contains(&number) => Ok(number),
        _ => {
            let said: String = text.trim().chars().take(40).collect();
            Err(format!("it printed `{said}`, which is no number from 1 to {MOST}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_number_of_fronts_is_believed() {
        let shell = |script: &str| ["sh", "-c", script].map(str::to_owned);
        assert_eq!(told(&shell("echo 7")).await, Ok(7));
        for script in ["echo 0", "echo many", "echo 10001", "echo 3; exit 1", "echo -3", "true"] {
            assert!(told(&shell(script)).await.is_err(), "{script}");
        }
        assert!(told(&["/nonexistent/fronts".to_owned()]).await.is_err());
        assert!(told(&[]).await.is_err());
    }
}
