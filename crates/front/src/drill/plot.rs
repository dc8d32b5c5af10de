//! The plot: bytes of each hour around the outage, by who served them, for each configuration.
//!
//! Readable without colour: layers differ by their pattern too, and stand in the legend in the
//! order in which they are stacked.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::plan::moment;
use super::play::Hour;
use super::report::{EdgeLine, Play, Report, WayLine, bytes, unit};

const HOUR: u64 = 3_600;
const WIDTH: u64 = 1_080;
const LEFT: u64 = 70;
/// Where bars end and the legend begins.
const RIGHT: u64 = 780;
const TOP: u64 = 64;
const BARS: u64 = 280;
/// Of one line below the bars.
const LINE: u64 = 18;
/// Copies, and edges, that have a layer of their own.
const MOST_COPIES: usize = 6;
const MOST_EDGES: usize = 5;
/// What was not served, the topmost layer.
const LOST: &str = "not served";

/// Fills, each with a colour and a pattern of its own, and the last one for what was not served.
const FILLS: [(&str, &str); 14] = [
    ("#1f5fa6", ""),
    ("#7fb3e6", "M0 8L8 0"),
    ("#2f7d4f", "M0 4H8"),
    ("#a5d6a7", "M4 0V8"),
    ("#8d6e2f", "M0 0L8 8"),
    ("#e0c068", "M0 4H8M4 0V8"),
    ("#bdbdbd", "M2 2h1v1h-1z"),
    ("#b5472f", "M0 8L8 0M0 0L8 8"),
    ("#f0a080", "M1 5h3"),
    ("#7b4fa0", "M0 2H8M0 6H8"),
    ("#cfa8e8", "M2 0V8M6 0V8"),
    ("#5d6d7e", "M4 2v4M2 4h4"),
    ("#d0d8e0", "M0 7H8"),
    ("#ffffff", "M0 8L8 0M-2 2L2 -2M6 10L10 6"),
];

/// Bytes of each hour under one name.
struct Layer {
    name: String,
    fill: usize,
    hours: Vec<u64>,
}

impl Report {
    /// The plot, as an SVG document.
    pub fn svg(&self) -> String {
        let hours: Vec<u64> = hours(&self.plays);
        let layers = layers(&self.plays, &hours);
        let highest = layers.iter().map(|layers| tallest(layers)).max().unwrap_or(0).max(1);
        let scale = Scale::new(highest);
        let heights = self.plays.iter().map(panel_height).sum::<u64>();
        let mut svg = Svg(String::new());
        let failures: Vec<_> = self.scenario.failures.iter().map(ToString::to_string).collect();
        let title = format!(
            "{} failed from {} until {}",
            failures.join(", "),
            moment(self.scenario.from),
            moment(self.scenario.until)
        );
        svg.open(heights + 30, &title);
        let mut top = 30;
        for (play, layers) in self.plays.iter().zip(&layers) {
            Panel { report: self, play, hours: &hours, layers, scale: &scale, top }.draw(&mut svg);
            top += panel_height(play);
        }
        svg.0.push_str("</svg>\n");
        svg.0
    }
}

/// All hours from the first to the last one that is shown.
fn hours(plays: &[Play]) -> Vec<u64> {
    let all = || plays.iter().flat_map(|play| play.hours.iter().map(|(at, _)| *at));
    let (Some(first), Some(last)) = (all().min(), all().max()) else { return Vec::new() };
    (first / HOUR..=last / HOUR).map(|hour| hour * HOUR).collect()
}

/// The edges whose cap bound, each with a line of its own below the bars.
fn bound(play: &Play) -> impl Iterator<Item = (&str, &[u64])> {
    let edges = play.edges.iter().filter(|edge| !edge.hours.is_empty());
    edges.map(|edge| (&*edge.edge, &*edge.hours))
}

fn panel_height(play: &Play) -> u64 {
    TOP + BARS + 50 + (2 + bound(play).count() as u64) * LINE + 40
}

/// The layers of each play: in all of them a name has the same fill.
fn layers(plays: &[Play], hours: &[u64]) -> Vec<Vec<Layer>> {
    let copies: Vec<_> = plays.iter().map(|play| copy_hours(play, hours)).collect();
    let edges: Vec<_> = plays.iter().map(|play| edge_hours(play, hours)).collect();
    let (top_copies, top_edges) = (largest(&copies, MOST_COPIES), largest(&edges, MOST_EDGES));
    let all = plays.iter().zip(copies).zip(edges);
    let of_play = |((play, copies), edges)| {
        let mut layers = stack(copies, &top_copies, "other copies", 0);
        layers.extend(stack(edges, &top_edges, "other edges", MOST_COPIES + 1));
        let lost = |hour: &Hour| {
            let seen = &hour.seen;
            let lost = [seen.withheld, seen.broken, seen.unnoticed, seen.hopeless];
            lost.iter().map(|it| it.bytes).sum()
        };
        let hours = each(play, hours, &lost);
        layers.push(Layer { name: LOST.to_owned(), fill: FILLS.len() - 1, hours });
        layers
    };
    all.map(of_play).collect()
}

