//! Looking into the table of settings: by path, and as text for people.

use serde_json::Value;

use super::{
    field::{Field, Preset},
    table::FIELDS,
};

/// The row of a dotted path, such as `training.epochs` or `modality_dropout.audio`.
#[must_use]
pub fn field(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| match field.by_modality() {
        Some(_) => field.modality(path).is_some_and(is_modality),
        None => field.path == path,
    })
}

/// Whether this is a valid name of a modality.
#[must_use]
pub fn is_modality(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 64 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// The table as text for people, one line per field.
#[must_use]
pub fn reference() -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    let widest = FIELDS.iter().map(|field| field.path.len()).max().unwrap_or(0);
    for field in FIELDS {
        let default = match field.default.map(Preset::value) {
            None => "required".to_owned(),
            Some(Value::String(word)) => format!("default {word}"),
            Some(value) => format!("default {value}"),
        };
        let models = match field.models {
            [] => String::new(),
            models => format!("; {}", models.join(", ")),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:widest$}  {}; {} ({default}{models})", field.path, field.doc, field.kind);
    }
    text
}
