//! The JSON Schema of sweep files says what the parser says.

mod files;
mod keys;
mod page;

use colearn_core::sweep::{Sweep, json_schema};
use jsonschema::Validator;
use serde_json::Value;

/// The validator of the schema that `colearn schema` prints.
fn validator() -> Validator {
    jsonschema::draft7::new(&json_schema()).expect("the schema is one")
}

/// The text as a validator sees it: YAML as JSON.
fn as_json(yaml: &str) -> Option<Value> {
    serde_yaml::from_str(yaml).ok()
}

/// Whether the parser accepts the sweep file.
fn parses(yaml: &str) -> bool {
    Sweep::parse_in(yaml, "x.yaml", "/home/me/net").is_ok()
}

/// The faults that the validator finds.
fn faults(validator: &Validator, yaml: &str) -> Vec<String> {
    let value = as_json(yaml).unwrap_or_else(|| panic!("this is no YAML:\n{yaml}"));
    validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}