type Named = (String, Vec<u64>);

fn each(play: &Play, hours: &[u64], of: &dyn Fn(&Hour) -> u64) -> Vec<u64> {
    let find = |at: &u64| {
        let found = play.hours.binary_search_by_key(at, |(hour, _)| *hour);
        found.ok().and_then(|found| play.hours.get(found)).map(|(_, hour)| hour)
    };
    hours.iter().map(|at| find(at).map_or(0, of)).collect()
}

/// What each copy served by routes.
fn copy_hours(play: &Play, hours: &[u64]) -> Vec<Named> {
    let of_copy = |(at, copy): (usize, &WayLine)| {
        let own = |hour: &Hour| {
            let edges = play.edges.iter().zip(&hour.edges);
            let over = edges.filter(|(edge, _)| edge.copy == at).map(|(_, bytes)| *bytes);
            hour.copies.get(at).copied().unwrap_or(0).saturating_sub(over.sum::<u64>())
        };
        (copy.copy.clone(), each(play, hours, &own))
    };
    play.copies.iter().enumerate().map(of_copy).collect()
}

/// What each edge carried.
fn edge_hours(play: &Play, hours: &[u64]) -> Vec<Named> {
    let of_edge = |(at, edge): (usize, &EdgeLine)| {
        let carried = |hour: &Hour| hour.edges.get(at).copied().unwrap_or(0);
        (format!("edge: {}", edge.edge), each(play, hours, &carried))
    };
    play.edges.iter().enumerate().map(of_edge).collect()
}

/// The names with the most bytes in all plays together, at most so many; one more than `most` is
/// shown as what it is.
fn largest(plays: &[Vec<Named>], most: usize) -> Vec<String> {
    let mut sums: BTreeMap<&str, u128> = BTreeMap::new();
    for (name, hours) in plays.iter().flatten() {
        *sums.entry(name).or_default() += hours.iter().map(|it| u128::from(*it)).sum::<u128>();
    }
    let mut names: Vec<_> = sums.into_iter().filter(|(_, sum)| *sum > 0).collect();
    names.sort_by_key(|(_, sum)| Reverse(*sum));
    if names.len() > most + 1 {
        names.truncate(most);
    }
    names.into_iter().map(|(name, _)| name.to_owned()).collect()
}

/// The `top` ones as layers, and all others as one; with fills from `fill` on.
fn stack(mut all: Vec<Named>, top: &[String], others: &str, fill: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    for (number, name) in top.iter().enumerate() {
        if let Some(at) = all.iter().position(|(other, _)| other == name) {
            let (name, hours) = all.swap_remove(at);
            layers.push(Layer { name, fill: fill + number, hours });
        }
    }
    let rest = all.into_iter().filter(|(_, hours)| hours.iter().any(|bytes| *bytes > 0));
    let mut sum = Vec::new();
    let mut count = 0;
    for (_, hours) in rest {
        sum.resize(hours.len(), 0);
        for (sum, more) in sum.iter_mut().zip(hours) {
            *sum += more;
        }
        count += 1;
    }
    if count > 0 {
        let name = format!("{count} {others}");
        layers.push(Layer { name, fill: fill + top.len(), hours: sum });
    }
    layers
}

fn tallest(layers: &[Layer]) -> u64 {
    let hours = layers.iter().map(|layer| layer.hours.len()).max().unwrap_or(0);
    let total = |at: usize| layers.iter().filter_map(|layer| layer.hours.get(at)).sum::<u64>();
    (0..hours).map(total).max().unwrap_or(0)
}

/// Round numbers up to the highest bar.
struct Scale {
    step: u64,
    most: u64,
}

impl Scale {
    fn new(highest: u64) -> Self {
        let (unit, _) = unit(highest);
        let steps = [1, 2, 5, 10, 20, 50, 100, 200, 500].map(|it| it * unit);
        let step = steps.into_iter().find(|step| highest.div_ceil(*step) <= 6);
        let step = step.unwrap_or(highest.div_ceil(6));
        Self { step, most: highest.div_ceil(step) * step }
    }

