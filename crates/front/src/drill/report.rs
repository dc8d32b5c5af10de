//! What a drill tells: a table for people, the same as JSON, and hours for the plot.

use std::fmt::{self, Write as _};
use std::thread;

use landbridge_core::topology::CopySet;
use serde::Serialize;

use super::money::{Bill, grouped};
use super::plan::{DrillError, Probing, Scenario, Stage, Timeline, moment};
use super::play::{Amounts, Hour, Played, Seen, play};
use super::traffic::{Recording, Traffic};
use crate::settings::{Delivery, Settings};

const HOUR: u64 = 3_600;

/// What came of a drill.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was read.
    pub recording: Recording,
    /// What was played.
    pub scenario: Scenario,
    /// With each configuration, in the order in which they were given.
    pub plays: Vec<Play>,
    /// What records cannot tell.
    pub cannot_tell: Vec<String>,
}

/// What came of one configuration.
#[derive(Debug, Clone, Serialize)]
pub struct Play {
    /// The configuration.
    pub configuration: String,
    /// The copies that fail.
    pub failed: Vec<String>,
    /// Every copy fails at once: a front takes that for its own fault and sends clients on.
    pub is_blind: bool,
    /// When fronts noticed, at the latest; as all moments in seconds since 1970.
    pub noticed: Option<u64>,
    /// When they sent the first clients there again.
    pub returned: Option<u64>,
    /// When all was as before.
    pub whole: Option<u64>,
    /// Answers whose site the configuration has not.
    pub not_played: u64,
    /// What users saw from the outage's begin until all was as before.
    seen: Seen,
    /// What the bytes of that while cost.
    pub cost: Bill,
    /// What they would have cost had nothing failed.
    pub cost_undisturbed: Bill,
    /// By copy, what it served in that while.
    pub copies: Vec<WayLine>,
    /// By overflow edge.
    pub edges: Vec<EdgeLine>,
    #[serde(skip)]
    pub(super) hours: Vec<(u64, Hour)>,
}

/// What a copy served.
#[derive(Debug, Clone, Serialize)]
pub struct WayLine {
    /// The copy.
    pub copy: String,
    /// What it served.
    pub served: Amounts,
    /// What that cost.
    pub cost: Bill,
    /// What it would have served had nothing failed.
    pub undisturbed: Amounts,
}

/// What went over an overflow edge.
#[derive(Debug, Clone, Serialize)]
pub struct EdgeLine {
    /// Its site.
    pub site: String,
    /// Its name.
    pub edge: String,
    /// The copy that it leads to, by place in the list.
    #[serde(skip)]
    pub(super) copy: usize,
    /// What went over it.
    pub carried: Amounts,
    /// What that cost.
    pub cost: Bill,
    /// The most of its hour's cap that was spent, in thousandths.
    pub fullest_hour_permille: u64,
    /// The most of its day's.
    pub fullest_day_permille: u64,
    /// Pulls for which it had no room; they took the next one, or were refused.
    pub full: u64,
    /// When its cap first bound, or was near for an edge that slows.
    pub bound_from: Option<u64>,
    /// When it did last.
    pub bound_until: Option<u64>,
    /// In which hours.
    #[serde(skip)]
    pub(super) hours: Vec<u64>,
}

impl Report {
    /// Plays records against configurations, each by a name for people.
    pub fn of(
        traffic: &Traffic,
        configurations: Vec<(String, Settings)>,
        scenario: &Scenario,
    ) -> Result<Self, DrillError> {
        let mut cannot_tell = Vec::new();
        let mut plays = Vec::new();
        for (name, settings) in configurations {
            if settings.sites.iter().any(|site| site.delivery == Delivery::Proxy) {
                push_once(&mut cannot_tell, PROXY);
            }
            if settings.copies.iter().any(|copy| copy.operator.is_some()) {
                push_once(&mut cannot_tell, OVERRIDES);
            }
            plays.push(Play::of(name, settings, traffic, scenario)?);
        }
        cannot_tell.extend(CANNOT_TELL.iter().map(|text| (*text).to_owned()));
        let (recording, scenario) = (traffic.recording.clone(), scenario.clone());
        Ok(Self { recording, scenario, plays, cannot_tell })
    }

