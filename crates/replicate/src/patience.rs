//! Trying again what failed for a reason that passes, without making it worse.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use crate::error::ImportError;

/// How often something is tried before its failure counts.
const MOST_RETRIES: usize = 5;
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Nobody is waited for longer than this, whatever he says.
const MOST_PATIENCE: Duration = Duration::from_mins(5);

/// Does something; if it fails for a reason that may pass, again after a while, which the other
/// side may name. Only the whole is repeated: inside there are no retries.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, ImportError>>>(
    operation: impl FnMut() -> F,
) -> Result<T, ImportError> {
    let waits = ExponentialBuilder::default()
        .with_min_delay(FIRST_WAIT)
        .with_max_delay(LONGEST_WAIT)
        .with_max_times(MOST_RETRIES)
        .with_jitter();
    operation
        .retry(waits)
        .when(ImportError::may_pass)
        .adjust(|error, wait| {
            let asked = error.retry_after().unwrap_or_default().min(MOST_PATIENCE);
            wait.map(|wait| wait.max(asked))
        })
        .await
}
