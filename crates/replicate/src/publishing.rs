//! From a look at the world to a release: the half that every run shares.
//!
//! What a run looks at is its own business; what follows is the same for all: bring the objects,
//! publish, and begin again from the top if another publication came first. Mirrors' notes are put
//! right if there is nothing to publish.
//!
//! Invariant: nothing is published that was not looked at after the release before it.

use jiff::Timestamp;
use landbridge_core::money::Money;
use landbridge_core::pointer::PAYLOAD_TYPE;
use landbridge_core::topology::CopySet;
use landbridge_sign::{Signer, sign_envelope};
use landbridge_store::publish::{
    Act, Base, Changes, Checked, Publication, PublishError, Published,
};
use landbridge_store::{Evidence, MirrorState, Verify};

use crate::apply::{Learned, Run, apply_objects};
use crate::copies::Copies;
use crate::costs::{Tariff, plan_costs};
use crate::error::ImportError;
use crate::holdings::mend_holding;
use crate::patience::{Pace, Patience};
use crate::plan::Plan;
use crate::progress::{Listener, Progress, Stop};
use crate::report::{Report, report};
use crate::supply::Supply;

/// How many times a run starts over because others were faster. Each time one of them ended.
const MAX_ATTEMPTS: u32 = 64;

/// Where a run publishes, and by whose word.
#[derive(Clone, Copy)]
pub struct Publishing<'a> {
    /// Where it is published.
    pub publication: &'a Publication,
    /// Who signs: as many as fronts want signatures.
    pub signers: &'a [Signer],
    /// The moment of publication.
    pub now: Timestamp,
    /// When the pointer begins to alarm.
    pub expires: Timestamp,
    /// How what copies had before is verified.
    pub verify: Verify,
    /// How fast, and how patiently.
    pub pace: Pace,
    /// Why it is published though mirrors that must have all of it have not.
    pub despite_gaps: Option<&'a str>,
    /// Whether a release without news is published again, for a later expiry.
    pub renew: bool,
    /// Asks the run to end.
    pub stop: &'a Stop,
    /// What it costs, and how much it may.
    pub tariff: Option<&'a Tariff>,
}

/// What a look at the world found.
pub(crate) struct Looked<'a> {
    /// What is to be done.
    pub(crate) plan: Plan,
    /// The release that it was made for.
    pub(crate) base: Base,
    /// Who has the bytes.
    pub(crate) supply: Supply<'a>,
    /// Some mirror may have other things than its note says.
    pub(crate) is_behind: bool,
}

impl Looked<'_> {
    /// The same with what it costs.
    pub(crate) fn priced(mut self, tariff: Option<&Tariff>) -> Result<Self, ImportError> {
        if let Some(tariff) = tariff {
            self.plan.costs = Some(plan_costs(&self.plan, &self.supply, tariff)?);
        }
        Ok(self)
    }
}

