//! Checking passwords, which is slow on purpose, without every request of a push being slow.
//!
//! A password that was right is remembered for a minute, by a hash under a key that exists in this
//! process alone; a wrong one never is. Whoever asks the same thing at the same time waits for one
//! answer. bcrypt runs on threads that may block, as many at once as there are processors.
//!
//! Invariant: nothing here keeps a password, and a user who does not exist takes as long as one who
//! does.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use moka::future::Cache;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::authorization::Secret;
use super::htpasswd::Htpasswd;

/// How long a right password is remembered. So long may a removed user's keep working in theory;
/// in fact a changed line is another key.
const REMEMBERED: Duration = Duration::from_mins(1);
/// How many are.
const MOST_REMEMBERED: u64 = 10_000;
/// How long a check may wait for its turn.
const MOST_WAITING: Duration = Duration::from_secs(10);

/// There are more passwords to check than this machine can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Busy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Wrong,
    Busy,
}

/// The users and what was found out about them lately.
pub(super) struct Passwords {
    file: Htpasswd,
    key: hmac::Key,
    right: Cache<[u8; 32], ()>,
    turns: Arc<Semaphore>,
}

impl Passwords {
    /// Checks against this file. `key` must be random and of this process alone.
    pub(super) fn new(file: Htpasswd, key: &[u8; 32]) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            file,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
            right: Cache::builder().max_capacity(MOST_REMEMBERED).time_to_live(REMEMBERED).build(),
            turns: Arc::new(Semaphore::new(processors)),
        }
    }

    /// True if this is the user's password.
    pub(super) async fn are_right(
        &self,
        user: &str,
        password: &Secret,
        now: SystemTime,
    ) -> Result<bool, Busy> {
        let users = self.file.users(now).await;
        let chance = self.tag(&[user]);
        let chance = chance.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let (hash, is_known) = users.hash_of(user, chance);
        // The hash is a part of it: a changed line makes what was remembered worthless.
        let tag = self.tag(&[user, password.reveal(), &hash]);
        let check = self.check(hash, password.clone(), is_known);
        match self.right.try_get_with(tag, check).await {
            Ok(()) => Ok(true),
            Err(refusal) => match *refusal {
                Refusal::Wrong => Ok(false),
                Refusal::Busy => Err(Busy),
            },
        }
    }

    async fn check(&self, hash: Box<str>, password: Secret, is_known: bool) -> Result<(), Refusal> {
        let turn = Arc::clone(&self.turns).acquire_owned();
        let turn = timeout(MOST_WAITING, turn).await.map_err(|_| Refusal::Busy)?;
        let turn = turn.map_err(|_| Refusal::Busy)?;
        let checked = tokio::task::spawn_blocking(move || {
            let is_right = bcrypt::verify(password.reveal(), &hash).unwrap_or(false);
            // A request that is gone does not stop bcrypt: the turn ends when the work does.
            drop(turn);
            is_right
        });
        match checked.await {
            Ok(true) if is_known => Ok(()),
            Ok(_) => Err(Refusal::Wrong),
            Err(_) => Err(Refusal::Busy),
        }
    }

    /// A keyed hash of some texts, each with its length.
    fn tag(&self, texts: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for text in texts {
            context.update(&(text.len() as u64).to_le_bytes());
            context.update(text.as_bytes());
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("file", &self.file).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn line(user: &str, password: &str) -> String {
        format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())
    }

    #[tokio::test]
    async fn right_is_remembered_wrong_is_not_and_a_changed_line_counts_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        fs::write(&path, line("ann", "sesame") + &line("bob", "sesame")).unwrap();
        let passwords = Passwords::new(Htpasswd::open(&path).unwrap(), &[7; 32]);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let ask = async |user: &str, password: &str, seconds| {
            passwords.are_right(user, &Secret::new(password), at(seconds)).await.unwrap()
        };
        assert!(ask("ann", "sesame", 100).await);
        assert!(ask("ann", "sesame", 100).await);
        assert!(!ask("ann", "Sesame", 100).await);
        assert!(!ask("ann", "", 100).await);
        assert!(!ask("eve", "sesame", 100).await);
        passwords.right.run_pending_tasks().await;
        assert_eq!(passwords.right.entry_count(), 1, "only what was right is remembered");

        fs::write(&path, line("ann", "other") + &line("bob", "sesame")).unwrap();
        assert!(!ask("ann", "sesame", 102).await);
        assert!(ask("ann", "other", 102).await);
    }

    #[tokio::test]
    async fn many_who_ask_at_once_cost_one_check() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        fs::write(&path, line("ann", "sesame")).unwrap();
        let passwords = Passwords::new(Htpasswd::open(&path).unwrap(), &[7; 32]);
        // Nobody gets a turn until all of them have asked.
        let all = u32::try_from(passwords.turns.available_permits()).unwrap();
        let held = Arc::clone(&passwords.turns).acquire_many_owned(all).await.unwrap();
        let secret = Secret::new("sesame");
        let asked = (0..50).map(|_| passwords.are_right("ann", &secret, SystemTime::UNIX_EPOCH));
        let release = async {
            tokio::task::yield_now().await;
            drop(held);
        };
        let (answers, ()) = futures::future::join(futures::future::join_all(asked), release).await;
        assert!(answers.iter().all(|answer| *answer == Ok(true)));
        passwords.right.run_pending_tasks().await;
        assert_eq!(passwords.right.entry_count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_turn_is_told_to_come_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        fs::write(&path, line("ann", "sesame")).unwrap();
        let passwords = Passwords::new(Htpasswd::open(&path).unwrap(), &[7; 32]);
        passwords.file.users(SystemTime::UNIX_EPOCH + Duration::from_secs(9)).await;
        passwords.turns.forget_permits(usize::MAX);
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        assert_eq!(passwords.are_right("ann", &Secret::new("sesame"), now).await, Err(Busy));
    }
}
