//! The `htpasswd` file: names and bcrypt hashes.
//!
//! It is looked at again when it has changed, at most once a second and only when somebody wants
//! to be let in. A file that cannot be used is reported and the one before stays in force.
//!
//! Invariant: a hash is never printed, and a line that is not understood is refused by its number,
//! never skipped.

use std::collections::HashMap;
use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use arc_swap::ArcSwap;
use tracing::{error, info};

/// The user name under which an OIDC token is sent as a password.
pub(super) const OIDC_USER: &str = "oidc";
/// How often the file's status is asked for, at most.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// The largest file.
const MAX_FILE_BYTES: u64 = 16 << 20;
/// More costs seconds for every wrong password.
const MAX_COST: u32 = 16;

/// Why an `htpasswd` file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// It cannot be read.
    #[error("password file {} cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Some lines are not understood.
    #[error("password file {} is refused: {}", path.display(), lines.join("; "))]
    Lines {
        /// The file.
        path: PathBuf,
        /// What is wrong, each with its line's number.
        lines: Vec<String>,
    },
}

/// The users of one version of the file.
#[derive(Default)]
pub(super) struct Users {
    hashes: HashMap<Box<str>, Box<str>>,
    /// Costs of all lines, so that unknown users are as slow as those whom the file knows.
    costs: Vec<u32>,
}

/// A file that may change.
pub(super) struct Htpasswd {
    path: PathBuf,
    loaded: ArcSwap<Loaded>,
    /// Milliseconds since 1970 of the last look at the file's status.
    looked: AtomicU64,
}

