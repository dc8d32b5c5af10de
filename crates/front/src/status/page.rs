//! The page as HTML: complete without scripts, fonts, images or anything from elsewhere.
//!
//! Everything that comes from a configuration goes through [`Text`]. States are words first and
//! colours second, so that print and those who see no colours lose nothing.

use std::fmt::{self, Display};

use jiff::Timestamp;
use landbridge_core::migration::{Next, Notice, Progress, UnderWay};

use super::{CopyLine, CopyWord, Overall, RangesLine, Release, Status};

const STYLE: &str = "\
:root{color-scheme:light dark;--text:#1b1f24;--soft:#57606a;--line:#d0d7de;--back:#fff;--good:#116329;--poor:#7d4e00;--bad:#a40e26}
@media(prefers-color-scheme:dark){:root{--text:#e6edf3;--soft:#9aa4af;--line:#3d444d;--back:#0d1117;--good:#56d364;--poor:#e3b341;--bad:#ff8182}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.5rem 1rem 3rem;max-width:64rem;font:1rem/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:0}
h2{font-size:1.125rem;margin:2rem 0 .5rem}
footer{margin-top:2rem}
p,ul{margin:.5rem 0}
ul{padding-left:1.25rem}
.word{font-size:1.25rem;font-weight:600;border-left:.375rem solid;padding-left:.75rem;margin:1rem 0}
.good{color:var(--good)}.poor{color:var(--poor)}.bad{color:var(--bad)}
.soft{color:var(--soft)}
table{width:100%;border-collapse:collapse}
th,td{text-align:left;vertical-align:top;padding:.375rem .75rem .375rem 0;border-bottom:1px solid var(--line)}
thead th{color:var(--soft);font-weight:400}
tbody th{font-weight:600}
small{display:block;font-weight:400;color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:0}
dt{color:var(--soft)}
dd{margin:0}
code{font-family:ui-monospace,monospace;font-size:.875em}
a{color:inherit}
@media screen and (max-width:44rem){
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody,tr,th,td{display:block}
tr{border-bottom:1px solid var(--line);padding:.5rem 0}
th,td{border:0;padding:0}
td::before{content:attr(data-of) \": \";color:var(--soft)}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.5rem}
}
@media print{
:root{color-scheme:light;--text:#000;--soft:#333;--line:#999;--back:#fff;--good:#000;--poor:#000;--bad:#000}
body{max-width:none;padding:0}
tr,dl{break-inside:avoid}
}
";

/// The page.
pub(super) fn html(status: &Status) -> String {
    Page(status).to_string()
}

struct Page<'a>(&'a Status);

impl Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { site, at, overall, problems, copies, is_live, release, ranges, migration } =
            self.0;
        let (class, word) = match overall {
            Overall::Ok => ("good", "All is well"),
            Overall::Degraded => ("poor", "Degraded: images can be pulled, but something is wrong"),
            Overall::Down => ("bad", "Down: images cannot be pulled"),
        };
        let (site, at) = (Text(site), Time(*at));
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{site}: status</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
             <h1>Status of {site}</h1>\n<p class=\"word {class}\">{word}</p>\n"
        )?;
        if !problems.is_empty() {
            f.write_str("<ul>\n")?;
            for problem in problems {
                writeln!(f, "<li>{}</li>", Text(problem))?;
            }
            f.write_str("</ul>\n")?;
        }
        if let Some(migration) = migration {
            write_migration(f, migration)?;
        }
        write_copies(f, copies)?;
        let no_release = |why| format!("<h2>Release</h2>\n<p>{why}</p>\n");
        match (release, is_live) {
            (Some(release), _) => write_release(f, release)?,
            (None, true) => {
                f.write_str(&no_release("Names come from a registry, as they are asked for."))?;
            }
            (None, false) => f.write_str(&no_release("None has been read yet."))?,
        }
        write_ranges(f, ranges)?;
        write!(
            f,
            "</main>\n<footer>\n<p class=\"soft\">As one front saw it, {at}. \
             <a href=\"/status.json\">The same as JSON</a></p>\n</footer>\n</body>\n</html>\n"
        )
    }
}

fn write_migration(f: &mut fmt::Formatter<'_>, migration: &Progress) -> fmt::Result {
    let Progress { successor, under_way, waiting, aborted, next, .. } = migration;
    write!(
        f,
        "<h2>This name is being left</h2>\n<p>Use <code>{}</code> instead.</p>\n<ul>\n",
        Text(successor)
    )?;
    for step in under_way {
        let UnderWay { phase, since, scope, share_percent, notice_days, .. } = step;
        write!(f, "<li>{phase} since {}, {}", Time(*since), Text(scope))?;
        if *share_percent < 100.0 {
            write!(f, ", {share_percent:.1} % of clients")?;
        }
        if let Some(generation) = &step.frozen_at {
            write!(f, ", frozen at <code>{generation}</code>")?;
        }
        if let Some(until) = step.refuses_until {
            write!(f, ", <span class=\"bad\">refuses until {}</span>", Time(until))?;
        }
        if !step.enforced {
            f.write_str(", observed only")?;
        }
        if let Some(days) = notice_days {
            write!(f, "; {days} days of notice")?;
        }
        f.write_str("</li>\n")?;
    }
    for step in waiting {
        let gates = step.gates.join("; ");
        writeln!(
            f,
            "<li>{} waits since {}: {}</li>",
            step.phase,
            Time(step.planned),
            Text(&gates)
        )?;
    }
    for step in aborted {
        writeln!(f, "<li>{} of {} was taken back</li>", step.phase, Time(step.planned))?;
    }
    f.write_str("</ul>\n")?;
    match next {
        None => f.write_str("<p>Nothing more is planned.</p>\n"),
        Some(next) => {
            let Next { at, phase, what, share_percent, notice } = next;
            write!(f, "<p>Next: {phase} {what} on {}", Time(*at))?;
            if *share_percent < 100.0 {
                write!(f, " ({share_percent:.1} % of clients)")?;
            }
            if let Some(Notice { days, days_so_far }) = notice {
                write!(f, "; {days} days of notice by then, {days_so_far} so far")?;
            }
            f.write_str(".</p>\n")
        }
    }
}

