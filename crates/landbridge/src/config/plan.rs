//! The plan of migrations, `migration.yaml`: from its text to what core judges requests by.
//!
//! Its form is checked like the configuration's; what its dates mean together is judged by core,
//! whose contradictions become problems of the fields that they are about.

mod edit;
mod steps;

use std::sync::Arc;

use jiff::Timestamp;
use landbridge_core::migration::{Contradiction, Field, Migration, Phase};
use url::Url;

use super::check::UNKNOWN_FIELD;
use super::document::Node;
use super::path::Path;
use super::problem::{Problem, Problems, did_you_mean};
use super::raw::plan::{RawMove, RawPhase, RawPlan};
use super::{Source, read};

pub(crate) use self::edit::with_aborted;

/// What is planned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// Every old name that is left.
    pub(crate) moves: Vec<Move>,
    /// When releases were or will be made, in order.
    pub(crate) releases: Vec<Timestamp>,
}

/// One old name's way to its successor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Move {
    /// What happens when.
    pub(crate) migration: Arc<Migration>,
    /// The policy's rule for it, if one is named.
    pub(crate) stability: Option<String>,
    /// Where users can read what to do.
    pub(crate) guide: Option<Url>,
}

impl Plan {
    /// The names of its moves.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.moves.iter().map(|it| it.migration.name())
    }

    /// The move called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Move> {
        self.moves.iter().find(|it| it.migration.name() == name)
    }

    /// The same with one step taken back for good, by its move's place and its own; the same if
    /// that is not there.
    pub(crate) fn with_aborted(&self, one: usize, step: usize, moment: Timestamp) -> Self {
        let mut plan = self.clone();
        if let Some(it) = plan.moves.get_mut(one) {
            let mut steps = it.migration.steps().to_vec();
            if let Some(step) = steps.get_mut(step) {
                step.aborted = Some(moment);
            }
            let (name, successor) = (it.migration.name(), it.migration.successor());
            // What is taken back contradicts nothing that it did not contradict before.
            if let Ok(migration) = Migration::new(name.to_owned(), successor.to_owned(), steps) {
                it.migration = Arc::new(migration);
            }
        }
        plan
    }
}

/// What `source` plans, or all that is wrong with it.
pub(crate) fn load(source: &Source) -> Result<Plan, Problems> {
    let mut problems = Vec::new();
    let plan = read::<RawPlan>(source, &[], &mut problems).and_then(|(document, raw)| {
        let lost = problems.iter().filter(|it| !it.message.starts_with(UNKNOWN_FIELD));
        let lost = lost.map(|it| it.path.clone()).collect();
        Reader { document: &document, lost, problems: &mut problems }.plan(&raw)
    });
    match (Problems::new(&source.name, problems), plan) {
        (None, Some(plan)) => Ok(plan),
        (Some(problems), _) => Err(problems),
        (None, None) => Err(Problems::unexplained(&source.name)),
    }
}

/// What is wrong with a plan whose moves are more or less stable than any rule of the policy is for:
/// nothing would be promised to those who use them.
pub(crate) fn unknown_stability(source: &Source, plan: &Plan, known: &[&str]) -> Option<Problems> {
    let document = Node::parse(&source.text).ok()?;
    let mut problems = Vec::new();
    for (index, it) in plan.moves.iter().enumerate() {
        let Some(stability) = it.stability.as_deref().filter(|it| !known.contains(it)) else {
            continue;
        };
        let path = Path::dotted("moves").item(index).field("stability");
        let hint = did_you_mean(stability, known.iter().copied());
        let message = format!("no rule of the policy is for `{stability}`{hint}");
        problems.push(Problem { place: document.locate(&path), path, message });
    }
    Problems::new(&source.name, problems)
}

struct Reader<'a> {
    document: &'a Node,
    /// What was written, but not so that it could be read.
    lost: Vec<Path>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn report(&mut self, at: &Path, message: impl Into<String>) {
        let place = self.document.locate(at);
        self.problems.push(Problem { place, path: at.clone(), message: message.into() });
    }

    fn plan(&mut self, raw: &RawPlan) -> Option<Plan> {
        let at = Path::dotted("moves");
        let raw_moves = raw.moves.as_deref()?;
        if raw_moves.is_empty() {
            self.report(&at, "is empty: which name is left for which?");
        }
        let mut moves = Vec::new();
        for (index, one) in raw_moves.iter().enumerate() {
            let at = at.item(index);
            if let Some(name) = &one.name
                && raw_moves[..index].iter().any(|other| other.name.as_ref() == Some(name))
            {
                self.report(&at.field("name"), format!("another move is called `{name}` too"));
            }
            moves.push(self.one(one, &at));
        }
        let mut releases: Vec<_> = raw.releases.iter().map(|moment| moment.0).collect();
        releases.sort_unstable();
        Some(Plan { moves: moves.into_iter().collect::<Option<_>>()?, releases })
    }

    fn one(&mut self, raw: &RawMove, at: &Path) -> Option<Move> {
        let phases_at = at.field("phases");
        let raw_steps = raw.phases.as_deref()?;
        if raw_steps.is_empty() {
            self.report(&phases_at, "is empty: begin with an `announce`");
        }
        let announces = raw_steps.iter().filter(|step| step.phase == Some(RawPhase::Announce));
        let told = announces.filter_map(|step| step.start).map(|start| start.0).min();
        let mut steps = Vec::new();
        for (index, step) in raw_steps.iter().enumerate() {
            steps.push(self.step(step, told, &phases_at.item(index)));
        }
        // Without what could not be read, a plan may seem to contradict itself.
        if self.lost.iter().any(|path| path.is_within(&phases_at)) {
            return None;
        }
        let steps = steps.into_iter().collect::<Option<Vec<_>>>()?;
        let name = raw.name.as_ref().map(ToString::to_string);
        let successor = raw.successor.as_ref().map(ToString::to_string);
        let migration = Migration::new(
            name.clone().unwrap_or_default(),
            successor.clone().unwrap_or_default(),
            steps,
        );
        let migration = match migration {
            Ok(migration) => migration,
            Err(contradictions) => {
                for Contradiction { step, field, message } in contradictions {
                    self.report(&field_at(field, &phases_at.item(step)), message);
                }
                return None;
            }
        };
        name.and(successor)?;
        Some(Move {
            migration: Arc::new(migration),
            stability: raw.stability.as_ref().map(ToString::to_string),
            guide: raw.guide.as_ref().map(|url| url.0.clone()),
        })
    }
}

/// Where core's word for a field stands.
fn field_at(field: Field, step: &Path) -> Path {
    match field {
        Field::Step => step.clone(),
        Field::Announced => step.field("announced"),
        Field::Start => step.field("start"),
        Field::End => step.field("end"),
        Field::Message => step.field("message"),
        Field::Share(index) => step.field("shares").item(index),
        Field::Shares => step.field("shares"),
        Field::Window(index) => step.field("windows").item(index),
        Field::Windows => step.field("windows"),
        Field::Generation => step.field("generation"),
        Field::Abort => step.field("abort"),
    }
}

impl From<RawPhase> for Phase {
    fn from(raw: RawPhase) -> Self {
        match raw {
            RawPhase::Announce => Self::Announce,
            RawPhase::Dual => Self::Dual,
            RawPhase::Freeze => Self::Freeze,
            RawPhase::Redirect => Self::Redirect,
            RawPhase::Brownout => Self::Brownout,
            RawPhase::Tombstone => Self::Tombstone,
            RawPhase::Sunset => Self::Sunset,
        }
    }
}