    /// Pixels, in tenths.
    fn height(&self, bytes: u64) -> u64 {
        let tenths = u128::from(bytes) * u128::from(BARS * 10) / u128::from(self.most.max(1));
        u64::try_from(tenths).unwrap_or(0)
    }
}

struct Panel<'a> {
    report: &'a Report,
    play: &'a Play,
    hours: &'a [u64],
    layers: &'a [Layer],
    scale: &'a Scale,
    top: u64,
}

impl Panel<'_> {
    fn draw(&self, svg: &mut Svg) {
        let (play, top) = (self.play, self.top);
        svg.text(LEFT, top + 18, "title", &play.configuration);
        let seen = play.seen();
        let told = format!(
            "{} refused (503), {} slowed (429) pulls; cost from the outage's begin until all was as before: {}, undisturbed {}",
            super::money::grouped(seen.refused),
            super::money::grouped(seen.slowed),
            play.cost,
            play.cost_undisturbed,
        );
        svg.text(LEFT, top + 38, "", &told);
        self.axis(svg);
        self.bars(svg);
        self.outage(svg);
        self.below(svg);
        self.legend(svg);
    }

    /// Where a moment is, in tenths of a pixel.
    fn x(&self, at: u64) -> u64 {
        let (Some(first), hours) = (self.hours.first(), self.hours.len() as u64) else { return 0 };
        let width = (RIGHT - LEFT) * 10;
        let passed = at.saturating_sub(*first).min(hours * HOUR);
        LEFT * 10 + passed * width / (hours.max(1) * HOUR)
    }

    fn bottom(&self) -> u64 {
        self.top + TOP + BARS
    }

    fn axis(&self, svg: &mut Svg) {
        let bottom = self.bottom();
        let mut at = 0;
        while at <= self.scale.most {
            let y = bottom * 10 - self.scale.height(at);
            svg.line((LEFT * 10, y), (RIGHT * 10, y), "grid");
            svg.text(LEFT - 6, y / 10 + 4, "end", &bytes(at));
            at += self.scale.step;
        }
        let middle = self.top + TOP + BARS / 2;
        let _ = writeln!(
            svg.0,
            r#"<text class="mid" transform="translate(14 {middle}) rotate(-90)">bytes each hour</text>"#
        );
        // A day for each label, or parts of one, as many as fit.
        let every = [2, 3, 6, 12, 24, 48].into_iter().find(|it| self.hours.len() as u64 / it <= 9);
        let every = every.unwrap_or(96);
        for hour in self.hours.iter().filter(|hour| (**hour / HOUR).is_multiple_of(every)) {
            let x = self.x(*hour);
            svg.line((x, bottom * 10), (x, bottom * 10 + 50), "axis");
            let text = moment(*hour);
            let (day, time) = (text.get(5..10).unwrap_or(""), text.get(11..16).unwrap_or(""));
            svg.text(x / 10, bottom + 18, "mid", time);
            svg.text(x / 10, bottom + 32, "mid", day);
        }
        svg.line((LEFT * 10, bottom * 10), (RIGHT * 10, bottom * 10), "axis");
        svg.text(RIGHT + 24, bottom + 18, "", "UTC");
    }

    fn bars(&self, svg: &mut Svg) {
        let bottom = self.bottom() * 10;
        let mut base = vec![0_u64; self.hours.len()];
        for layer in self.layers {
            let mut path = String::new();
            for ((at, hour), base) in self.hours.iter().enumerate().zip(&mut base) {
                let bytes = layer.hours.get(at).copied().unwrap_or(0);
                let (low, high) = (self.scale.height(*base), self.scale.height(*base + bytes));
                *base += bytes;
                if high == low {
                    continue;
                }
                let (x, end) = (self.x(*hour), self.x(hour + HOUR));
                let (y, width, height) = (bottom - high, end - x, high - low);
                let [x, y, width, height] = [x, y, width, height].map(tenths);
                let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
            }
            if !path.is_empty() {
                let fill = layer.fill;
                let _ = writeln!(svg.0, r#"<path class="bar" fill="url(#f{fill})" d="{path}"/>"#);
            }
        }
    }

    fn outage(&self, svg: &mut Svg) {
        let (top, bottom) = ((self.top + TOP - 8) * 10, self.bottom() * 10);
        let marks = [
            (Some(self.report.scenario.from), "outage", "end"),
            (Some(self.report.scenario.until), "ends", ""),
        ];
        for (at, name, class) in marks {
            let Some(at) = at else { continue };
            let x = self.x(at);
            svg.line((x, top), (x, bottom), "mark");
            let x = if class.is_empty() { x / 10 + 4 } else { x / 10 - 4 };
            svg.text(x, top / 10 + 8, class, name);
        }
    }

    /// Below the bars: pulls that were refused, and whose cap bound when.
    fn below(&self, svg: &mut Svg) {
        let play = self.play;
        let mut y = self.bottom() + 50;
        let counts = [("refused (503)", true), ("slowed (429)", false)];
        for (name, is_refused) in counts {
            let count = |hour: &Hour| if is_refused { hour.seen.refused } else { hour.seen.slowed };
            let most = play.hours.iter().map(|(_, hour)| count(hour)).max().unwrap_or(0);
            for (at, hour) in &play.hours {
                let high = count(hour) * (LINE - 4) * 10 / most.max(1);
                if high > 0 {
                    let (x, end) = (self.x(*at), self.x(at + HOUR));
                    svg.rect(x, (y + LINE - 2) * 10 - high, end - x, high, "count");
                }
            }
            let most = super::money::grouped(most);
            svg.text(RIGHT + 8, y + LINE - 4, "", &format!("{name}: up to {most} pulls an hour"));
            svg.line((LEFT * 10, (y + LINE - 2) * 10), (RIGHT * 10, (y + LINE - 2) * 10), "grid");
            y += LINE;
        }
        for (name, hours) in bound(play) {
            for at in hours.iter().filter(|at| self.hours.contains(at)) {
                let (x, end) = (self.x(*at), self.x(at + HOUR));
                svg.rect(x, (y + 5) * 10, end - x, (LINE - 9) * 10, "bound");
            }
            svg.text(RIGHT + 8, y + LINE - 4, "", &format!("cap bound: {name}"));
            y += LINE;
        }
    }

    fn legend(&self, svg: &mut Svg) {
        let mut y = self.top + TOP;
        // As they are stacked: the topmost first.
        for layer in self.layers.iter().rev() {
            if layer.hours.iter().all(|bytes| *bytes == 0) {
                continue;
            }
            let fill = layer.fill;
            let x = RIGHT + 12;
            let _ = writeln!(
                svg.0,
                r#"<rect class="bar" fill="url(#f{fill})" x="{x}" y="{y}" width="22" height="13"/>"#
            );
            svg.text(RIGHT + 42, y + 11, "", &layer.name);
            y += LINE + 2;
        }
    }
}

