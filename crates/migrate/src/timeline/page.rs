//! The page: complete without scripts, fonts, images or anything from elsewhere.
//!
//! Everything that comes from a plan goes through [`Text`]. What is wrong is said in words first and
//! in colour second, so that print and those who see no colours lose nothing.

use std::fmt::{self, Display};

use super::plot::{Plot, Screen};
use super::{StepLine, Timeline};
use crate::check::{ChangeCheck, Verdict};
use crate::dates::date;

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1f24;--soft:#57606a;--line:#d0d7de;--back:#fff;--good:#116329;--bad:#a40e26;--bad-back:#ffd7d5;--poor:#7d4e00;--poor-back:#fff0c2;--mark:#0550ae}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9aa4af;--line:#3d444d;--back:#0d1117;--good:#56d364;--bad:#ff8182;--bad-back:#5a1a1f;--poor:#e3b341;--poor-back:#4b3700;--mark:#79c0ff}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:70rem;font:1rem/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.125rem;margin:1.5rem 0 .25rem}
p,ul{margin:.5rem 0}
ul{padding-left:1.25rem}
.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}.poor{color:var(--poor)}
svg{display:block;width:100%;height:auto;margin:1rem 0;font:12px system-ui,sans-serif}
svg.narrow{display:none}
svg text{fill:var(--text)}
svg .tick,svg .when{fill:var(--soft)}
svg .move{font-weight:600;font-size:13px}
svg .label,svg .move{paint-order:stroke;stroke:var(--back);stroke-width:3px}
svg .days{fill:var(--text);font-size:10px}
svg .grid{stroke:var(--line)}
svg .today{stroke:var(--mark);stroke-width:2}
svg .notice{stroke:var(--soft);stroke-width:2}
svg .told{fill:var(--back);stroke:var(--soft);stroke-width:2}
svg .start{fill:var(--text)}
svg .observed .start{fill:var(--back);stroke:var(--text);stroke-width:2}
svg .aborted{opacity:.45}
svg .short{fill:var(--bad-back);stroke:var(--bad)}
svg .excused{fill:var(--poor-back);stroke:var(--poor)}
svg .window{fill:var(--bad)}
table{width:100%;border-collapse:collapse}
th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line)}
thead th{color:var(--soft);font-weight:400}
tbody th{font-weight:600}
small{display:block;font-weight:400;color:var(--soft)}
code{font-family:ui-monospace,monospace;font-size:.875em}
@media screen and (max-width:44rem){
svg.wide{display:none}svg.narrow{display:block}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,tr,th,td{display:block}
tr{border-bottom:1px solid var(--line);padding:.5rem 0}
th,td{border:0;padding:0}
td::before{content:attr(data-of) \": \";color:var(--soft)}
}
@media print{
@page{size:A4 landscape;margin:10mm}
:root{color-scheme:light;--text:#000;--soft:#333;--line:#999;--back:#fff;--good:#000;--bad:#000;--bad-back:#ddd;--poor:#000;--poor-back:#eee;--mark:#000}
body{max-width:none;padding:0;font-size:8.5pt;line-height:1.3}
h1{font-size:13pt}h2{font-size:10pt;margin:.5rem 0 0}
p,ul{margin:.2rem 0}
svg{margin:.3rem 0;max-height:85mm}
th,td{padding:.05rem .5rem .05rem 0}
tr{break-inside:avoid}
}
";

/// The page.
pub(super) fn html(timeline: &Timeline) -> String {
    Page(timeline).to_string()
}

struct Page<'a>(&'a Timeline);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeline = self.0;
        let names: Vec<_> = timeline.moves.iter().map(|it| it.name.as_str()).collect();
        let names = names.join(", ");
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Migration: {0}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>Migration: {0}</h1>\n<p class=\"soft\">As of {1}. A ring is when users were told, a \
             dot when it begins (hollow: only observed); the bar is notice that was promised and not \
             given.</p>\n",
            Text(&names),
            date(timeline.at)
        )?;
        for screen in [Screen::Wide, Screen::Narrow] {
            Plot { timeline, screen }.fmt(f)?;
        }
        write!(
            f,
            "<table>\n<thead><tr><th scope=\"col\">Step</th><th scope=\"col\">Told</th>\
             <th scope=\"col\">Begins</th><th scope=\"col\">Notice</th>\
             <th scope=\"col\">Policy</th></tr></thead>\n<tbody>\n"
        )?;
        for it in &timeline.moves {
            for step in &it.steps {
                row(f, &it.name, step)?;
            }
        }
        f.write_str("</tbody>\n</table>\n")?;
        for it in &timeline.moves {
            if let Some(next) = &it.progress.next {
                writeln!(
                    f,
                    "<p>{}: next, {} {} on {}.</p>",
                    Text(&it.name),
                    next.phase,
                    next.what,
                    date(next.at)
                )?;
            }
        }
        f.write_str("</main>\n</body>\n</html>\n")
    }
}

fn row(f: &mut fmt::Formatter<'_>, of: &str, step: &StepLine) -> fmt::Result {
    write!(f, "<tr><th scope=\"row\">{}: {}<small>{}", Text(of), step.phase, Text(&step.scope))?;
    if !step.enforced {
        f.write_str(", observed only")?;
    }
    if let Some(aborted) = step.aborted {
        write!(f, ", taken back on {}", date(aborted))?;
    }
    write!(
        f,
        "</small></th><td data-of=\"Told\">{}</td><td data-of=\"Begins\">{}",
        date(step.announced),
        date(step.start)
    )?;
    if let Some(end) = step.end {
        write!(f, " until {}", date(end))?;
    }
    for share in &step.shares {
        write!(f, "<small>{:.0} % from {}</small>", share.percent, date(share.from))?;
    }
    for window in &step.windows {
        let moment = |at: jiff::Timestamp| at.strftime("%Y-%m-%d %H:%M");
        write!(f, "<small>{} to {} UTC</small>", moment(window.start), moment(window.end))?;
    }
    f.write_str("</td><td data-of=\"Notice\">")?;
    match step.checks.first() {
        Some(check) => write!(f, "{} days", check.notice_days)?,
        None => f.write_str("none needed")?,
    }
    f.write_str("</td><td data-of=\"Policy\">")?;
    for check in &step.checks {
        verdict(f, check)?;
    }
    if step.checks.is_empty() {
        f.write_str("takes nothing away")?;
    }
    f.write_str("</td></tr>\n")
}

fn verdict(f: &mut fmt::Formatter<'_>, check: &ChangeCheck) -> fmt::Result {
    let rule = check.rule.as_deref().unwrap_or("none");
    let (class, words) = match &check.verdict {
        Verdict::Kept => ("good", "kept".to_owned()),
        Verdict::NoRule => ("soft", "nothing was promised".to_owned()),
        Verdict::Aborted => ("soft", "taken back".to_owned()),
        Verdict::Excused { days_short, entry } => {
            ("poor", format!("{days_short} days short, excused by exception {entry}"))
        }
        Verdict::Short { days_short, .. } => {
            ("bad", format!("{days_short} days short, without a valid exception"))
        }
        Verdict::Unknown => ("poor", "waits for a release without a date".to_owned()),
    };
    write!(f, "<span class=\"{class}\">{words}</span>")?;
    if check.rule.is_some() {
        write!(f, "<small>rule {}", Text(rule))?;
        if let Some(from) = check.allowed_from {
            write!(f, " allows it from {}", date(from))?;
        }
        f.write_str("</small>")?;
    }
    Ok(())
}

/// Text, which is never markup.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}
