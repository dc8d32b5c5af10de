//! What operators watch: the alert rules and the dashboard ask for nothing that a front does not tell, and the runbook
//! has a section for every alert.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use landbridge_testkit::http;
use serde_json::{Value, json};

use crate::content::Content;
use crate::program::root;
use crate::running::{Front, until};

/// Label names and their values, by metric.
type Exported = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What Prometheus itself adds to every series.
const ADDED: [&str; 2] = ["job", "instance"];

/// Everything that a front tells which has all of it: two mirrors, an overflow and limits.
fn exported() -> Exported {
    let content = Content::pack().unwrap();
    let data = content.data().unwrap();
    let mut file: Value = serde_saphyr::from_str(&data.shown().unwrap()).unwrap();
    file["health"] = json!({ "period": "100ms" });
    file["limits"] = json!({ "network": { "requests": { "rate": "4/h", "burst": 4 } } });
    file["sites"][0]["overflow"] = json!([{
        "provider": "aws",
        "edges": [{ "copy": "gcp-us-central1", "hour": { "bytes": "1GiB" } }],
    }]);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("landbridge.yaml");
    fs::write(&path, file.to_string()).unwrap();
    let front = Front::configured(&path).unwrap();
    assert_eq!(front.get("/v2/app/manifests/v1").unwrap().status, 200);
    let probed = "landbridge_probes_total{copy=\"gcp-us-central1\",outcome=\"good\"} ";
    let is_probed = |text: &String| {
        text.lines().any(|line| line.strip_prefix(probed).is_some_and(|count| count != "0"))
    };
    let text = until(|| Ok(http::get(&front.admin, "/metrics")?.text()), is_probed).unwrap();
    front.stop().unwrap();

    let mut exported = Exported::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, _value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let metric = exported.entry(name.to_owned()).or_default();
        for label in labels.trim_end_matches('}').split_terminator("\",") {
            let (label, value) = label.split_once("=\"").unwrap();
            metric
                .entry(label.to_owned())
                .or_default()
                .insert(value.trim_end_matches('"').to_owned());
        }
    }
    exported
}

/// Label, operator and value.
type Matcher = (String, String, String);

/// The metrics of ours in an expression, each with its matchers.
fn selectors(expression: &str) -> Vec<(String, Vec<Matcher>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find("landbridge_") {
        let from = &rest[at..];
        let end = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        let matchers = match after.strip_prefix('{') {
            Some(inside) => inside.split_once('}').unwrap().0.split("\",").map(matcher).collect(),
            None => Vec::new(),
        };
        found.push((name.to_owned(), matchers));
        rest = after;
    }
    found
}

fn matcher(text: &str) -> Matcher {
    let (before, value) = text.split_once('"').unwrap();
    let label = before.trim_end_matches(['=', '!', '~']);
    let value = value.trim_end_matches('"');
    (label.trim().to_owned(), before[label.len()..].to_owned(), value.to_owned())
}

/// The labels by which an expression aggregates or joins.
fn grouped(expression: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for clause in ["by (", "on ("] {
        for list in expression.split(clause).skip(1) {
            let (list, _) = list.split_once(')').unwrap();
            found.extend(list.split(',').map(|label| label.trim().to_owned()));
        }
    }
    found.remove("");
    found
}

/// The labels that a text has filled in.
fn filled_in(text: &str, before: &str) -> BTreeSet<String> {
    let parts = text.split(before).skip(1);
    let name = |part: &str| {
        part.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    };
    parts.map(name).collect()
}

/// Everything in an expression and in what is written of its series that no front tells.
fn untold(exported: &Exported, expression: &str, filled_in: &BTreeSet<String>) -> Vec<String> {
    let mut untold = Vec::new();
    let mut known: BTreeSet<&str> = ADDED.into();
    for (name, matchers) in &selectors(expression) {
        let Some(labels) = exported.get(name) else {
            untold.push(format!("no metric is called {name}"));
            continue;
        };
        known.extend(labels.keys().map(String::as_str));
        for (label, operator, value) in matchers {
            // A dashboard's variable may be anything.
            if ADDED.contains(&label.as_str()) || value.starts_with('$') {
                continue;
            }
            let Some(values) = labels.get(label) else {
                untold.push(format!("{name} has no label {label}"));
                continue;
            };
            for value in value.split('|') {
                let is_told = match value.strip_suffix(".*").filter(|_| operator.ends_with('~')) {
                    Some(prefix) => values.iter().any(|value| value.starts_with(prefix)),
                    None => values.contains(value),
                };
                if !is_told {
                    untold.push(format!("{label} of {name} is never {value}"));
                }
            }
        }
    }
    let groups = grouped(expression);
    let nowhere = |label: &&String| !known.contains(label.as_str());
    untold
        .extend(groups.iter().filter(nowhere).map(|label| format!("nothing has a label {label}")));
    let gone = |label: &&String| nowhere(label) || (!groups.is_empty() && !groups.contains(*label));
    untold.extend(
        filled_in.iter().filter(gone).map(|label| format!("{label} is not there to be told")),
    );
    untold.into_iter().map(|it| format!("{it}: {expression}")).collect()
}

