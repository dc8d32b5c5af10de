//! The plan as a calendar that others can subscribe to.
//!
//! iCalendar: <https://www.rfc-editor.org/rfc/rfc5545>.

use jiff::Timestamp;

use super::{MoveLine, StepLine, Timeline};

/// Octets of a line without its end (section 3.1).
const LINE_OCTETS: usize = 75;

/// The calendar.
pub(super) fn calendar(timeline: &Timeline) -> String {
    let mut out = Lines(String::new());
    out.line("BEGIN:VCALENDAR");
    out.line("VERSION:2.0");
    out.line("PRODID:-//Landbridge//migrate timeline//EN");
    out.line("CALSCALE:GREGORIAN");
    out.line("METHOD:PUBLISH");
    for it in &timeline.moves {
        for step in &it.steps {
            let title = format!("{}: {} begins", it.name, step.phase);
            event(&mut out, timeline.at, it, step, "", &title, step.start, None);
            for (number, window) in step.windows.iter().enumerate() {
                let (id, title) = (
                    format!("-window-{}", number + 1),
                    format!("{}: the old name refuses pulls", it.name),
                );
                event(&mut out, timeline.at, it, step, &id, &title, window.start, Some(window.end));
            }
        }
    }
    out.line("END:VCALENDAR");
    out.0
}

#[expect(clippy::too_many_arguments, reason = "an event's properties, each by its own name")]
fn event(
    out: &mut Lines,
    stamp: Timestamp,
    it: &MoveLine,
    step: &StepLine,
    id: &str,
    title: &str,
    start: Timestamp,
    end: Option<Timestamp>,
) {
    let moment = |at: Timestamp| at.strftime("%Y%m%dT%H%M%SZ");
    out.line("BEGIN:VEVENT");
    // Dates may move, so they are no part of what an event is known by.
    out.line(&format!("UID:{}-{}{id}@{}", escaped(&it.name), step.id, escaped(&it.successor)));
    out.line(&format!("DTSTAMP:{}", moment(stamp)));
    out.line(&format!("DTSTART:{}", moment(start)));
    if let Some(end) = end {
        out.line(&format!("DTEND:{}", moment(end)));
    }
    out.line(&format!("SUMMARY:{}", escaped(title)));
    let lines = [
        step.message.clone(),
        format!("Use {} instead.", it.successor),
        format!("For {}.", step.scope),
    ];
    let lines: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let description = lines.join("\n");
    out.line(&format!("DESCRIPTION:{}", escaped(&description)));
    if step.aborted.is_some() {
        out.line("STATUS:CANCELLED");
    } else {
        out.line(if step.enforced { "STATUS:CONFIRMED" } else { "STATUS:TENTATIVE" });
    }
    out.line("TRANSP:TRANSPARENT");
    out.line("END:VEVENT");
}

/// Text as a value (section 3.3.11).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | ';' | ',' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            character if character.is_control() => {}
            character => out.push(character),
        }
    }
    out
}

/// Content lines, folded.
struct Lines(String);

impl Lines {
    fn line(&mut self, text: &str) {
        let mut octets = 0;
        for character in text.chars() {
            if octets + character.len_utf8() > LINE_OCTETS {
                self.0.push_str("\r\n ");
                octets = 1;
            }
            self.0.push(character);
            octets += character.len_utf8();
        }
        self.0.push_str("\r\n");
    }
}
