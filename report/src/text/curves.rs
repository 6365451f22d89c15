//! The values of all epochs as comma-separated values.

use std::{collections::BTreeSet, io};

use colearn_core::table::ResultsTable;

use super::csv::{cell, digits, plain_text, write_records};
use crate::report_data::Material;

/// The columns that are no curves.
const FIXED: [&str; 3] = ["id", "seed", "epoch"];

/// One record for each epoch of each result: the id of the row, the values of the replicates' parameters, the seed, the
/// epoch, and the value of every curve.
pub(crate) fn curves(into: &mut dyn io::Write, material: &Material, table: &ResultsTable) -> io::Result<()> {
    let records = material.done().flat_map(|result| &result.history);
    let names: BTreeSet<&str> = records.flat_map(|record| record.values.keys()).collect();
    let replicates = &table.replicates;
    let heading = |name: &&str| match FIXED.contains(name) || replicates.iter().any(|path| path == name) {
        true => plain_text(&format!("curve.{name}")),
        false => plain_text(name),
    };
    // A parameter of a program may have the name of another column.
    let parameter = |path: &String| match FIXED.contains(&path.as_str()) {
        true => format!("parameter.{path}"),
        false => plain_text(path),
    };
    let mut columns = vec!["id".to_owned()];
    columns.extend(replicates.iter().map(parameter));
    columns.extend(["seed", "epoch"].map(str::to_owned));
    columns.extend(names.iter().map(heading));
    let tasks = table.configurations.iter().flat_map(|row| {
        row.configurations().flat_map(|member| {
            let mut task = vec![row.id.to_string()];
            task.extend(replicates.iter().map(|path| member.values.get(path).map(cell).unwrap_or_default()));
            let results = material.results(member.id).into_iter();
            results.map(move |(seed, result)| ([&task[..], &[seed.to_string()]].concat(), result))
        })
    });
    let records = tasks.flat_map(|(task, result)| {
        let names = &names;
        result.history.iter().map(move |record| {
            let mut cells = task.clone();
            cells.push(record.epoch.to_string());
            cells.extend(names.iter().map(|name| record.get(name).map(digits).unwrap_or_default()));
            cells
        })
    });
    write_records(into, std::iter::once(columns).chain(records))
}