/// Text of a document.
struct Svg(String);

impl Svg {
    fn open(&mut self, height: u64, title: &str) {
        let title = escaped(title);
        let _ = writeln!(
            self.0,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="{title}">
<title>{title}</title>
<style>text{{font:12px sans-serif;fill:#111}}.title{{font-weight:bold;font-size:14px}}.end{{text-anchor:end}}.mid{{text-anchor:middle}}.grid{{stroke:#ccc}}.axis{{stroke:#111}}.mark{{stroke:#c00;stroke-width:2;stroke-dasharray:6 4}}.bar{{stroke:#111;stroke-width:.4}}.count{{fill:#c00}}.bound{{fill:#111}}</style>
<rect width="{WIDTH}" height="{height}" fill="#fff"/>
<defs>"##
        );
        for (number, (colour, lines)) in FILLS.iter().enumerate() {
            let ink = if number == FILLS.len() - 1 { "#c00" } else { "#0006" };
            let _ = writeln!(
                self.0,
                r#"<pattern id="f{number}" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" fill="{colour}"/><path d="{lines}" stroke="{ink}" stroke-width="1.2"/></pattern>"#
            );
        }
        self.0.push_str("</defs>\n");
        self.text(LEFT, 22, "title", &title);
    }

    /// `text` may be anything; a class may be empty.
    fn text(&mut self, x: u64, y: u64, class: &str, text: &str) {
        let class = if class.is_empty() { String::new() } else { format!(r#" class="{class}""#) };
        let text = escaped(text);
        let _ = writeln!(self.0, r#"<text{class} x="{x}" y="{y}">{text}</text>"#);
    }

    /// In tenths of a pixel.
    fn line(&mut self, from: (u64, u64), to: (u64, u64), class: &str) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(tenths);
        let _ =
            writeln!(self.0, r#"<line class="{class}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>"#);
    }

    /// In tenths of a pixel.
    fn rect(&mut self, x: u64, y: u64, width: u64, height: u64, class: &str) {
        let [x, y, width, height] = [x, y, width, height].map(tenths);
        let _ = writeln!(
            self.0,
            r#"<rect class="{class}" x="{x}" y="{y}" width="{width}" height="{height}"/>"#
        );
    }
}

fn tenths(number: u64) -> String {
    if number.is_multiple_of(10) {
        (number / 10).to_string()
    } else {
        format!("{}.{}", number / 10, number % 10)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
