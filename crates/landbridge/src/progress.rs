//! How a long run is shown: bars on a terminal, a line every few seconds in a log, events for a
//! machine; and how it is stopped.

mod meter;

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use landbridge_core::Digest;
use landbridge_replicate::{Costs, Progress, Stop};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::meter::{Meter, Part};
use crate::exit::{OrExit as _, Outcome};

/// Between two lines or two events about the same thing.
const PERIOD: Duration = Duration::from_secs(5);

const TOTAL: &str =
    "{bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left {msg}";
const COPY: &str = "{bar:30} {pos}/{len} objects {prefix}";

/// Where progress goes.
pub(crate) struct Display {
    face: Face,
    meter: Mutex<Meter>,
    began: Instant,
}

enum Face {
    /// One bar for all bytes, and one for each copy, on standard error.
    Bars(Bars),
    /// A line every few seconds, on standard error.
    Lines,
    /// An object of JSON on a line of standard output for each event.
    Events,
}

/// What a machine is told; the last line of its output is the report.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    /// How far the run is: told every few seconds and when a plan is made.
    Progress {
        #[serde(flatten)]
        meter: &'a Meter,
        bytes_per_second: u64,
        seconds_left: Option<u64>,
    },
    /// What the plan costs, before anything moves.
    Priced { costs: &'a Costs },
    /// All objects are in place; names follow.
    Publishing { generation: &'a Digest },
    /// Another release came first.
    Rebasing { attempt: u32 },
}

impl Display {
    /// Bars if standard error is a terminal, lines elsewhere.
    pub(crate) fn for_people() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self::new(if is_terminal { Face::Bars(Bars::new()) } else { Face::Lines })
    }

    /// Events on standard output.
    pub(crate) fn for_machines() -> Self {
        Self::new(Face::Events)
    }

    fn new(face: Face) -> Self {
        Self { face, meter: Mutex::default(), began: Instant::now() }
    }

    /// Takes in one step.
    pub(crate) fn show(&self, progress: &Progress) {
        let now = self.began.elapsed();
        let mut meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        meter.count(progress, now);
        if let Face::Bars(bars) = &self.face {
            bars.show(&meter, progress);
        }
        match progress {
            Progress::Planned { .. } => self.tell(&meter, now),
            Progress::Priced { costs } if costs.edges.is_empty() => {}
            Progress::Priced { costs } => match &self.face {
                Face::Bars(_) | Face::Lines => self.warn(&costs.to_string()),
                Face::Events => self.say("", &Event::Priced { costs }),
            },
            Progress::Publishing { generation } => self.say(
                &format!("publishing generation {generation}"),
                &Event::Publishing { generation },
            ),
            Progress::Rebasing { attempt } => self.say(
                &format!("another release came first; attempt {attempt}"),
                &Event::Rebasing { attempt: *attempt },
            ),
            Progress::Looked { .. }
            | Progress::Started { .. }
            | Progress::Advanced { .. }
            | Progress::Placed { .. }
            | Progress::Finished { .. } => {}
        }
    }

    /// Says how far it is.
    fn tick(&self) {
        let meter = self.meter.lock().unwrap_or_else(PoisonError::into_inner);
        self.tell(&meter, self.began.elapsed());
    }

    fn tell(&self, meter: &Meter, now: Duration) {
        let event = Event::Progress {
            meter,
            bytes_per_second: meter.bytes_per_second(now),
            seconds_left: meter.left(now).map(|left| left.as_secs()),
        };
        self.say(&meter.line(now), &event);
    }

    fn say(&self, line: &str, event: &Event<'_>) {
        // If nobody listens any more, the run goes on.
        match &self.face {
            Face::Bars(_) => {}
            Face::Lines => drop(writeln!(std::io::stderr(), "{line}")),
            Face::Events => {
                if let Ok(line) = serde_json::to_string(event) {
                    drop(writeln!(std::io::stdout(), "{line}"));
                }
            }
        }
    }

    fn warn(&self, text: &str) {
        let warn = || drop(writeln!(std::io::stderr(), "{text}"));
        match &self.face {
            Face::Bars(bars) => bars.all.suspend(warn),
            Face::Lines | Face::Events => warn(),
        }
    }

    fn end(&self) {
        if let Face::Bars(bars) = &self.face {
            // A terminal that has gone needs no clearing.
            let _ = bars.all.clear();
        }
    }
}

/// Runs `work` to its end, and shows how far it is meanwhile. The first Ctrl-C, or SIGTERM, lets it
/// finish what is in flight, the second ends it at once.
pub(crate) async fn watch<T>(
    display: &Display,
    stop: &Stop,
    work: impl Future<Output = Outcome<T>>,
) -> Outcome<T> {
    let mut work = std::pin::pin!(work);
    let mut signals = Signals::new().context("cannot listen for Ctrl-C").or_failed()?;
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.tick().await;
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = ticks.tick() => display.tick(),
            () = signals.next() => if stop.ask() {
                break Err(anyhow!(
                    "stopped at once: what was in flight is lost, nothing was published, and the \
                     same command goes on from here"
                )).or_failed();
            } else {
                display.warn("finishing what is in flight; once more ends it at once");
            },
        }
    };
    display.end();
    done
}

/// What asks a run to end.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// Bars on a terminal.
struct Bars {
    all: MultiProgress,
    total: ProgressBar,
    copies: Mutex<Vec<ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        let all = MultiProgress::new();
        let total = all.add(bar(TOTAL));
        Self { all, total, copies: Mutex::default() }
    }

    fn show(&self, meter: &Meter, progress: &Progress) {
        let mut copies = self.copies.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::Looked { repositories, of } => {
                self.total.set_message(format!("{repositories}/{of} repositories looked at"));
            }
            Progress::Planned { bytes, .. } => {
                self.total.reset();
                self.total.set_length(*bytes);
                for old in copies.drain(..) {
                    self.all.remove(&old);
                }
                for copy in &meter.copies {
                    let bar = self.all.add(bar(COPY).with_prefix(copy.name.clone()));
                    bar.set_length(copy.objects.of);
                    copies.push(bar);
                }
            }
            Progress::Advanced { .. } => self.total.set_position(meter.bytes.done),
            Progress::Placed { copy, .. } => {
                if let Some(bar) = copies.get(copy.index()) {
                    bar.inc(1);
                }
            }
            Progress::Finished { .. } => {
                let Part { done, of } = meter.objects;
                self.total.set_message(format!("{done}/{of} objects"));
            }
            Progress::Publishing { .. } => self.total.set_message("publishing"),
            Progress::Rebasing { .. } => self.total.set_message("another release came first"),
            Progress::Started { .. } | Progress::Priced { .. } => {}
        }
    }
}

fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
