//! Address ranges: read, fetched, remembered on disk, and refused when they are suspicious.
//!
//! What is in use is only ever replaced by something better: a source that cannot be read, parsed
//! or believed leaves the old content in place and says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use http::header::{ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use landbridge_core::Digest;
use landbridge_core::cause::chain;
use landbridge_core::place::{RangeError, RangeSet, SuspicionLimits, Suspicious, demonstration};
use url::Url;

use crate::settings::{RangeLocation, RangeSource};
use crate::snapshot::Ranges;

/// The largest range file that is read. The largest that a provider publishes is 4 MiB.
const MAX_BYTES: u64 = 64 << 20;
/// How long a fetch may take, body included.
const FETCH: Duration = Duration::from_secs(30);

/// Why a source's content is not used.
#[derive(Debug, thiserror::Error)]
pub enum RangesError {
    /// The file cannot be read.
    #[error("range file `{path}` cannot be read")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Larger than any range file.
    #[error("range source `{name}` is larger than the limit of {MAX_BYTES} bytes")]
    TooLarge {
        /// The source.
        name: String,
    },
    /// It cannot be fetched.
    #[error("range source `{name}` cannot be fetched from {url}: {reason}")]
    Fetch {
        /// The source.
        name: String,
        /// Its address.
        url: Url,
        /// Why.
        reason: String,
    },
    /// It is not what it should be.
    #[error("range source `{name}` is refused")]
    Malformed {
        /// The source.
        name: String,
        /// What is wrong.
        source: RangeError,
    },
    /// It changed more than is believed.
    #[error("range source `{name}` is refused")]
    Suspicious {
        /// The source.
        name: String,
        /// What changed.
        source: Suspicious,
    },
}

/// One source, and what was last seen of it.
#[derive(Debug)]
pub(crate) struct Source {
    settings: RangeSource,
    limits: SuspicionLimits,
    /// Where fetched content is remembered.
    cache: Option<PathBuf>,
    /// Digest of the content in use.
    content: Option<Digest>,
    validators: Validators,
}

#[derive(Debug, Clone, Default)]
struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

impl Source {
    pub(crate) fn new(
        settings: RangeSource,
        limits: SuspicionLimits,
        cache_directory: Option<&Path>,
    ) -> Self {
        let cache = cache_directory.map(|directory| directory.join("ranges").join(&settings.name));
        Self { settings, limits, cache, content: None, validators: Validators::default() }
    }

    /// How often to look again.
    pub(crate) fn refresh_every(&self) -> Duration {
        self.settings.refresh
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    /// What can be had without a network: the table, the file, or what an earlier fetch left on
    /// disk. `None` if the source must be fetched first.
    pub(crate) fn read_local(&mut self) -> Result<Option<Ranges>, RangesError> {
        match &self.settings.location {
            RangeLocation::Demonstration => Ok(Some(self.ranges(demonstration()))),
            RangeLocation::File(path) => {
                let bytes = read_file(path)?;
                self.take(&bytes, None)
            }
            RangeLocation::Url(_) => {
                let Some(bytes) = self.cache.as_ref().and_then(|path| std::fs::read(path).ok())
                else {
                    return Ok(None);
                };
                // What is remembered may be damaged; it can be fetched again.
                Ok(self.take(&bytes, None).unwrap_or_else(|error| {
                    tracing::warn!(source = self.settings.name, %error, "remembered ranges are not used");
                    None
                }))
            }
        }
    }

    /// Looks again. `None` if what is in use is still current.
    pub(crate) async fn refresh(
        &mut self,
        http: &reqwest::Client,
        current: Option<&Ranges>,
    ) -> Result<Option<Ranges>, RangesError> {
        let current = current.map(|ranges| &*ranges.set);
        match &self.settings.location {
            RangeLocation::Demonstration => Ok(None),
            RangeLocation::File(path) => {
                let bytes = read_file(path)?;
                self.take(&bytes, current)
            }
            RangeLocation::Url(url) => {
                let url = url.clone();
                let Some((bytes, validators)) = self.fetch(http, &url).await? else {
                    return Ok(None);
                };
                let ranges = self.take(&bytes, current)?;
                self.validators = validators;
                if ranges.is_some() {
                    self.remember(&bytes);
                }
                Ok(ranges)
            }
        }
    }

    /// Checks new content. `None` if it is what is in use already.
    fn take(
        &mut self,
        bytes: &[u8],
        current: Option<&RangeSet>,
    ) -> Result<Option<Ranges>, RangesError> {
        let content = Digest::sha256_of(bytes);
        if self.content == Some(content) {
            return Ok(None);
        }
        let name = || self.settings.name.clone();
        let provider =
            Some(self.settings.provider.as_str()).filter(|provider| !provider.is_empty());
        let set = RangeSet::parse(self.settings.format, bytes, provider)
            .map_err(|source| RangesError::Malformed { name: name(), source })?;
        if let Some(current) = current {
            let changes = current.compare(&set);
            changes
                .accept(&self.limits)
                .map_err(|source| RangesError::Suspicious { name: name(), source })?;
        }
        self.content = Some(content);
        Ok(Some(self.ranges(set)))
    }

    fn ranges(&self, set: RangeSet) -> Ranges {
        Ranges { name: self.settings.name.clone(), set: Arc::new(set) }
    }

    async fn fetch(
        &self,
        http: &reqwest::Client,
        url: &Url,
    ) -> Result<Option<(Vec<u8>, Validators)>, RangesError> {
        let failed = |reason: String| RangesError::Fetch {
            name: self.settings.name.clone(),
            url: url.clone(),
            reason,
        };
        let mut request = http.get(url.clone()).timeout(FETCH);
        if let Some(etag) = &self.validators.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(moment) = &self.validators.last_modified {
            request = request.header(IF_MODIFIED_SINCE, moment);
        }
        let response = request.send().await.map_err(|error| failed(chain(&error)))?;
        if response.status() == http::StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        if !response.status().is_success() {
            return Err(failed(format!("it answered {}", response.status())));
        }
        let header = |name| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let validators = Validators { etag: header(ETAG), last_modified: header(LAST_MODIFIED) };
        let mut bytes = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| failed(chain(&error)))?);
            if bytes.len() as u64 > MAX_BYTES {
                return Err(RangesError::TooLarge { name: self.settings.name.clone() });
            }
        }
        Ok(Some((bytes, validators)))
    }

    /// Leaves the content for the next start. The cache is disposable: failing is worth a warning.
    fn remember(&self, bytes: &[u8]) {
        let Some(path) = &self.cache else { return };
        let written = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(path.with_extension("new"), bytes))
            .and_then(|()| std::fs::rename(path.with_extension("new"), path));
        if let Err(error) = written {
            tracing::warn!(source = self.settings.name, path = %path.display(), %error, "ranges are not remembered");
        }
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, RangesError> {
    let failed = |source| RangesError::File { path: path.display().to_string(), source };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(RangesError::TooLarge { name: path.display().to_string() });
    }
    std::fs::read(path).map_err(failed)
}

