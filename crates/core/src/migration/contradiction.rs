//! What a plan may not say, since it could not be kept.

use jiff::Timestamp;

use super::{MAX_MESSAGE_BYTES, MAX_STEPS, Phase, Step};

/// Something that a plan contradicts itself in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The step, by its place.
    pub step: usize,
    /// Which of its fields.
    pub field: Field,
    /// What is wrong with it and what to do, as the end of a sentence that begins with the field.
    pub message: String,
}

/// A field of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The step as a whole.
    Step,
    /// `announced`
    Announced,
    /// `start`
    Start,
    /// `end`
    End,
    /// `message`
    Message,
    /// A point of `shares`, by its place.
    Share(usize),
    /// `shares` as a whole.
    Shares,
    /// A window of a brownout, by its place.
    Window(usize),
    /// `windows` as a whole.
    Windows,
    /// `generation`
    Generation,
    /// `abort`
    Abort,
}

/// Everything that is wrong, in the order of the steps.
pub(super) fn find(steps: &[Step]) -> Vec<Contradiction> {
    let mut found = Found(Vec::new());
    if steps.len() > MAX_STEPS {
        found.say(MAX_STEPS, Field::Step, format!("is one too many: {MAX_STEPS} are the limit"));
    }
    for (at, step) in steps.iter().enumerate() {
        alone(&mut found, at, step);
        together(&mut found, at, steps);
    }
    messages(&mut found, steps);
    found.0.sort_by_key(|it| (it.step, it.field));
    found.0
}

struct Found(Vec<Contradiction>);

impl Found {
    fn say(&mut self, step: usize, field: Field, message: impl Into<String>) {
        self.0.push(Contradiction { step, field, message: message.into() });
    }
}

/// What a step contradicts itself in.
fn alone(found: &mut Found, at: usize, step: &Step) {
    let phase = step.phase.name();
    if step.start < step.announced {
        let message = format!(
            "is {}, after the step's start ({}): nobody could know of it in time",
            step.announced, step.start
        );
        found.say(at, Field::Announced, message);
    }
    if step.end.is_some_and(|end| end <= step.start) {
        let message = format!("is not after the step's start ({})", step.start);
        found.say(at, Field::End, message);
    }
    if step.end.is_some() && matches!(step.phase, Phase::Tombstone | Phase::Sunset) {
        let message = format!("is of no use: a {phase} is for ever; take it away");
        found.say(at, Field::End, message);
    }
    let may_share = matches!(step.phase, Phase::Redirect | Phase::Brownout);
    if !step.shares.is_empty() && !may_share {
        let message = format!("are for a redirect and a brownout, not for this phase ({phase})");
        found.say(at, Field::Shares, message);
    }
    for (place, pair) in step.shares.windows(2).enumerate() {
        let [before, point] = [pair[0], pair[1]];
        if point.from <= before.from {
            let message = format!("is not after the one before it ({})", before.from);
            found.say(at, Field::Share(place + 1), message);
        } else if point.share < before.share {
            let message = format!(
                "goes down from {} %, which would send clients back to where they were: abort the step instead",
                before.share.percent()
            );
            found.say(at, Field::Share(place + 1), message);
        }
    }
    if step.generation.is_some() && step.phase != Phase::Freeze {
        let message = format!("is for a freeze, not for this phase ({phase})");
        found.say(at, Field::Generation, message);
    }
    if step.abort.is_some() && !may_share {
        let message = format!("is for a redirect and a brownout, not for this phase ({phase})");
        found.say(at, Field::Abort, message);
    } else if step.abort.is_some() && step.phase == Phase::Redirect && step.shares.is_empty() {
        let message = "compares the moved with the others: give the step `shares`";
        found.say(at, Field::Abort, message);
    }
    windows(found, at, step);
}

