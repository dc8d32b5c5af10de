//! The picture: time from left to right, a line for each step from when it was told of to when it
//! begins, what it lacks of notice, and today.
//!
//! It is drawn twice, for wide and for narrow screens, since letters must not shrink.

use std::fmt::{self, Display};

use jiff::Timestamp;
use jiff::civil::date as civil;
use jiff::tz::TimeZone;

use super::page::Text;
use super::{StepLine, Timeline};
use crate::check::Verdict;
use crate::dates::date;

/// For which screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Screen {
    Wide,
    Narrow,
}

impl Screen {
    /// Its name as a class, its width, and where time begins.
    const fn measures(self) -> (&'static str, f64, f64) {
        match self {
            Self::Wide => ("wide", 1_040.0, 190.0),
            Self::Narrow => ("narrow", 360.0, 8.0),
        }
    }

    /// How high a step is.
    const fn row(self) -> f64 {
        match self {
            Self::Wide => 26.0,
            Self::Narrow => 40.0,
        }
    }
}

pub(super) struct Plot<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) screen: Screen,
}

/// Where moments lie.
struct Scale {
    first: i64,
    last: i64,
    left: f64,
    width: f64,
}

impl Scale {
    fn at(&self, moment: Timestamp) -> f64 {
        let part = (moment.as_second() - self.first) as f64 / (self.last - self.first) as f64;
        self.left + part.clamp(0.0, 1.0) * self.width
    }
}

impl Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TOP: f64 = 24.0;
        const HEAD: f64 = 28.0;
        let (class, width, left) = self.screen.measures();
        let (first, last) = self.timeline.extent();
        let scale = Scale {
            first: first.as_second(),
            last: last.as_second(),
            left,
            width: width - left - 8.0,
        };
        let row = self.screen.row();
        let rows: f64 =
            self.timeline.moves.iter().map(|it| HEAD + it.steps.len() as f64 * row).sum();
        let height = TOP + rows + 12.0;
        writeln!(
            f,
            "<svg class=\"{class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Each step from its announcement to its start\">"
        )?;
        axis(f, &scale, self.screen, height)?;
        let today = scale.at(self.timeline.at);
        writeln!(
            f,
            "<line class=\"today\" x1=\"{today:.1}\" x2=\"{today:.1}\" y1=\"{TOP}\" y2=\"{height}\"/>"
        )?;
        let mut y = TOP;
        for it in &self.timeline.moves {
            y += HEAD;
            writeln!(
                f,
                "<text class=\"move\" x=\"8\" y=\"{:.1}\">{} → {}</text>",
                y - 8.0,
                Text(&it.name),
                Text(&it.successor)
            )?;
            for step in &it.steps {
                draw(f, &scale, self.screen, step, y)?;
                y += row;
            }
        }
        f.write_str("</svg>\n")
    }
}

/// Months or quarters, as there is room.
fn axis(f: &mut fmt::Formatter<'_>, scale: &Scale, screen: Screen, height: f64) -> fmt::Result {
    let days = (scale.last - scale.first) / 86_400;
    let labels = if screen == Screen::Wide { 14 } else { 5 };
    let months = [1, 2, 3, 6, 12, 24, 60, 120];
    let step = months.into_iter().find(|&months| days / (i64::from(months) * 30) <= labels);
    let step = step.unwrap_or(240);
    let begin = Timestamp::from_second(scale.first).unwrap_or_default().to_zoned(TimeZone::UTC);
    let (mut year, mut month) = (begin.year(), 1_i16);
    loop {
        let Ok(tick) = civil(year, i8::try_from(month).unwrap_or(1), 1).to_zoned(TimeZone::UTC)
        else {
            return Ok(());
        };
        let at = tick.timestamp();
        if at.as_second() > scale.last {
            return Ok(());
        }
        if at.as_second() >= scale.first {
            let x = scale.at(at);
            writeln!(
                f,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"20\" y2=\"{height}\"/>"
            )?;
            let label = at.strftime("%Y-%m");
            // The last one would stand out of the picture.
            if x < scale.left + scale.width - 44.0 {
                writeln!(f, "<text class=\"tick\" x=\"{:.1}\" y=\"14\">{label}</text>", x + 2.0)?;
            }
        }
        month += step;
        while month > 12 {
            month -= 12;
            year += 1;
        }
    }
}

fn draw(
    f: &mut fmt::Formatter<'_>,
    scale: &Scale,
    screen: Screen,
    step: &StepLine,
    top: f64,
) -> fmt::Result {
    let (label_y, y) = match screen {
        Screen::Wide => (top + 14.0, top + 10.0),
        Screen::Narrow => (top + 12.0, top + 24.0),
    };
    let state = match (step.aborted.is_some(), step.enforced) {
        (true, _) => " aborted",
        (false, false) => " observed",
        (false, true) => "",
    };
    let (told, start) = (scale.at(step.announced), scale.at(step.start));
    writeln!(f, "<g class=\"step {}{state}\">", step.phase)?;
    writeln!(
        f,
        "<title>{}: announced {}, begins {}</title>",
        step.phase,
        date(step.announced),
        date(step.start)
    )?;
    writeln!(
        f,
        "<text class=\"label\" x=\"8\" y=\"{label_y:.1}\">{} <tspan class=\"when\">{}</tspan></text>",
        step.phase,
        date(step.start)
    )?;
    writeln!(
        f,
        "<line class=\"notice\" x1=\"{told:.1}\" x2=\"{start:.1}\" y1=\"{y}\" y2=\"{y}\"/><circle class=\"told\" cx=\"{told:.1}\" cy=\"{y}\" r=\"3.5\"/>"
    )?;
    // What should have been notice and was not.
    let short = step.checks.iter().filter_map(|check| match check.verdict {
        Verdict::Short { days_short, .. } => Some((check.allowed_from?, "short", days_short)),
        Verdict::Excused { days_short, .. } => Some((check.allowed_from?, "excused", days_short)),
        Verdict::Kept | Verdict::NoRule | Verdict::Aborted | Verdict::Unknown => None,
    });
    if let Some((until, class, days)) = short.max_by_key(|(until, ..)| *until) {
        let end = scale.at(until);
        writeln!(
            f,
            "<rect class=\"{class}\" x=\"{start:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"10\"/>",
            y - 5.0,
            (end - start).max(1.0)
        )?;
        let words = format!("{days} days short");
        // Inside, if there is room.
        if end - start > 90.0 {
            writeln!(
                f,
                "<text class=\"days\" x=\"{:.1}\" y=\"{:.1}\">{words}</text>",
                start + 8.0,
                y + 3.5
            )?;
        }
    }
    for window in &step.windows {
        let (from, to) = (scale.at(window.start), scale.at(window.end));
        writeln!(
            f,
            "<rect class=\"window\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\"/>",
            y - 6.0,
            (to - from).max(1.5)
        )?;
    }
    writeln!(f, "<circle class=\"start\" cx=\"{start:.1}\" cy=\"{y}\" r=\"5\"/>\n</g>")
}
