//! Converts the values of single fields to the settings of a task.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    NetworkSettings,
    schema::{FIELDS, Preset},
};

/// The settings for these values, by dotted path; all other fields have their defaults. Values of fields that the
/// kind of model does not have are ignored.
///
/// Each value must have passed the check of its table row, and fields without a default must be given.
pub(crate) fn resolve(values: &BTreeMap<String, Value>) -> NetworkSettings {
    let default_of = |path: &str| {
        FIELDS.iter().find(|field| field.path == path).and_then(|field| field.default).map(Preset::value)
    };
    let kind = values.get("model.kind").cloned().or_else(|| default_of("model.kind")).unwrap_or_default();
    let kind = kind.as_str().unwrap_or_default();

    let mut root = Map::new();
    for field in FIELDS.iter().filter(|field| field.belongs_to(kind)) {
        let value = match field.by_modality() {
            Some(prefix) => {
                let own = values.range(prefix.to_owned()..);
                own.map_while(|(path, value)| Some((path.strip_prefix(prefix)?.to_owned(), value.clone())))
                    .collect()
            }
            None => {
                let given = values.get(field.path).cloned();
                given.or_else(|| field.default.map(Preset::value)).unwrap_or_default()
            }
        };
        insert(
            &mut root,
            field.by_modality().map_or(field.path, |prefix| prefix.trim_end_matches('.')),
            value,
        );
    }

    let settings: NetworkSettings = serde_json::from_value(Value::Object(root))
        .expect("the rows of the table are the fields of the settings, and each value passed its row");
    settings.normalized()
}

fn insert(root: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => root.insert(path.to_owned(), value),
        Some((section, name)) => root
            .entry(section)
            .or_insert_with(|| Value::Object(Map::new()))
            .as_object_mut()
            .and_then(|section| section.insert(name.to_owned(), value)),
    };
}
