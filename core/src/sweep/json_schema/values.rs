//! Values of settings, of networks and of programs.

use serde_json::{Map, Value, json};

use crate::{
    settings::schema::{Bound, FIELDS, Field, Kind, MAX_MODALITIES, MAX_SUBSETS, MAX_TEXT_BYTES, Preset},
    sweep::{
        parameters::{self, MAX_RANGE},
        vocabulary::{MAX_NAME_BYTES, MAX_OWN_LIST, MAX_OWN_TEXT_BYTES},
    },
};

/// A text on one line that is not blank.
pub(super) const ONE_LINE: &str = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$";

const MODALITY: &str = "[A-Za-z_][A-Za-z0-9_-]{0,63}";

/// The schema with its meaning, its unit and its default. Lengths are those of characters in a schema, and of bytes in
/// the parser.
pub(super) fn described(mut schema: Value, doc: &str, unit: &str, default: Option<Value>) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        if !doc.is_empty() {
            schema.insert("description".to_owned(), doc.into());
        }
        if !unit.is_empty() {
            schema.insert("x-unit".to_owned(), unit.into());
        }
        if let Some(default) = default {
            schema.insert("default".to_owned(), default);
        }
    }
    schema
}

pub(super) fn entry(key: &str, schema: Value) -> (String, Value) {
    (key.to_owned(), schema)
}

pub(super) fn integer(min: u64, max: u64) -> Value {
    json!({"type": "integer", "minimum": min, "maximum": max})
}

pub(super) fn text() -> Value {
    json!({"type": "string"})
}

pub(super) fn one_of(words: &[&str]) -> Value {
    json!({"type": "string", "enum": words})
}

/// The value of a setting of the built-in networks, with what is known of it.
pub(super) fn setting(field: &Field) -> Value {
    let models = match field.models {
        [] => String::new(),
        models => format!(" ({})", models.join(", ")),
    };
    let doc = format!("{}; {}{models}", field.doc, field.kind);
    described(value(&field.kind), &doc, field.unit, field.default.map(Preset::value))
}

fn value(kind: &Kind) -> Value {
    let modality = || json!({"type": "string", "pattern": format!("^{MODALITY}$")});
    match kind {
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Integer { min, max } => integer(*min, *max),
        Kind::Number { min, max } => {
            let mut schema = json!({"type": "number"});
            for (bound, including, excluding) in
                [(min, "minimum", "exclusiveMinimum"), (max, "maximum", "exclusiveMaximum")]
            {
                match bound {
                    Bound::None => {}
                    Bound::Including(value) => schema[including] = (*value).into(),
                    Bound::Excluding(value) => schema[excluding] = (*value).into(),
                }
            }
            schema
        }
        Kind::Word(words) => one_of(words),
        Kind::Modality => modality(),
        Kind::Text => json!({"type": "string", "pattern": ONE_LINE, "maxLength": MAX_TEXT_BYTES}),
        Kind::Subsets => json!({
            "type": "array",
            "maxItems": MAX_SUBSETS,
            "items": {"type": "array", "items": modality(), "minItems": 1, "maxItems": MAX_MODALITIES},
        }),
        Kind::Modalities => json!({"type": "array", "items": modality(), "maxItems": MAX_MODALITIES}),
    }
}

