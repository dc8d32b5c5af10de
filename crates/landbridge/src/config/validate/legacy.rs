//! Old names: whether the plan has their moves, and whether these can be done there.

use std::sync::Arc;

use landbridge_core::migration::{Mode, Phase};
use landbridge_front::settings as front;

use super::Validator;
use crate::config::Source;
use crate::config::path::Path;
use crate::config::plan::{self, Move, Plan};
use crate::config::problem::did_you_mean;
use crate::config::raw::copies::Site;
use crate::config::raw::legacy::{Migrations, Scheme};
use crate::config::scalar::Host;

/// The plan of migrations.
pub(super) enum Planned {
    /// There is none.
    Not,
    /// Something is wrong with it, which has been reported.
    Wrong,
    /// It is this.
    Plan(Plan),
}

impl Validator<'_> {
    pub(super) fn plan(&mut self, raw: Option<&Migrations>) -> Planned {
        let Some(raw) = raw else { return Planned::Not };
        let at = Path::dotted("migration.plan");
        let Some(file) = &raw.plan else { return Planned::Wrong };
        let source = match Source::read_called("plan", &self.resolve(file)) {
            Ok(source) => source,
            Err(error) => {
                self.report(&at, format!("{error:#}"));
                return Planned::Wrong;
            }
        };
        match plan::load(&source) {
            Ok(plan) => Planned::Plan(plan),
            Err(problems) => {
                self.problems.extend(problems.seen_from_another());
                Planned::Wrong
            }
        }
    }

    /// What makes `site` the answer to an old name.
    pub(super) fn legacy(
        &mut self,
        site: &Site,
        plan: &Planned,
        has_releases: bool,
        at: &Path,
    ) -> Option<front::LegacySettings> {
        let raw = site.legacy.as_ref()?;
        let move_at = at.field("move");
        let name = raw.planned.as_ref()?.as_str();
        let plan = match plan {
            Planned::Plan(plan) => plan,
            Planned::Wrong => return None,
            Planned::Not => {
                let message = "is in no plan: say in `migration.plan` which file that is";
                self.report(&move_at, message);
                return None;
            }
        };
        let Some(planned) = plan.get(name) else {
            let hint = did_you_mean(name, plan.names());
            self.report(&move_at, format!("the plan has no move `{name}`{hint}"));
            return None;
        };
        self.freezes(planned, has_releases, &move_at);
        self.leads_elsewhere(planned, site, &move_at);
        let scheme = match raw.scheme {
            Scheme::Https => "https",
            Scheme::Http => "http",
        };
        let renames = raw.renames.iter().map(|(old, new)| (old.to_string(), new.to_string()));
        Some(front::LegacySettings {
            migration: Arc::clone(&planned.migration),
            successor: format!("{scheme}://{}", planned.migration.successor()),
            strip: raw.strip.as_ref().map(ToString::to_string).unwrap_or_default(),
            renames: renames.collect(),
            guide: planned.guide.clone(),
        })
    }

    /// A front freezes by a generation, which only some origins have.
    fn freezes(&mut self, planned: &Move, has_releases: bool, at: &Path) {
        let steps = planned.migration.steps().iter().enumerate();
        for (index, step) in steps.filter(|(_, step)| step.phase == Phase::Freeze) {
            if step.generation.is_some() && !has_releases {
                let message = format!(
                    "freezes at a generation (phases[{index}]), which only an origin with a `store` has"
                );
                self.report(at, message);
            } else if step.generation.is_none() && step.mode == Mode::Enforce {
                let message = format!(
                    "has a freeze without a `generation` (phases[{index}]), so that nothing would be frozen: name one, or observe it"
                );
                self.report(at, message);
            }
        }
    }

    /// Whoever is redirected to the old name comes back for ever.
    fn leads_elsewhere(&mut self, planned: &Move, site: &Site, at: &Path) {
        let successor = planned.migration.successor();
        let is_own = |host: &Host| host.as_str() == successor;
        if site.hosts.iter().flatten().any(is_own) {
            let message = format!("leads to `{successor}`, which this site answers for itself");
            self.report(at, message);
        }
    }
}
