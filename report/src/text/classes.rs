//! The F1 of each class as comma-separated values.

use std::io;

use colearn_core::table::ResultsTable;

use super::csv::{digits, plain_text, write_records};

const HEADING: [&str; 8] = ["id", "name", "class", "support", "f1_mean", "f1_std", "f1_ci_low", "f1_ci_high"];

/// One record for each configuration and class.
pub(crate) fn classes(into: &mut dyn io::Write, table: &ResultsTable) -> io::Result<()> {
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
    let heading = HEADING.map(str::to_owned).to_vec();
    write_records(into, std::iter::once(heading).chain(records))
}
