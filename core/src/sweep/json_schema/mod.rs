//! The JSON Schema of a sweep file, for editors and for the page docs/sweep-file.md.
//!
//! It is made of what the parser reads: the settings table, the lists of keys, and the constants for limits and
//! defaults. What the parser checks across values, such as equal lengths in `zip`, is not in it.
//! `core/tests/sweep_schema` puts many values at every key, and compares the verdicts of a validator and of the parser.

mod sections;
mod values;

use serde_json::{Map, Value, json};

use self::values::{described, entry, one_of, text};
use super::{
    file::{DEFAULT_MAX_TASKS, KEYS, MAX_TASKS},
    scalar, sections as read,
    vocabulary::Vocabulary,
};
use crate::settings::schema::FIELDS;

/// The JSON Schema (draft 7) of a sweep file.
#[must_use]
pub fn json_schema() -> Value {
    let mut properties = Map::new();
    for (key, doc) in KEYS {
        properties.insert((*key).to_owned(), described(own_key(key), doc, "", None));
    }
    for field in FIELDS.iter().filter(|field| field.section().is_none()) {
        properties.insert(field.path.to_owned(), values::setting(field));
    }
    for section in sections_of_settings() {
        properties.insert(section.to_owned(), values::section(section));
    }
    let networks = FIELDS.iter().filter(|field| field.default.is_none()).map(|field| field.path);
    let networks: Vec<&str> = networks.collect();
    // These keys are refused in a sweep that runs a program.
    let mut not_of_programs: Vec<&str> = vec!["checkpoint", "keep"];
    not_of_programs.extend(FIELDS.iter().filter(|field| field.section().is_none()).map(|field| field.path));
    not_of_programs.extend(sections_of_settings());
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "colearn sweep file",
        "description": "A grid of settings, each trained once for every seed. `colearn settings` lists the keys.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "required": ["name"],
        "if": {"required": ["program"]},
        "then": {
            "required": ["report"],
            "properties": with(vocabulary_keys(Vocabulary::Own), &not_of_programs),
        },
        "else": {
            "required": networks,
            "properties": with(vocabulary_keys(Vocabulary::Networks), &["settings"]),
        },
        "definitions": values::definitions(),
    })
}

/// The sections of the file that hold settings, in the order of the table.
fn sections_of_settings() -> Vec<&'static str> {
    let mut sections: Vec<&str> = FIELDS.iter().filter_map(|field| field.section()).collect();
    sections.dedup();
    sections
}

/// The properties, and a refusal of each of these keys.
fn with(mut properties: Map<String, Value>, refused: &[&str]) -> Value {
    properties.extend(refused.iter().map(|key| ((*key).to_owned(), Value::Bool(false))));
    properties.into()
}

/// The keys whose values depend on whether networks or a program are swept.
fn vocabulary_keys(vocabulary: Vocabulary) -> Map<String, Value> {
    let name = match vocabulary {
        Vocabulary::Networks => "network",
        Vocabulary::Own => "program",
    };
    let point = json!({"$ref": format!("#/definitions/{name}_point")});
    let some = json!({"allOf": [point, {"minProperties": 1}]});
    let mut report = sections::report(vocabulary);
    report["properties"]["baseline"] = described(
        some.clone(),
        "the values of the configurations that others are compared with, such as `{unimodal: true}`",
        "",
        None,
    );
    [
        entry("parameters", json!({"$ref": format!("#/definitions/{name}_parameters")})),
        entry("include", json!({"type": "array", "items": point})),
        entry("exclude", json!({"type": "array", "items": some})),
        entry("report", report),
    ]
    .into_iter()
    .collect()
}

/// What a key of the file allows, apart from what depends on the vocabulary.
fn own_key(key: &str) -> Value {
    match key {
        "name" => json!({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"}),
        "description" => json!({"type": "string"}),
        "parameters" | "report" => json!({"type": "object"}),
        "include" | "exclude" => json!({"type": "array", "items": {"type": "object"}}),
        "zip" => json!({
            "type": "array",
            "items": {"type": "array", "items": text(), "minItems": 2, "uniqueItems": true},
        }),
        "program" => sections::program(),
        "settings" => json!({"$ref": "#/definitions/program_point"}),
        "seeds" => sections::seeds(),
        "retries" => sections::retries(),
        "checkpoint" => sections::checkpoint(),
        "keep" => sections::keep(),
        "order" => sections::order(),
        "priority" => sections::priority(),
        "max_concurrent_tasks" => described(values::integer(1, MAX_TASKS), "", "tasks", None),
        "stop_after_failures" => described(values::integer(1, MAX_TASKS), "", "tasks", None),
        "max_tasks" => described(values::integer(1, MAX_TASKS), "", "tasks", Some(DEFAULT_MAX_TASKS.into())),
        // A test compares the keys of the file with those that have a schema.
        _ => Value::Bool(false),
    }
}

/// A duration, such as `1h30m`.
fn duration(doc: &str, default: Option<std::time::Duration>) -> Value {
    let most = humantime::format_duration(scalar::MAX_DURATION);
    let doc = format!("{doc}; a duration with units, such as 90s or 1h30m, of at most {most}");
    // The units of the humantime crate.
    let unit = "(nanos|nsec|ns|usec|us|\u{b5}s|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m\
        |hours|hour|hrs|hr|h|days|day|d|weeks|week|wks|wk|w|months|month|M|years|year|yrs|yr|y)";
    let pattern = format!(r"^\s*(0|(\d+(\.\d+)?\s*{unit}\s*)+)$");
    let default = default.map(|default| humantime::format_duration(default).to_string().into());
    described(json!({"type": "string", "pattern": pattern}), &doc, "time with its unit", default)
}

/// The default of `retries` and of the other sections.
fn retry_defaults() -> super::definition::RetrySettings {
    read::default_retries()
}

/// A list of words without repetitions.
fn words(words: &[&str]) -> Value {
    json!({"type": "array", "items": one_of(words), "uniqueItems": true})
}
