//! Comma-separated values, for spreadsheets and data frames.

use colearn_core::table::{ConfigurationRow, ResultsTable};

use crate::cells::{all_metrics, row_warning, setting_columns, value};

/// What there is of every metric, in order; the heading is `{metric}_{name}`.
pub(crate) type NumberColumn = (&'static str, fn(&ConfigurationRow, &str) -> Option<f64>);

/// The numbers of one metric of one row. The differences are those to the baseline.
pub(crate) const NUMBERS: &[NumberColumn] = &[
    ("mean", |row, name| row.metrics.get(name).map(|it| it.mean)),
    ("std", |row, name| row.metrics.get(name)?.std),
    ("ci_low", |row, name| row.metrics.get(name)?.ci_low),
    ("ci_high", |row, name| row.metrics.get(name)?.ci_high),
    ("difference", |row, name| row.comparisons.get(name).map(|it| it.mean_difference)),
    ("difference_ci_low", |row, name| row.comparisons.get(name)?.ci_low),
    ("difference_ci_high", |row, name| row.comparisons.get(name)?.ci_high),
    ("pairs", |row, name| row.comparisons.get(name).map(|it| it.pairs as f64)),
    ("effect_size", |row, name| row.comparisons.get(name)?.effect_size),
    ("t_p", |row, name| row.comparisons.get(name)?.t_p),
    ("t_p_holm", |row, name| row.comparisons.get(name)?.t_p_holm),
    ("wilcoxon_p", |row, name| row.comparisons.get(name)?.wilcoxon_p),
    ("wilcoxon_p_holm", |row, name| row.comparisons.get(name)?.wilcoxon_p_holm),
];

/// The verdict of one metric of one row, as a word.
pub(crate) fn verdict(row: &ConfigurationRow, name: &str) -> &'static str {
    row.comparisons.get(name).and_then(|it| it.verdict).map_or("", |verdict| verdict.as_str())
}

/// One record a configuration: id, settings, how complete it is, every metric's numbers and verdict, and a
/// warning.
#[must_use]
pub fn csv(table: &ResultsTable) -> String {
    let settings = setting_columns(table);
    let metrics = all_metrics(table);
    let mut heading: Vec<String> = vec!["id".into()];
    heading.extend(settings.iter().cloned());
    heading.extend(["baseline", "n", "expected", "state"].map(String::from));
    for name in &metrics {
        heading.extend(NUMBERS.iter().map(|(part, _)| format!("{name}_{part}")));
        heading.push(format!("{name}_verdict"));
    }
    heading.push("warning".to_owned());
    let records = table.configurations.iter().map(|row| {
        let mut cells = vec![row.id.to_string()];
        cells.extend(settings.iter().map(|path| row.values.get(path).map(value).unwrap_or_default()));
        cells.extend([row.baseline.to_string(), row.n.to_string(), row.expected.to_string()]);
        cells.push(row.state.as_str().to_owned());
        for name in &metrics {
            let numbers = NUMBERS.iter().map(|(_, number)| number(row, name));
            cells.extend(numbers.map(|number| number.map(|value| value.to_string()).unwrap_or_default()));
            cells.push(verdict(row, name).to_owned());
        }
        cells.push(row_warning(table, row).unwrap_or_default());
        cells
    });
    let mut writer = csv::Writer::from_writer(Vec::new());
    for record in std::iter::once(heading).chain(records) {
        writer.write_record(&record).expect("records of equal length written to memory");
    }
    let bytes = writer.into_inner().expect("flushing to memory");
    String::from_utf8(bytes).expect("all cells are UTF-8")
}
