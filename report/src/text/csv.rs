//! Comma-separated values, for spreadsheets and data frames.

use std::io;

use colearn_core::{
    statistics::Method,
    table::{ConfigurationRow, ResultsTable},
    text::one_line,
};
use serde_json::Value;

use crate::{
    cells::{all_metrics, file_column, row_warning, setting_columns, value},
    choice::choices,
    verdicts,
};

/// The columns of every metric, in order; the heading is `{metric}_{name}`.
pub(crate) type NumberColumn = (&'static str, fn(&ConfigurationRow, &str) -> Option<f64>);

/// The numbers of one metric of one row. Differences are relative to the baseline.
pub(crate) const NUMBERS: &[NumberColumn] = &[
    ("mean", |row, name| row.metrics.get(name).map(|it| it.mean)),
    ("std", |row, name| row.metrics.get(name)?.std),
    ("ci_low", |row, name| row.metrics.get(name)?.ci_low),
    ("ci_high", |row, name| row.metrics.get(name)?.ci_high),
    ("difference", |row, name| row.comparisons.get(name).map(|it| it.mean_difference)),
    ("difference_ci_low", |row, name| row.comparisons.get(name)?.ci_low),
    ("difference_ci_high", |row, name| row.comparisons.get(name)?.ci_high),
    ("difference_std", |row, name| row.comparisons.get(name)?.deviation),
    ("difference_simultaneous_ci_low", |row, name| row.comparisons.get(name)?.simultaneous_ci_low),
    ("difference_simultaneous_ci_high", |row, name| row.comparisons.get(name)?.simultaneous_ci_high),
    ("pairs", |row, name| row.comparisons.get(name).map(|it| it.pairs as f64)),
    ("effect_size", |row, name| row.comparisons.get(name)?.effect_size),
    ("correlation", |row, name| row.comparisons.get(name)?.correlation),
    ("adjusted_p", |row, name| row.comparisons.get(name)?.adjusted_p),
    ("t_p", |row, name| row.comparisons.get(name)?.t_p),
    ("t_p_holm", |row, name| row.comparisons.get(name)?.t_p_holm),
    ("welch_p", |row, name| row.comparisons.get(name)?.welch_p),
    ("wilcoxon_p", |row, name| row.comparisons.get(name)?.wilcoxon_p),
    ("wilcoxon_p_holm", |row, name| row.comparisons.get(name)?.wilcoxon_p_holm),
    ("pairs_needed", |row, name| row.comparisons.get(name)?.pairs_needed.map(|pairs| pairs as f64)),
];

/// A word about one metric of one row; empty if there is none.
pub(crate) type WordColumn = (&'static str, fn(&ConfigurationRow, &str) -> Option<&'static str>);

/// The words about one metric of one row, after its numbers.
pub(crate) const WORDS: &[WordColumn] = &[
    ("method", |row, name| row.comparisons.get(name)?.method.map(Method::as_str)),
    ("verdict", |row, name| verdicts::word(row.comparisons.get(name)?)),
];

/// A number with all its digits. Very large numbers have an exponent; without it they would have up to 309 digits.
pub(crate) fn digits(number: f64) -> String {
    if number.abs() < 1e16 { number.to_string() } else { format!("{number:e}") }
}

/// A setting. A number stays a number even if it starts with a sign.
pub(crate) fn cell(setting: &Value) -> String {
    match setting {
        Value::String(text) => plain_text(text),
        setting => value(setting),
    }
}

/// Text that a spreadsheet does not evaluate: an apostrophe precedes text that begins like a formula
/// (<https://owasp.org/www-community/attacks/CSV_Injection>), and characters that control a terminal are removed.
pub(crate) fn plain_text(text: &str) -> String {
    let text = one_line(text);
    // A spreadsheet skips leading blanks.
    if text.trim_start().starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠']) {
        return format!("'{text}");
    }
    text
}

/// One record per configuration: id, name, settings, completeness, the numbers and words of every metric, and a warning.
///
/// # Errors
/// If it cannot be written.
pub fn csv(into: &mut dyn io::Write, table: &ResultsTable) -> io::Result<()> {
    write_records(into, records(table, table.configurations.iter()))
}

