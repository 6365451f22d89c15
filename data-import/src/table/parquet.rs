//! Parquet files, read as text.

use std::fs::File;

use parquet::{
    errors::ParquetError,
    file::reader::{FileReader as _, SerializedFileReader},
    record::Field,
};

use super::Table;
use crate::{Reference, mistake::Mistake, npy};

pub(crate) fn read(reference: &Reference) -> Result<Table, Mistake> {
    let place = reference.path.display().to_string();
    let (file, _) = npy::open_regular(&reference.path)
        .map_err(|error| Mistake::new(&place, format_args!("cannot be read: {error}")))?;
    let table = columns(file).map_err(|error| {
        Mistake::new(&place, error)
            .help("write it with `compression=\"snappy\"`; or write CSV, such as `frame.to_csv(\"labels.csv\", index=False)`")
    })?;
    if table.columns.first().is_none_or(Vec::is_empty) {
        return Err(Mistake::new(&place, "has no rows"));
    }
    Ok(table)
}

fn columns(file: File) -> Result<Table, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let fields = reader.metadata().file_metadata().schema().get_fields();
    let heading: Vec<String> = fields.iter().map(|field| field.name().to_owned()).collect();
    let mut columns = vec![Vec::new(); heading.len()];
    for row in reader.get_row_iter(None)? {
        for (column, (_, field)) in columns.iter_mut().zip(row?.get_column_iter()) {
            column.push(match field {
                Field::Null => String::new(),
                Field::Str(text) => text.clone(),
                // Whole numbers read as whole, as in CSV.
                Field::Double(number) => number.to_string(),
                Field::Float(number) => number.to_string(),
                other => other.to_string(),
            });
        }
    }
    Ok(Table { heading, columns, kind: "Parquet" })
}
