//! The columns of the long format.

use colearn_core::table::{ConfigurationRow, ResultsTable};
use serde_json::Value;

use super::Records;
use crate::cells::{all_metrics, file_column, setting_columns};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    /// A whole number that every record has.
    Count,
}

/// The columns, in order: what the configuration is, what the task is, and what was measured.
#[derive(Debug)]
pub(super) struct Columns {
    /// The paths of the settings that differ between rows.
    pub(super) settings: Vec<String>,
    /// The paths of the settings that differ within a row.
    pub(super) replicates: Vec<String>,
    /// Name and kind of every column.
    pub(super) all: Vec<(String, Kind)>,
}

/// Columns of these names are no settings; a setting of the same name is preceded by `parameter.`.
const FIXED: [&str; 12] = [
    "configuration",
    "name",
    "member",
    "seed",
    "metric",
    "split",
    "modalities",
    "value",
    "status",
    "reason",
    "epoch",
    "curve",
];

impl Columns {
    pub(super) fn of(table: &ResultsTable, records: Records) -> Self {
        let settings = setting_columns(table);
        let replicates = table.replicates.clone();
        let metrics = all_metrics(table);
        // The name is that of results.csv.
        let named = |path: &String| match FIXED.contains(&path.as_str()) {
            true => format!("parameter.{path}"),
            false => file_column(path, &metrics),
        };
        let mut all = vec![("configuration".to_owned(), Kind::Text), ("name".to_owned(), Kind::Text)];
        let rows = &table.configurations;
        let of_rows = |path: &String| {
            let path = path.clone();
            kind(rows.iter().filter_map(move |row| row.values.get(&path)))
        };
        all.extend(settings.iter().map(|path| (named(path), of_rows(path))));
        if !replicates.is_empty() {
            let members: Vec<_> = rows.iter().flat_map(ConfigurationRow::configurations).collect();
            let of_members =
                |path: &String| kind(members.iter().filter_map(|member| member.values.get(path)));
            all.extend(replicates.iter().map(|path| (named(path), of_members(path))));
            all.push(("member".to_owned(), Kind::Text));
        }
        let measured: &[(&str, Kind)] = match records {
            Records::Metrics => &[
                ("seed", Kind::Count),
                ("metric", Kind::Text),
                ("split", Kind::Text),
                ("modalities", Kind::Text),
                ("value", Kind::Number),
                ("status", Kind::Text),
                ("reason", Kind::Text),
            ],
            Records::Epochs => &[
                ("seed", Kind::Count),
                ("epoch", Kind::Count),
                ("curve", Kind::Text),
                ("value", Kind::Number),
            ],
        };
        all.extend(measured.iter().map(|(name, kind)| ((*name).to_owned(), *kind)));
        Self { settings, replicates, all }
    }
}

/// The column of a setting holds numbers if every value is one.
fn kind<'v>(mut values: impl Iterator<Item = &'v Value>) -> Kind {
    if values.all(Value::is_number) { Kind::Number } else { Kind::Text }
}