fn write_copies(f: &mut fmt::Formatter<'_>, copies: &[CopyLine]) -> fmt::Result {
    f.write_str(
        "<h2>Copies</h2>\n<table>\n<thead><tr><th scope=\"col\">Copy</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Holds</th><th scope=\"col\">Last check</th></tr></thead>\n<tbody>\n",
    )?;
    for copy in copies {
        let (class, word) = match copy.state {
            CopyWord::Healthy => ("good", "healthy"),
            CopyWord::Unknown => ("soft", "not checked yet"),
            CopyWord::Returning => ("poor", "coming back"),
            CopyWord::Out => ("bad", "out"),
            CopyWord::Failing => ("bad", "cannot be read"),
            CopyWord::Empty => ("bad", "empty"),
            CopyWord::Drained => ("poor", "taken out by an operator"),
            CopyWord::Forced => ("poor", "kept in by an operator"),
        };
        write!(f, "<tr><th scope=\"row\">{}", Text(&copy.name))?;
        if !copy.provider.is_empty() {
            write!(f, "<small>{} {}</small>", Text(&copy.provider), Text(&copy.region))?;
        }
        write!(f, "</th><td data-of=\"State\"><span class=\"{class}\">{word}</span>")?;
        if copy.state == CopyWord::Returning {
            write!(f, ", with {:.0} % of its users", copy.share * 100.0)?;
        }
        if let Some(since) = copy.since {
            write!(f, "<small>since {}</small>", Time(since))?;
        }
        f.write_str("</td><td data-of=\"Holds\">")?;
        match copy.holds {
            Some(holds) if holds.is_newest => write!(f, "the newest release ({})", holds.sequence)?,
            Some(holds) if holds.sequence == 0 => f.write_str("no release")?,
            Some(holds) => write!(f, "release {}", holds.sequence)?,
            None => f.write_str("unknown")?,
        }
        f.write_str("</td><td data-of=\"Last check\">")?;
        match copy.last_probe {
            Some(probe) => {
                let how = if probe.is_good { "good" } else { "failed" };
                write!(f, "{how}, {} ms<small>{}</small>", probe.milliseconds, Time(probe.at))?;
            }
            None => f.write_str("none yet")?,
        }
        f.write_str("</td></tr>\n")?;
    }
    f.write_str("</tbody>\n</table>\n")
}

fn write_release(f: &mut fmt::Formatter<'_>, release: &Release) -> fmt::Result {
    let Release { origin, sequence, generation, issued, age_seconds, expires, is_expired, .. } =
        release;
    let expired = if *is_expired { ", <span class=\"bad\">which has passed</span>" } else { "" };
    write!(
        f,
        "<h2>Release</h2>\n<dl>\n<dt>Origin</dt><dd>{}</dd>\n<dt>Number</dt><dd>{sequence}</dd>\n\
         <dt>Generation</dt><dd><code>{}</code></dd>\n\
         <dt>Last published</dt><dd>{}, {} ago</dd>\n<dt>Good until</dt><dd>{}{expired}</dd>\n</dl>\n",
        Text(origin),
        Text(generation),
        Time(*issued),
        Age(*age_seconds),
        Time(*expires),
    )
}

fn write_ranges(f: &mut fmt::Formatter<'_>, ranges: &[RangesLine]) -> fmt::Result {
    if ranges.is_empty() {
        return Ok(());
    }
    f.write_str("<h2>Address ranges</h2>\n<ul>\n")?;
    for RangesLine { name, version, date, prefixes } in ranges {
        write!(f, "<li>{}: {prefixes} prefixes", Text(name))?;
        match (date, version) {
            (Some(date), _) => write!(f, ", of {}", Time(*date))?,
            (None, Some(version)) => write!(f, ", version {}", Text(version))?,
            (None, None) => {}
        }
        f.write_str("</li>\n")?;
    }
    f.write_str("</ul>\n")
}

/// Text, which is never markup.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['<', '>', '&', '"', '\'']) {
            let plain = part.trim_end_matches(['<', '>', '&', '"', '\'']);
            f.write_str(plain)?;
            f.write_str(match part.as_bytes().get(plain.len()) {
                Some(b'<') => "&lt;",
                Some(b'>') => "&gt;",
                Some(b'&') => "&amp;",
                Some(b'"') => "&quot;",
                Some(_) => "&#39;",
                None => "",
            })?;
        }
        Ok(())
    }
}

/// A moment, for people and for programs.
struct Time(Timestamp);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at) = self;
        let shown = at.strftime("%Y-%m-%d %H:%M:%S UTC");
        write!(f, "<time datetime=\"{at}\">{shown}</time>")
    }
}

/// How long it is, in the unit that tells most.
struct Age(i64);

impl Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            seconds @ ..120 => (seconds, "second"),
            seconds @ 120..7_200 => (seconds / 60, "minute"),
            seconds @ 7_200..172_800 => (seconds / 3_600, "hour"),
            seconds => (seconds / 86_400, "day"),
        };
        write!(f, "{number} {unit}{}", if number == 1 { "" } else { "s" })
    }
}
