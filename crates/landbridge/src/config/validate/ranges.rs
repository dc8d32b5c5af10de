//! Sources of address ranges.

use std::collections::BTreeSet;
use std::time::Duration;

use landbridge_core::place::RangeFormat;
use landbridge_front::settings as front;

use super::Validator;
use crate::config::path::Path;
use crate::config::raw::{Format, Ranges};

/// More often is rude to the provider and of no use: the files change every few days.
const SHORTEST_REFRESH: Duration = Duration::from_secs(1);

impl Validator<'_> {
    pub(super) fn ranges(&mut self, raw: &[Ranges], at: &Path) -> Option<Vec<front::RangeSource>> {
        let mut names = BTreeSet::new();
        let mut sources = Vec::new();
        for (index, source) in raw.iter().enumerate() {
            let at = at.item(index);
            if let Some(name) = &source.name
                && !names.insert(name)
            {
                self.report(&at.field("name"), format!("another source is called `{name}` too"));
            }
            sources.push(self.range_source(source, &at));
        }
        sources.into_iter().collect()
    }

    fn range_source(&mut self, raw: &Ranges, at: &Path) -> Option<front::RangeSource> {
        self.exactly_one(at, &["file", "url", "demonstration"]);
        let refresh = self.at_least(raw.refresh, SHORTEST_REFRESH, &at.field("refresh"));
        let location = match (&raw.file, &raw.url) {
            // A file that is not there yet, or broken, is for the front to say: it may come.
            (Some(file), _) => front::RangeLocation::File(self.resolve(file)),
            (None, Some(url)) => front::RangeLocation::Url(url.0.clone()),
            (None, None) if raw.demonstration => front::RangeLocation::Demonstration,
            (None, None) => return None,
        };
        if !self.is_written(at, "format") && location != front::RangeLocation::Demonstration {
            self.report(at, "needs a `format`: `aws`, `gcp`, `azure` or `csv`");
        }
        let format = raw.format.unwrap_or(Format::Csv);
        let (format, own) = match format {
            Format::Aws => (RangeFormat::Aws, "aws"),
            Format::Gcp => (RangeFormat::Gcp, "gcp"),
            Format::Azure => (RangeFormat::Azure, "azure"),
            Format::Csv => (RangeFormat::Csv, ""),
        };
        Some(front::RangeSource {
            name: raw.name.as_ref()?.to_string(),
            provider: raw.provider.as_ref().map_or(own, |name| name.as_str()).to_owned(),
            format,
            location,
            refresh,
        })
    }
}
