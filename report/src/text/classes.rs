//! The F1 of each class as comma-separated values.

use colearn_core::table::ResultsTable;

use super::csv::{digits, plain_text, written};

const HEADING: [&str; 8] = ["id", "name", "class", "support", "f1_mean", "f1_std", "f1_ci_low", "f1_ci_high"];

/// One record for each configuration and class. `None` if there are no classes.
pub(crate) fn classes(table: &ResultsTable) -> Option<String> {
    let records = table.configurations.iter().flat_map(|row| {
        row.classes.iter().map(|score| {
            let number = |number: Option<f64>| number.map(digits).unwrap_or_default();
            vec![
                row.id.to_string(),
                plain_text(&row.name),
                plain_text(&score.class),
                score.support.to_string(),
                digits(score.f1.mean),
                number(score.f1.std),
                number(score.f1.ci_low),
                number(score.f1.ci_high),
            ]
        })
    });
    let records: Vec<Vec<String>> = records.collect();
    let heading = HEADING.map(str::to_owned).to_vec();
    (!records.is_empty()).then(|| written(std::iter::once(heading).chain(records)))
}
