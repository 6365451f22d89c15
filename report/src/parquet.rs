//! Parquet: the rows of the files of comma-separated values, with typed columns.

use std::sync::Arc;

use colearn_core::{
    table::{ConfigurationRow, ResultsTable},
    text::one_line,
};
use parquet::{
    basic::{LogicalType, Repetition, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type},
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};

use crate::{
    cells::{all_metrics, file_column, row_warning, setting_columns, value},
    error::ReportError,
    long::{Cell, Kind, Long},
    text::{NUMBERS, WORDS},
};

/// The values of a column; values of an optional column may be missing.
enum Column {
    Text(Vec<Option<String>>),
    Number(Vec<Option<f64>>),
    Count(Vec<i64>),
    Flag(Vec<bool>),
}

/// One row per configuration. A setting that is a number in every row has a number column, others are text.
///
/// # Errors
/// If it cannot be encoded.
pub fn parquet(table: &ResultsTable) -> Result<Vec<u8>, ReportError> {
    encode(&columns(table)).map_err(|error| bad("results.parquet", error))
}

fn bad(file: &'static str, error: impl std::fmt::Display) -> ReportError {
    ReportError::Encode { file, message: error.to_string() }
}

impl Long<'_> {
    /// Parquet with the columns of [`Self::csv`]. A setting that is a number in every row has a number column, others
    /// are text.
    ///
    /// # Errors
    /// If it cannot be encoded.
    pub fn parquet(&self) -> Result<Vec<u8>, ReportError> {
        let mut columns: Vec<(String, Column)> =
            self.kinds().map(|(name, kind)| (name.to_owned(), empty(kind))).collect();
        let filled = self.each(&mut |cells| {
            for ((_, column), cell) in columns.iter_mut().zip(cells) {
                push(column, cell);
            }
            Ok(())
        });
        filled.map_err(|error| bad(self.records().file(), error))?;
        encode(&columns).map_err(|error| bad(self.records().file(), error))
    }
}

fn empty(kind: Kind) -> Column {
    match kind {
        Kind::Text => Column::Text(Vec::new()),
        Kind::Number => Column::Number(Vec::new()),
        Kind::Count => Column::Count(Vec::new()),
    }
}

fn push(column: &mut Column, cell: &Cell) {
    match column {
        Column::Text(values) => values.push(match cell {
            Cell::Empty => None,
            Cell::Text(text) => Some(text.clone()),
            Cell::Number(number) => Some(number.to_string()),
            Cell::Count(count) => Some(count.to_string()),
            Cell::Setting(setting) => Some(value(setting)),
        }),
        Column::Number(values) => values.push(match cell {
            Cell::Number(number) => Some(*number),
            Cell::Setting(setting) => setting.as_f64(),
            _ => None,
        }),
        // Seeds and epochs are far below the limit.
        Column::Count(values) => values.push(match cell {
            Cell::Count(count) => i64::try_from(*count).unwrap_or(i64::MAX),
            _ => 0,
        }),
        Column::Flag(values) => values.push(false),
    }
}

/// The table of a task's kept predictions, with typed columns: `index` and the outputs are numbers, and so are truth and
/// prediction of a regression; the rest is text.
///
/// # Errors
/// If the bytes are no such table.
pub fn predictions_parquet(csv: &[u8]) -> Result<Vec<u8>, ReportError> {
    let failed = |error: &dyn std::fmt::Display| ReportError::Encode {
        file: "predictions.parquet",
        message: error.to_string(),
    };
    let mut reader = csv::Reader::from_reader(csv);
    let names: Vec<String> =
        reader.headers().map_err(|error| failed(&error))?.iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> =
        reader.records().collect::<Result<_, _>>().map_err(|error| failed(&error))?;
    let outputs = |name: &String| name.starts_with("logit.");
    let is_regression = !names.iter().any(outputs);
    let column = |(at, name): (usize, &String)| {
        let texts = records.iter().map(|record| record.get(at).filter(|text| !text.is_empty()));
        let is_number = outputs(name) || (is_regression && ["truth", "prediction"].contains(&name.as_str()));
        let column = if name == "index" {
            Column::Count(texts.map(|text| text?.parse().ok()).collect::<Option<_>>().unwrap_or_default())
        } else if is_number {
            Column::Number(texts.map(|text| text?.parse().ok()).collect())
        } else {
            Column::Text(texts.map(|text| text.map(str::to_owned)).collect())
        };
        (name.clone(), column)
    };
    let columns: Vec<(String, Column)> = names.iter().enumerate().map(column).collect();
    encode(&columns).map_err(|error| failed(&error))
}

