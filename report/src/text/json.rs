//! The complete results, for programs.

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
            if let Some(means) = published.and_then(|published| published.rows.get(&row.id)) {
                document["published"] = means.iter().map(|it| (it.metric.clone(), it.mean)).collect();
            }
            document
        })
        .collect();
    let document = json!({
        "sweep": table.sweep,
        "confidence": table.confidence,
        "verdict_metric": table.verdict_metric(),
        "data_digests": table.data_digests,
        "warnings": warnings(table),
        "configurations": configurations,
    });
    format!("{document:#}\n")
}

/// The resolved settings, overwritten with the swept values. The resolved settings omit values that have no effect,
/// such as a modality dropout of zero, but readers look for the values of the sweep file.
fn settings(row: &ConfigurationRow) -> Value {
    let mut settings = json!(row.settings);
    for (path, value) in &row.values {
        let mut place = &mut settings;
        for key in path.split('.') {
            place = &mut place[key];
        }
        *place = value.clone();
    }
    settings
}