fn windows(found: &mut Found, at: usize, step: &Step) {
    let phase = step.phase.name();
    let Some(brownout) = &step.brownout else {
        if step.phase == Phase::Brownout {
            found.say(at, Field::Windows, "are missing: a brownout refuses within them only");
        }
        return;
    };
    if step.phase != Phase::Brownout {
        found.say(at, Field::Windows, format!("are for a brownout, not for this phase ({phase})"));
        return;
    }
    if brownout.windows.is_empty() {
        found.say(at, Field::Windows, "is empty: a brownout refuses within its windows only");
    }
    let end = step.end.unwrap_or(Timestamp::MAX);
    for (place, window) in brownout.windows.iter().enumerate() {
        if window.end <= window.start {
            let message = format!("ends at {}, not after its start", window.end);
            found.say(at, Field::Window(place), message);
        } else if window.start < step.start || window.end > end {
            let until = step.end.map(|end| format!(" to {end}")).unwrap_or_default();
            let message = format!("lies outside of the step, which is from {}{until}", step.start);
            found.say(at, Field::Window(place), message);
        }
        let before = brownout.windows.iter().take(place);
        if let Some(earlier) =
            before.clone().position(|other| window.start < other.end && other.start < window.end)
        {
            let message = format!("overlaps windows[{earlier}]: make them one");
            found.say(at, Field::Window(place), message);
        }
    }
}

/// What a step contradicts others in.
fn together(found: &mut Found, at: usize, steps: &[Step]) {
    let step = &steps[at];
    let is_final = matches!(step.phase, Phase::Tombstone | Phase::Sunset);
    for (other_at, other) in steps.iter().enumerate() {
        let overlaps = step.scope.may_overlap(&other.scope);
        if other_at < at && other.phase == step.phase && overlaps && at_once(step, other) {
            let hint = "give the earlier one an `end`, or make their scopes disjoint";
            let message = format!(
                "is another {} of the same clients and repositories as phases[{other_at}], at the same time: {hint}",
                step.phase.name()
            );
            found.say(at, Field::Start, message);
        }
        // What is gone for ever cannot be refused or sent elsewhere afterwards.
        let is_late = other.end.is_none_or(|end| end > step.start);
        let outlives = is_final
            && matches!(other.phase, Phase::Redirect | Phase::Brownout)
            && other.end.is_some()
            && is_late
            && overlaps;
        if outlives {
            let message = format!(
                "is {}, before the end of the {} in phases[{other_at}], which it overlaps: end that first",
                step.start,
                other.phase.name()
            );
            found.say(at, Field::Start, message);
        }
        let begins_too_late = is_final
            && matches!(
                other.phase,
                Phase::Announce | Phase::Dual | Phase::Redirect | Phase::Brownout
            )
            && other.start >= step.start
            && overlaps;
        if begins_too_late {
            let deprecation = match other.phase {
                Phase::Announce => "which would be a sunset before its deprecation",
                _ => "when nothing would be left of the old name",
            };
            let message = format!(
                "is {}, not before the {} in phases[{other_at}] ({}), {deprecation}",
                step.start,
                other.phase.name(),
                other.start
            );
            found.say(at, Field::Start, message);
        }
    }
    let is_announced = steps.iter().any(|other| other.phase == Phase::Announce);
    if step.phase.takes_away() && !is_announced {
        let message = "takes something away, and nothing is announced: add a step `announce`";
        found.say(at, Field::Step, message);
    }
    if step.phase == Phase::Tombstone
        && let Some(sunset) = steps.iter().find(|other| other.phase == Phase::Sunset)
        && step.start >= sunset.start
    {
        let message = format!("is not before the sunset ({}), when all is gone", sunset.start);
        found.say(at, Field::Start, message);
    }
}

/// True if there is a moment at which both are under way, as planned.
fn at_once(one: &Step, other: &Step) -> bool {
    let end = |step: &Step| {
        [step.end, step.aborted].into_iter().flatten().min().unwrap_or(Timestamp::MAX)
    };
    one.start < end(other) && other.start < end(one)
}

/// All warnings of one answer have a limit; that no combination exceeds it is sure if all together
/// do not.
fn messages(found: &mut Found, steps: &[Step]) {
    let mut bytes = 0;
    for (at, step) in steps.iter().enumerate() {
        let Some(warning) = step.warning() else { continue };
        if !step.message.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let message = "can have printable ASCII characters only, since it becomes a header";
            found.say(at, Field::Message, message);
        }
        bytes += warning.len();
        if bytes > MAX_MESSAGE_BYTES {
            let message = format!(
                "makes all messages of the plan {bytes} bytes long together; clients are promised at most {MAX_MESSAGE_BYTES}"
            );
            found.say(at, Field::Message, message);
            return;
        }
    }
}
