//! Writing into a plan that a person has laid out: what is not changed stays as it is, comments too.
//!
//! What is inserted stands behind the step's `start`, in the way in which the step is written: a
//! line of its own, or within its braces.

use jiff::Timestamp;

use crate::config::document::{Entry, Node, Place};
use crate::config::path::Path;

/// The text of a plan with `aborted: MOMENT` in one of its phases; `None` if it is written in a way
/// that this does not know. Whoever uses it reads it back.
pub(crate) fn with_aborted(
    text: &str,
    one: usize,
    step: usize,
    moment: Timestamp,
) -> Option<String> {
    let document = Node::parse(text).ok()?;
    let path = Path::dotted("moves").item(one).field("phases").item(step);
    let step = document.find(&path)?;
    let start = step.get("start")?;
    let is_flow = text[offset(text, &step.place)?..].starts_with('{');
    let key_quote = quote_at(text, offset(text, &start.place)?);
    let (end, value_quote) = end_of(text, start)?;
    let field = format!("{key_quote}aborted{key_quote}: {value_quote}{moment}{value_quote}");
    let (at, inserted) = if is_flow {
        (end, format!(", {field}"))
    } else {
        let Place::File { column, .. } = start.place else { return None };
        let indent = " ".repeat(usize::try_from(column.checked_sub(1)?).ok()?);
        let rest = &text[end..];
        let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        match rest.find('\n') {
            Some(line) => (end + line + 1, format!("{indent}{field}{line_end}")),
            None => (text.len(), format!("{line_end}{indent}{field}{line_end}")),
        }
    };
    let mut edited = text.to_owned();
    edited.insert_str(at, &inserted);
    Some(edited)
}

/// Where a scalar ends, with its closing quote, and that quote.
fn end_of(text: &str, entry: &Entry) -> Option<(usize, &'static str)> {
    let at = offset(text, &entry.node.place)?;
    let written = entry.node.to_json();
    let written = written.as_str()?;
    let quote = quote_at(text, at);
    let end = at + quote.len() + written.len();
    let is_whole = text.get(at + quote.len()..end)? == written && text[end..].starts_with(quote);
    is_whole.then_some((end + quote.len(), quote))
}

/// The quote in which what stands at `at` is written, if it is.
fn quote_at(text: &str, at: usize) -> &'static str {
    match text.as_bytes().get(at) {
        Some(b'"') => "\"",
        Some(b'\'') => "'",
        _ => "",
    }
}

/// The byte at which a place begins.
fn offset(text: &str, place: &Place) -> Option<usize> {
    let Place::File { line, column } = place else { return None };
    let (line, column) = (usize::try_from(*line).ok()?, usize::try_from(*column).ok()?);
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let within = text.get(before..)?.char_indices().nth(column.checked_sub(1)?);
    within.map(|(at, _)| before + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, step: usize) -> Option<String> {
        with_aborted(text, 0, step, "2023-03-21T08:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_line_is_added_and_all_others_stay() {
        let text = "\
# The plan.
moves:
  - name: images  # of the project
    successor: new.example.org
    phases:
      - phase: announce
        start: 2022-11-28
      # Not on a Friday.
      - start: '2023-03-20'   # a Monday

        phase: redirect
";
        let expected =
            text.replace("# a Monday\n", "# a Monday\n        aborted: '2023-03-21T08:00:00Z'\n");
        assert_eq!(edited(text, 1).unwrap(), expected);
        let expected =
            text.replace("22-11-28\n", "22-11-28\n        aborted: 2023-03-21T08:00:00Z\n");
        assert_eq!(edited(text, 0).unwrap(), expected);
    }

    #[test]
    fn what_is_in_braces_stays_in_braces() {
        let text =
            "moves:\n- phases:\n  - {message: Grüße, start: 2023-03-20, phase: redirect} # é\n";
        let expected = text.replace("03-20,", "03-20, aborted: 2023-03-21T08:00:00Z,");
        assert_eq!(edited(text, 0).unwrap(), expected);
        let json = r#"{"moves":[{"phases":[{"phase":"redirect","start":"2023-03-20"}]}]}"#;
        let expected = json.replace("03-20\"", "03-20\", \"aborted\": \"2023-03-21T08:00:00Z\"");
        assert_eq!(edited(json, 0).unwrap(), expected);
    }

    #[test]
    fn line_ends_stay_as_they_are() {
        let text = "moves:\r\n- phases:\r\n  - phase: redirect\r\n    start: 2023-03-20\r\n";
        let expected = format!("{text}    aborted: 2023-03-21T08:00:00Z\r\n");
        assert_eq!(edited(text, 0).unwrap(), expected);
        let text = "moves:\n- phases:\n  - start: 2023-03-20";
        let expected = format!("{text}\n    aborted: 2023-03-21T08:00:00Z\n");
        assert_eq!(edited(text, 0).unwrap(), expected);
    }

    #[test]
    fn what_is_written_in_another_way_is_left_alone() {
        let anchored = "moves:\n- phases:\n  - start: &day 2023-03-20\n  - start: *day\n";
        assert_eq!(edited(anchored, 1), None);
        let escaped = "moves:\n- phases:\n  - start: \"2023\\x2d03-20\"\n";
        assert_eq!(edited(escaped, 0), None);
    }
}