struct Loaded {
    version: Version,
    users: Arc<Users>,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Users {
    /// Understands the content of a file. The error has a text for each bad line.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut users = Self::default();
        let mut problems = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(problem) = users.add(line) {
                problems.push(format!("line {number}: {problem}"));
            }
        }
        if problems.is_empty() { Ok(users) } else { Err(problems) }
    }

    fn add(&mut self, line: &str) -> Result<(), &'static str> {
        let (user, hash) = line.split_once(':').ok_or("there is no `:` after the name")?;
        if user.is_empty() || user.len() > 255 || user.chars().any(char::is_control) {
            return Err("the name is empty, longer than 255 bytes or has control characters");
        }
        if user == OIDC_USER {
            return Err("the name `oidc` is taken: it stands for tokens of issuers");
        }
        let cost = cost(hash).ok_or(
            "the hash is not bcrypt's ($2y$, $2a$ or $2b$): make the line with `htpasswd -B`",
        )?;
        if !(4..=MAX_COST).contains(&cost) {
            return Err("the cost of the hash is not between 4 and 16");
        }
        if self.hashes.insert(user.into(), hash.into()).is_some() {
            return Err("the name is there twice");
        }
        self.costs.push(cost);
        Ok(())
    }

    /// The hash of a user, or one of the same cost as some user's that no password has. Which cost
    /// an unknown user meets is decided by `chance`, which should be the same for a name each time.
    pub(super) fn hash_of(&self, user: &str, chance: u64) -> (Box<str>, bool) {
        if let Some(hash) = self.hashes.get(user) {
            return (hash.clone(), true);
        }
        let index = chance.checked_rem(self.costs.len() as u64).unwrap_or_default();
        let cost = usize::try_from(index).ok().and_then(|at| self.costs.get(at)).copied();
        // A salt of zeros, and a hash that is only the right length.
        let hash = format!("$2b${:02}${}{}", cost.unwrap_or(10), ".".repeat(22), ".".repeat(31));
        (hash.into(), false)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// The cost of a well-formed bcrypt hash.
fn cost(hash: &str) -> Option<u32> {
    let rest = ["$2y$", "$2a$", "$2b$"].iter().find_map(|prefix| hash.strip_prefix(prefix))?;
    let (cost, rest) = rest.split_once('$')?;
    let digits = cost.len() == 2 && cost.bytes().all(|b| b.is_ascii_digit());
    let sound = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    (digits && rest.len() == 53 && rest.bytes().all(sound)).then(|| cost.parse().ok())?
}

impl Htpasswd {
    /// Reads the file for the first time.
    pub(super) fn open(path: &Path) -> Result<Self, HtpasswdError> {
        let loaded = load(path)?;
        Ok(Self {
            path: path.to_owned(),
            loaded: ArcSwap::from_pointee(loaded),
            looked: AtomicU64::new(0),
        })
    }

    /// The users of the file as it is, or was at most a second before `now`.
    pub(super) async fn users(&self, now: SystemTime) -> Arc<Users> {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        let due = millis.abs_diff(looked) >= u64::try_from(CHECK_EVERY.as_millis()).unwrap_or(0);
        let mine = due
            && self
                .looked
                .compare_exchange(looked, millis, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            let path = self.path.clone();
            let known = self.loaded.load().version;
            let look = tokio::task::spawn_blocking(move || {
                if Version::of(&path).is_ok_and(|version| version == known) {
                    return None;
                }
                Some(load(&path))
            });
            match look.await {
                Ok(Some(Ok(loaded))) => {
                    info!(file = %self.path.display(), users = loaded.users.costs.len(), "read the password file again");
                    self.loaded.store(Arc::new(loaded));
                }
                Ok(Some(Err(problem))) => {
                    let cause = std::error::Error::source(&problem).map(ToString::to_string);
                    error!(cause, "{problem}; the one before stays in force");
                    self.remember_refused();
                }
                Ok(None) | Err(_) => {}
            }
        }
        Arc::clone(&self.loaded.load().users)
    }

    /// A bad version is reported once, not every second.
    fn remember_refused(&self) {
        if let Ok(version) = Version::of(&self.path) {
            let users = Arc::clone(&self.loaded.load().users);
            self.loaded.store(Arc::new(Loaded { version, users }));
        }
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htpasswd({})", self.path.display())
    }
}

impl Version {
    fn of(path: &Path) -> io::Result<Self> {
        let status = fs::metadata(path)?;
        Ok(Self {
            inode: status.ino(),
            size: status.size(),
            modified: (status.mtime(), status.mtime_nsec()),
            changed: (status.ctime(), status.ctime_nsec()),
        })
    }
}

fn load(path: &Path) -> Result<Loaded, HtpasswdError> {
    let io = |source| HtpasswdError::Io { path: path.to_owned(), source };
    // The status from before the reading: a change meanwhile is seen at the next look.
    let version = Version::of(path).map_err(io)?;
    if version.size > MAX_FILE_BYTES {
        return Err(io(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB")));
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let users = Users::parse(&text)
        .map_err(|lines| HtpasswdError::Lines { path: path.to_owned(), lines })?;
    Ok(Loaded { version, users: Arc::new(users) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuabcdefghijklmnopqrstuvwxyz01234";

    #[test]
    fn bcrypt_lines_are_taken_and_others_refused_by_number() {
        let good = format!("# people\n\nann:{HASH}\r\nbob:{}\n", HASH.replace("2y$05", "2b$12"));
        assert_eq!(Users::parse(&good).unwrap().costs, [5, 12]);
        for (line, expected) in [
            ("ann:$apr1$x$y".to_owned(), "htpasswd -B"),
            ("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".to_owned(), "htpasswd -B"),
            ("ann:plain".to_owned(), "htpasswd -B"),
            (format!("ann:{}", HASH.replace("2y", "2x")), "htpasswd -B"),
            (format!("ann:{HASH}x"), "htpasswd -B"),
            (format!("ann:{}", HASH.replace("$05$", "$+5$")), "htpasswd -B"),
            (format!("ann:{}", HASH.replace("$05$", "$31$")), "between 4 and 16"),
            ("ann".to_owned(), "no `:`"),
            (format!(":{HASH}"), "name is empty"),
            (format!("oidc:{HASH}"), "`oidc` is taken"),
            (format!("bob:{HASH}\nbob:{HASH}"), "twice"),
        ] {
            let problems = Users::parse(&format!("ok:{HASH}\n{line}\n")).err().unwrap();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].contains(expected), "{problems:?}");
            assert!(problems[0].starts_with("line "), "{problems:?}");
            assert!(!problems[0].contains("abcdef"), "no hash is printed");
        }
    }

    #[test]
    fn an_unknown_user_costs_what_a_known_one_does() {
        let text = format!("ann:{HASH}\nbob:{}\n", HASH.replace("$05$", "$07$"));
        let users = Users::parse(&text).unwrap();
        assert_eq!(users.hash_of("ann", 1), (HASH.into(), true));
        for (chance, expected) in [(0, 5), (1, 7), (2, 5), (u64::MAX, 7)] {
            let (hash, known) = users.hash_of("eve", chance);
            assert_eq!((cost(&hash), known), (Some(expected), false));
            assert!(!bcrypt::verify("", &hash).unwrap(), "and bcrypt takes it for a hash");
        }
        assert_eq!(cost(&Users::default().hash_of("eve", 3).0), Some(10));
    }

    #[tokio::test]
    async fn the_file_is_read_again_when_it_changed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("htpasswd");
        fs::write(&path, format!("ann:{HASH}\n")).unwrap();
        let file = Htpasswd::open(&path).unwrap();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(file.users(at(100)).await.len(), 1);

        fs::write(&path, format!("ann:{HASH}\nbob:{HASH}\n")).unwrap();
        assert_eq!(file.users(at(100)).await.len(), 1, "it is not asked for within a second");
        assert_eq!(file.users(at(101)).await.len(), 2);

        fs::write(&path, "ann:plain\n").unwrap();
        assert_eq!(file.users(at(102)).await.len(), 2, "a bad file changes nothing");
        fs::remove_file(&path).unwrap();
        assert_eq!(file.users(at(103)).await.len(), 2, "nor does a lost one");
        fs::write(&path, format!("ann:{HASH}\n")).unwrap();
        assert_eq!(file.users(at(104)).await.len(), 1);
        // A clock that went back is no reason to believe the file for ever.
        fs::write(&path, "").unwrap();
        assert_eq!(file.users(at(50)).await.len(), 0);
    }

    #[test]
    fn a_file_that_cannot_be_used_at_the_start_is_named() {
        let error = Htpasswd::open(Path::new("/nonexistent/htpasswd")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/htpasswd"), "{error}");
    }
}