impl Publishing<'_> {
    /// Carries out what `look` finds, and looks again if another publication came first. `act` says
    /// in the pointer's reason what was done.
    pub(crate) async fn publish<'a, F: Future<Output = Result<Looked<'a>, ImportError>>>(
        &self,
        act: &str,
        copies: &Copies<'_>,
        listener: Listener<'_>,
        look: impl Fn() -> F,
    ) -> Result<Report, ImportError> {
        let Self { verify, pace, stop, tariff, .. } = *self;
        let patience = Patience::new(pace.retries);
        let run = Run { copies, verify, pace, patience: &patience, listener, stop };
        let mut learned = Learned::default();
        let mut collections = None;
        let mut spent = tariff.map(|tariff| Money::zero(tariff.currency));
        for attempt in 1..=MAX_ATTEMPTS {
            if attempt > 1 {
                learned.tally.rebases += 1;
                listener(Progress::Rebasing { attempt });
            }
            let Looked { plan, base, supply, is_behind } = look().await?;
            let refused = base.refused().to_vec();
            if collections
                .replace(base.collections())
                .is_some_and(|before| before < base.collections())
            {
                // Something was deleted since it was confirmed.
                learned.evidence = Evidence::default();
            }
            if let (Some(costs), Some(spent)) = (&plan.costs, &mut spent) {
                if let Some(most) = tariff.and_then(|tariff| tariff.most) {
                    costs.check(most, *spent)?;
                }
                *spent = spent.checked_add(costs.total)?;
                listener(Progress::Priced { costs: costs.clone() });
            }
            apply_objects(&plan, &supply, run, &mut learned).await?;
            if !plan.publishes() {
                let mut warnings = copies.failures();
                if is_behind {
                    let evidence = &learned.evidence;
                    warnings.extend(self.mend_holdings(&plan, evidence, copies).await?);
                }
                if !self.renew {
                    let mut tally = learned.tally;
                    tally.warnings.extend(refused.into_iter().chain(warnings));
                    tally.recovered = copies.recoveries();
                    return Ok(report(&plan, tally, None));
                }
            }
            listener(Progress::Publishing { generation: plan.generation });
            match self.release(&plan, base, learned.evidence.clone(), act).await {
                Ok(published) => {
                    let mut tally = learned.tally;
                    tally.warnings.extend(refused);
                    tally.warnings.extend(copies.failures());
                    tally.recovered = copies.recoveries();
                    tally.warnings.extend(published.mirrors.iter().filter_map(warning));
                    let sequence = published.pointer.content().sequence;
                    return Ok(report(&plan, tally, Some(sequence)));
                }
                Err(ImportError::Publish(PublishError::Conflict { .. })) => {}
                Err(ImportError::Publish(error @ PublishError::Gaps { .. })) => {
                    return Err(match copies.failures() {
                        none if none.is_empty() => error.into(),
                        failures => ImportError::Missed { error, failures },
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Err(ImportError::AlwaysOvertaken { attempts: MAX_ATTEMPTS })
    }

    async fn release(
        &self,
        plan: &Plan,
        base: Base,
        evidence: Evidence,
        act: &str,
    ) -> Result<Published, ImportError> {
        let changes = Changes { put: plan.repositories.clone(), remove: Vec::new() };
        let written = self.publication.write(base, changes, evidence).await?;
        let checked = self.publication.check(written).await?;
        self.put_in_force(checked, &plan.reason(act)).await
    }

    /// The last step: signed, and published unless somebody was faster.
    pub(crate) async fn put_in_force(
        &self,
        checked: Checked,
        reason: &str,
    ) -> Result<Published, ImportError> {
        let Self { publication, signers, now, expires, despite_gaps, .. } = *self;
        let unsigned = publication.draft(checked, Act { now, expires, reason, despite_gaps })?;
        let payload = unsigned.pointer().encode();
        let envelope = sign_envelope(signers, &publication.keys, PAYLOAD_TYPE, &payload).await?;
        Ok(publication.publish(unsigned, &envelope).await?)
    }

    async fn mend_holdings(
        &self,
        plan: &Plan,
        evidence: &Evidence,
        copies: &Copies<'_>,
    ) -> Result<Vec<String>, ImportError> {
        let Publication { mirrors, catalog, .. } = self.publication;
        let working = copies.working(CopySet::ALL);
        let mut sentences = Vec::new();
        for (mirror, number) in mirrors.iter().zip(1..) {
            if !working.iter().any(|(id, _)| id.index() == number) {
                continue;
            }
            match mend_holding(mirror, catalog, plan, evidence).await {
                Ok(sentence) => sentences.extend(sentence),
                Err(error) => sentences.push(format!("mirror `{}`: {error}", mirror.name)),
            }
        }
        Ok(sentences)
    }
}

fn warning((name, state): &(String, MirrorState)) -> Option<String> {
    match state {
        MirrorState::Complete => None,
        MirrorState::Lacks { .. } | MirrorState::Behind(_) => {
            Some(format!("mirror `{name}` {state}"))
        }
    }
}
