//! Everything, for programs.

use colearn_core::table::ResultsTable;
use serde_json::{Value, json};

use crate::reference::Matched;

/// The whole table. Keys may be added; none is renamed or removed.
#[must_use]
pub fn json(table: &ResultsTable, published: Option<&Matched>) -> String {
    let configurations: Vec<Value> = table
        .configurations
        .iter()
        .map(|row| {
            let mut document = json!({
                "id": row.id,
                "settings": row.settings,
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
        "configurations": configurations,
    });
    format!("{document:#}\n")
}
