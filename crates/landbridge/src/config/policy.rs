//! What a project promises its users, `policy.yaml`: from its text to what a plan is held against.

use std::path::PathBuf;

use jiff::Timestamp;
use landbridge_core::migration::Phase;
use landbridge_core::pointer::Keys;
use landbridge_migrate::ledger::Head;
use landbridge_migrate::policy::{Policy, Rule};

use super::document::Node;
use super::keys::read_key;
use super::path::Path;
use super::problem::{Problem, Problems};
use super::raw::plan::RawPhase;
use super::raw::policy::{RawApprovers, RawPolicy, RawRule};
use super::{Source, read};

/// A policy and where its exceptions are.
#[derive(Debug, Clone)]
pub(crate) struct Promised {
    /// What is promised.
    pub(crate) policy: Policy,
    /// The file of exceptions.
    pub(crate) ledger: Option<PathBuf>,
}

impl Promised {
    /// Nothing.
    pub(crate) fn nothing() -> Self {
        let (rules, releases) = (Vec::new(), Vec::new());
        Self { policy: Policy { rules, releases, approvers: None, head: None }, ledger: None }
    }
}

/// What `source` promises, given when releases are made, or all that is wrong with it.
pub(crate) fn load(source: &Source, releases: Vec<Timestamp>) -> Result<Promised, Problems> {
    let mut problems = Vec::new();
    let promised = read::<RawPolicy>(source, &[], &mut problems).and_then(|(document, raw)| {
        let mut reader = Reader { document: &document, source, problems: &mut problems };
        reader.policy(&raw, releases)
    });
    match (Problems::new(&source.name, problems), promised) {
        (None, Some(promised)) => Ok(promised),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::unexplained(&source.name)),
    }
}

struct Reader<'a> {
    document: &'a Node,
    source: &'a Source,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, at: &Path, message: impl Into<String>) {
        let place = self.document.locate(at);
        self.problems.push(Problem { place, path: at.clone(), message: message.into() });
    }

    fn policy(&mut self, raw: &RawPolicy, releases: Vec<Timestamp>) -> Option<Promised> {
        let rules = self.rules(raw.rules.as_deref()?);
        let approvers = match &raw.approvers {
            None => Some(None),
            Some(raw) => self.approvers(raw).map(Some),
        };
        if raw.ledger.is_some() && raw.approvers.is_none() {
            let message = "is of no use without `approvers`: nobody could sign what is in it";
            self.report(&Path::dotted("ledger"), message);
        }
        if raw.head.is_some() && raw.ledger.is_none() {
            self.report(&Path::dotted("head"), "is of no use without a `ledger`");
        }
        let head = match &raw.head {
            None => None,
            Some(raw) => Some(Head { entries: raw.entries?.into(), digest: raw.digest?.0 }),
        };
        let ledger = raw.ledger.as_ref().map(|file| self.source.base.join(file.as_str()));
        let policy = Policy { rules: rules?, releases, approvers: approvers?, head };
        Some(Promised { policy, ledger })
    }

    fn rules(&mut self, raw: &[RawRule]) -> Option<Vec<Rule>> {
        let at = Path::dotted("rules");
        if raw.is_empty() {
            self.report(&at, "is empty: what is promised?");
        }
        let mut rules = Vec::new();
        for (index, rule) in raw.iter().enumerate() {
            let at = at.item(index);
            if let Some(name) = &rule.name
                && raw[..index].iter().any(|other| other.name.as_ref() == Some(name))
            {
                self.report(&at.field("name"), format!("another rule is called `{name}` too"));
            }
            if ["days", "releases"].iter().all(|name| !self.is_written(&at, name)) {
                self.report(&at, "promises nothing: write `days`, `releases` or both");
            }
            for (position, phase) in rule.phases.iter().enumerate() {
                if !Phase::from(*phase).takes_away() {
                    let at = at.field("phases").item(position);
                    self.report(&at, "takes nothing away, so it needs no notice: take it out");
                }
            }
            rules.push(self::rule(rule));
        }
        rules.into_iter().collect()
    }

    fn is_written(&self, path: &Path, name: &str) -> bool {
        self.document.find(path).is_some_and(|node| node.get(name).is_some())
    }

    fn approvers(&mut self, raw: &RawApprovers) -> Option<Keys> {
        let at = Path::dotted("approvers");
        let mut keys = Vec::new();
        for (index, text) in raw.keys.as_ref()?.iter().enumerate() {
            let key = read_key(text, &self.source.base);
            keys.push(
                key.map_err(|message| self.report(&at.field("keys").item(index), message)).ok(),
            );
        }
        let keys = keys.into_iter().collect::<Option<Vec<_>>>()?;
        match Keys::new(keys, raw.threshold?.into()) {
            Ok(keys) => Some(keys),
            Err(error) => {
                self.report(&at.field("threshold"), error.to_string());
                None
            }
        }
    }
}

fn rule(raw: &RawRule) -> Option<Rule> {
    let name = raw.name.as_ref()?.to_string();
    Some(Rule {
        stability: raw.stability.as_ref().map_or_else(|| name.clone(), ToString::to_string),
        name,
        phases: raw.phases.iter().copied().map(RawPhase::into).collect(),
        days: raw.days,
        releases: raw.releases,
    })
}
