//! The complete results, for programs.

use std::collections::BTreeSet;

use colearn_core::table::{ConfigurationRow, ResultsTable};
use serde_json::{Value, json};

use crate::{cells::warnings, reference::Matched};

/// The whole table. Keys may be added; keys are never renamed or removed.
#[must_use]
pub fn json(table: &ResultsTable, published: Option<&Matched>) -> String {
    let configurations: Vec<Value> = table
        .configurations
        .iter()
        .map(|row| {
            let mut document = json!({
                "id": row.id,
                "name": row.name,
                "settings": settings(row),
                "values": row.values,
                "baseline": row.baseline,
                "n": row.n,
                "expected": row.expected,
                "state": row.state,
                "failed_seeds": row.failed_seeds,
                "metrics": row.metrics,
                "comparisons": row.comparisons,
                "verdict": table.verdict(row),
            });
            if !row.members.is_empty() {
                document["replicates"] = json!(row.members);
            }
            if let Some(means) = published.and_then(|published| published.rows.get(&row.id)) {
                document["published"] = means.iter().map(|it| (it.metric.clone(), it.mean)).collect();
            }
            document
        })
        .collect();
    let mut document = json!({
        "sweep": table.sweep,
        "confidence": table.confidence,
        "verdict_metric": table.verdict_metric(),
        "adjustment": table.adjustment,
        "margin": table.margin,
        "judged": table.judged,
        "data_digests": table.data_digests,
        "warnings": warnings(table),
        "configurations": configurations,
    });
    if !table.replicates.is_empty() {
        document["replicates"] = json!(table.replicates);
    }
    if !table.better.is_empty() {
        document["better"] = json!(table.better);
    }
    format!("{document:#}\n")
}

/// The resolved settings, overwritten with the swept values. The resolved settings omit values that have no effect,
/// such as a modality dropout of zero, but readers look for the values of the sweep file. The replicates are left out:
/// the row has all their values.
fn settings(row: &ConfigurationRow) -> Value {
    let mut settings = json!(row.settings);
    let replicates: BTreeSet<&str> =
        row.members.iter().flat_map(|member| member.values.keys()).map(String::as_str).collect();
    // Those of a program are complete, and its parameters have no paths.
    if row.settings.program().is_some() {
        if let Some(parameters) = settings.pointer_mut("/program/parameters").and_then(Value::as_array_mut) {
            parameters.retain(|own| own[0].as_str().is_none_or(|name| !replicates.contains(name)));
        }
        return settings;
    }
    for path in replicates {
        let (section, name) = path.rsplit_once('.').unwrap_or(("", path));
        let pointer =
            section.split('.').filter(|key| !key.is_empty()).fold(String::new(), |to, key| to + "/" + key);
        if let Some(Value::Object(fields)) = settings.pointer_mut(&pointer) {
            fields.remove(name);
        }
    }
    for (path, value) in &row.values {
        set(&mut settings, path, value);
    }
    settings
}

/// Sets a value by its dotted path, unless the path leads through something that is no mapping.
fn set(settings: &mut Value, path: &str, value: &Value) {
    let mut place = settings;
    for key in path.split('.') {
        if place.is_null() {
            *place = json!({});
        }
        let Value::Object(entries) = place else { return };
        place = entries.entry(key).or_insert(Value::Null);
    }
    *place = value.clone();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_set_where_its_path_leads() {
        let mut settings = json!({"model": {"hidden": 8}, "epochs": 3});
        for (path, value) in [
            ("model.hidden", json!(16)),
            ("modality_dropout.audio", json!(0.0)),
            ("epochs.late", json!(1)),
            ("unimodal", json!(true)),
        ] {
            set(&mut settings, path, &value);
        }
        let expected = json!({
            "model": {"hidden": 16}, "epochs": 3, "modality_dropout": {"audio": 0.0}, "unimodal": true
        });
        assert_eq!(settings, expected);
    }
}