    /// Whether nothing was left out that records had.
    pub fn is_complete(&self) -> bool {
        self.recording.malformed == 0 && self.plays.iter().all(|play| play.not_played == 0)
    }
}

const PROXY: &str = "A front that streams blobs (`delivery: proxy`) sees a copy fail and takes the next one; clients are played as if they were redirected.";

const OVERRIDES: &str =
    "What an operator says of a copy (`override`) is for the days to come, and is not played.";

const CANNOT_TELL: [&str; 6] = [
    "Who asked: no addresses are kept. The clients of a place are played as 64 networks drawn by the seed, so who keeps to which copy, and who is refused, is right on the whole and not for anyone.",
    "What a copy holds: they say only which one served. Each copy of a site is played as holding everything.",
    "What is asked when answers differ: people and programs whose pull is refused or breaks try again, sooner or later than the cap's renewal. Nothing is asked here that was not recorded.",
    "What a client had already: a front lets a pull in by all that its manifest names, the drill by what it took. So a front refuses a little earlier than the drill.",
    "Moments within a slot: its requests are spread over it evenly, and a pull's blobs are taken as it begins.",
    "Whether the other copies can carry the load, and how much slower a longer way is. Bytes are what was handed out, as if clients took all of it.",
];

fn push_once(list: &mut Vec<String>, text: &str) {
    if !list.iter().any(|it| it == text) {
        list.push(text.to_owned());
    }
}