/// A section of the file: `model`, `training` or `modality_dropout`.
pub(super) fn section(section: &str) -> Value {
    let mut properties = Map::new();
    let mut patterns = Map::new();
    let own = |field: &&Field| field.section() == Some(section);
    for field in FIELDS.iter().filter(own).filter(|field| field.by_modality().is_none()) {
        let name = field.path.split_once('.').map_or(field.path, |(_, name)| name);
        properties.insert(name.to_owned(), setting(field));
    }
    for field in FIELDS.iter().filter(own) {
        let Some(prefix) = field.by_modality() else { continue };
        let by_modality = [(format!("^{MODALITY}$"), setting(field))];
        match prefix.trim_end_matches('.').split_once('.') {
            // `modality_dropout.audio`.
            None => patterns.extend(by_modality),
            // `model.hidden.audio` beside `model.hidden`.
            Some((_, name)) => {
                let map = json!({
                    "type": "object",
                    "patternProperties": Map::from_iter(by_modality),
                    "additionalProperties": false,
                });
                let both = match properties.remove(name) {
                    Some(one) => json!({"anyOf": [one, map]}),
                    None => map,
                };
                properties.insert(name.to_owned(), both);
            }
        }
    }
    let doc = format!("settings of every configuration; as parameters they are called `{section}.NAME`");
    let schema = json!({
        "type": "object",
        "properties": properties,
        "patternProperties": patterns,
        "additionalProperties": false,
    });
    described(schema, &doc, "", None)
}

/// The parts that are used in several places.
pub(super) fn definitions() -> Value {
    json!({
        "own_value": {
            "anyOf": [
                {"type": ["number", "boolean", "null"]},
                {"type": "string", "maxLength": MAX_OWN_TEXT_BYTES},
                {"type": "array", "items": {"$ref": "#/definitions/own_value"}, "maxItems": MAX_OWN_LIST},
            ],
        },
        "network_point": by_path(setting),
        "network_parameters": by_path(|field| {
            let range = matches!(field.kind, Kind::Integer { .. } | Kind::Number { .. });
            let schema = swept(&value(&field.kind), range.then(|| value(&field.kind)));
            let doc = format!("values of: {}; each is {}", field.doc, field.kind);
            described(schema, &doc, field.unit, None)
        }),
        "program_point": by_own_name(&json!({"$ref": "#/definitions/own_value"})),
        "program_parameters": by_own_name(&swept(
            &json!({"$ref": "#/definitions/own_value"}),
            Some(json!({"type": "number"})),
        )),
    })
}

/// A mapping from the paths of settings to what this function gives for each.
fn by_path(schema: impl Fn(&Field) -> Value) -> Value {
    let mut properties = Map::new();
    let mut patterns = Map::new();
    for field in FIELDS {
        match field.by_modality() {
            None => properties.insert(field.path.to_owned(), schema(field)),
            Some(prefix) => {
                let path = format!("^{}{MODALITY}$", prefix.replace('.', r"\."));
                patterns.insert(path, schema(field))
            }
        };
    }
    json!({
        "type": "object",
        "properties": properties,
        "patternProperties": patterns,
        "additionalProperties": false,
    })
}

/// A mapping from names of a program's own settings.
fn by_own_name(schema: &Value) -> Value {
    let name = format!(r"^(?!program\.)(?!seeds?$)[A-Za-z_][A-Za-z0-9_.-]{{0,{}}}$", MAX_NAME_BYTES - 1);
    json!({"type": "object", "patternProperties": {name: schema}, "additionalProperties": false})
}

/// The values of a parameter: one value, a list, `{values: [...]}`, or a range if it can have one.
fn swept(value: &Value, end: Option<Value>) -> Value {
    let list = json!({"type": "array", "items": value, "minItems": 1});
    let [values, min, max, count, scale] = parameters::KEYS;
    // A value that is a list must be one of several, in a list.
    let one = json!({"allOf": [value, {"not": {"type": "array"}}]});
    let mut forms = vec![
        one,
        list.clone(),
        json!({
            "type": "object",
            "properties": {values: list},
            "required": [values],
            "additionalProperties": false,
        }),
    ];
    if let Some(end) = end {
        forms.push(json!({
            "type": "object",
            "properties": {
                min: described(end.clone(), "the first value", "", None),
                max: described(end, "the last value", "", None),
                count: described(integer(2, MAX_RANGE), "number of values", "values", None),
                scale: described(
                    one_of(&["linear", "log"]),
                    "even steps, or even factors",
                    "",
                    Some("linear".into()),
                ),
            },
            "required": [min, max, count],
            "additionalProperties": false,
        }));
    }
    json!({"anyOf": forms})
}
