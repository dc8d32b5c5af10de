//! The form of a file: unknown fields, missing fields, values of the wrong kind, all at once.
//!
//! What is wrong is reported and left out, so that the rest can still be read by the types and
//! judged by its meaning.

use super::document::{Entry, Node, Value};
use super::path::Path;
use super::problem::{Problem, did_you_mean};
use super::scalar::Format;
use super::shape::{Field, Shape};

/// Reports into `problems` whatever in `node` does not have `shape`, and returns the rest of it.
pub(crate) fn check(node: &Node, shape: &Shape, problems: &mut Vec<Problem>) -> Node {
    let mut checker = Checker { problems };
    let kept = checker.check(node, shape, &Path::default());
    kept.unwrap_or_else(|| Node::empty(node.place.clone()))
}

/// How the message of a field begins that nothing reads.
pub(crate) const UNKNOWN_FIELD: &str = "there is no such field";

struct Checker<'a> {
    problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    /// What of `node` has `shape`; `None` if nothing has.
    fn check(&mut self, node: &Node, shape: &Shape, path: &Path) -> Option<Node> {
        let value = match (shape, &node.value) {
            (Shape::Mapping(fields), Value::Mapping(entries)) => {
                Value::Mapping(self.check_fields(node, fields, entries, path))
            }
            (Shape::Table(key, item), Value::Mapping(entries)) => {
                let mut kept = Vec::new();
                for entry in entries {
                    let path = path.field(&entry.key);
                    if let Err(message) = key.check(&entry.key) {
                        self.report(entry.place.clone(), &path, message);
                    } else if let Some(node) = self.check(&entry.node, item, &path) {
                        kept.push(Entry { node, ..entry.clone() });
                    }
                }
                Value::Mapping(kept)
            }
            (Shape::List(item), Value::List(nodes)) => {
                Value::List(self.check_items(item, nodes, path)?)
            }
            _ => {
                if let Err(message) = check_scalar(&node.value, shape) {
                    self.report(node.place.clone(), path, message);
                    return None;
                }
                node.value.clone()
            }
        };
        Some(Node { place: node.place.clone(), value })
    }

    fn check_fields(
        &mut self,
        node: &Node,
        fields: &[Field],
        entries: &[Entry],
        path: &Path,
    ) -> Vec<Entry> {
        let mut kept = Vec::new();
        for entry in entries {
            let path = path.field(&entry.key);
            let Some(field) = fields.iter().find(|field| field.name == entry.key) else {
                let known = fields.iter().map(|field| field.name.as_str());
                let hint = did_you_mean(&entry.key, known);
                self.report(entry.place.clone(), &path, format!("{UNKNOWN_FIELD}{hint}"));
                continue;
            };
            if entry.node.value == Value::Null {
                continue;
            }
            if let Some(node) = self.check(&entry.node, &field.shape, &path) {
                kept.push(Entry { node, ..entry.clone() });
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            if node.get(&field.name).is_none() {
                let what = describe(&field.shape);
                self.report(
                    node.place.clone(),
                    &path.field(&field.name),
                    format!("is missing: it needs {what}"),
                );
            }
        }
        kept
    }

    /// Items that are mappings keep their numbers, if need be as empty ones; a list of anything
    /// else is kept whole or not at all.
    fn check_items(&mut self, item: &Shape, nodes: &[Node], path: &Path) -> Option<Vec<Node>> {
        let kept: Vec<_> = (nodes.iter().enumerate())
            .map(|(index, node)| {
                let kept = self.check(node, item, &path.item(index));
                let mapping = matches!(item, Shape::Mapping(_));
                kept.or_else(|| mapping.then(|| Node::empty(node.place.clone())))
            })
            .collect();
        kept.into_iter().collect()
    }

    fn report(&mut self, place: super::document::Place, path: &Path, message: String) {
        self.problems.push(Problem { place, path: path.clone(), message });
    }
}

/// Whether a value that is no mapping and no list has `shape`, or else what is wrong with it.
fn check_scalar(value: &Value, shape: &Shape) -> Result<(), String> {
    match (shape, value) {
        (Shape::Bool, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Text(None), Value::Text(_)) => Ok(()),
        (Shape::Text(Some(format)), Value::Text(text)) => format.check(text),
        (Shape::Choice(words), Value::Text(text)) => {
            if words.iter().any(|(word, _)| word == text) {
                return Ok(());
            }
            let hint = did_you_mean(text, words.iter().map(|(word, _)| word.as_str()));
            let known = list_words(words);
            Err(format!("`{text}` is none of {known}{hint}"))
        }
        (&Shape::Integer(least, most), Value::Number(number)) => match number.as_u64() {
            Some(number) if (least..=most).contains(&number) => Ok(()),
            _ => Err(format!("{number} is not a whole number from {least} to {most}")),
        },
        (Shape::Text(format), Value::Number(_) | Value::Bool(_)) if could_be(*format, value) => {
            Err(format!(
                "needs {}, not {}: put it into quotes if it is meant",
                describe(shape),
                kind(value)
            ))
        }
        _ => Err(format!("needs {}, not {}", describe(shape), kind(value))),
    }
}

/// Whether a number or truth value would be right if it were text.
fn could_be(format: Option<&Format>, value: &Value) -> bool {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null | Value::Text(_) | Value::List(_) | Value::Mapping(_) => return false,
    };
    format.is_none_or(|format| format.check(&text).is_ok())
}

/// `a size`, `one of …`: what a place wants, for people.
pub(crate) fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Mapping(fields) => {
            let names: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
            format!("a mapping with {}", names.join(", "))
        }
        Shape::Table(key, _) => match key.title.strip_suffix('y') {
            Some(stem) => format!("a mapping of {stem}ies"),
            None => format!("a mapping of {}s", key.title),
        },
        Shape::List(item) => match item.inner() {
            Shape::Mapping(_) => "a list of mappings".to_owned(),
            item => format!("a list, each item {}", describe(item)),
        },
        Shape::Choice(words) => format!("one of {}", list_words(words)),
        Shape::Text(None) => "text".to_owned(),
        Shape::Text(Some(format)) => {
            let article = if format.title.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
            format!("{article} {}", format.title)
        }
        Shape::Integer(least, most) => format!("a whole number from {least} to {most}"),
        Shape::Number => "a number".to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
    }
}

fn list_words(words: &[(String, String)]) -> String {
    let words: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    words.join(", ")
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::Text(_) => "text".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
    }
}