impl Play {
    fn of(
        name: String,
        settings: Settings,
        traffic: &Traffic,
        scenario: &Scenario,
    ) -> Result<Self, DrillError> {
        let probing = Probing::of(&settings);
        let stage = Stage::new(&name, settings, traffic, scenario)?;
        let all = stage.snapshot.copies.iter().map(|copy| copy.id).collect::<CopySet>();
        let timeline = Timeline::new(scenario, stage.failed, all, probing);
        let quiet = timeline.undisturbed();
        let (played, undisturbed) = thread::scope(|scope| {
            let other = scope.spawn(|| play(&stage, traffic, &quiet));
            let played = play(&stage, traffic, &timeline);
            let other = other.join();
            (played, other.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let unknown: Vec<bool> = stage.routes.iter().map(Option::is_none).collect();
        let not_played = traffic.rows.iter().filter(|row| unknown[row.group as usize]);
        let not_played = not_played.map(|row| row.asked.answers()).sum();
        let names = stage.snapshot.copies.iter().map(|copy| copy.name.to_string());
        let names: Vec<String> = names.collect();
        Ok(Self {
            configuration: name,
            failed: stage.failed.iter().filter_map(|id| names.get(id.index()).cloned()).collect(),
            is_blind: all.minus(stage.failed).is_empty(),
            noticed: timeline.noticed(),
            returned: timeline.returned(),
            whole: timeline.whole(),
            not_played,
            seen: played.during,
            cost: total(&played.bills),
            cost_undisturbed: total(&undisturbed.bills),
            edges: edge_lines(&stage.snapshot.settings, &played),
            hours: shown(&played, &timeline),
            copies: names
                .into_iter()
                .enumerate()
                .map(|(at, copy)| WayLine {
                    copy,
                    served: played.copies.get(at).copied().unwrap_or_default(),
                    cost: played.bills.get(at).cloned().unwrap_or_default(),
                    undisturbed: undisturbed.copies.get(at).copied().unwrap_or_default(),
                })
                .collect(),
        })
    }

    /// What users saw.
    pub(super) fn seen(&self) -> &Seen {
        &self.seen
    }
}

fn total(bills: &[Bill]) -> Bill {
    let mut total = Bill::default();
    for bill in bills {
        total.add(bill);
    }
    total
}

fn edge_lines(settings: &Settings, played: &Played) -> Vec<EdgeLine> {
    let lines = settings.edges().zip(&played.edges).map(|(named, edge)| EdgeLine {
        site: named.site.to_owned(),
        edge: named.name(),
        copy: named.edge.copy,
        carried: edge.carried,
        cost: edge.bill.clone(),
        fullest_hour_permille: edge.fullest.0,
        fullest_day_permille: edge.fullest.1,
        full: edge.full,
        bound_from: edge.bound.map(|(from, _)| from),
        bound_until: edge.bound.map(|(_, until)| until),
        hours: edge.hours.iter().map(|hour| hour * HOUR).collect(),
    });
    lines.collect()
}

/// The hours around the outage: as long before and after as it takes, within half a day and two.
fn shown(played: &Played, timeline: &Timeline) -> Vec<(u64, Hour)> {
    let (from, until) = timeline.window();
    let around = (until - from).clamp(12 * HOUR, 48 * HOUR);
    let (first, last) = (from.saturating_sub(around) / HOUR * HOUR, until + around);
    played.hours.range(first..last).map(|(at, hour)| (*at, hour.clone())).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recording, scenario, plays, cannot_tell } = self;
        let failures: Vec<_> = scenario.failures.iter().map(ToString::to_string).collect();
        let [from, until] = [scenario.from, scenario.until].map(moment);
        writeln!(f, "Drill: {} failed from {from} until {until}", failures.join(", "))?;
        let [begin, end] = [recording.from, recording.until].map(moment);
        writeln!(
            f,
            "Records: {} answers from {begin} until {end}, in slots of {} s; {} errors and {} probes are not played",
            grouped(recording.answers),
            recording.slot_seconds,
            grouped(recording.errors),
            grouped(recording.probes),
        )?;
        for malformed in &recording.examples {
            writeln!(f, "  {}:{}: no record: {}", malformed.file, malformed.line, malformed.why)?;
        }
        if recording.malformed > recording.examples.len() as u64 {
            writeln!(f, "  {} lines in all are no records", grouped(recording.malformed))?;
        }
        writeln!(
            f,
            "Played as if health and failover were in `enforce`, all fronts as one; seed {}",
            scenario.seed
        )?;
        writeln!(f)?;
        f.write_str(&side_by_side(self))?;
        for play in plays {
            writeln!(f)?;
            f.write_str(&copies_table(play))?;
            if !play.edges.is_empty() {
                writeln!(f)?;
                f.write_str(&edges_table(play))?;
            }
        }
        writeln!(f, "\nWhat records cannot tell:")?;
        for text in cannot_tell {
            writeln!(f, "- {text}")?;
        }
        Ok(())
    }
}

/// One column for each configuration.
fn side_by_side(report: &Report) -> String {
    let mut table = Table::new("lr");
    let mut line = |name: &str, value: &dyn Fn(&Play) -> String| {
        let values = report.plays.iter().map(value);
        table.line(std::iter::once(name.to_owned()).chain(values));
    };
    let from = report.scenario.from;
    let until = report.scenario.until;
    let after = |at: Option<u64>, since: u64| match at {
        Some(at) => format!("after {}", duration(at.saturating_sub(since))),
        None => "never".to_owned(),
    };
    line("", &|play| play.configuration.clone());
    line("Copies that failed", &|play| play.failed.len().to_string());
    line("Noticed", &|play| {
        if play.is_blind {
            "never: all copies at once".to_owned()
        } else {
            after(play.noticed, from)
        }
    });
    line("First clients back, after the outage's end", &|play| after(play.returned, until));
    line("All as before, after its end", &|play| after(play.whole, until));
    line("", &|_| String::new());
    line("What users saw, until all was as before", &|_| String::new());
    line("  manifests answered", &|play| grouped(play.seen.manifests.requests));
    line("  pulls refused with 503", &|play| grouped(play.seen.refused));
    line("  pulls slowed with 429", &|play| grouped(play.seen.slowed));
    line("  blobs served", &|play| amounts(play.seen.blobs));
    line("  blobs of pulls that were not let in", &|play| amounts(play.seen.withheld));
    line("  blobs refused to pulls that were let in", &|play| amounts(play.seen.broken));
    line("  sent to a dead copy, not noticed yet", &|play| amounts(play.seen.unnoticed));
    line("  sent to a dead copy, nowhere else to go", &|play| amounts(play.seen.hopeless));
    line("", &|_| String::new());
    line("What that while cost", &|play| play.cost.to_string());
    line("  undisturbed it would have cost", &|play| play.cost_undisturbed.to_string());
    line("  more", &|play| play.cost.minus(&play.cost_undisturbed).to_string());
    if report.plays.iter().any(|play| play.cost.unpriced_bytes > 0) {
        line("  bytes without a known price", &|play| bytes(play.cost.unpriced_bytes));
    }
    if report.plays.iter().any(|play| play.not_played > 0) {
        line("Answers of other sites, not played", &|play| grouped(play.not_played));
    }
    table.text()
}

fn copies_table(play: &Play) -> String {
    let mut table = Table::new("lrrrr");
    table.line([
        format!("{}: by copy", play.configuration),
        "undisturbed".to_owned(),
        "in the outage".to_owned(),
        "blobs".to_owned(),
        "cost".to_owned(),
    ]);
    let is_used = |way: &&WayLine| way.served.requests > 0 || way.undisturbed.requests > 0;
    for way in play.copies.iter().filter(is_used) {
        let mark = if play.failed.contains(&way.copy) { " (failed)" } else { "" };
        table.line([
            format!("  {}{mark}", way.copy),
            bytes(way.undisturbed.bytes),
            bytes(way.served.bytes),
            grouped(way.served.requests),
            way.cost.to_string(),
        ]);
    }
    table.text()
}

fn edges_table(play: &Play) -> String {
    let mut table = Table::new("lrrrrrrl");
    let title = format!("{}: over edges", play.configuration);
    let heads = [&*title, "bytes", "blobs", "cost", "hour's cap", "day's cap", "full for", "bound"];
    table.line(heads.map(str::to_owned));
    let sites = play.edges.iter().map(|edge| &edge.site).collect::<std::collections::BTreeSet<_>>();
    for edge in &play.edges {
        let site = if sites.len() > 1 { format!("{}: ", edge.site) } else { String::new() };
        let percent = |permille: u64| match permille {
            0 => "-".to_owned(),
            permille => format!("{}.{} %", permille / 10, permille % 10),
        };
        let bound = match (edge.bound_from, edge.bound_until) {
            (Some(from), Some(until)) => {
                format!("{} to {}, in {} hours", moment(from), moment(until), edge.hours.len())
            }
            _ => "never".to_owned(),
        };
        table.line([
            format!("  {site}{}", edge.edge),
            bytes(edge.carried.bytes),
            grouped(edge.carried.requests),
            edge.cost.to_string(),
            percent(edge.fullest_hour_permille),
            percent(edge.fullest_day_permille),
            format!("{} pulls", grouped(edge.full)),
            bound,
        ]);
    }
    table.text()
}

/// Columns as wide as they must be.
struct Table {
    /// `l` or `r` for each column, the last one for all that follow.
    align: &'static str,
    lines: Vec<Vec<String>>,
}

impl Table {
    fn new(align: &'static str) -> Self {
        Self { align, lines: Vec::new() }
    }

