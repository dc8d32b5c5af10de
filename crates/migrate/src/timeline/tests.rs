//! The worked example as people and programs see it.

use super::*;
use crate::check::check;
use crate::example::{at, moves, policy};
use crate::ledger::Ledger;

fn timeline() -> Timeline {
    let (moves, at) = (moves(), at("2023-03-01"));
    let check = check(&policy(), &moves, &Ledger::default(), at);
    Timeline::new(&moves, &check, at)
}

#[test]
fn the_calendar_is_as_its_specification_writes_it() {
    let calendar = timeline().to_calendar();
    assert!(
        calendar.ends_with("END:VCALENDAR\r\n") && !calendar.replace("\r\n", "").contains('\n')
    );
    assert!(calendar.split("\r\n").all(|line| line.len() <= 75));
    insta::assert_snapshot!(calendar.replace("\r\n", "\n"));
}

#[test]
fn a_long_line_is_folded_between_characters_and_text_is_escaped() {
    let mut timeline = timeline();
    timeline.moves.truncate(1);
    timeline.moves[0].steps.truncate(1);
    timeline.moves[0].steps[0].message = format!("a;b,c\\d\n{}", "ü".repeat(60));
    let calendar = timeline.to_calendar();
    assert!(calendar.split("\r\n").all(|line| line.len() <= 75));
    let unfolded = calendar.replace("\r\n ", "");
    assert!(unfolded.contains(&format!("DESCRIPTION:a\\;b\\,c\\\\d\\n{}", "ü".repeat(60))));
}

#[test]
fn the_page_says_all_of_it_and_takes_nothing_from_elsewhere() {
    let mut timeline = timeline();
    let page = timeline.to_html();
    for words in ["309 days short", "355 days short", "352 days short", "179 days short"] {
        assert!(page.contains(words), "{words}");
    }
    for foreign in ["<script", "http://", "https://", "src=", "url("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("<svg").count(), 2);
    timeline.moves[0].name = "<b>&\"".into();
    let page = timeline.to_html();
    assert!(!page.contains("<b>") && page.contains("&lt;b&gt;&amp;&quot;"));
}

#[test]
fn the_json_has_every_step_with_its_checks() {
    let json: serde_json::Value = serde_json::from_str(&timeline().to_json()).unwrap();
    let freeze = &json["moves"][0]["steps"][2];
    assert_eq!(freeze["id"], "freeze-1");
    assert_eq!(freeze["checks"][0]["verdict"]["days_short"], 309);
    assert_eq!(json["moves"][1]["progress"]["next"]["phase"], "announce");
}

/// `LANDBRIDGE_TIMELINE=FILE` keeps the page, to look at.
#[test]
fn it_can_be_looked_at() {
    let page = timeline().to_html();
    if let Some(file) = std::env::var_os("LANDBRIDGE_TIMELINE") {
        std::fs::write(file, &page).unwrap();
    }
    assert!(page.starts_with("<!doctype html>"));
}
