//! An audit as metrics, for a collector that reads text files.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>

use std::fmt::Write as _;

use jiff::Timestamp;

use super::finding::FindingKind;
use super::report::{AuditReport, CopyReport};

impl AuditReport {
    /// The report as metrics of an audit that ended at `now`. Every kind of finding is there for
    /// every copy, with 0 if there is none, so that an alert can tell "none" from "not asked".
    pub fn prometheus(&self, now: Timestamp) -> String {
        let mut text = String::new();
        let seconds = self.took_ms as f64 / 1000.0;
        let about = [
            ("end_timestamp_seconds", "When the audit ended.", now.as_second() as f64),
            ("duration_seconds", "How long it took.", seconds),
            ("pointer_sequence", "The release that was audited.", self.sequence as f64),
        ];
        for (name, help, value) in about {
            family(&mut text, name, help, [(String::new(), value)]);
        }
        family(&mut text, "findings", "What was found wrong, repaired or not.", self.findings());
        let each = |value: fn(&CopyReport) -> u64| {
            let copies = self.copies.iter();
            copies.map(move |it| (format!("{{copy=\"{}\"}}", escaped(&it.name)), value(it) as f64))
        };
        family(&mut text, "objects_planned", "Objects to be looked at.", each(|it| it.planned));
        family(&mut text, "objects_looked", "Objects that were looked at.", each(|it| it.looked));
        family(&mut text, "read_bytes", "Bytes that were read.", each(|it| it.bytes));
        family(&mut text, "repaired", "Objects that were copied again.", each(|it| it.repaired));
        let failed = each(|it| u64::from(it.failed.is_some()));
        let registry = self.registry.as_ref().map(|it| u64::from(it.failed.is_some()));
        let registry = registry.map(|value| ("{copy=\"registry\"}".to_owned(), value as f64));
        let help = "1 if it could not be asked to the end.";
        family(&mut text, "unreachable", help, failed.chain(registry));
        text
    }

    fn findings(&self) -> Vec<(String, f64)> {
        let mut lines = Vec::new();
        for copy in &self.copies {
            for kind in FindingKind::ALL.into_iter().filter(|kind| !is_about_tags(*kind)) {
                let count = copy.counts.get(&kind).copied().unwrap_or_default();
                lines.push((labels(&copy.name, kind), count as f64));
            }
        }
        if let Some(registry) = &self.registry {
            for kind in FindingKind::ALL.into_iter().filter(|kind| is_about_tags(*kind)) {
                let count = registry.findings.iter().filter(|it| it.kind == kind).count();
                lines.push((labels("registry", kind), count as f64));
            }
        }
        lines
    }
}

fn is_about_tags(kind: FindingKind) -> bool {
    matches!(kind, FindingKind::TagDiffers | FindingKind::TagUnpublished)
}

fn labels(copy: &str, kind: FindingKind) -> String {
    format!("{{copy=\"{}\",kind=\"{}\"}}", escaped(copy), kind.name())
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn family(
    text: &mut String,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, f64)>,
) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP landbridge_audit_{name} {help}");
    let _ = writeln!(text, "# TYPE landbridge_audit_{name} gauge");
    for (labels, value) in samples {
        let _ = writeln!(text, "landbridge_audit_{name}{labels} {value}");
    }
}