    fn line(&mut self, cells: impl IntoIterator<Item = String>) {
        self.lines.push(cells.into_iter().collect());
    }

    fn text(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let width = |at: usize| {
            self.lines
                .iter()
                .filter_map(|line| Some(line.get(at)?.chars().count()))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<_> = (0..columns).map(width).collect();
        let align = |at: usize| self.align.chars().nth(at).or(self.align.chars().last());
        let mut out = String::new();
        for line in &self.lines {
            let mut text = String::new();
            for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
                let gap = if at == 0 { "" } else { "  " };
                // Writing to a string cannot fail.
                let _ = match align(at) {
                    Some('r') => write!(text, "{gap}{cell:>width$}"),
                    _ => write!(text, "{gap}{cell:<width$}"),
                };
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
        out
    }
}

fn amounts(amounts: Amounts) -> String {
    format!("{} ({})", grouped(amounts.requests), bytes(amounts.bytes))
}

/// In the unit that leaves one to three digits before the point.
pub(super) fn bytes(bytes: u64) -> String {
    let (unit, name) = unit(bytes);
    if unit == 1 {
        return format!("{bytes} B");
    }
    let tenths = (u128::from(bytes) * 10 + u128::from(unit) / 2) / u128::from(unit);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// The largest decimal unit that `bytes` has one of.
pub(super) fn unit(bytes: u64) -> (u64, &'static str) {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit = 1;
    for name in &units[..6] {
        if bytes / unit < 1_000 {
            return (unit, name);
        }
        unit *= 1_000;
    }
    (unit, units[6])
}

fn duration(seconds: u64) -> String {
    match (seconds / HOUR, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