/// Which sources a map is made of: the demonstration only until every other source is there.
pub(crate) fn in_use(sources: &[RangeSource], loaded: &[Option<Ranges>]) -> Vec<Ranges> {
    let is_demonstration = |source: &RangeSource| source.location == RangeLocation::Demonstration;
    let (mut others, mut missing) = (0, 0);
    for (source, ranges) in sources.iter().zip(loaded) {
        if !is_demonstration(source) {
            others += 1;
            missing += usize::from(ranges.is_none());
        }
    }
    let is_wanted = |source: &RangeSource| !is_demonstration(source) || others == 0 || missing > 0;
    sources
        .iter()
        .zip(loaded)
        .filter(|(source, _)| is_wanted(source))
        .filter_map(|(_, ranges)| ranges.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use landbridge_core::place::RangeFormat;

    use super::*;

    fn source(location: RangeLocation) -> RangeSource {
        RangeSource {
            name: "s".into(),
            provider: String::new(),
            format: RangeFormat::Csv,
            location,
            refresh: Duration::from_secs(1),
        }
    }

    fn csv(prefixes: std::ops::Range<u8>) -> String {
        prefixes.map(|n| format!("203.0.{n}.0/24,acme,north")).collect::<Vec<_>>().join("\n")
    }

    #[tokio::test]
    async fn a_file_is_taken_when_it_changes_and_refused_when_it_is_suspicious() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ranges.csv");
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let http = reqwest::Client::new();
        std::fs::write(&path, csv(0..100)).unwrap();
        let mut source = Source::new(
            source(RangeLocation::File(path.clone())),
            SuspicionLimits::default(),
            None,
        );
        let first = source.read_local().unwrap().unwrap();
        assert_eq!(first.set.len(), 100);
        assert!(source.refresh(&http, Some(&first)).await.unwrap().is_none(), "nothing changed");

        std::fs::write(&path, csv(0..10)).unwrap();
        let refused = source.refresh(&http, Some(&first)).await;
        assert!(matches!(refused, Err(RangesError::Suspicious { .. })), "{refused:?}");
        std::fs::write(&path, "not a range").unwrap();
        let refused = source.refresh(&http, Some(&first)).await;
        assert!(matches!(refused, Err(RangesError::Malformed { .. })), "{refused:?}");
        std::fs::write(&path, csv(0..101)).unwrap();
        assert_eq!(source.refresh(&http, Some(&first)).await.unwrap().unwrap().set.len(), 101);
    }

    #[test]
    fn the_demonstration_steps_back_when_everything_else_is_there() {
        let url = RangeLocation::Url("http://127.0.0.1:1/x".parse().unwrap());
        let sources = [source(RangeLocation::Demonstration), source(url)];
        let ranges = Ranges { name: "r".into(), set: Arc::new(demonstration()) };
        assert_eq!(in_use(&sources, &[Some(ranges.clone()), None]).len(), 1);
        assert_eq!(in_use(&sources, &[Some(ranges.clone()), Some(ranges.clone())]).len(), 1);
        assert_eq!(in_use(&sources[..1], &[Some(ranges)]).len(), 1);
    }
}
