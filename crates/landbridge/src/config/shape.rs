//! What the configuration may look like, read from the schema of its types.
//!
//! One description serves the checker, the reference and the environment variables; the types
//! that it comes from also do the final reading. So the four cannot disagree.

use schemars::JsonSchema;
use serde_json::Value as Json;

use super::scalar::Format;

/// What may stand at one place.
#[derive(Clone)]
pub(crate) enum Shape {
    /// A mapping with known fields.
    Mapping(Vec<Field>),
    /// A mapping whose keys are free, of a format.
    Table(&'static Format, Box<Shape>),
    /// A list.
    List(Box<Shape>),
    /// One of some words, each with its documentation.
    Choice(Vec<(String, String)>),
    /// Text, of a format if it has one.
    Text(Option<&'static Format>),
    /// A whole number within bounds.
    Integer(u64, u64),
    /// Any number.
    Number,
    /// `true` or `false`.
    Bool,
}

/// A field of a mapping.
#[derive(Clone)]
pub(crate) struct Field {
    /// Its name.
    pub(crate) name: String,
    /// Its documentation.
    pub(crate) doc: String,
    /// Whether a mapping without it is refused.
    pub(crate) required: bool,
    /// What it is without being written, if that is one value.
    pub(crate) default: Option<Json>,
    /// What may stand in it.
    pub(crate) shape: Shape,
}

impl Shape {
    /// The shape of a whole file that the type `T` reads: a mapping.
    pub(crate) fn of_file<T: JsonSchema>() -> Self {
        let settings = schemars::generate::SchemaSettings::draft2020_12()
            .with(|settings| settings.inline_subschemas = true);
        let schema = settings.into_generator().into_root_schema_for::<T>();
        Self::read(schema.as_value())
    }

    /// The fields of a mapping; none for anything else.
    pub(crate) fn fields(&self) -> &[Field] {
        match self {
            Self::Mapping(fields) => fields,
            _ => &[],
        }
    }

    /// The mapping, and the documentation of its fields, to which items of this shape lead.
    pub(crate) fn inner(&self) -> &Self {
        match self {
            Self::List(item) | Self::Table(_, item) => item.inner(),
            _ => self,
        }
    }

    /// Reads what [`schemars`] makes of the types in [`raw`](super::raw). What those never make is
    /// text without a format; a test holds that nothing falls into it.
    fn read(schema: &Json) -> Self {
        // An `Option` is its type or null; null is the same as absent everywhere.
        if let Some(some) = schema["anyOf"].as_array().and_then(|any| any.first()) {
            return Self::read(some);
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let word = |choice: &Json| (text(&choice["const"]), text(&choice["description"]));
            return Self::Choice(choices.iter().map(word).collect());
        }
        let kind = match &schema["type"] {
            Json::Array(kinds) => kinds.first().and_then(Json::as_str),
            kind => kind.as_str(),
        };
        match kind {
            Some("object") => Self::read_object(schema),
            Some("array") => Self::List(Box::new(Self::read(&schema["items"]))),
            Some("integer") => Self::Integer(
                schema["minimum"].as_u64().unwrap_or(0),
                schema["maximum"].as_u64().unwrap_or(u64::from(u32::MAX)),
            ),
            Some("number") => Self::Number,
            Some("boolean") => Self::Bool,
            _ => Self::Text(schema["format"].as_str().and_then(Format::find)),
        }
    }

    fn read_object(schema: &Json) -> Self {
        if let Some(fields) = schema["properties"].as_object() {
            let required = |name: &str| {
                schema["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name))
            };
            let mut fields: Vec<_> = (fields.iter())
                .map(|(name, field)| Field {
                    name: name.clone(),
                    doc: text(&field["description"]),
                    required: required(name),
                    default: field.get("default").filter(|default| !default.is_null()).cloned(),
                    shape: Self::read(field),
                })
                .collect();
            fields.sort_by_key(|field| !field.required);
            return Self::Mapping(fields);
        }
        // The fields that have free keys say of what format these are.
        match schema["propertyNames"]["format"].as_str().and_then(Format::find) {
            Some(keys) => Self::Table(keys, Box::new(Self::read(&schema["additionalProperties"]))),
            None => Self::Text(None),
        }
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
