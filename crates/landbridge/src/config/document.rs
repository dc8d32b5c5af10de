//! A YAML document in which every value knows where it stands.
//!
//! The checks of the form and of the meaning both speak of paths; this leads a path back to a
//! line, or to the flag or variable that set it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::path::{Path, Step};
use super::problem::Problem;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// A line and column of the file, from 1.
    File {
        /// The line.
        line: u64,
        /// The column.
        column: u64,
    },
    /// A flag or environment variable of this name.
    Override(String),
    /// A line and column of another file, which this one names.
    Other {
        /// The other file.
        file: String,
        /// The line.
        line: u64,
        /// The column.
        column: u64,
    },
}

impl Place {
    /// Where a file begins.
    pub(crate) const START: Self = Self::File { line: 1, column: 1 };

    fn of(location: Location) -> Self {
        Self::File { line: location.line().max(1), column: location.column().max(1) }
    }
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where it begins.
    pub(crate) place: Place,
    /// What it is.
    pub(crate) value: Value,
}

/// What can stand in a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing: `field:` alone, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order in which it is written.
    Mapping(Vec<Entry>),
}

/// One field of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) key: String,
    /// Where the name stands.
    pub(crate) place: Place,
    /// Its value.
    pub(crate) node: Node,
}

impl Node {
    /// Reads YAML. An empty document is an empty mapping. Says where it is no YAML.
    pub(crate) fn parse(yaml: &str) -> Result<Self, Problem> {
        // YAML 1.2: `off`, `no` and `y` are words.
        let options = serde_saphyr::options! { strict_booleans: true };
        let parsed = serde_saphyr::from_str_with_options(yaml, options);
        let mut node: Self = parsed.map_err(|error| Problem {
            place: error.location().map_or(Place::START, Place::of),
            path: Path::default(),
            message: format!("this is not YAML: {}", error.without_snippet()),
        })?;
        if node.value == Value::Null {
            node = Self::empty(Place::START);
        }
        Ok(node)
    }

    /// A mapping without fields.
    pub(crate) fn empty(place: Place) -> Self {
        Self { place, value: Value::Mapping(Vec::new()) }
    }

    /// Whether this has fields.
    pub(crate) fn is_mapping(&self) -> bool {
        matches!(self.value, Value::Mapping(_))
    }

    /// The field `name`, if this is a mapping that has it and gives it a value.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == name && entry.node.value != Value::Null)
    }

    /// The value at the end of `path`, if it is there.
    pub(crate) fn find(&self, path: &Path) -> Option<&Self> {
        path.steps().iter().try_fold(self, Self::follow)
    }

    /// Where the value at the end of `path` stands, or the last one on the way that is there.
    pub(crate) fn locate(&self, path: &Path) -> Place {
        let mut node = self;
        for step in path.steps() {
            let Some(next) = node.follow(step) else { break };
            node = next;
        }
        node.place.clone()
    }

    /// Puts `text` at the end of `path`, making the mappings on the way; `name` is the flag or
    /// variable that says so. A list or scalar on the way is replaced.
    pub(crate) fn set(&mut self, path: &Path, text: &str, name: &str) {
        let place = Place::Override(name.to_owned());
        let mut node = self;
        for step in path.steps() {
            let Step::Field(field) = step else { continue };
            if !matches!(node.value, Value::Mapping(_)) {
                *node = Self::empty(place.clone());
            }
            let Value::Mapping(entries) = &mut node.value else { return };
            let position = entries.iter().position(|entry| entry.key == *field);
            let position = position.unwrap_or_else(|| {
                let node = Self::empty(place.clone());
                entries.push(Entry { key: field.clone(), place: place.clone(), node });
                entries.len() - 1
            });
            node = &mut entries[position].node;
        }
        // The same rules as in the file: `8` is a number, `true` a truth value.
        let value = Self::parse(text).ok().map(|node| node.value);
        let scalar = value.filter(|value| matches!(value, Value::Bool(_) | Value::Number(_)));
        *node = Self { place, value: scalar.unwrap_or_else(|| Value::Text(text.to_owned())) };
    }

    /// The same without places.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), entry.node.to_json())).collect()
            }
        }
    }

    fn follow(&self, step: &Step) -> Option<&Self> {
        match (step, &self.value) {
            (Step::Field(name), Value::Mapping(_)) => self.get(name).map(|entry| &entry.node),
            (Step::Item(index), Value::List(items)) => items.get(*index),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { place: Place::of(spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(serde_json::Number::from_f64(value)
            .map_or_else(|| Value::Text(value.to_string()), Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = fields.next_key::<Spanned<String>>()? {
            let place = Place::of(key.referenced);
            entries.push(Entry { key: key.value, place, node: fields.next_value()? });
        }
        Ok(Value::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(yaml: &str, path: &Path) -> (u64, u64) {
        match Node::parse(yaml).unwrap().locate(path) {
            Place::File { line, column } => (line, column),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_value_and_field_knows_its_line_and_column() {
        let yaml = "a: 1\nlist:\n  - x\n  - {k: v, n: null}\ntext: |\n  two\n  lines\n";
        assert_eq!(place(yaml, &Path::dotted("a")), (1, 4));
        assert_eq!(place(yaml, &Path::dotted("list").item(0)), (3, 5));
        assert_eq!(place(yaml, &Path::dotted("list").item(1).field("k")), (4, 9));
        let node = Node::parse(yaml).unwrap();
        assert_eq!(node.get("list").unwrap().place, Place::File { line: 2, column: 1 });
        assert_eq!(node.get("text").unwrap().node.value, Value::Text("two\nlines\n".to_owned()));
        assert_eq!(node.find(&Path::dotted("list").item(1)).unwrap().get("n"), None);
    }

    #[test]
    fn what_is_not_there_is_located_where_it_should_be() {
        let yaml = "list:\n  - k: v\n";
        assert_eq!(place(yaml, &Path::dotted("list").item(0).field("missing").item(7)), (2, 5));
    }

    #[test]
    fn an_override_makes_its_way_and_is_named() {
        let mut node = Node::parse("a: {b: 1}\n").unwrap();
        node.set(&Path::dotted("a.c.d"), "8", "LANDBRIDGE_A_C_D");
        node.set(&Path::dotted("a.b"), "x: y", "--b");
        assert_eq!(node.to_json(), serde_json::json!({"a": {"b": "x: y", "c": {"d": 8}}}));
        assert_eq!(node.locate(&Path::dotted("a.b")), Place::Override("--b".to_owned()));
    }

    #[test]
    fn only_true_and_false_are_truth_values() {
        let node = Node::parse("[true, false, off, no, y, on]\n").unwrap();
        let expected = serde_json::json!([true, false, "off", "no", "y", "on"]);
        assert_eq!(node.to_json(), expected);
    }

    #[test]
    fn nothing_is_an_empty_mapping_and_a_field_twice_is_refused() {
        assert_eq!(Node::parse("# only words\n").unwrap().to_json(), serde_json::json!({}));
        let twice = Node::parse("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(twice.place, Place::File { line: 3, column: 1 });
        let broken = Node::parse("a: [1\n").unwrap_err();
        assert!(broken.message.starts_with("this is not YAML: "), "{}", broken.message);
    }
}