fn columns(table: &ResultsTable) -> Vec<(String, Column)> {
    let rows = &table.configurations;
    let metrics = all_metrics(table);
    let text = |of: &dyn Fn(&ConfigurationRow) -> Option<String>| Column::Text(rows.iter().map(of).collect());
    let mut columns = vec![
        ("id".to_owned(), text(&|row| Some(row.id.to_string()))),
        ("name".to_owned(), text(&|row| Some(one_line(&row.name)))),
    ];
    for path in setting_columns(table) {
        let numeric = rows.iter().filter_map(|row| row.values.get(&path)).all(serde_json::Value::is_number);
        let column = if numeric {
            Column::Number(rows.iter().map(|row| row.values.get(&path)?.as_f64()).collect())
        } else {
            text(&|row| row.values.get(&path).map(value))
        };
        columns.push((file_column(&path, &metrics), column));
    }
    columns.push(("baseline".to_owned(), Column::Flag(rows.iter().map(|row| row.baseline).collect())));
    columns.push(("n".to_owned(), Column::Count(rows.iter().map(|row| row.n as i64).collect())));
    columns
        .push(("expected".to_owned(), Column::Count(rows.iter().map(|row| row.expected as i64).collect())));
    columns.push(("state".to_owned(), text(&|row| Some(row.state.as_str().to_owned()))));
    for name in metrics {
        for (part, number) in NUMBERS {
            let values = rows.iter().map(|row| number(row, &name)).collect();
            columns.push((format!("{name}_{part}"), Column::Number(values)));
        }
        for (part, word) in WORDS {
            columns.push((format!("{name}_{part}"), text(&|row| word(row, &name).map(str::to_owned))));
        }
    }
    columns.push(("warning".to_owned(), text(&|row| row_warning(table, row))));
    columns
}

fn encode(columns: &[(String, Column)]) -> Result<Vec<u8>, ParquetError> {
    let fields = columns
        .iter()
        .map(|(name, column)| {
            let (physical, repetition, logical) = match column {
                Column::Text(_) => (Physical::BYTE_ARRAY, Repetition::OPTIONAL, Some(LogicalType::String)),
                Column::Number(_) => (Physical::DOUBLE, Repetition::OPTIONAL, None),
                Column::Count(_) => (Physical::INT64, Repetition::REQUIRED, None),
                Column::Flag(_) => (Physical::BOOLEAN, Repetition::REQUIRED, None),
            };
            let field = Type::primitive_type_builder(name, physical);
            Ok(Arc::new(field.with_repetition(repetition).with_logical_type(logical).build()?))
        })
        .collect::<Result<Vec<_>, ParquetError>>()?;
    let schema = Arc::new(Type::group_type_builder("results").with_fields(fields).build()?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::default()))?;
    let mut group = writer.next_row_group()?;
    for (_, column) in columns {
        let Some(mut into) = group.next_column()? else { break };
        match column {
            Column::Text(values) => {
                let present: Vec<ByteArray> =
                    values.iter().flatten().map(|text| ByteArray::from(text.as_str())).collect();
                into.typed::<ByteArrayType>().write_batch(&present, Some(&levels(values)), None)?;
            }
            Column::Number(values) => {
                let present: Vec<f64> = values.iter().flatten().copied().collect();
                into.typed::<DoubleType>().write_batch(&present, Some(&levels(values)), None)?;
            }
            Column::Count(values) => {
                into.typed::<Int64Type>().write_batch(values, None, None)?;
            }
            Column::Flag(values) => {
                into.typed::<BoolType>().write_batch(values, None, None)?;
            }
        }
        into.close()?;
    }
    group.close()?;
    writer.into_inner()
}

/// Definition levels: 1 for a value, 0 for a missing one.
fn levels<T>(values: &[Option<T>]) -> Vec<i16> {
    values.iter().map(|value| i16::from(value.is_some())).collect()
}