/// The same columns for what is chosen on validation, with the id of the baseline and how often each configuration was
/// chosen.
pub(crate) fn chosen(into: &mut dyn io::Write, table: &ResultsTable) -> io::Result<()> {
    let more = table.chosen.iter().map(|it| [plain_text(&it.by), plain_text(&choices(it))]);
    let more = std::iter::once(["chosen_by", "choices"].map(str::to_owned)).chain(more);
    let rows = records(table, table.chosen.iter().map(|chosen| &chosen.row));
    write_records(into, rows.zip(more).map(|(record, more)| record.into_iter().chain(more).collect()))
}

/// The heading, then a record for each row.
fn records<'t>(
    table: &'t ResultsTable,
    rows: impl Iterator<Item = &'t ConfigurationRow>,
) -> impl Iterator<Item = Vec<String>> {
    let settings = setting_columns(table);
    let metrics = all_metrics(table);
    let mut heading: Vec<String> = vec!["id".into(), "name".into()];
    heading.extend(settings.iter().map(|path| plain_text(&file_column(path, &metrics))));
    heading.extend(["baseline", "n", "expected", "state"].map(String::from));
    for name in &metrics {
        heading.extend(NUMBERS.iter().map(|(part, _)| plain_text(&format!("{name}_{part}"))));
        heading.extend(WORDS.iter().map(|(part, _)| plain_text(&format!("{name}_{part}"))));
    }
    heading.push("warning".to_owned());
    let records = rows.map(move |row| {
        let mut cells = vec![row.id.to_string(), plain_text(&row.name)];
        cells.extend(settings.iter().map(|path| row.values.get(path).map(cell).unwrap_or_default()));
        cells.extend([row.baseline.to_string(), row.n.to_string(), row.expected.to_string()]);
        cells.push(row.state.as_str().to_owned());
        for name in &metrics {
            let numbers = NUMBERS.iter().map(|(_, number)| number(row, name));
            cells.extend(numbers.map(|number| number.map(digits).unwrap_or_default()));
            cells.extend(WORDS.iter().map(|(_, word)| word(row, name).unwrap_or_default().to_owned()));
        }
        cells.push(row_warning(table, row).map(|warning| plain_text(&warning)).unwrap_or_default());
        cells
    });
    std::iter::once(heading).chain(records)
}

/// Writes records of equal length.
pub(crate) fn write_records(
    into: &mut dyn io::Write,
    records: impl Iterator<Item = Vec<String>>,
) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(into);
    for record in records {
        writer.write_record(&record).map_err(not_written)?;
    }
    writer.flush()
}

/// The error of the writer below: that a pipe was closed is told by its kind.
pub(crate) fn not_written(error: csv::Error) -> io::Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A pipe that nobody reads.
    struct Closed;

    impl io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_told_by_the_kind_of_the_error() {
        for records in [1, 100] {
            let records = (0..records).map(|_| vec!["a".repeat(1000), "b".to_owned()]);
            let error = write_records(&mut Closed, records).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        }
        let uneven = [vec!["a".to_owned()], vec!["a".to_owned(), "b".to_owned()]];
        let error = write_records(&mut Vec::new(), uneven.into_iter()).unwrap_err();
        assert!(error.to_string().contains("found record with 2 fields"), "{error}");
    }

    #[test]
    fn text_that_begins_like_a_formula_is_text() {
        for formula in ["=cmd|' /C calc'!A0", "@SUM(1)", "-1+1", "+1", "\t=1", " =1", "\r@x", "＝1"] {
            let cell = cell(&json!(formula));
            assert!(cell.starts_with('\''), "{cell:?}");
            assert!(cell.ends_with(formula.trim_start()), "{cell:?}");
        }
        for (plain, written) in [
            (json!(-0.5), "-0.5"),
            (json!(1e300), "1e+300"),
            (json!("data/a=b.safetensors"), "data/a=b.safetensors"),
            (json!("abc\u{202e}fdp"), "abc fdp"),
            (json!(true), "true"),
        ] {
            assert_eq!(cell(&plain), written);
        }
    }
}