fn rules() -> Vec<Value> {
    let text = fs::read_to_string(root().join("deploy/prometheus/alerts.yaml")).unwrap();
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field}: {value}"))
}

#[test]
fn alerts_and_dashboard_ask_for_nothing_that_no_front_tells() {
    let exported = exported();
    let mut wrong = Vec::new();
    for rule in rules() {
        let written = format!("{} {}", rule["annotations"], rule["labels"]);
        wrong.extend(untold(&exported, text(&rule, "expr"), &filled_in(&written, "$labels.")));
    }
    let mut targets = 0;
    for panel in dashboard()["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
            let legend = filled_in(text(target, "legendFormat"), "{{");
            wrong.extend(untold(&exported, text(target, "expr"), &legend));
            targets += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{:#?}", exported.keys());
    assert!(targets > 30, "{targets}");
}

#[test]
fn what_is_not_told_is_found() {
    let told = |labels: &[(&str, &[&str])]| {
        labels
            .iter()
            .map(|(label, values)| {
                ((*label).to_owned(), values.iter().map(|it| (*it).to_owned()).collect())
            })
            .collect()
    };
    let exported: Exported = [
        ("landbridge_a_total".to_owned(), told(&[("copy", &["x"]), ("status", &["200", "503"])])),
        ("landbridge_b".to_owned(), told(&[])),
    ]
    .into();
    let wrong = |expression: &str, legend: &[&str]| {
        let legend = legend.iter().map(|it| (*it).to_owned()).collect();
        untold(&exported, expression, &legend).len()
    };
    let good = "sum by (copy) (rate(landbridge_a_total{job=~\"$job\",status=~\"200|5.*\"}[5m])) > landbridge_b";
    assert_eq!(wrong(good, &["copy"]), 0);
    assert_eq!(wrong("landbridge_b", &["instance"]), 0);
    assert_eq!(wrong(good, &["status"]), 1, "aggregated away");
    assert_eq!(wrong("landbridge_a", &[]), 1);
    assert_eq!(wrong("landbridge_b{copy=\"x\"}", &[]), 1);
    assert_eq!(wrong("landbridge_a_total{copy=\"y\"} + landbridge_c", &[]), 2);
    assert_eq!(wrong("landbridge_a_total{status!~\"404|4.*\"}", &[]), 2);
    assert_eq!(wrong("max by (site) (landbridge_a_total)", &[]), 1);
}

#[test]
fn every_alert_says_what_to_do_and_was_seen_to_fire() {
    let runbook = fs::read_to_string(root().join("docs/operating.md")).unwrap();
    let tests = fs::read_to_string(root().join("deploy/prometheus/alerts.test.yaml")).unwrap();
    let rules = rules();
    assert!(rules.len() > 15, "{}", rules.len());
    let mut names = BTreeSet::new();
    for rule in &rules {
        let (name, annotations) = (text(rule, "alert"), &rule["annotations"]);
        assert!(names.insert(name), "{name} is there twice");
        assert!(["critical", "warning", "info"].contains(&text(&rule["labels"], "severity")));
        assert!(!text(annotations, "summary").is_empty(), "{name}");
        assert!(text(annotations, "description").len() > 80, "{name} does not say what to do");
        let section = format!("docs/operating.md#{}", name.to_lowercase());
        assert_eq!(text(annotations, "runbook"), section);
        assert!(runbook.contains(&format!("\n### {name}\n")), "the runbook lacks {name}");
        assert!(
            tests.contains(&format!("{{alertname=\"{name}\", ")),
            "{name} was not seen to fire"
        );
    }
    let sections = runbook.lines().filter_map(|line| line.strip_prefix("### Landbridge"));
    assert_eq!(sections.count(), rules.len(), "the runbook has sections of no alert");
}

fn dashboard() -> Value {
    let text = fs::read_to_string(root().join("deploy/grafana/fronts.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_dashboards_panels_have_names_and_places_of_their_own() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(titles.insert(text(panel, "title")), "{panel}");
        let at = |field: &str| panel["gridPos"][field].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for y in at("y")..at("y") + at("h") {
            assert!((at("x")..at("x") + at("w")).all(|x| cells.insert((x, y))), "{panel}");
        }
        let targets = panel["targets"].as_array().map_or(&[][..], Vec::as_slice);
        assert_eq!(targets.is_empty(), text(panel, "type") == "row", "{panel}");
        let names: BTreeSet<_> = targets.iter().map(|target| text(target, "refId")).collect();
        assert_eq!(names.len(), targets.len(), "{panel}");
    }
}
